/* SPDX-License-Identifier: MIT
 * Copyright (c) 2026 The cubbyfs authors */

/* Small objects, and the index of them. */
#include "base/cleanup.h"
#include "base/index.h"
#include "base/slab.h"
#include "base/table.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#ifndef __has_feature
#define __has_feature(x) 0
#endif
#if defined(__SANITIZE_ADDRESS__) || __has_feature(address_sanitizer)
#include <sanitizer/asan_interface.h>
#define IS_POISONED(p) __asan_address_is_poisoned(p)
#define HAS_POISON true
#else
#define IS_POISONED(p) ((void)(p), false)
#define HAS_POISON false
#endif

#define OBJECTS 20000

static uint32_t next_random(uint32_t *random)
{
	*random = *random * 1664525 + 1013904223;
	return *random >> 8;
}

/* Each object is whole, and nobody else's, whatever comes and goes; short addresses lead
 * back; what has all gone leaves nothing behind. */
static void objects_are_whole(void **state)
{
	static unsigned char *objects[OBJECTS];
	static size_t sizes[OBJECTS];
	size_t before = slab_count(), live = 0;
	uint32_t random = 1;

	(void)state;
	for (int step = 0; step < 200000; step++) {
		size_t i = next_random(&random) % OBJECTS;

		if (!objects[i]) {
			sizes[i] = random % 7 ? 80 : (random >> 4) % (SLAB_SIZE_MAX + 1);
			objects[i] = slab_allocate(sizes[i]);
			assert_non_null(objects[i]);
			assert_int_equal((uintptr_t)objects[i] % SLAB_STEP, 0);
			for (size_t k = 0; k < sizes[i]; k++) {
				assert_int_equal(objects[i][k], 0);
			}
			memset(objects[i], (int)(i & 0xff), sizes[i]);
			live++;
		} else {
			assert_ptr_equal(slab_at(slab_ref_of(objects[i])), objects[i]);
			for (size_t k = 0; k < sizes[i]; k++) {
				assert_int_equal(objects[i][k], i & 0xff);
			}
			slab_free(objects[i], sizes[i]);
			objects[i] = NULL;
			live--;
		}
		assert_int_equal(slab_count(), before + live);
	}
	for (size_t i = 0; i < OBJECTS; i++) {
		slab_free(objects[i], sizes[i]);
		objects[i] = NULL;
	}
	assert_int_equal(slab_count(), before);
}

static void limits(void **state)
{
	void *p;

	(void)state;
	assert_null(slab_allocate(SLAB_SIZE_MAX + 1));
	assert_null(slab_at(0));
	assert_int_equal(slab_ref_of(NULL), 0);
	slab_free(NULL, 8);
	p = slab_allocate(0);
	assert_non_null(p);
	assert_int_not_equal(slab_ref_of(p), 0);
	slab_free(p, 0);
}

static bool always(void)
{
	return true;
}

static void fails_when_told(void **state)
{
	(void)state;
	slab_fails = always;
	assert_null(slab_allocate(8));
	slab_fails = NULL;
}

/* AddressSanitizer sees what is beyond an object, and what was freed, alone or with all that
 * was around it. */
static void freed_is_poisoned(void **state)
{
	enum { COUNT = 5000 };
	static char *objects[COUNT];
	char *p = slab_allocate(21);

	(void)state;
	assert_non_null(p);
	assert_false(IS_POISONED(p + 20));
	assert_true(IS_POISONED(p + 21) == HAS_POISON);
	slab_free(p, 21);
	assert_true(IS_POISONED(p) == HAS_POISON);
	for (int i = 0; i < COUNT; i++) {
		objects[i] = slab_allocate(1000);
		assert_non_null(objects[i]);
	}
	for (int i = 0; i < COUNT; i++) {
		slab_free(objects[i], 1000);
	}
	for (int i = 0; i < COUNT; i++) {
		assert_true(IS_POISONED(objects[i]) == HAS_POISON);
	}
}

static size_t resident(void)
{
	_cleanup_file_ FILE *f = fopen("/proc/self/statm", "r");
	unsigned long size, pages;

	assert_non_null(f);
	assert_int_equal(fscanf(f, "%lu %lu", &size, &pages), 2);
	return pages * (size_t)sysconf(_SC_PAGESIZE);
}

