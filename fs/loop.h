/* SPDX-License-Identifier: MIT
 * Copyright (c) 2026 The cubbyfs authors */

/* The one loop: requests, the store's completions, its clock, and signals. */
#pragma once

#include <stdbool.h>

struct announcer;
struct events;
struct holders;
struct session;
struct store;

struct loop {
	struct session *session; /* mounted; borrowed */
	struct store *store;     /* borrowed */
	struct announcer *announcer; /* borrowed */
	struct events *events;   /* borrowed */
	struct holders *holders; /* borrowed */
	/* Called once, when the mount answers. May be NULL. */
	void (*ready)(void *arg);
	void *arg;
};

/* Blocks the signals that end the loop, which are taken from a descriptor.
 * Before the mount, and before any thread. */
void loop_block_signals(void);

/* Whether one of them has come, outside loop_run. */
bool loop_signal_is_pending(void);

/* Runs until the mount is gone, or a signal (SIGTERM, SIGINT, SIGHUP) says so:
 * then the mount is detached, event streams end, and who still has files open gets a
 * moment to close them. 0 or a negative errno, which has been logged. */
int loop_run(const struct loop *l);
