/* SPDX-License-Identifier: MIT
 * Copyright (c) 2026 The cubbyfs authors */

/* Which bucket a hash is in, of so many that are in use: the addressing of linear hashing (W.
 * Litwin, "Linear hashing: a new tool for file and table addressing", 1980). The bucket that is
 * added next takes items of the one whose number it has but for the highest bit. */
#pragma once

#include <stddef.h>
#include <stdint.h>

/* 2^k - 1 for the smallest 2^k that is not below n. */
static inline size_t linear_hash_mask(size_t n)
{
	return n <= 1 ? 0 : SIZE_MAX >> __builtin_clzl(n - 1);
}

static inline size_t linear_hash_bucket(size_t n_buckets, uint32_t hash)
{
	size_t mask = linear_hash_mask(n_buckets);
	size_t bucket = hash & mask;

	return bucket < n_buckets ? bucket : bucket & (mask >> 1);
}
