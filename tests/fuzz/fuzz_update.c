/* SPDX-License-Identifier: MIT
 * Copyright (c) 2026 The cubbyfs authors */

/* The arithmetic of `update` and `increment`.
 *
 * Input: a line of operations (or the number to add); the rest is the old value. */
#include "base/cleanup.h"
#include "fuzz.h"
#include "store/store.h"
#include "store/text.h"
#include "store/update.h"

#include <ctype.h>

/* The integer in a text, in a type that is large enough for the sum of two. False: it is none, or
 * past 64 bits. */
static bool integer(struct bytes text, __int128 *out)
{
	bool negative = false;
	size_t i = 0;

	while (i < text.size && isspace((unsigned char)text.data[i])) {
		i++;
	}
	while (text.size > i && isspace((unsigned char)text.data[text.size - 1])) {
		text.size--;
	}
	if (i < text.size && (text.data[i] == '-' || text.data[i] == '+')) {
		negative = text.data[i++] == '-';
	}
	*out = 0;
	if (i == text.size) {
		return false;
	}
	for (; i < text.size; i++) {
		if (text.data[i] < '0' || text.data[i] > '9') {
			return false;
		}
		*out = *out * 10 + (text.data[i] - '0');
		if (*out > (__int128)INT64_MAX + 1) {
			return false;
		}
	}
	*out = negative ? -*out : *out;
	return *out >= INT64_MIN && *out <= INT64_MAX;
}

static bool is_blank(struct bytes text)
{
	size_t i = 0;

	while (i < text.size && isspace((unsigned char)text.data[i])) {
		i++;
	}
	return i == text.size;
}

static void increment(struct bytes old, struct bytes by)
{
	_cleanup_buffer_ struct buffer out = {0};
	__int128 a = 0, b, sum;
	bool possible = (is_blank(old) || integer(old, &a)) && integer(by, &b);
	int rc = update_increment(old, by, &out);

	possible = possible && a + b >= INT64_MIN && a + b <= INT64_MAX;
	CHECK((rc == 0) == possible);
	CHECK(rc == 0 || rc == STORE_INVALID || rc == STORE_OUT_OF_RANGE);
	CHECK(rc == 0 || out.size == 0);
	if (rc == 0) {
		CHECK(integer(buffer_bytes(&out), &sum) && sum == a + b);
		CHECK((out.data[out.size - 1] == '\n') ==
			(old.size > 0 && old.data[old.size - 1] == '\n'));
	}
}

static void update(struct bytes old, struct bytes operations)
{
	_cleanup_buffer_ struct buffer out = {0}, again = {0};
	int rc = update_apply(old, operations, &out);

	CHECK(rc == 0 || rc == STORE_INVALID || rc == STORE_OUT_OF_RANGE);
	CHECK(rc == 0 || out.size == 0);
	if (rc == 0) {
		/* It is JSON, and written as it always will be. */
		CHECK(text_is_utf8(buffer_bytes(&out)));
		CHECK((out.data[out.size - 1] == '\n') ==
			(old.size > 0 && old.data[old.size - 1] == '\n'));
		CHECK(update_apply(buffer_bytes(&out), bytes_of_string("[]"), &again) == 0);
		CHECK(bytes_equal(buffer_bytes(&out), buffer_bytes(&again)));
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct bytes old = bytes_of(data, size), operations = {0};

	take_line(&old, &operations);
	update(old, operations);
	increment(old, operations);
	return 0;
}
