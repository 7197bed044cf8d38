/* SPDX-License-Identifier: MIT
 * Copyright (c) 2026 The cubbyfs authors */

/* A fuzz target: a function over bytes in memory, one to a file.
 *
 * Built with -Dfuzz=true libFuzzer calls it; else replay.c does, for each file of
 * its corpus, as a test. What must not happen ends the process: a CHECK, or a
 * sanitizer. Inputs are text as far as can be, so that people can read the
 * corpora and write more of them. */
#pragma once

#include "base/bytes.h"

#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define CHECK(condition)                                                                           \
	do {                                                                                       \
		if (!(condition)) {                                                                \
			fprintf(stderr, "%s:%d: not so: %s\n", __FILE__, __LINE__, #condition);    \
			abort();                                                                   \
		}                                                                                  \
	} while (0)

/* The first line without its newline, which goes from the front of *rest; false at
 * the end. */
static inline bool take_line(struct bytes *rest, struct bytes *line)
{
	const char *newline;

	if (rest->size == 0) {
		return false;
	}
	newline = memchr(rest->data, '\n', rest->size);
	*line = bytes_of(rest->data, newline ? (size_t)(newline - rest->data) : rest->size);
	*rest = bytes_of(rest->data + line->size + !!newline, rest->size - line->size - !!newline);
	return true;
}

/* As a string of its own, for what takes no bytes; ends at the first NUL. */
static inline char *string_of(struct bytes b)
{
	char *s = malloc(b.size + 1);

	CHECK(s);
	if (b.size > 0) {
		memcpy(s, b.data, b.size);
	}
	s[b.size] = 0;
	return s;
}
