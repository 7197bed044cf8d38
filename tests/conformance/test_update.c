/* SPDX-License-Identifier: MIT
 * Copyright (c) 2026 The cubbyfs authors */

#include "harness.h"

#include "base/cleanup.h"
#include "store/update.h"

#include <string.h>

static void increments(void **state)
{
	static const struct {
		const char *old, *by;
		int rc;
		const char *result;
	} table[] = {
		{"", "1", 0, "1"},
		{"0", "0", 0, "0"},
		{"41", "1", 0, "42"},
		{"41\n", "1", 0, "42\n"},
		{"41", "1\n", 0, "42"},
		{" 41 ", " 1 ", 0, "42"},
		{"-1", "+1", 0, "0"},
		{"+7", "-10", 0, "-3"},
		{"0007", "1", 0, "8"},
		{"9223372036854775806", "1", 0, "9223372036854775807"},
		{"9223372036854775807", "1", STORE_OUT_OF_RANGE, NULL},
		{"-9223372036854775807", "-1", 0, "-9223372036854775808"},
		{"-9223372036854775808", "-1", STORE_OUT_OF_RANGE, NULL},
		{"-9223372036854775808", "0", 0, "-9223372036854775808"},
		{"9223372036854775807", "-9223372036854775808", 0, "-1"},
		{"0", "-9223372036854775808", 0, "-9223372036854775808"},
		{"0", "9223372036854775808", STORE_OUT_OF_RANGE, NULL},
		{"9223372036854775808", "0", STORE_OUT_OF_RANGE, NULL},
		{"-9223372036854775809", "0", STORE_OUT_OF_RANGE, NULL},
		{"99999999999999999999999", "0", STORE_OUT_OF_RANGE, NULL},
		{"0", "", STORE_INVALID, NULL},
		{"0", " ", STORE_INVALID, NULL},
		{" ", "1", 0, "1"},
		{"\n", "1", 0, "1\n"},
		{"x", "1", STORE_INVALID, NULL},
		{"1x", "1", STORE_INVALID, NULL},
		{"1 2", "1", STORE_INVALID, NULL},
		{"1.0", "1", STORE_INVALID, NULL},
		{"1", "1.0", STORE_INVALID, NULL},
		{"1", "1e3", STORE_INVALID, NULL},
		{"1", "0x1", STORE_INVALID, NULL},
		{"-", "1", STORE_INVALID, NULL},
		{"+", "1", STORE_INVALID, NULL},
		{"--1", "1", STORE_INVALID, NULL},
		{"- 1", "1", STORE_INVALID, NULL},
	};

	(void)state;
	for (size_t i = 0; i < sizeof(table) / sizeof(table[0]); i++) {
		_cleanup_buffer_ struct buffer out = {0};
		int rc = update_increment(
			bytes_of_string(table[i].old), bytes_of_string(table[i].by), &out);

		if (rc != table[i].rc || (rc == 0 && !bytes_equal(buffer_bytes(&out),
							     bytes_of_string(table[i].result)))) {
			fail_msg("\"%s\" + \"%s\" gives %d, \"%.*s\"", table[i].old, table[i].by,
				rc, (int)out.size, out.data ? out.data : "");
		}
		if (rc) {
			assert_int_equal(out.size, 0);
		}
	}
}

struct update {
	const char *old, *operations;
	int rc;
	const char *result;
};

static void check(const struct update *table, size_t n)
{
	for (size_t i = 0; i < n; i++) {
		_cleanup_buffer_ struct buffer out = {0};
		int rc = update_apply(
			bytes_of_string(table[i].old), bytes_of_string(table[i].operations), &out);

		if (rc != table[i].rc || (rc == 0 && !bytes_equal(buffer_bytes(&out),
							     bytes_of_string(table[i].result)))) {
			fail_msg("%s\n%s\ngives %d, \"%.*s\"", table[i].old, table[i].operations,
				rc, (int)out.size, out.data ? out.data : "");
		}
		if (rc) {
			assert_int_equal(out.size, 0);
		}
	}
}

#define CHECK(table) check(table, sizeof(table) / sizeof((table)[0]))
#define OP(type, more) "[{\"type\":\"" type "\"" more "}]"

