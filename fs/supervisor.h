/* SPDX-License-Identifier: MIT
 * Copyright (c) 2026 The cubbyfs authors */

/* The parent of the process that answers: it holds /dev/fuse and the mount, and starts
 * another worker when one dies. It knows nothing of what clients ask or write. */
#pragma once

#include "fs/options.h"

struct daemon;

struct supervisor {
	struct daemon *daemon;
	const struct options *options;
	const char *store, *dir; /* absolute */
	char **worker_argv;	 /* ends with NULL */
	bool can_restart; /* the store survives its worker */
};

/* Mounts, serves, and returns the status to exit with when the mount has ended. All is
 * borrowed. Before any thread. */
int supervisor_run(const struct supervisor *s);
