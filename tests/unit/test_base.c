/* SPDX-License-Identifier: MIT
 * Copyright (c) 2026 The cubbyfs authors */

/* The pieces that all parts share. */
#include "base/bytes.h"
#include "base/clock.h"
#include "base/log.h"
#include "base/progress.h"
#include "base/slab.h"
#include "base/table.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <unistd.h>

#include <stdio.h>

#include <string.h>

#include <cmocka.h>

static void buffer_grows(void **state)
{
	struct buffer b = {0};
	size_t reallocations = 0, capacity = 0;

	(void)state;
	for (int i = 0; i < 10000; i++) {
		assert_int_equal(buffer_append(&b, "abcde", 5), 0);
		reallocations += b.capacity != capacity;
		capacity = b.capacity;
	}
	assert_int_equal(b.size, 50000);
	assert_true(reallocations < 25);
	assert_memory_equal(b.data + 49995, "abcde", 5);
	assert_int_equal(buffer_resize(&b, 3), 0);
	assert_int_equal(buffer_printf(&b, "-%d-%s", 42, "x"), 0);
	assert_true(bytes_equal(buffer_bytes(&b), bytes_of_string("abc-42-x")));
	assert_int_equal(buffer_resize(&b, 12), 0);
	assert_memory_equal(b.data + 8, "\0\0\0\0", 4);
	assert_int_equal(buffer_resize(&b, SIZE_MAX), -ENOMEM);
	assert_int_equal(b.size, 12);
	buffer_finish(&b);
	assert_null(b.data);
	buffer_finish(&b);
}

static void bytes_compare(void **state)
{
	(void)state;
	assert_true(bytes_equal(bytes_of(NULL, 0), bytes_of("x", 0)));
	assert_false(bytes_equal(bytes_of("a\0b", 3), bytes_of("a\0c", 3)));
	assert_false(bytes_equal(bytes_of("ab", 2), bytes_of("abc", 3)));
}

static void clock_formats(void **state)
{
	char text[CLOCK_RFC3339_SIZE];

	(void)state;
	clock_rfc3339(0, text);
	assert_string_equal(text, "1970-01-01T00:00:00.000000Z");
	clock_rfc3339(INT64_C(1795191184000123999), text);
	assert_string_equal(text, "2026-11-20T16:13:04.000123Z");
	clock_rfc3339(-1, text);
	assert_string_equal(text, "1969-12-31T23:59:59.999999Z");
	clock_rfc3339(INT64_MIN, text);
	assert_string_equal(text, "1677-09-21T00:12:43.145224Z");
	clock_rfc3339(INT64_MAX, text);
	assert_string_equal(text, "2262-04-11T23:47:16.854775Z");
}

static void clock_runs(void **state)
{
	int64_t before = clock_elapsed(&clock_system);

	(void)state;
	usleep(1000);
	assert_true(clock_elapsed(&clock_system) - before >= NSEC_PER_MSEC);
	assert_true(clock_wall(&clock_system) > INT64_C(1700000000) * NSEC_PER_SEC);
}

/* What fn writes to stderr, in `out`. */
static size_t captured(void (*fn)(void), char *out, size_t size)
{
	int pipe_fds[2], saved = dup(STDERR_FILENO);
	ssize_t n;

	assert_int_equal(pipe(pipe_fds), 0);
	dup2(pipe_fds[1], STDERR_FILENO);
	close(pipe_fds[1]);
	fn();
	dup2(saved, STDERR_FILENO);
	close(saved);
	n = read(pipe_fds[0], out, size - 1);
	close(pipe_fds[0]);
	assert_true(n >= 0);
	out[n] = 0;
	return (size_t)n;
}

static void write_log(void)
{
	log_init("prog", LOG_INFO);
	log_debug("not to be seen");
	log_info("key %s", "a\nb\033[1m");
	log_error("second");
}

static void log_is_lines(void **state)
{
	char text[4096];

	(void)state;
	captured(write_log, text, sizeof(text));
	assert_string_equal(text, "prog: key a?b?[1m\nprog: second\n");
}

