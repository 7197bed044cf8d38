/* SPDX-License-Identifier: MIT
 * Copyright (c) 2026 The cubbyfs authors */

/* The process that has the store and answers requests; a child of the supervisor's. */
#pragma once

#include "fs/options.h"

#include <stdbool.h>

enum status {
	STATUS_OK = 0,
	STATUS_USAGE = 1,
	STATUS_NOT_STARTED = 2,
	STATUS_NOT_CLOSED = 3,
};

struct worker {
	const struct options *options;
	const char *store, *dir; /* absolute */
	bool foreground; /* keeps the terminal */
};

/* Serves until the mount has ended, or somebody else takes over. Returns the status to exit
 * with. */
int worker_run(const struct worker *w);
