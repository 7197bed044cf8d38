/* SPDX-License-Identifier: MIT
 * Copyright (c) 2026 The cubbyfs authors */

/* `cubby watch --exec`: a command that is run for each event, so many at a time.
 * Errors are negative errnos. */
#pragma once

#include "base/bytes.h"

#include <signal.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

struct json_object;

struct trigger_job {
	pid_t pid;  /* 0: a free slot */
	char *what; /* owned: for messages */
};

struct trigger {
	const char *command; /* borrowed, for sh -c */
	struct trigger_job *jobs;
	size_t n_jobs;
	size_t n_running;
	int failure;      /* the last failed command's exit code, 128 + the signal, or 0 */
	sigset_t signals; /* as they were before init */
};

/* From here on SIGCHLD is blocked: it comes in while trigger->signals is the mask
 * (ppoll, sigsuspend). */
int trigger_init(struct trigger *t, const char *command, size_t jobs);
void trigger_finish(struct trigger *t);

static inline bool trigger_is_full(const struct trigger *t)
{
	return t->n_running == t->n_jobs;
}

/* Runs the command for an event: it has `text` as its standard input, and the
 * event's members in its environment; `point` is where the mount is. Not to be
 * called when full. */
int trigger_start(
	struct trigger *t, struct json_object *event, struct bytes text, const char *point);

/* Takes note of the commands that have ended, and says which failed. */
void trigger_reap(struct trigger *t);

/* Returns when all have ended. */
void trigger_wait(struct trigger *t);