static void write_long_log(void)
{
	char text[5000];

	memset(text, 'x', sizeof(text) - 1);
	text[sizeof(text) - 1] = 0;
	log_info("%s", text);
}

static void log_cuts(void **state)
{
	char text[8192];
	size_t n = captured(write_long_log, text, sizeof(text));

	(void)state;
	assert_in_range(n, 1000, 2048);
	assert_int_equal(text[n - 1], '\n');
}

static void draw_progress(void)
{
	struct progress p;

	progress_init(&p, "reading");
	p.started -= 5 * NSEC_PER_SEC;
	progress_update(&p, 1, 2);
	progress_finish(&p);
}

static void draw_progress_on_terminal(void)
{
	struct progress p;

	progress_init(&p, "reading");
	p.terminal = true;
	progress_update(&p, 1, 2);
	p.started -= 5 * NSEC_PER_SEC;
	progress_update(&p, 1, 2);
	progress_update(&p, 2, 2); /* too soon */
	progress_finish(&p);
}

static void progress_shows_on_terminals(void **state)
{
	char text[4096];

	(void)state;
	assert_int_equal(captured(draw_progress, text, sizeof(text)), 0);
	captured(draw_progress_on_terminal, text, sizeof(text));
	assert_string_equal(text, "\r\033[Kreading [###############...............]  50%\r\033[K");
}

struct item {
	struct table_link link;
	unsigned key;
	unsigned seen;
};

static struct item *lookup(struct table *t, unsigned key)
{
	struct table_link *l = table_first(t, hash_number(key));

	while (l && ((struct item *)l)->key != key) {
		l = table_next(l);
	}
	return (struct item *)l;
}

static void table_finds(void **state)
{
	const unsigned n = 20000;
	struct item *items = calloc(n, sizeof(*items));
	struct table t;
	size_t longest = 0;

	(void)state;
	assert_int_equal(table_init(&t), 0);
	assert_null(table_first(&t, 1));
	for (unsigned i = 0; i < n; i++) {
		items[i].key = i;
		table_insert(&t, &items[i].link, hash_number(i));
		assert_ptr_equal(lookup(&t, i / 2), &items[i / 2]);
	}
	assert_int_equal(t.n_items, n);
	for (size_t b = 0; b < t.n_buckets; b++) {
		size_t length = 0;

		for (struct table_link *l = table_bucket(&t, b); l; l = l->next) {
			length++;
		}
		longest = length > longest ? length : longest;
	}
	assert_true(longest < 16);
	for (unsigned i = 0; i < n; i += 2) {
		table_remove(&t, &items[i].link);
	}
	for (unsigned i = 0; i < n; i++) {
		assert_ptr_equal(lookup(&t, i), i % 2 ? &items[i] : NULL);
	}
	assert_int_equal(t.n_items, n / 2);
	table_finish(&t);
	free(items);
}

static void table_walks_while_it_grows(void **state)
{
	const unsigned n = 1000;
	struct item *items = calloc(4 * n, sizeof(*items));
	unsigned inserted = n;
	struct table t;

	(void)state;
	assert_int_equal(table_init(&t), 0);
	for (unsigned i = 0; i < 4 * n; i++) {
		items[i].key = i;
	}
	for (unsigned i = 0; i < n; i++) {
		table_insert(&t, &items[i].link, hash_number(i));
	}
	for (size_t b = 0; b < t.n_buckets; b++) {
		for (struct table_link *l = table_bucket(&t, b); l; l = l->next) {
			((struct item *)l)->seen++;
		}
		for (unsigned i = 0; i < 2 && inserted < 4 * n; i++) {
			table_insert(&t, &items[inserted].link, hash_number(inserted));
			inserted++;
		}
	}
	for (unsigned i = 0; i < n; i++) {
		assert_true(items[i].seen >= 1);
	}
	table_finish(&t);
	free(items);
}

