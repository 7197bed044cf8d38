/* SPDX-License-Identifier: MIT
 * Copyright (c) 2026 The cubbyfs authors */

/* Durations as people write them: 90, 1.5, 10m, 2h, 1d, 1h30m. */
#pragma once

#include <stdint.h>

enum duration_outcome {
	DURATION_INVALID = 1,
	DURATION_TOO_LONG = 2,
};

/* Room for what duration_seconds writes. */
#define DURATION_TEXT_SIZE 24

/* 0 and *nanoseconds, or a duration_outcome. */
int duration_parse(const char *text, int64_t *nanoseconds);

/* Decimal seconds, as user.cubby.ttl takes them. */
void duration_seconds(int64_t nanoseconds, char *out);
