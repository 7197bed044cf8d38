/* SPDX-License-Identifier: MIT
 * Copyright (c) 2026 The cubbyfs authors */

/* The pieces that all parts share. */
#include "base/bytes.h"
#include "base/clock.h"
#include "base/log.h"
#include "base/printable.h"
#include "base/progress.h"
#include "base/table.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <unistd.h>

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

static void printables(void **state)
{
	static const struct {
		const char *text, *shown;
	} cases[] = {
		{"", ""}, {"plain ~", "plain ~"}, {"a\nb\033[1m\177", "a?b?[1m?"},
		{"gr\xc3\xbc\xc3\x9f", "gr\xc3\xbc\xc3\x9f"}, /* 0x9f within a character */
		{"\xe2\x80\x93 \xf0\x9f\x98\x80", "\xe2\x80\x93 \xf0\x9f\x98\x80"},
		{"\xc2\x9b"
		 "31m\xc2\xa0",
			"?"
			"?31m\xc2\xa0"}, /* CSI */
		{"\x9b"
		 "31m\xff\xe9",
			"?31m\xff\xe9"},
		{"\xe2\x82", "\xe2?"},                   /* cut off */
		{"\xc3", "\xc3"}, {"\xc0\x9b", "\xc0?"}, /* too long for what it is */
	};

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		char text[64];

		strcpy(text, cases[i].text);
		printable_make(text);
		assert_string_equal(text, cases[i].shown);
	}
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
	unsigned char key[HASH_KEY_SIZE];
	uint64_t seen[65];
	unsigned bits = 0;

	(void)state;
	for (size_t n = 0; n <= sizeof(data); n++) {
		seen[n] = hash_bytes(data, n); /* only the size differs */
		for (size_t i = 0; i < n; i++) {
			assert_int_not_equal(seen[i], seen[n]);
		}
	}
	for (size_t n = 0; n < sizeof(data); n++) {
		for (int b = 0; b < 8; b++) {
			data[n] = (char)(1 << b);
			bits += (unsigned)__builtin_popcountll(
				hash_bytes(data, sizeof(data)) ^ seen[sizeof(data)]);
			data[n] = 0;
		}
	}
	/* Each bit of the input turns about half of the 64. */
	assert_in_range(bits / (64 * 8), 31, 33);
	/* The example of the paper, appendix A. */
	for (unsigned i = 0; i < sizeof(key); i++) {
		data[i] = (char)i;
		key[i] = (unsigned char)i;
	}
	hash_set_key(key);
	assert_int_equal(hash_bytes(data, 15), UINT64_C(0xa129ca6149be45e5));
	hash_set_key((const unsigned char[HASH_KEY_SIZE]){0});
	assert_int_not_equal(hash_bytes(data, 15), UINT64_C(0xa129ca6149be45e5));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(buffer_grows),
		cmocka_unit_test(bytes_compare),
		cmocka_unit_test(clock_formats),
		cmocka_unit_test(clock_runs),
		cmocka_unit_test(printables),
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
