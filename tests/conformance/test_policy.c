/* SPDX-License-Identifier: MIT
 * Copyright (c) 2026 The cubbyfs authors */

#include "harness.h"

#include "store/policy.h"

#include <errno.h>
#include <inttypes.h>
#include <string.h>

static void durations(void **state)
{
	static const struct {
		const char *text;
		int64_t ns; /* -1: none */
	} table[] = {
		{"0", 0},
		{"1", SECOND},
		{"30\n", 30 * SECOND},
		{"007", 7 * SECOND},
		{"0.5", SECOND / 2},
		{".5", SECOND / 2},
		{"5.", 5 * SECOND},
		{"1.5\n", 3 * SECOND / 2},
		{"0.000000001", 1},
		{"0.0000000019", 1},
		{"0.0000000001", 0},
		{"1.1234567891234567890", INT64_C(1123456789)},
		{"3155760000", TTL_MAX},
		{"3155760000.0", TTL_MAX},
		{"3155760000.000000001", -1},
		{"3155760001", -1},
		{"18446744073709551615", -1},
		{"18446744073709551616", -1},
		{"99999999999999999999999999", -1},
		{"", -1},
		{"\n", -1},
		{".", -1},
		{".\n", -1},
		{"-1", -1},
		{"-0", -1},
		{"+1", -1},
		{" 1", -1},
		{"1 ", -1},
		{"1\n\n", -1},
		{"1\n.5", -1},
		{"1.5.5", -1},
		{"1,5", -1},
		{"1e3", -1},
		{"0x1", -1},
		{"1s", -1},
		{"inf", -1},
		{"nan", -1},
		{"1.-5", -1},
		{"1.\n5", -1},
	};

	(void)state;
	for (size_t i = 0; i < sizeof(table) / sizeof(table[0]); i++) {
		int64_t ns = 4711;
		bool is_one = parse_duration(bytes_of_string(table[i].text), &ns);

		if (is_one != (table[i].ns >= 0) || (is_one && ns != table[i].ns)) {
			fail_msg("\"%s\" gives %d, %" PRId64, table[i].text, is_one, ns);
		}
	}
	{
		int64_t ns;

		assert_false(parse_duration(bytes_of("1\0", 2), &ns));
		assert_false(parse_duration(bytes_of(NULL, 0), &ns));
	}
}

static void numbers(void **state)
{
	static const struct {
		const char *text;
		bool is_one;
		uint64_t n;
	} table[] = {
		{"0", true, 0},
		{"00", true, 0},
		{"42\n", true, 42},
		{"18446744073709551615", true, UINT64_MAX},
		{"18446744073709551615\n", true, UINT64_MAX},
		{"18446744073709551616", false, 0},
		{"18446744073709551620", false, 0},
		{"28446744073709551615", false, 0},
		{"184467440737095516150", false, 0},
		{"", false, 0},
		{"\n", false, 0},
		{"-1", false, 0},
		{"+1", false, 0},
		{" 1", false, 0},
		{"1 ", false, 0},
		{"1\n\n", false, 0},
		{"1.0", false, 0},
		{"a", false, 0},
		{"1/", false, 0},
		{"1:", false, 0},
	};

	(void)state;
	for (size_t i = 0; i < sizeof(table) / sizeof(table[0]); i++) {
		uint64_t n = 4711;
		bool is_one = parse_unsigned(bytes_of_string(table[i].text), &n);

		if (is_one != table[i].is_one || (is_one && n != table[i].n)) {
			fail_msg("\"%s\" gives %d, %" PRIu64, table[i].text, is_one, n);
		}
	}
	{
		uint64_t n;

		assert_false(parse_unsigned(bytes_of("1\0", 2), &n));
	}
}

static int set(struct policy *p, const char *name, const char *text)
{
	return policy_set(p, bytes_of_string(name), bytes_of_string(text));
}

static void rules(void **state)
{
	struct policy *p = policy_create();

	(void)state;
	assert_int_equal(p->default_ttl, -1);
	assert_int_equal(p->lock_ttl, -1);
	assert_true(p->max_keys == UINT64_MAX);
	assert_int_equal(set(p, "user.cubby.default_ttl", "1.5"), 0);
	assert_int_equal(p->default_ttl, 3 * SECOND / 2);
	assert_int_equal(set(p, "user.cubby.default_ttl", "never"), -EINVAL);
	assert_int_equal(p->default_ttl, 3 * SECOND / 2);
	assert_int_equal(set(p, "user.cubby.lock_ttl", "30"), 0);
	assert_int_equal(p->lock_ttl, 30 * SECOND);
	assert_int_equal(set(p, "user.cubby.lock_suffix", ".lock\n"), 0);
	assert_string_equal(p->lock_suffix, ".lock");
	assert_int_equal(set(p, "user.cubby.lock_suffix", ".lck"), 0);
	assert_string_equal(p->lock_suffix, ".lck");
	assert_int_equal(set(p, "user.cubby.lock_suffix", "a/b"), -EINVAL);
	assert_int_equal(
		policy_set(p, bytes_of_string("user.cubby.lock_suffix"), bytes_of("a\0b", 3)),
		-EINVAL);
	assert_string_equal(p->lock_suffix, ".lck");
	assert_int_equal(set(p, "user.cubby.lock_keepalive", "1"), 0);
	assert_true(p->lock_keepalive);
	assert_int_equal(set(p, "user.cubby.lock_keepalive", "0\n"), 0);
	assert_false(p->lock_keepalive);
	assert_int_equal(set(p, "user.cubby.lock_keepalive", "2"), -EINVAL);
	assert_int_equal(set(p, "user.cubby.max_value", "1073741824"), 0);
	assert_int_equal(set(p, "user.cubby.max_value", "1073741825"), -EINVAL);
	assert_int_equal(p->max_value, 1 << 30);
	assert_int_equal(set(p, "user.cubby.max_keys", "18446744073709551615"), -EINVAL);
	assert_int_equal(set(p, "user.cubby.max_keys", "0"), 0);
	assert_int_equal(p->max_keys, 0);
	assert_true(p->max_bytes == UINT64_MAX);
	assert_int_equal(set(p, "user.cubby.max_bytes", "1M"), -EINVAL);
	assert_int_equal(set(p, "user.cubby.max_bytes", "18446744073709551615"), -EINVAL);
	assert_true(p->max_bytes == UINT64_MAX);
	assert_int_equal(set(p, "user.cubby.max_bytes", "1000\n"), 0);
	assert_int_equal(p->max_bytes, 1000);
	assert_int_equal(set(p, "user.cubby.history", "7"), 0);
	assert_int_equal(p->history, 7);
	/* Only to check. */
	assert_int_equal(set(NULL, "user.cubby.lock_suffix", ".lock"), 0);
	assert_int_equal(set(NULL, "user.cubby.max_keys", "x"), -EINVAL);
	assert_int_equal(set(NULL, "user.cubby.ttl", "1"), -EINVAL);
	policy_destroy(p);
	policy_destroy(NULL);
	assert_true(policy_knows(bytes_of_string("user.cubby.max_keys")));
	assert_false(policy_knows(bytes_of_string("user.cubby.max_key")));
	assert_false(policy_knows(bytes_of_string("user.cubby.max_keyss")));
	assert_false(policy_knows(bytes_of_string("user.cubby.")));
	assert_false(policy_knows(bytes_of_string("max_keys")));
	assert_false(policy_knows(bytes_of_string("user.cubby.ttl")));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(durations),
		cmocka_unit_test(numbers),
		cmocka_unit_test(rules),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
