/* SPDX-License-Identifier: MIT
 * Copyright (c) 2026 The cubbyfs authors */

/* Memory that is taken piece by piece and given back as a whole.
 * Zero-initialised is empty and needs no init. */
#pragma once

#include <stddef.h>

struct arena {
	struct arena_block *blocks;
};

/* Aligned for anything. NULL without memory. */
void *arena_allocate(struct arena *a, size_t size);
void *arena_allocate_zeroed(struct arena *a, size_t count, size_t size);

/* Takes all of it back; keeps one block for the next pieces, if it is a small one. */
void arena_reset(struct arena *a);
void arena_finish(struct arena *a);
