/* SPDX-License-Identifier: MIT
 * Copyright (c) 2026 The cubbyfs authors */

/* Becoming a daemon whose start can fail visibly: the process that was called
 * forks at once and ends when the other one says that the mount answers, or
 * has ended. Until then that one keeps the terminal. */
#pragma once

#include <stdbool.h>

struct daemon {
	int pipe; /* to the process that was called; -1: in the foreground */
};

/* With `foreground`, forks nothing. Else returns in the child only; the parent
 * exits with 0 or with the child's status. Before there is any thread. 0 or a
 * negative errno. */
int daemon_init(struct daemon *d, bool foreground);

/* The mount answers: lets go of the terminal, logs to syslog from here on, and
 * lets the parent end. Tells systemd, if it asks to be told. */
void daemon_ready(struct daemon *d);

/* Lets go of the terminal and the directory that one was started in; to syslog from here on. */
void daemon_detach(void);
