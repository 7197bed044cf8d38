/* SPDX-License-Identifier: MIT
 * Copyright (c) 2026 The cubbyfs authors */

/* The program's malloc comes before the libraries', so json-c and libc call this
 * one too. It hands on to the next one, which is a sanitizer's where there is
 * one. */
#include "failing.h"

#include "../unit/fault_disk.h"

#include <dlfcn.h>
#include <errno.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

static atomic_bool armed, failed;
static atomic_uint_fast64_t left;

void failing_arm(uint64_t nth)
{
	atomic_store(&failed, false);
	atomic_store(&left, nth);
	atomic_store(&armed, true);
}

bool failing_disarm(void)
{
	atomic_store(&armed, false);
	return atomic_load(&failed);
}

static bool fails(void)
{
	if (!atomic_load(&armed) || fault_disk_is_busy()) {
		return false;
	}
	if (atomic_fetch_sub(&left, 1) != 1) {
		return false;
	}
	atomic_store(&failed, true);
	errno = ENOMEM;
	return true;
}

#define NEXT(name)                                                                                 \
	({                                                                                         \
		static __typeof__(&name) next_;                                                    \
		if (!next_) {                                                                      \
			next_ = (__typeof__(&name))dlsym(RTLD_NEXT, #name);                        \
		}                                                                                  \
		next_;                                                                             \
	})

void *malloc(size_t size)
{
	return fails() ? NULL : NEXT(malloc)(size);
}

void *calloc(size_t n, size_t size)
{
	return fails() ? NULL : NEXT(calloc)(n, size);
}

void *realloc(void *p, size_t size)
{
	return fails() ? NULL : NEXT(realloc)(p, size);
}

void *reallocarray(void *p, size_t n, size_t size)
{
	size_t all;

	if (__builtin_mul_overflow(n, size, &all)) {
		errno = ENOMEM;
		return NULL;
	}
	return realloc(p, all);
}

/* A sanitizer's would not come by the above. */
char *strdup(const char *s)
{
	size_t size = strlen(s) + 1;
	char *copy = malloc(size);

	return copy ? memcpy(copy, s, size) : NULL;
}

char *strndup(const char *s, size_t max)
{
	size_t size = strnlen(s, max);
	char *copy = malloc(size + 1);

	if (copy) {
		memcpy(copy, s, size);
		copy[size] = 0;
	}
	return copy;
}