static void equal_hashes_are_walked(void **state)
{
	struct item items[5] = {0};
	struct table_link *l;
	unsigned count = 0;
	struct table t;

	(void)state;
	assert_int_equal(table_init(&t), 0);
	for (int i = 0; i < 5; i++) {
		table_insert(&t, &items[i].link, 7);
	}
	for (l = table_first(&t, 7); l; l = table_next(l)) {
		count++;
	}
	assert_int_equal(count, 5);
	assert_null(table_first(&t, 7 + 16));
	table_finish(&t);
}

static void hashes_differ(void **state)
{
	char data[64] = {0};
	uint32_t seen[65];
	unsigned bits = 0;

	(void)state;
	for (size_t n = 0; n <= sizeof(data); n++) {
		seen[n] = hash_bytes(0, data, n); /* only the size differs */
		for (size_t i = 0; i < n; i++) {
			assert_int_not_equal(seen[i], seen[n]);
		}
	}
	for (size_t n = 0; n < sizeof(data); n++) {
		for (int b = 0; b < 8; b++) {
			data[n] = (char)(1 << b);
			bits += (unsigned)__builtin_popcount(
				hash_bytes(0, data, sizeof(data)) ^ seen[sizeof(data)]);
			data[n] = 0;
		}
	}
	/* Each bit of the input turns about half of the 32. */
	assert_in_range(bits / (64 * 8), 14, 18);
	assert_int_not_equal(hash_bytes(1, "a", 1), hash_bytes(2, "a", 1));
}

#define OBJECTS 20000

/* Each object is whole, and nobody else's, whatever comes and goes; short addresses lead
 * back; what has all gone leaves nothing behind. */
static void slab(void **state)
{
	static unsigned char *objects[OBJECTS];
	static size_t sizes[OBJECTS];
	size_t before = slab_count(), live = 0;
	uint32_t random = 1;

	(void)state;
	for (int step = 0; step < 200000; step++) {
		size_t i;

		random = random * 1664525 + 1013904223;
		i = (random >> 8) % OBJECTS;
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
	assert_null(slab_allocate(SLAB_SIZE_MAX + 1));
	assert_null(slab_at(0));
	assert_int_equal(slab_ref_of(NULL), 0);
	slab_free(NULL, 8);
}

static size_t resident(void)
{
	FILE *f = fopen("/proc/self/statm", "r");
	unsigned long size, pages;

	assert_non_null(f);
	assert_int_equal(fscanf(f, "%lu %lu", &size, &pages), 2);
	fclose(f);
	return pages * (size_t)sysconf(_SC_PAGESIZE);
}

/* Memory goes back to the system. */
static void slab_gives_back(void **state)
{
	enum { COUNT = 400000 };
	slab_ref *refs = calloc(COUNT, sizeof(*refs));
	size_t full, empty;

	(void)state;
	assert_non_null(refs);
	for (int i = 0; i < COUNT; i++) {
		void *p = slab_allocate(112);

		assert_non_null(p);
		refs[i] = slab_ref_of(p);
	}
	full = resident();
	for (int i = 0; i < COUNT; i++) {
		slab_free(slab_at(refs[i]), 112);
	}
	empty = resident();
	free(refs);
	assert_true(empty + (size_t)COUNT * 112 / 10 * 9 < full);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(slab),
		cmocka_unit_test(slab_gives_back),
		cmocka_unit_test(buffer_grows),
		cmocka_unit_test(bytes_compare),
		cmocka_unit_test(clock_formats),
		cmocka_unit_test(clock_runs),
		cmocka_unit_test(log_is_lines),
		cmocka_unit_test(log_cuts),
		cmocka_unit_test(progress_shows_on_terminals),
		cmocka_unit_test(table_finds),
		cmocka_unit_test(table_walks_while_it_grows),
		cmocka_unit_test(equal_hashes_are_walked),
		cmocka_unit_test(hashes_differ),
	};

	return cmocka_run_group_tests_name("base", tests, NULL, NULL);
}
