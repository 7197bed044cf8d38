/* SPDX-License-Identifier: MIT
 * Copyright (c) 2026 The cubbyfs authors */

/* What every backend must do alike. Each case gets a store of its own, open
 * and empty; where the backend is durable, what it leaves behind must survive
 * reopening and compaction. */
#pragma once

#include "harness.h"

struct test_case {
	const char *name; /* NULL ends a list */
	void (*run)(struct bench *b);
};

extern const struct test_case value_cases[];
extern const struct test_case staging_cases[];
extern const struct test_case name_cases[];
extern const struct test_case ttl_cases[];
extern const struct test_case attribute_cases[];
extern const struct test_case limit_cases[];
extern const struct test_case lock_cases[];
extern const struct test_case order_cases[];
extern const struct test_case advisory_cases[];
