/* SPDX-License-Identifier: MIT
 * Copyright (c) 2026 The cubbyfs authors */

/* Memory for very many small objects: no header each, sizes in steps of eight bytes, and
 * an address that fits into 32 bits.
 *
 * One heap for the process, used by one thread. What is given back can be used again for
 * objects of that size at once, and goes back to the system with its neighbours. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define SLAB_SIZE_MAX 1024

/* Zeroed, aligned to 8 bytes, at most SLAB_SIZE_MAX. NULL without memory. */
void *slab_allocate(size_t size);
/* `size` as it was allocated. NULL is fine. */
void slab_free(void *p, size_t size);

/* An object's address in short; 0 is NULL's. */
typedef uint32_t slab_ref;

#define SLAB_STEP 8

/* The beginning of the heap's address range, which all else is reckoned from. */
extern char *slab_base;

static inline void *slab_at(slab_ref ref)
{
	return ref ? slab_base + (size_t)ref * SLAB_STEP : NULL;
}

static inline slab_ref slab_ref_of(const void *p)
{
	return p ? (slab_ref)((size_t)((const char *)p - slab_base) / SLAB_STEP) : 0;
}

/* For tests: objects that are allocated; and (NULL: none) whether the next allocation is to
 * fail. */
size_t slab_count(void);
extern bool (*slab_fails)(void);
