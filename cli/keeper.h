/* SPDX-License-Identifier: MIT
 * Copyright (c) 2026 The cubbyfs authors */

/* A process that refreshes and releases a lock when it is told to. A call into
 * a mount whose daemon hangs does not return, and no signal but the last ends
 * it: so it is made here, and who waits for the answer can go by the clock.
 *
 * Errors are negative errnos. */
#pragma once

#include "cli/lease.h"

#include <stdbool.h>
#include <sys/types.h>

enum keeper_request {
	KEEPER_REFRESH,
	KEEPER_RELEASE,
};

struct keeper_answer {
	enum keeper_request request;
	int rc; /* as from lease_refresh or lease_release */
	int64_t start, ttl;
};

struct keeper {
	int fd; /* owned; readable when there is an answer, or the process has ended */
	pid_t pid;
};

/* The lease is copied: the process knows what it was then. */
int keeper_init(struct keeper *k, const struct lease *l);

/* Ends the process, unless it is stuck; then it goes when it can. */
void keeper_finish(struct keeper *k);

/* Never blocks. */
int keeper_ask(struct keeper *k, enum keeper_request request);

/* The next answer, in the order of the requests. -EAGAIN: there is none yet; -EPIPE: the
 * process has ended. */
int keeper_answer(struct keeper *k, struct keeper_answer *answer);
