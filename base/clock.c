/* SPDX-License-Identifier: MIT
 * Copyright (c) 2026 The cubbyfs authors */

#include "base/clock.h"

#include <stdio.h>
#include <time.h>

static int64_t read_clock(clockid_t id)
{
	struct timespec ts;

	clock_gettime(id, &ts);
	return (int64_t)ts.tv_sec * NSEC_PER_SEC + ts.tv_nsec;
}

static int64_t system_wall(const struct clock *c)
{
	(void)c;
	return read_clock(CLOCK_REALTIME);
}

static int64_t system_elapsed(const struct clock *c)
{
	(void)c;
	return read_clock(CLOCK_BOOTTIME);
}

const struct clock clock_system = {
	.wall = system_wall,
	.elapsed = system_elapsed,
};

void clock_rfc3339(int64_t wall, char *out)
{
	int64_t seconds = wall / NSEC_PER_SEC;
	int64_t rest = wall % NSEC_PER_SEC;
	struct tm tm = {0};
	time_t t;

	if (rest < 0) {
		rest += NSEC_PER_SEC;
		seconds--;
	}
	t = (time_t)seconds;
	gmtime_r(&t, &tm);
	/* 64 bits of nanoseconds reach from 1677 to 2262: four digits do. */
	snprintf(out, CLOCK_RFC3339_SIZE, "%04u-%02u-%02uT%02u:%02u:%02u.%06uZ",
		(unsigned)(tm.tm_year + 1900) % 10000, (unsigned)(tm.tm_mon + 1) % 100,
		(unsigned)tm.tm_mday % 100, (unsigned)tm.tm_hour % 100, (unsigned)tm.tm_min % 100,
		(unsigned)tm.tm_sec % 100, (unsigned)(rest / 1000));
}
