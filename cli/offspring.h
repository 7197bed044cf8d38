/* SPDX-License-Identifier: MIT
 * Copyright (c) 2026 The cubbyfs authors */

/* The processes that descend from this one, as /proc has them. Made a subreaper, it
 * stays the ancestor of those whose parents have ended.
 *
 * What is not found: what others start on their behalf (at, systemd-run, a container),
 * and, without CONFIG_PROC_CHILDREN, any but those that are named. */
#pragma once

#include <sys/types.h>

/* Sends a signal, and SIGCONT after it so that a stopped process can obey, to `first`
 * (0: none) and to all descendants but `except` and its own. Returns how many there are,
 * those that have ended but are not yet reaped included. */
int offspring_signal(pid_t first, pid_t except, int signal);

/* From now on those whose parents end become this process's children. */
void offspring_adopt(void);
