/* SPDX-License-Identifier: MIT
 * Copyright (c) 2026 The cubbyfs authors */

/* A star is tried from the shortest match on, and only the last one is ever gone
 * back to: if what follows a star can be matched at all, it can be matched as early
 * as possible, since the next star takes whatever is in between. That holds for
 * stars in a component, and again for `**` among components. */
#include "fs/pattern.h"

#include <fnmatch.h>

/* A longer one is taken for what it says, so that a match stays cheap. */
#define BRACKET_MAX 64

/* How long the bracket expression at the beginning is; 0 if it is none. */
static size_t bracket_size(struct bytes p)
{
	size_t i = 1;

	if (p.size > BRACKET_MAX) {
		p.size = BRACKET_MAX;
	}

	i += i < p.size && (p.data[i] == '!' || p.data[i] == '^');
	i += i < p.size && p.data[i] == ']';
	for (; i < p.size; i++) {
		if (p.data[i] == ']') {
			return i + 1;
		}
		if (p.data[i] == '[' && i + 1 < p.size && strchr(":.=", p.data[i + 1])) {
			const char kind = p.data[i + 1];

			for (i += 2; i + 1 < p.size; i++) {
				if (p.data[i] == kind && p.data[i + 1] == ']') {
					i++;
					break;
				}
			}
		} else if (p.data[i] == '\\') {
			i++;
		}
	}
	return 0;
}

/* Whether what is at the beginning of p, which is no star, matches c; *size is how
 * long it is. */
static bool matches_one(struct bytes p, char c, size_t *size)
{
	const char text[2] = {c, 0};
	char bracket[BRACKET_MAX + 1];

	*size = 1;
	if (p.data[0] == '?') {
		return true;
	}
	if (p.data[0] == '\\' && p.size > 1) {
		*size = 2;
		return p.data[1] == c;
	}
	if (p.data[0] == '[') {
		size_t n = bracket_size(p);

		if (n > 0 && n < sizeof(bracket)) {
			*size = n;
			memcpy(bracket, p.data, n);
			bracket[n] = 0;
			return fnmatch(bracket, text, 0) == 0;
		}
	}
	return p.data[0] == c;
}

static bool component_matches(struct bytes p, struct bytes name)
{
	size_t star = p.size, star_at = 0; /* p.size: there was none */
	size_t i = 0, j = 0, n;

	while (j < name.size || i < p.size) {
		if (i < p.size && p.data[i] == '*') {
			star = i++;
			star_at = j;
		} else if (i < p.size && j < name.size &&
			matches_one(bytes_of(p.data + i, p.size - i), name.data[j], &n)) {
			i += n;
			j++;
		} else if (star < p.size && star_at < name.size) {
			i = star + 1;
			j = ++star_at;
		} else {
			return false;
		}
	}
	return true;
}

/* The first component, without the slash; *rest is what comes after that. False at
 * the end. */
static bool next_component(struct bytes path, struct bytes *component, struct bytes *rest)
{
	const char *slash = path.size ? memchr(path.data, '/', path.size) : NULL;
	size_t size = slash ? (size_t)(slash - path.data) : path.size;

	*component = bytes_of(path.data, size);
	*rest = bytes_of(path.data + size + (slash != NULL), path.size - size - (slash != NULL));
	return path.size > 0;
}

/* With `below`, what is below a path that matches does, and the path itself doesn't. */
static bool path_matches(struct bytes p, struct bytes path, bool below)
{
	struct bytes star = {0}, star_at = {0};
	struct bytes part, p_rest, name, rest;
	bool has_star = false;

	while (p.size > 0 || path.size > 0 || below) {
		bool has_part = next_component(p, &part, &p_rest);
		bool has_name = next_component(path, &name, &rest);

		if (below && !has_part && has_name) {
			return true;
		}
		if (has_part && bytes_equal(part, bytes_of("**", 2))) {
			has_star = true;
			star = p = p_rest;
			star_at = path;
		} else if (has_part && has_name && component_matches(part, name)) {
			p = p_rest;
			path = rest;
		} else if (has_star && next_component(star_at, &name, &rest)) {
			p = star;
			path = star_at = rest;
		} else {
			return false;
		}
	}
	return true;
}

/* Whether it is NS.*; not so `dir/.*`, nor where the dot has a backslash. */
static bool has_below(struct bytes pattern)
{
	size_t size = pattern.size - 2, slashes = 0;

	if (pattern.size <= 2 || memcmp(pattern.data + size, ".*", 2) != 0 ||
		pattern.data[size - 1] == '/') {
		return false;
	}
	while (slashes < size && pattern.data[size - slashes - 1] == '\\') {
		slashes++;
	}
	return slashes % 2 == 0;
}

bool pattern_matches(struct bytes pattern, struct bytes path)
{
	if (pattern.size > 0 && pattern.data[0] == '/') {
		pattern = bytes_of(pattern.data + 1, pattern.size - 1);
	}
	return path_matches(pattern, path, false) ||
		(has_below(pattern) &&
			path_matches(bytes_of(pattern.data, pattern.size - 2), path, true));
}
