/* SPDX-License-Identifier: MIT
 * Copyright (c) 2026 The cubbyfs authors */

/* The line that says what a stream is to tell. */
#pragma once

#include "base/bytes.h"

#include <stdint.h>

struct filter {
	char *pattern; /* owned by whoever parsed it; NULL: all */
	uint64_t since; /* left as it was if the line does not say */
};

/* One JSON object, with or without a newline. 0, STORE_INVALID or -ENOMEM; the pattern
 * is to be freed in any case. */
int filter_parse(struct filter *f, struct bytes line);
