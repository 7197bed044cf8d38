/* SPDX-License-Identifier: MIT
 * Copyright (c) 2026 The cubbyfs authors */

/* A progress bar on stderr, for what can take over a second. Nothing is
 * drawn in the first second, nor ever when stderr is not a terminal. */
#pragma once

#include <stdbool.h>
#include <stdint.h>

struct progress {
	const char *what; /* borrowed */
	int64_t started;
	int64_t drawn;
	bool terminal;
	bool visible;
};

void progress_init(struct progress *p, const char *what);

/* `total` 0: unknown. Cheap enough to be called for every record. */
void progress_update(struct progress *p, uint64_t done, uint64_t total);

/* Wipes the bar, if one was drawn. */
void progress_finish(struct progress *p);
