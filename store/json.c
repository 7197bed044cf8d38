/* SPDX-License-Identifier: MIT
 * Copyright (c) 2026 The cubbyfs authors */

/* A parser by recursive descent. It makes what json-c's would: integers of 64
 * bits that end at their limits, doubles that keep their text, half of a
 * surrogate pair as U+FFFD, of two fields of one name the last. (But json-c 0.16 makes U+FFFD
 * of whole pairs, too, where the character's lower 16 bits are those of a half.) */
#include "store/json.h"

#include "base/cleanup.h"
#include "store/text.h"

#include <errno.h>
#include <json-c/json.h>
#include <limits.h>
#include <stdlib.h>

#define DEPTH_MAX 128
/* Updates nest as deep as their paths are long. */
#define DEPTH_MAX_WRITTEN 10000

struct parser {
	const char *at, *end;
	unsigned depth_max;
	struct buffer text; /* of the string or number under way, NUL-terminated */
};

static int parse_value(struct parser *p, unsigned depth, struct json_object **out);

static void skip_space(struct parser *p)
{
	while (p->at < p->end &&
		(*p->at == ' ' || *p->at == '\n' || *p->at == '\t' || *p->at == '\r')) {
		p->at++;
	}
}

static bool take(struct parser *p, char c)
{
	if (p->at == p->end || *p->at != c) {
		return false;
	}
	p->at++;
	return true;
}

static bool take_word(struct parser *p, const char *word)
{
	size_t size = strlen(word);

	if ((size_t)(p->end - p->at) < size || memcmp(p->at, word, size) != 0) {
		return false;
	}
	p->at += size;
	return true;
}

/* ---- strings ---- */

static bool take_hex(struct parser *p, unsigned *out)
{
	*out = 0;
	for (int i = 0; i < 4; i++) {
		char c = p->at < p->end ? *p->at++ : 0;

		if (c >= '0' && c <= '9') {
			*out = *out << 4 | (unsigned)(c - '0');
		} else if ((c | 0x20) >= 'a' && (c | 0x20) <= 'f') {
			*out = *out << 4 | (unsigned)((c | 0x20) - 'a' + 10);
		} else {
			return false;
		}
	}
	return true;
}

static size_t encode(unsigned c, char *out)
{
	if (c < 0x80) {
		out[0] = (char)c;
		return 1;
	}
	if (c < 0x800) {
		out[0] = (char)(0xc0 | c >> 6);
		out[1] = (char)(0x80 | (c & 0x3f));
		return 2;
	}
	if (c < 0x10000) {
		out[0] = (char)(0xe0 | c >> 12);
		out[1] = (char)(0x80 | (c >> 6 & 0x3f));
		out[2] = (char)(0x80 | (c & 0x3f));
		return 3;
	}
	out[0] = (char)(0xf0 | c >> 18);
	out[1] = (char)(0x80 | (c >> 12 & 0x3f));
	out[2] = (char)(0x80 | (c >> 6 & 0x3f));
	out[3] = (char)(0x80 | (c & 0x3f));
	return 4;
}

/* After the backslash and the u. */
static int take_character(struct parser *p)
{
	const char *before;
	unsigned c, low;
	char bytes[4];

	if (!take_hex(p, &c)) {
		return -EINVAL;
	}
	if (c >= 0xd800 && c <= 0xdbff) {
		before = p->at;
		if (take_word(p, "\\u") && take_hex(p, &low) && low >= 0xdc00 && low <= 0xdfff) {
			c = 0x10000 + ((c - 0xd800) << 10) + (low - 0xdc00);
		} else {
			p->at = before;
			c = 0xfffd;
		}
	} else if (c >= 0xdc00 && c <= 0xdfff) {
		c = 0xfffd;
	}
	return buffer_append(&p->text, bytes, encode(c, bytes));
}

static int take_escape(struct parser *p)
{
	static const char from[] = "\"\\/bfnrt", to[] = "\"\\/\b\f\n\r\t";
	char c = p->at < p->end ? *p->at++ : 0;
	const char *found = c ? strchr(from, c) : NULL;

	if (found) {
		return buffer_append(&p->text, &to[found - from], 1);
	}
	return c == 'u' ? take_character(p) : -EINVAL;
}

/* Into p->text; the quote before it has been taken. */
static int parse_text(struct parser *p)
{
	int r = 0;

	p->text.size = 0;
	while (r == 0) {
		const char *start = p->at;

		while (p->at < p->end && *p->at != '"' && *p->at != '\\' &&
			(unsigned char)*p->at >= 0x20) {
			p->at++;
		}
		r = buffer_append(&p->text, start, (size_t)(p->at - start));
		if (r < 0) {
			return r;
		}
		if (take(p, '"')) {
			r = buffer_append(&p->text, "", 1);
			p->text.size -= r == 0;
			return r == 0 && p->text.size > INT_MAX ? -EINVAL : r;
		}
		r = take(p, '\\') ? take_escape(p) : -EINVAL;
	}
	return r;
}

static int parse_string(struct parser *p, struct json_object **out)
{
	int r = parse_text(p);

	if (r < 0) {
		return r;
	}
	*out = json_object_new_string_len(p->text.data, (int)p->text.size);
	return *out ? 0 : -ENOMEM;
}

/* ---- numbers ---- */

static size_t take_digits(struct parser *p)
{
	const char *start = p->at;

	while (p->at < p->end && *p->at >= '0' && *p->at <= '9') {
		p->at++;
	}
	return (size_t)(p->at - start);
}