static void each_operation(void **state)
{
	static const struct update table[] = {
		/* set */
		{"{}", OP("set", ",\"path\":\"a\",\"value\":1"), 0, "{\"a\":1}"},
		{"", OP("set", ",\"path\":\"a\",\"value\":1"), 0, "{\"a\":1}"},
		{"{\"a\":0}\n", OP("set", ",\"path\":\"a\",\"value\":\"x\""), 0, "{\"a\":\"x\"}\n"},
		{"{\"a\":0}", OP("set", ",\"path\":[\"b\",\"c\",\"d\"],\"value\":[1]"), 0,
			"{\"a\":0,\"b\":{\"c\":{\"d\":[1]}}}"},
		{"[1,2,3]", OP("set", ",\"path\":[1],\"value\":9"), 0, "[1,9,3]"},
		{"{\"a\":[{\"b\":1}]}", OP("set", ",\"path\":[\"a\",0,\"b\"],\"value\":2"), 0,
			"{\"a\":[{\"b\":2}]}"},
		{"[1]", OP("set", ",\"path\":[1],\"value\":9"), STORE_INVALID, NULL},
		{"[1]", OP("set", ",\"path\":[-1],\"value\":9"), STORE_INVALID, NULL},
		{"[1]", OP("set", ",\"path\":[\"\"],\"value\":9"), STORE_INVALID, NULL},
		{"[1]", OP("set", ",\"path\":[\"x\"],\"value\":9"), STORE_INVALID, NULL},
		{"{\"a\":5}", OP("set", ",\"path\":[\"a\",\"b\"],\"value\":9"), STORE_INVALID,
			NULL},
		{"{\"a\":5}", OP("set", ",\"value\":7"), 0, "7"},
		{"{\"a\":5}", OP("set", ",\"path\":[],\"value\":null"), 0, "null"},
		{"{}", OP("set", ",\"path\":\"a\",\"value\":null"), 0, "{\"a\":null}"},
		{"{}", OP("set", ",\"path\":\"a\""), STORE_INVALID, NULL},
		{"{}", OP("set", ",\"path\":\"a/b\",\"value\":\"c/d\""), 0, "{\"a/b\":\"c/d\"}"},
		{"{}", OP("set", ",\"path\":\"\",\"value\":1"), 0, "{\"\":1}"},
		/* append */
		{"{\"a\":[1]}", OP("append", ",\"path\":\"a\",\"value\":2"), 0, "{\"a\":[1,2]}"},
		{"{}", OP("append", ",\"path\":\"a\",\"value\":2"), 0, "{\"a\":[2]}"},
		{"[]", OP("append", ",\"value\":[3]"), 0, "[[3]]"},
		{"[]", OP("append", ",\"value\":null"), 0, "[null]"},
		{"{\"a\":1}", OP("append", ",\"path\":\"a\",\"value\":2"), STORE_INVALID, NULL},
		{"{\"a\":null}", OP("append", ",\"path\":\"a\",\"value\":2"), STORE_INVALID, NULL},
		{"{}", OP("append", ",\"path\":\"a\""), STORE_INVALID, NULL},
		/* increment, decrement */
		{"{\"n\":1}", OP("increment", ",\"path\":\"n\""), 0, "{\"n\":2}"},
		{"{\"n\":1}", OP("increment", ",\"path\":\"n\",\"by\":10"), 0, "{\"n\":11}"},
		{"{}", OP("increment", ",\"path\":\"n\",\"by\":10"), 0, "{\"n\":10}"},
		{"{}", OP("decrement", ",\"path\":[\"a\",\"n\"]"), 0, "{\"a\":{\"n\":-1}}"},
		{"{\"n\":1}", OP("decrement", ",\"path\":\"n\",\"by\":-4"), 0, "{\"n\":5}"},
		{"5", OP("increment", ""), 0, "6"},
		{"{\"n\":1.5}", OP("increment", ",\"path\":\"n\""), 0, "{\"n\":2.5}"},
		{"{\"n\":1}", OP("increment", ",\"path\":\"n\",\"by\":0.5"), 0, "{\"n\":1.5}"},
		{"{\"n\":9223372036854775806}", OP("increment", ",\"path\":\"n\""), 0,
			"{\"n\":9223372036854775807}"},
		{"{\"n\":9223372036854775807}", OP("increment", ",\"path\":\"n\""),
			STORE_OUT_OF_RANGE, NULL},
		{"{\"n\":-9223372036854775808}", OP("decrement", ",\"path\":\"n\""),
			STORE_OUT_OF_RANGE, NULL},
		{"{\"n\":-9223372036854775808}", OP("increment", ",\"path\":\"n\",\"by\":0"), 0,
			"{\"n\":-9223372036854775808}"},
		{"{\"n\":0}", OP("decrement", ",\"path\":\"n\",\"by\":-9223372036854775808"),
			STORE_OUT_OF_RANGE, NULL},
		{"{\"n\":18446744073709551615}", OP("decrement", ",\"path\":\"n\""),
			STORE_OUT_OF_RANGE, NULL},
		{"{\"n\":1e308}", OP("increment", ",\"path\":\"n\",\"by\":1e308"),
			STORE_OUT_OF_RANGE, NULL},
		{"{\"n\":\"1\"}", OP("increment", ",\"path\":\"n\""), STORE_INVALID, NULL},
		{"{\"n\":null}", OP("increment", ",\"path\":\"n\""), STORE_INVALID, NULL},
		{"{\"n\":true}", OP("increment", ",\"path\":\"n\""), STORE_INVALID, NULL},
		{"{\"n\":1}", OP("increment", ",\"path\":\"n\",\"by\":\"1\""), STORE_INVALID, NULL},
		/* remove */
		{"{\"a\":1,\"b\":2}", OP("remove", ",\"path\":\"a\""), 0, "{\"b\":2}"},
		{"{\"a\":1}", OP("remove", ",\"path\":\"x\""), 0, "{\"a\":1}"},
		{"{\"a\":1}", OP("remove", ",\"path\":[\"x\",\"y\"]"), 0, "{\"a\":1}"},
		{"{\"a\":{\"b\":1}}", OP("remove", ",\"path\":[\"a\",\"b\"]"), 0, "{\"a\":{}}"},
		{"{\"a\":null}", OP("remove", ",\"path\":\"a\""), 0, "{}"},
		{"[1,2,3]", OP("remove", ",\"path\":[1]"), 0, "[1,3]"},
	};

	(void)state;
	CHECK(table);
}

