/* SPDX-License-Identifier: MIT
 * Copyright (c) 2026 The cubbyfs authors */

/* The program's malloc comes before the libraries', so json-c and libc call this
 * one too, and base/slab.c asks. It hands on to the next one, which is a sanitizer's where there is
 * one. */
#include "failing.h"

#include "../unit/fault_disk.h"
#include "base/slab.h"

#include <dlfcn.h>
#include <errno.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

/* Of the thread that armed it: others allocate next to nothing, and a sanitizer's
 * work at their start cannot bear to fail. */
static _Thread_local volatile bool armed, failed;
static _Thread_local volatile uint64_t left;

static bool fails(void);

void failing_arm(uint64_t nth)
{
	failed = false;
	left = nth;
	slab_fails = fails;
	armed = true;
}

bool failing_disarm(void)
{
	armed = false;
	return failed;
}

static bool fails(void)
{
	if (!armed || fault_disk_is_busy() || --left != 0) {
		return false;
	}
	failed = true;
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

/* json-c 0.16 loses a field's name if the object cannot grow for it. The objects
 * themselves are still looked for. */
const char *__lsan_default_suppressions(void);

const char *__lsan_default_suppressions(void)
{
	return "leak:json_object_object_add_ex\n";
}
