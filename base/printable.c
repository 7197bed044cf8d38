/* SPDX-License-Identifier: MIT
 * Copyright (c) 2026 The cubbyfs authors */

/* Control characters are C0, DEL and C1: U+0080 to U+009F, as UTF-8 and as the bytes that
 * they are in an 8-bit terminal. The bytes 0x80 to 0x9f within a character are none. */
#include "base/printable.h"

static size_t size_of_sequence(const unsigned char *s)
{
	size_t size = s[0] >= 0xf0 ? 4 : s[0] >= 0xe0 ? 3 : 2;

	if (s[0] < 0xc2 || s[0] > 0xf4) {
		return 0;
	}
	for (size_t i = 1; i < size; i++) {
		if ((s[i] & 0xc0) != 0x80) {
			return 0;
		}
	}
	return size;
}

size_t printable_size(const char *string)
{
	const unsigned char *s = (const unsigned char *)string;
	size_t size;

	if (s[0] < 0x80) {
		return s[0] >= 0x20 && s[0] != 0x7f;
	}
	size = size_of_sequence(s);
	if (size == 0) {
		return s[0] >= 0xa0;
	}
	return s[0] == 0xc2 && s[1] < 0xa0 ? 0 : size;
}

void printable_make(char *s)
{
	while (*s) {
		size_t size = printable_size(s);

		if (size == 0) {
			*s = '?';
		}
		s += size ? size : 1;
	}
}
