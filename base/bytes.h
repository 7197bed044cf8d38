/* SPDX-License-Identifier: MIT
 * Copyright (c) 2026 The cubbyfs authors */

/* Slices and growable buffers of arbitrary bytes.
 *
 * A struct bytes borrows: it never owns what it points at, and every header
 * that hands one out says until when it holds. A struct buffer owns. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <string.h>

struct bytes {
	const char *data;
	size_t size;
};

static inline struct bytes bytes_of(const void *data, size_t size)
{
	return (struct bytes){.data = data, .size = size};
}

static inline struct bytes bytes_of_string(const char *s)
{
	return bytes_of(s, strlen(s));
}

static inline bool bytes_equal(struct bytes a, struct bytes b)
{
	return a.size == b.size && (a.size == 0 || memcmp(a.data, b.data, a.size) == 0);
}

/* Growable, owned memory. Zero-initialised is empty and needs no init. */
struct buffer {
	char *data;
	size_t size;
	size_t capacity;
};

void buffer_finish(struct buffer *b);

/* Makes room for `capacity` bytes in all, growing by at least half each time.
 * 0 or -ENOMEM, and then b is as it was. */
int buffer_reserve(struct buffer *b, size_t capacity);

/* Appends. 0 or -ENOMEM. */
int buffer_append(struct buffer *b, const void *data, size_t size);
int buffer_append_string(struct buffer *b, const char *s);
int buffer_printf(struct buffer *b, const char *format, ...) __attribute__((format(printf, 2, 3)));

/* Sets the size; what is new reads as zeros. 0 or -ENOMEM. */
int buffer_resize(struct buffer *b, size_t size);

static inline struct bytes buffer_bytes(const struct buffer *b)
{
	return bytes_of(b->data, b->size);
}