/* Memory goes back to the system, and can be had again for other sizes. */
static void memory_goes_back(void **state)
{
	enum { COUNT = 400000 };
	slab_ref *refs = calloc(COUNT, sizeof(*refs));
	size_t full, empty;

	(void)state;
	assert_non_null(refs);
	for (size_t size = 112; size >= 96; size -= 16) {
		for (int i = 0; i < COUNT; i++) {
			void *p = slab_allocate(size);

			assert_non_null(p);
			memset(p, 1, size);
			refs[i] = slab_ref_of(p);
		}
		full = resident();
		for (int i = 0; i < COUNT; i++) {
			slab_free(slab_at(refs[i]), size);
		}
		empty = resident();
		if (!HAS_POISON) { /* it has its own memory of what is there */
			assert_true(empty + COUNT * size / 4 * 3 < full);
		}
	}
	free(refs);
}

/* --- the index -------------------------------------------------------------- */

struct thing {
	struct indexed by_number;
	uint32_t number;
};

static uint32_t hash_of(const struct indexed *item)
{
	return hash_number(container_of(item, const struct thing, by_number)->number);
}

static struct thing *find(const struct index *x, uint32_t number)
{
	struct indexed *item = index_first(x, hash_number(number));

	while (item && container_of(item, struct thing, by_number)->number != number) {
		item = index_next(item);
	}
	return item ? container_of(item, struct thing, by_number) : NULL;
}

static void add(struct index *x, uint32_t number)
{
	struct thing *t = slab_allocate(sizeof(*t));

	assert_non_null(t);
	t->number = number;
	index_insert(x, &t->by_number, hash_number(number));
}

static void drop(struct index *x, struct thing *t)
{
	index_remove(x, &t->by_number, hash_number(t->number));
	slab_free(t, sizeof(*t));
}

/* Against a plain table of what is there; with and without room ahead. */
static void index_finds(void **state)
{
	enum { NUMBERS = 5000 };
	static bool there[NUMBERS];
	struct index x;
	uint32_t random = 7;
	size_t live = 0;

	(void)state;
	assert_int_equal(index_init(&x, hash_of), 0);
	for (int step = 0; step < 100000; step++) {
		uint32_t number = next_random(&random) % NUMBERS;
		struct thing *t = find(&x, number);

		assert_true((t != NULL) == there[number]);
		if (t) {
			drop(&x, t);
			live--;
		} else {
			add(&x, number);
			live++;
		}
		there[number] = !t;
		assert_int_equal(x.n_items, live);
		if (step == 1000) {
			index_expect(&x, 3000);
			assert_int_equal(x.n_buckets, 3000);
			index_expect(&x, 10);
			assert_int_equal(x.n_buckets, 3000);
		}
	}
	for (uint32_t number = 0; number < NUMBERS; number++) {
		struct thing *t = find(&x, number);

		assert_true((t != NULL) == there[number]);
		if (t) {
			drop(&x, t);
		}
	}
	assert_int_equal(x.n_items, 0);
	index_finish(&x);
}

/* A walk meets all that was there from its beginning to its end, whatever comes meanwhile. */
static void index_is_walked_while_it_grows(void **state)
{
	enum { FIRST = 1000 };
	unsigned met[FIRST] = {0};
	uint32_t more = FIRST;
	struct index x;

	(void)state;
	assert_int_equal(index_init(&x, hash_of), 0);
	for (uint32_t i = 0; i < FIRST; i++) {
		add(&x, i);
	}
	for (size_t b = 0; b < x.n_buckets; b++) {
		for (struct indexed *item = index_bucket(&x, b); item; item = index_next(item)) {
			uint32_t number = container_of(item, struct thing, by_number)->number;

			if (number < FIRST) {
				met[number]++;
			}
		}
		if (more < 3 * FIRST) {
			add(&x, more++);
			add(&x, more++);
		}
	}
	for (uint32_t i = 0; i < FIRST; i++) {
		assert_true(met[i] >= 1);
	}
	for (uint32_t i = 0; i < more; i++) {
		drop(&x, find(&x, i));
	}
	index_finish(&x);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(objects_are_whole),
		cmocka_unit_test(limits),
		cmocka_unit_test(fails_when_told),
		cmocka_unit_test(freed_is_poisoned),
		cmocka_unit_test(memory_goes_back),
		cmocka_unit_test(index_finds),
		cmocka_unit_test(index_is_walked_while_it_grows),
	};

	return cmocka_run_group_tests_name("slab", tests, NULL, NULL);
}