/* The cases of RFC 7396, appendix A, within objects. */
static void merging(void **state)
{
#define MERGE(patch) OP("merge", ",\"path\":[],\"value\":" patch)
	static const struct update table[] = {
		{"{\"a\":\"b\"}", MERGE("{\"a\":\"c\"}"), 0, "{\"a\":\"c\"}"},
		{"{\"a\":\"b\"}", MERGE("{\"b\":\"c\"}"), 0, "{\"a\":\"b\",\"b\":\"c\"}"},
		{"{\"a\":\"b\"}", MERGE("{\"a\":null}"), 0, "{}"},
		{"{\"a\":\"b\",\"b\":\"c\"}", MERGE("{\"a\":null}"), 0, "{\"b\":\"c\"}"},
		{"{\"a\":[\"b\"]}", MERGE("{\"a\":\"c\"}"), 0, "{\"a\":\"c\"}"},
		{"{\"a\":\"c\"}", MERGE("{\"a\":[\"b\"]}"), 0, "{\"a\":[\"b\"]}"},
		{"{\"a\":{\"b\":\"c\"}}", MERGE("{\"a\":{\"b\":\"d\",\"c\":null}}"), 0,
			"{\"a\":{\"b\":\"d\"}}"},
		{"{\"a\":[{\"b\":\"c\"}]}", MERGE("{\"a\":[1]}"), 0, "{\"a\":[1]}"},
		{"{\"e\":null}", MERGE("{\"a\":1}"), 0, "{\"e\":null,\"a\":1}"},
		{"{}", MERGE("{\"a\":{\"bb\":{\"ccc\":null}}}"), 0, "{\"a\":{\"bb\":{}}}"},
		{"{\"a\":\"foo\"}", MERGE("{\"a\":{\"b\":1}}"), 0, "{\"a\":{\"b\":1}}"},
		{"", MERGE("{\"a\":1}"), 0, "{\"a\":1}"},
		/* What is no object is not merged. */
		{"[\"a\",\"b\"]", MERGE("{\"a\":1}"), STORE_INVALID, NULL},
		{"{\"a\":\"b\"}", MERGE("[\"c\"]"), STORE_INVALID, NULL},
		{"{\"a\":\"foo\"}", MERGE("null"), STORE_INVALID, NULL},
		{"{\"a\":1}", OP("merge", ",\"path\":\"a\",\"value\":{}"), STORE_INVALID, NULL},
		{"{}", OP("merge", ",\"path\":[\"a\",\"b\"],\"value\":{\"c\":1,\"d\":null}"), 0,
			"{\"a\":{\"b\":{\"c\":1}}}"},
	};

	(void)state;
	CHECK(table);
}

