/* SPDX-License-Identifier: MIT
 * Copyright (c) 2026 The cubbyfs authors */

/* Patterns of events, compared with the plainest way to say what they mean.
 *
 * Input: a line with the pattern; the rest is the path. */
#include "fs/pattern.h"
#include "fuzz.h"

#include <fnmatch.h>

/* Of the plain way, which takes exponential time: it gives up. */
#define STEPS_MAX 20000
#define UNKNOWN (-1)

static unsigned steps;

/* The first component and what follows its slash. */
static struct bytes first(struct bytes path, struct bytes *rest)
{
	const char *slash = path.size ? memchr(path.data, '/', path.size) : NULL;
	size_t size = slash ? (size_t)(slash - path.data) : path.size;

	*rest = bytes_of(path.data + size + !!slash, path.size - size - !!slash);
	return bytes_of(path.data, size);
}

/* Of brackets only the plainest: what ends one is a matter of opinion. */
static bool is_plain(struct bytes p)
{
	for (size_t i = 0; i < p.size; i++) {
		if (p.data[i] != '[') {
			continue;
		}
		for (i++; i < p.size && strchr("abcdxyz0129!-", p.data[i]) && p.data[i]; i++) {
		}
		if (i == p.size || p.data[i] != ']' || strchr("[!", p.data[i - 1])) {
			return false;
		}
	}
	return p.data[p.size - 1] != '\\';
}

/* The C library's opinion; it has none of its own on what is no text, on a bracket
 * that nothing ends, and on a backslash at the end. */
static int component(struct bytes p, struct bytes name)
{
	char *a, *b;
	int r;

	if (p.size > 40 || !is_plain(p)) {
		return UNKNOWN;
	}
	a = string_of(p);
	b = string_of(name);
	r = fnmatch(a, b, 0) == 0;
	free(a);
	free(b);
	return r;
}

static int plain(struct bytes p, struct bytes path)
{
	struct bytes p_rest, rest, part, name;
	int r;

	if (++steps > STEPS_MAX) {
		return UNKNOWN;
	}
	if (p.size == 0) {
		return path.size == 0;
	}
	part = first(p, &p_rest);
	if (bytes_equal(part, bytes_of("**", 2))) {
		r = plain(p_rest, path);
		if (r == 0 && path.size > 0) {
			first(path, &rest);
			r = plain(p, rest);
		}
		return r;
	}
	if (path.size == 0) {
		return 0;
	}
	name = first(path, &rest);
	r = part.size == 0 ? name.size == 0 : component(part, name);
	return r == 1 ? plain(p_rest, rest) : r;
}

/* No path of a store has empty components: what matches them is of no matter. */
static bool is_path(struct bytes b)
{
	return b.size == 0 ||
	       (b.data[0] != '/' && b.data[b.size - 1] != '/' && !memmem(b.data, b.size, "//", 2));
}

static bool is_comparable(struct bytes b)
{
	unsigned stars = 0;

	for (size_t i = 0; i < b.size; i++) {
		if (b.data[i] == 0 || (unsigned char)b.data[i] > 0x7e) {
			return false;
		}
		stars += b.data[i] == '*';
	}
	return b.size < 200 && stars < 6;
}

/* As plain(), of a whole pattern. */
static int plain_whole(struct bytes p, struct bytes path)
{
	size_t slashes = 0;
	int found;

	if (p.size > 0 && p.data[0] == '/') {
		p = bytes_of(p.data + 1, p.size - 1);
	}
	found = plain(p, path);
	if (p.size <= 2 || memcmp(p.data + p.size - 2, ".*", 2) != 0 || p.data[p.size - 3] == '/') {
		return found;
	}
	while (slashes < p.size - 2 && p.data[p.size - 3 - slashes] == '\\') {
		slashes++;
	}
	if (slashes % 2 != 0) {
		return found; /* a plain dot */
	}
	/* Also whatever is below a namespace that matches; `**` matches the root. */
	if (found == 0 && path.size > 0) {
		found = plain(bytes_of(p.data, p.size - 2), bytes_of(NULL, 0));
	}
	for (size_t i = 0; found == 0 && i < path.size; i++) {
		if (path.data[i] == '/') {
			found = plain(bytes_of(p.data, p.size - 2), bytes_of(path.data, i));
		}
	}
	return found;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct bytes path = bytes_of(data, size), pattern = {0};
	int wanted;

	take_line(&path, &pattern);
	if (pattern.size > 4096 || path.size > 4096) {
		return 0;
	}
	steps = 0;
	wanted = is_comparable(pattern) && is_comparable(path) && is_path(path)
			 ? plain_whole(pattern, path)
			 : UNKNOWN;
	if (wanted == UNKNOWN) {
		(void)pattern_matches(pattern, path);
	} else {
		CHECK(pattern_matches(pattern, path) == (bool)wanted);
	}
	return 0;
}
