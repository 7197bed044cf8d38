/* SPDX-License-Identifier: MIT
 * Copyright (c) 2026 The cubbyfs authors */

/* Of the places that a sweep goes through, how many are tried. A plain build tries them
 * all, as do all builds with CUBBY_LONG=1. What a sanitizer finds, a test sees along a path
 * that neighbouring places share: there, every so many. A stride that has no divisor
 * in common with 8 comes by every bit. */
#ifndef TESTS_UNIT_STRIDE_H
#define TESTS_UNIT_STRIDE_H

#include <stdlib.h>

static inline unsigned stride_of(unsigned address, unsigned thread)
{
	unsigned stride = 1;

#if defined(__SANITIZE_THREAD__)
	stride = thread;
#elif defined(__SANITIZE_ADDRESS__)
	stride = address;
#endif
	(void)address;
	(void)thread;
	return getenv("CUBBY_LONG") ? 1 : stride;
}

#endif
