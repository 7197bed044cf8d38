/* SPDX-License-Identifier: MIT
 * Copyright (c) 2026 The cubbyfs authors */

#include "cli/duration.h"

#include "base/clock.h"

#include <ctype.h>
#include <inttypes.h>
#include <stdbool.h>
#include <stdio.h>

static int64_t unit_seconds(char letter)
{
	switch (letter) {
	case 's':
		return 1;
	case 'm':
		return 60;
	case 'h':
		return 60 * 60;
	case 'd':
		return 24 * 60 * 60;
	case 'w':
		return 7 * 24 * 60 * 60;
	default:
		return 0;
	}
}

/* One number with its unit. What is finer than a nanosecond is dropped. */
static int parse_part(const char **text, int64_t *sum)
{
	const char *p = *text;
	int64_t whole = 0, fraction = 0, scale = NSEC_PER_SEC, unit = 1;
	bool digits = false;

	for (; isdigit((unsigned char)*p); p++) {
		digits = true;
		if (__builtin_mul_overflow(whole, 10, &whole) ||
			__builtin_add_overflow(whole, *p - '0', &whole)) {
			return DURATION_TOO_LONG;
		}
	}
	if (*p == '.') {
		for (p++; isdigit((unsigned char)*p); p++) {
			digits = true;
			scale /= 10;
			fraction += (*p - '0') * scale;
		}
	}
	if (!digits) {
		return DURATION_INVALID;
	}
	if (*p) {
		unit = unit_seconds(*p++);
		if (!unit) {
			return DURATION_INVALID;
		}
	}
	if (__builtin_mul_overflow(whole, NSEC_PER_SEC, &whole) ||
		__builtin_add_overflow(whole, fraction, &whole) ||
		__builtin_mul_overflow(whole, unit, &whole) ||
		__builtin_add_overflow(*sum, whole, sum)) {
		return DURATION_TOO_LONG;
	}
	*text = p;
	return 0;
}

int duration_parse(const char *text, int64_t *nanoseconds)
{
	int64_t sum = 0;

	do {
		int rc = parse_part(&text, &sum);

		if (rc) {
			return rc;
		}
	} while (*text);
	*nanoseconds = sum;
	return 0;
}

void duration_seconds(int64_t nanoseconds, char *out)
{
	snprintf(out, DURATION_TEXT_SIZE, "%" PRId64 ".%09" PRId64, nanoseconds / NSEC_PER_SEC,
		nanoseconds % NSEC_PER_SEC);
}
