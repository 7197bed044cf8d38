/* SPDX-License-Identifier: MIT
 * Copyright (c) 2026 The cubbyfs authors */

#include "base/bytes.h"

#include <errno.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

void buffer_finish(struct buffer *b)
{
	free(b->data);
	*b = (struct buffer){0};
}

int buffer_reserve(struct buffer *b, size_t capacity)
{
	size_t grown;
	char *data;

	if (capacity <= b->capacity) {
		return 0;
	}
	grown = b->capacity + b->capacity / 2;
	if (grown < capacity) {
		grown = capacity;
	}
	if (grown < 64) {
		grown = 64;
	}
	data = realloc(b->data, grown);
	if (!data) {
		return -ENOMEM;
	}
	b->data = data;
	b->capacity = grown;
	return 0;
}

/* Makes room for `size` more. */
static int make_room(struct buffer *b, size_t size)
{
	if (size > SIZE_MAX / 2 - b->size) {
		return -ENOMEM;
	}
	return buffer_reserve(b, b->size + size);
}

int buffer_append(struct buffer *b, const void *data, size_t size)
{
	int r;

	if (size == 0) {
		return 0;
	}
	r = make_room(b, size);
	if (r < 0) {
		return r;
	}
	memcpy(b->data + b->size, data, size);
	b->size += size;
	return 0;
}

int buffer_append_string(struct buffer *b, const char *s)
{
	return buffer_append(b, s, strlen(s));
}

int buffer_printf(struct buffer *b, const char *format, ...)
{
	va_list args;
	int n, r;

	va_start(args, format);
	n = vsnprintf(NULL, 0, format, args);
	va_end(args);
	if (n < 0) {
		return -ENOMEM;
	}
	/* One more for the NUL that vsnprintf insists on. */
	r = make_room(b, (size_t)n + 1);
	if (r < 0) {
		return r;
	}
	va_start(args, format);
	vsnprintf(b->data + b->size, (size_t)n + 1, format, args);
	va_end(args);
	b->size += (size_t)n;
	return 0;
}

int buffer_resize(struct buffer *b, size_t size)
{
	int r;

	if (size > b->size) {
		r = make_room(b, size - b->size);
		if (r < 0) {
			return r;
		}
		memset(b->data + b->size, 0, size - b->size);
	}
	b->size = size;
	return 0;
}
