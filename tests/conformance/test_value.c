/* SPDX-License-Identifier: MIT
 * Copyright (c) 2026 The cubbyfs authors */

#include "harness.h"

#include "base/cleanup.h"
#include "store/value.h"

#include <stdlib.h>
#include <string.h>

static struct value *value_of(const char *text)
{
	return value_create(bytes_of_string(text));
}

static void assert_value(const struct value *v, const char *text)
{
	assert_true(bytes_equal(value_bytes(v), bytes_of_string(text)));
}

static void empty(void **state)
{
	struct value *v = value_of(""), *longer;

	(void)state;
	assert_int_equal(value_size(NULL), 0);
	assert_int_equal(value_size(v), 0);
	assert_null(value_ref(NULL));
	value_unref(NULL);
	longer = value_append(NULL, bytes_of("abc", 3));
	assert_value(longer, "abc");
	value_unref(longer);
	longer = value_append(v, bytes_of("", 0));
	assert_value(longer, "");
	assert_true(value_continues(longer, v));
	assert_false(value_continues(longer, NULL));
	assert_false(value_continues(NULL, v));
	value_unref(longer);
	value_unref(v);
}

static void take(void **state)
{
	(void)state;
	for (size_t size = 0; size < 5000; size += 1 + size / 3) {
		for (size_t room = size; room < 20000; room = room * 2 + 1) {
			struct buffer b = {0};
			struct value *v;

			assert_int_equal(buffer_reserve(&b, room), 0);
			assert_int_equal(buffer_resize(&b, size), 0);
			if (size > 0) {
				memset(b.data, 'x', size);
			}
			v = value_take(&b);
			assert_non_null(v);
			assert_null(b.data);
			assert_int_equal(b.size, 0);
			assert_int_equal(value_size(v), size);
			for (size_t i = 0; i < size; i++) {
				assert_int_equal(value_bytes(v).data[i], 'x');
			}
			value_unref(v);
		}
	}
}

/* Older views never change, whoever appends to what. */
static void append(void **state)
{
	struct value *a = value_of("a"), *ab, *abc, *abx, *abcd;

	(void)state;
	ab = value_append(a, bytes_of("b", 1));
	abc = value_append(ab, bytes_of("c", 1));
	abx = value_append(ab, bytes_of("x", 1));
	abcd = value_append(abc, bytes_of("d", 1));
	assert_value(a, "a");
	assert_value(ab, "ab");
	assert_value(abc, "abc");
	assert_value(abx, "abx");
	assert_value(abcd, "abcd");
	assert_true(value_continues(abcd, a));
	assert_true(value_continues(abc, abc));
	assert_false(value_continues(ab, abc));
	value_unref(a);
	value_unref(abc);
	value_unref(ab);
	assert_value(abx, "abx");
	assert_value(abcd, "abcd");
	value_unref(abx);
	value_unref(abcd);
	a = value_of("a");
	abx = value_of("abx");
	assert_false(value_continues(abx, a));
	value_unref(a);
	value_unref(abx);
}

/* Against plain strings. */
static void append_at_random(void **state)
{
	enum { N = 64 };
	struct value *values[N] = {0};
	char *texts[N] = {0};
	uint64_t random = 99;

	(void)state;
	for (int i = 0; i < 20000; i++) {
		unsigned from = test_random(&random) % N, to = test_random(&random) % N;
		struct value *fresh;
		char piece[12], *text = NULL;

		snprintf(piece, sizeof(piece), "%u,", test_random(&random) % 100000);
		if (!values[from] || strlen(texts[from]) > 3000) {
			fresh = value_of(piece);
			text = strdup(piece);
		} else {
			fresh = value_append(values[from], bytes_of_string(piece));
			assert_true(asprintf(&text, "%s%s", texts[from], piece) > 0);
		}
		assert_non_null(fresh);
		value_unref(values[to]);
		free(texts[to]);
		values[to] = fresh;
		texts[to] = text;
		for (int k = 0; k < N; k++) {
			if (values[k]) {
				assert_value(values[k], texts[k]);
			}
		}
	}
	for (int k = 0; k < N; k++) {
		value_unref(values[k]);
		free(texts[k]);
	}
}

/* What is added costs, not what is there. */
static void many_appends(void **state)
{
	struct value *v = NULL;

	(void)state;
	for (int i = 0; i < 300000; i++) {
		struct value *next = value_append(v, bytes_of("0123456789abcdef", 16));

		assert_non_null(next);
		value_unref(v);
		v = next;
	}
	assert_int_equal(value_size(v), 4800000);
	value_unref(v);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(empty),
		cmocka_unit_test(take),
		cmocka_unit_test(append),
		cmocka_unit_test(append_at_random),
		cmocka_unit_test(many_appends),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
