/* SPDX-License-Identifier: MIT
 * Copyright (c) 2026 The cubbyfs authors */

/* The two clocks, behind a seam so that tests set them.
 *
 * `wall` stamps what users see and what the journal keeps; it may step either
 * way. `elapsed` runs TTLs while the store is open: it counts suspended time
 * and is never set. Both in nanoseconds (since the epoch, since boot). */
#pragma once

#include <stdint.h>

#define NSEC_PER_SEC INT64_C(1000000000)
#define NSEC_PER_MSEC INT64_C(1000000)

struct clock {
	int64_t (*wall)(const struct clock *c);
	int64_t (*elapsed)(const struct clock *c);
};

/* CLOCK_REALTIME and CLOCK_BOOTTIME. */
extern const struct clock clock_system;

static inline int64_t clock_wall(const struct clock *c)
{
	return c->wall(c);
}

static inline int64_t clock_elapsed(const struct clock *c)
{
	return c->elapsed(c);
}

/* Of two waits the shorter; -1 is for ever. */
static inline int64_t clock_sooner(int64_t a, int64_t b)
{
	return a < 0 ? b : b < 0 || a < b ? a : b;
}

/* RFC 3339 in UTC with microseconds, as 2026-11-20T16:13:04.000123Z.
 * `out` holds at least CLOCK_RFC3339_SIZE bytes. */
#define CLOCK_RFC3339_SIZE 40
void clock_rfc3339(int64_t wall, char *out);
