/* SPDX-License-Identifier: MIT
 * Copyright (c) 2026 The cubbyfs authors */

/* A command that runs while a lock is held, and no longer. */
#pragma once

#include "cli/lease.h"

#include <signal.h>
#include <stdint.h>

/* The lock was lost. Also EX_PROTOCOL, which no lock has to do with. */
#define GUARD_LOST 76

/* The signals as the process got them: the command gets them back. */
struct guard_signals {
	sigset_t mask;
	struct sigaction on_child;
};

/* From here on the signals that guard_run passes on are blocked, so that none ends
 * the process while it takes the lock; they come in while before->mask is the mask. */
void guard_block_signals(struct guard_signals *before);

/* Whether one is waiting that would have ended the process. */
bool guard_is_interrupted(void);

/* Runs argv under the lock, refreshes it meanwhile, and releases it. Returns the exit code:
 * the command's, 128 and the number of the signal that killed it, 126 or 127 if
 * it could not be run, or GUARD_LOST. */
int guard_run(struct lease *l, char **argv, int64_t kill_after, const struct guard_signals *before);
