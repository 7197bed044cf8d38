/* SPDX-License-Identifier: MIT
 * Copyright (c) 2026 The cubbyfs authors */

#include "store/text.h"

#include "base/cleanup.h"
#include "store/base64.h"

#include <errno.h>
#include <json-c/json.h>
#include <limits.h>
#include <stdint.h>

/* The length of the UTF-8 sequence at p, of at most `left` bytes; 0 if there
 * is none. */
static size_t sequence(const unsigned char *p, size_t left)
{
	unsigned char low = 0x80, high = 0xbf;
	size_t size;

	if (p[0] < 0x80) {
		return 1;
	} else if (p[0] >= 0xc2 && p[0] <= 0xdf) {
		size = 2;
	} else if (p[0] >= 0xe0 && p[0] <= 0xef) {
		size = 3;
		low = p[0] == 0xe0 ? 0xa0 : 0x80;  /* overlong */
		high = p[0] == 0xed ? 0x9f : 0xbf; /* surrogates */
	} else if (p[0] >= 0xf0 && p[0] <= 0xf4) {
		size = 4;
		low = p[0] == 0xf0 ? 0x90 : 0x80;  /* overlong */
		high = p[0] == 0xf4 ? 0x8f : 0xbf; /* past U+10FFFF */
	} else {
		return 0;
	}
	if (left < size || p[1] < low || p[1] > high) {
		return 0;
	}
	for (size_t i = 2; i < size; i++) {
		if ((p[i] & 0xc0) != 0x80) {
			return 0;
		}
	}
	return size;
}

bool text_is_utf8(struct bytes in)
{
	const unsigned char *p = (const unsigned char *)in.data;
	size_t n;

	for (size_t i = 0; i < in.size; i += n) {
		n = sequence(p + i, in.size - i);
		if (n == 0) {
			return false;
		}
	}
	return true;
}

/* How many bytes json-c makes of a character below 0x80. */
static size_t escaped_size(unsigned char c)
{
	switch (c) {
	case '\b':
	case '\n':
	case '\r':
	case '\t':
	case '\f':
	case '"':
	case '\\':
		return 2;
	default:
		return c < 0x20 ? 6 : 1;
	}
}

/* The size of `in` as the inside of a JSON string, or SIZE_MAX if it is no
 * text, or is one that escapes would more than double: such bytes mean
 * nothing to people. (A document full of quotes is not among them, even
 * where base64 would be shorter.) */
static size_t string_size(struct bytes in)
{
	const unsigned char *p = (const unsigned char *)in.data;
	size_t limit = 2 * in.size + 12;
	size_t size = 0, n;

	for (size_t i = 0; i < in.size; i += n) {
		if (p[i] < 0x80) {
			n = 1;
			size += escaped_size(p[i]);
			if (size > limit) {
				return SIZE_MAX;
			}
			continue;
		}
		n = sequence(p + i, in.size - i);
		if (n == 0) {
			return SIZE_MAX;
		}
		size += n;
	}
	return size;
}

struct json_object *text_to_json(struct bytes in, size_t *length)
{
	_cleanup_buffer_ struct buffer encoded = {0};
	struct json_object *outer, *inner;
	size_t size;

	if (in.size > INT_MAX / 2) {
		return NULL;
	}
	size = string_size(in);
	if (size != SIZE_MAX) {
		*length = size + strlen("\"\"");
		return json_object_new_string_len(in.data ? in.data : "", (int)in.size);
	}
	if (base64_encode(in, &encoded) < 0) {
		return NULL;
	}
	outer = json_object_new_object();
	inner = json_object_new_string_len(encoded.data, (int)encoded.size);
	if (!outer || !inner || json_object_object_add(outer, "base64", inner) != 0) {
		json_object_put(inner);
		json_object_put(outer);
		return NULL;
	}
	*length = encoded.size + strlen("{\"base64\":\"\"}");
	return outer;
}

/* As json-c does it. */
static char *write_escape(unsigned char c, char *to)
{
	static const char from[] = "\b\n\r\t\f\"\\", letters[] = "bnrtf\"\\";
	static const char hex[] = "0123456789abcdef";
	const char *found = c ? strchr(from, c) : NULL;

	*to++ = '\\';
	if (found) {
		*to++ = letters[found - from];
		return to;
	}
	memcpy(to, "u00", 3);
	to[3] = hex[c >> 4];
	to[4] = hex[c & 15];
	return to + 5;
}

static int write_base64(struct bytes in, struct buffer *out)
{
	int r = buffer_append_string(out, "{\"base64\":\"");

	r = r < 0 ? r : base64_encode(in, out);
	return r < 0 ? r : buffer_append_string(out, "\"}");
}

int text_write(struct bytes in, struct buffer *out)
{
	size_t size = string_size(in);
	char *to;
	int r;

	if (size == SIZE_MAX) {
		return write_base64(in, out);
	}
	r = buffer_reserve(out, out->size + size + 2);
	if (r < 0) {
		return r;
	}
	to = out->data + out->size;
	*to++ = '"';
	if (size == in.size) {
		if (size > 0) {
			memcpy(to, in.data, size);
		}
		to += size;
	} else {
		for (size_t i = 0; i < in.size; i++) {
			unsigned char c = (unsigned char)in.data[i];

			if (escaped_size(c) == 1) {
				*to++ = (char)c;
			} else {
				to = write_escape(c, to);
			}
		}
	}
	*to++ = '"';
	out->size = (size_t)(to - out->data);
	return 0;
}

int text_from_json(struct json_object *json, void *(*allocate)(void *arg, size_t size), void *arg,
	struct bytes *out)
{
	struct json_object *inner;
	struct bytes encoded;
	void *data;
	size_t size;

	if (json_object_is_type(json, json_type_string)) {
		*out = bytes_of(
			json_object_get_string(json), (size_t)json_object_get_string_len(json));
		return 0;
	}
	if (!json_object_is_type(json, json_type_object) ||
		!json_object_object_get_ex(json, "base64", &inner) ||
		!json_object_is_type(inner, json_type_string)) {
		return -EINVAL;
	}
	encoded =
		bytes_of(json_object_get_string(inner), (size_t)json_object_get_string_len(inner));
	data = allocate(arg, encoded.size / 4 * 3);
	if (!data) {
		return -ENOMEM;
	}
	if (!base64_decode(encoded, data, &size)) {
		return -EINVAL;
	}
	*out = bytes_of(data, size);
	return 0;
}
