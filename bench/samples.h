/* SPDX-License-Identifier: MIT
 * Copyright (c) 2026 The cubbyfs authors */

/* How long each of many calls took. */
#pragma once

#include <stddef.h>
#include <stdint.h>

struct samples {
	int64_t *ns; /* owned */
	size_t count, capacity;
};

/* Makes room, and touches it, so that adding never stops for memory. 0 or -ENOMEM. */
int samples_init(struct samples *s, size_t capacity);
void samples_finish(struct samples *s);

/* What no longer fits is not kept. */
static inline void samples_add(struct samples *s, int64_t ns)
{
	if (s->count < s->capacity) {
		s->ns[s->count++] = ns;
	}
}

/* Sorts them. */
struct summary {
	int64_t min, median, p99, max;
	double mean;
};
struct summary samples_summary(struct samples *s);

/* CLOCK_MONOTONIC, ns. */
int64_t now_ns(void);
