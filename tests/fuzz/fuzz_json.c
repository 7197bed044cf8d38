/* SPDX-License-Identifier: MIT
 * Copyright (c) 2026 The cubbyfs authors */

/* Our parser of JSON. What it takes json-c takes too, strictly, for the same; it can be
 * written, and read back. And bytes as JSON (text.h, base64.h), which every byte
 * survives.
 *
 * Input: the text; as bytes, too. */
#include "base/cleanup.h"
#include "fuzz.h"
#include "store/base64.h"
#include "store/json.h"
#include "store/text.h"

#include <errno.h>
#include <iconv.h>
#include <json-c/json.h>

#define FLAGS (JSON_C_TO_STRING_PLAIN | JSON_C_TO_STRING_NOSLASHESCAPE)

/* --- JSON -------------------------------------------------------------------------- */

/* False if json-c does not take all of the text. */
static bool parse_otherwise(struct bytes text, struct json_object **out)
{
	struct json_tokener *tokener = json_tokener_new_ex(200);
	bool whole;

	CHECK(tokener);
	json_tokener_set_flags(tokener, JSON_TOKENER_STRICT | JSON_TOKENER_VALIDATE_UTF8);
	*out = json_tokener_parse_ex(tokener, text.data, (int)text.size);
	if (json_tokener_get_error(tokener) == json_tokener_continue) {
		/* A number is over when something follows. */
		*out = json_tokener_parse_ex(tokener, "", 1);
		whole = json_tokener_get_error(tokener) == json_tokener_success;
	} else {
		whole = json_tokener_get_error(tokener) == json_tokener_success &&
			json_tokener_get_parse_end(tokener) == text.size;
	}
	json_tokener_free(tokener);
	return whole;
}

/* json-c (0.16 at least) takes the characters of U+1D800 to U+1DFFF, and of the same stretch of
 * every other plane, for halves of a pair when they are escaped. */
static bool is_misread(struct bytes text)
{
	for (size_t i = 0; i + 6 <= text.size; i++) {
		const char *p = text.data + i;

		if (memcmp(p, "\\u", 2) == 0 && (p[2] | 0x20) == 'd' && p[3] && p[4] && p[5] &&
			strchr("89abAB", p[3]) && strchr("37bfBF", p[4]) && strchr("67", p[5])) {
			return true;
		}
	}
	return false;
}

static void check_json(struct bytes text)
{
	struct json_object *object, *other, *back;
	int r = json_parse(text, &object);
	struct bytes written;

	CHECK(r == 0 || r == -EINVAL);
	if (r < 0) {
		CHECK(!object);
		return;
	}
	CHECK(text_is_utf8(text));
	CHECK(parse_otherwise(text, &other));
	CHECK(json_object_equal(object, other) || is_misread(text));
	CHECK(json_write(object, &written) == 0);
	CHECK(json_parse(written, &back) == 0 && json_object_equal(object, back));
	json_object_put(other);
	json_object_put(back);
	json_object_put(object);
}

/* --- bytes ------------------------------------------------------------------------ */

/* The C library's opinion. */
static bool is_utf8(struct bytes in)
{
	static iconv_t converter = (iconv_t)-1;
	char out[4096], *from = (char *)in.data;
	size_t left = in.size;

	if (converter == (iconv_t)-1) {
		converter = iconv_open("UTF-32LE", "UTF-8");
		CHECK(converter != (iconv_t)-1);
	}
	iconv(converter, NULL, NULL, NULL, NULL);
	while (left > 0) {
		char *to = out;
		size_t room = sizeof(out);

		if (iconv(converter, &from, &left, &to, &room) == (size_t)-1 && errno != E2BIG) {
			return false;
		}
	}
	return true;
}

static void *allocate(void *arg, size_t size)
{
	char **memory = arg;

	*memory = malloc(size ? size : 1);
	return *memory;
}

static void check_text(struct bytes in)
{
	_cleanup_free_ char *memory = NULL;
	struct json_object *object;
	struct bytes out;
	const char *text;
	size_t length, size;

	CHECK(text_is_utf8(in) == is_utf8(in));
	object = text_to_json(in, &length);
	CHECK(object);
	text = json_object_to_json_string_length(object, FLAGS, &size);
	CHECK(text && size == length && text_is_utf8(bytes_of(text, size)));
	CHECK(text_from_json(object, allocate, &memory, &out) == 0 && bytes_equal(in, out));
	json_object_put(object);
}

static void check_base64(struct bytes in)
{
	_cleanup_buffer_ struct buffer encoded = {0}, again = {0};
	char *decoded = malloc(in.size + 1);
	size_t size;

	CHECK(decoded);
	if (base64_decode(in, decoded, &size)) {
		CHECK(size <= in.size / 4 * 3);
		CHECK(base64_encode(bytes_of(decoded, size), &again) == 0);
		CHECK(bytes_equal(in, buffer_bytes(&again)));
	}
	free(decoded);
	CHECK(base64_encode(in, &encoded) == 0);
	CHECK(encoded.size == base64_encoded_size(in.size));
	decoded = malloc(encoded.size / 4 * 3 + 1);
	CHECK(decoded && base64_decode(buffer_bytes(&encoded), decoded, &size));
	CHECK(bytes_equal(in, bytes_of(decoded, size)));
	free(decoded);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct bytes in = bytes_of(data, size);

	check_json(in);
	check_text(in);
	check_base64(in);
	return 0;
}