static void all_or_none(void **state)
{
	static const struct update table[] = {
		{"{\"n\":1}",
			"[{\"type\":\"increment\",\"path\":\"n\"},{\"type\":\"increment\",\"path\":"
			"\"n\"},"
			"{\"type\":\"set\",\"path\":\"m\",\"value\":{}},"
			"{\"type\":\"append\",\"path\":[\"m\",\"l\"],\"value\":1}]",
			0, "{\"n\":3,\"m\":{\"l\":[1]}}"},
		{"{\"n\":1}",
			"[{\"type\":\"increment\",\"path\":\"n\"},{\"type\":\"append\",\"path\":"
			"\"n\",\"value\":1}]",
			STORE_INVALID, NULL},
		{"{\"n\":1}",
			"[{\"type\":\"remove\",\"path\":\"n\"},{\"type\":\"increment\",\"path\":"
			"\"n\","
			"\"by\":9223372036854775807},{\"type\":\"increment\",\"path\":\"n\"}]",
			STORE_OUT_OF_RANGE, NULL},
		{"{\"a\":{\"b\":1}}\n", "[]", 0, "{\"a\":{\"b\":1}}\n"},
		{"{}", "[1]", STORE_INVALID, NULL},
		{"{}", "{}", STORE_INVALID, NULL},
		{"{}", "", STORE_INVALID, NULL},
		{"{}", "[{}]", STORE_INVALID, NULL},
		{"{}", "[{\"type\":5}]", STORE_INVALID, NULL},
		{"{}", "[{\"type\":\"explode\",\"value\":1}]", STORE_INVALID, NULL},
		{"{}", "[] []", STORE_INVALID, NULL},
		{"{}", "[],", STORE_INVALID, NULL},
		{"{}", "[{\"type\":\"set\",\"value\":1}", STORE_INVALID, NULL},
		{"{}", OP("set", ",\"path\":5.5,\"value\":1"), STORE_INVALID, NULL},
		{"{}", OP("set", ",\"path\":null,\"value\":1"), STORE_INVALID, NULL},
		{"{}", OP("set", ",\"path\":[null],\"value\":1"), STORE_INVALID, NULL},
		{"{}", OP("set", ",\"path\":{},\"value\":1"), STORE_INVALID, NULL},
		{"no json", "[]", STORE_INVALID, NULL},
		{"{} {}", "[]", STORE_INVALID, NULL},
		{"{\"a\":1,}", "[]", STORE_INVALID, NULL},
		{"\n", "[]", STORE_INVALID, NULL},
		{"12", "[]", 0, "12"},
		{"\"text\"", "[]", 0, "\"text\""},
		{"true\n", "[]", 0, "true\n"},
		{"null", "[]", 0, "null"},
		{"\"\xff\"", "[]", STORE_INVALID, NULL},
	};

	(void)state;
	CHECK(table);
}

/* Deep nesting is refused, not crashed on. */
static void deep(void **state)
{
	char text[4001], path[4001] = "[{\"type\":\"set\",\"value\":1,\"path\":[";
	_cleanup_buffer_ struct buffer out = {0};

	(void)state;
	memset(text, '[', 2000);
	memset(text + 2000, ']', 2000);
	text[4000] = 0;
	assert_int_equal(
		update_apply(bytes_of_string(text), bytes_of_string("[]"), &out), STORE_INVALID);
	assert_int_equal(
		update_apply(bytes_of_string("{}"), bytes_of_string(text), &out), STORE_INVALID);
	for (int i = 0; i < 800; i++) {
		strcat(path, i ? ",\"a\"" : "\"a\"");
	}
	strcat(path, "]}]");
	/* A long path is a long path. */
	assert_int_equal(update_apply(bytes_of_string("{}"), bytes_of_string(path), &out), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(increments),
		cmocka_unit_test(each_operation),
		cmocka_unit_test(merging),
		cmocka_unit_test(all_or_none),
		cmocka_unit_test(deep),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