static int parse_number(struct parser *p, struct json_object **out)
{
	const char *start = p->at;
	bool negative = take(p, '-'), real = false;
	int r;

	if (!take(p, '0') && take_digits(p) == 0) {
		return -EINVAL;
	}
	if (take(p, '.')) {
		real = true;
		if (take_digits(p) == 0) {
			return -EINVAL;
		}
	}
	if (take(p, 'e') || take(p, 'E')) {
		real = true;
		if (!take(p, '+')) {
			take(p, '-');
		}
		if (take_digits(p) == 0) {
			return -EINVAL;
		}
	}
	p->text.size = 0;
	r = buffer_append(&p->text, start, (size_t)(p->at - start));
	r = r < 0 ? r : buffer_append(&p->text, "", 1);
	if (r < 0) {
		return r;
	}
	if (real) {
		*out = json_object_new_double_s(strtod(p->text.data, NULL), p->text.data);
	} else if (negative) {
		*out = json_object_new_int64(strtoll(p->text.data, NULL, 10));
	} else {
		uint64_t n = strtoull(p->text.data, NULL, 10);

		*out = n <= INT64_MAX ? json_object_new_int64((int64_t)n)
				      : json_object_new_uint64(n);
	}
	return *out ? 0 : -ENOMEM;
}

/* ---- what has parts ---- */

static int parse_array(struct parser *p, unsigned depth, struct json_object *array)
{
	struct json_object *item;
	int r;

	skip_space(p);
	if (take(p, ']')) {
		return 0;
	}
	for (;;) {
		r = parse_value(p, depth, &item);
		if (r < 0) {
			return r;
		}
		if (json_object_array_add(array, item) != 0) {
			json_object_put(item);
			return -ENOMEM;
		}
		skip_space(p);
		if (take(p, ']')) {
			return 0;
		}
		if (!take(p, ',')) {
			return -EINVAL;
		}
	}
}

static int parse_object(struct parser *p, unsigned depth, struct json_object *object)
{
	struct json_object *item;
	int r;

	skip_space(p);
	if (take(p, '}')) {
		return 0;
	}
	for (;;) {
		_cleanup_free_ char *name = NULL;

		skip_space(p);
		r = take(p, '"') ? parse_text(p) : -EINVAL;
		if (r < 0) {
			return r;
		}
		/* The value needs the buffer. */
		name = strdup(p->text.data);
		if (!name) {
			return -ENOMEM;
		}
		skip_space(p);
		if (!take(p, ':')) {
			return -EINVAL;
		}
		r = parse_value(p, depth, &item);
		if (r < 0) {
			return r;
		}
		if (json_object_object_add(object, name, item) != 0) {
			json_object_put(item);
			return -ENOMEM;
		}
		skip_space(p);
		if (take(p, '}')) {
			return 0;
		}
		if (!take(p, ',')) {
			return -EINVAL;
		}
	}
}

static int parse_value(struct parser *p, unsigned depth, struct json_object **out)
{
	bool is_array;
	int r;

	*out = NULL;
	skip_space(p);
	if (p->at == p->end || depth == p->depth_max) {
		return -EINVAL;
	}
	switch (*p->at) {
	case '"':
		p->at++;
		return parse_string(p, out);
	case '{':
	case '[':
		is_array = *p->at++ == '[';
		*out = is_array ? json_object_new_array() : json_object_new_object();
		if (!*out) {
			return -ENOMEM;
		}
		r = is_array ? parse_array(p, depth + 1, *out) : parse_object(p, depth + 1, *out);
		if (r < 0) {
			json_object_put(*out);
			*out = NULL;
		}
		return r;
	case 'n':
		return take_word(p, "null") ? 0 : -EINVAL;
	case 't':
	case 'f':
		if (!take_word(p, "true") && !take_word(p, "false")) {
			return -EINVAL;
		}
		*out = json_object_new_boolean(p->at[-2] == 'u');
		return *out ? 0 : -ENOMEM;
	default:
		return parse_number(p, out);
	}
}

static int parse(struct bytes text, unsigned depth_max, struct json_object **out)
{
	struct parser p = {.at = text.data, .depth_max = depth_max};
	int r;

	*out = NULL;
	if (text.size == 0 || !text_is_utf8(text)) {
		return -EINVAL;
	}
	p.end = text.data + text.size;
	r = parse_value(&p, 0, out);
	skip_space(&p);
	if (r == 0 && p.at != p.end) {
		json_object_put(*out);
		*out = NULL;
		r = -EINVAL;
	}
	buffer_finish(&p.text);
	return r;
}

int json_parse(struct bytes text, struct json_object **out)
{
	return parse(text, DEPTH_MAX, out);
}

int json_add(struct json_object *object, const char *name, struct json_object *value)
{
	if (!value || json_object_object_add(object, name, value) != 0) {
		json_object_put(value);
		return -ENOMEM;
	}
	return 0;
}

int json_write(struct json_object *object, struct bytes *out)
{
	struct json_object *back;
	size_t size = 0;
	const char *text = json_object_to_json_string_length(
		object, JSON_C_TO_STRING_PLAIN | JSON_C_TO_STRING_NOSLASHESCAPE, &size);
	int r = text ? parse(bytes_of(text, size), DEPTH_MAX_WRITTEN, &back) : -ENOMEM;
	bool same;

	if (r < 0) {
		return -ENOMEM;
	}
	same = json_object_equal(object, back);
	json_object_put(back);
	*out = bytes_of(text, size);
	return same ? 0 : -ENOMEM;
}
