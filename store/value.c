/* SPDX-License-Identifier: MIT
 * Copyright (c) 2026 The cubbyfs authors */

/* A value is small and holds its bytes itself, behind as little as can be (there are millions
 * of such), or it is a view of the first `size` bytes of a chunk. A chunk only ever grows at its end, within the
 * room it was made with; a view never sees what is added behind it. So an
 * append to the newest view is a memcpy of what is new, and readers of older
 * views need not know. An append to an older view, or past the room, copies. */
#include "store/value.h"

#include "base/slab.h"

#include <stdlib.h>

struct chunk {
	unsigned refs;
	size_t size, capacity;
	char *data;
};

struct value {
	uint32_t refs : 31;
	uint32_t is_view : 1; /* else the bytes follow */
	uint32_t size;
	uint32_t line; /* a number for it and all that was appended to it */
	char data[];
};

struct view {
	struct value base;
	struct chunk *chunk;
};

#define INLINE_MAX (SLAB_SIZE_MAX - sizeof(struct value))

static struct chunk *chunk_of(const struct value *v)
{
	return v->is_view ? ((const struct view *)v)->chunk : NULL;
}

static void chunk_unref(struct chunk *c)
{
	if (c && --c->refs == 0) {
		free(c->data);
		free(c);
	}
}

static struct value *value_allocate(size_t size, size_t whole)
{
	static uint32_t lines;
	struct value *v;

	if (size > UINT32_MAX) {
		return NULL;
	}
	v = slab_allocate(whole);
	if (v) {
		v->refs = 1;
		v->size = (uint32_t)size;
		v->line = ++lines;
	}
	return v;
}

static struct value *view_allocate(size_t size, struct chunk *chunk)
{
	struct value *v = value_allocate(size, sizeof(struct view));

	if (v) {
		v->is_view = true;
		((struct view *)v)->chunk = chunk;
	}
	return v;
}

/* A chunk around memory that it takes over. */
static struct value *value_around(char *data, size_t size, size_t capacity)
{
	struct chunk *c = malloc(sizeof(*c));
	struct value *v = c ? view_allocate(size, c) : NULL;

	if (!v) {
		free(c);
		return NULL;
	}
	*c = (struct chunk){.refs = 1, .size = size, .capacity = capacity, .data = data};
	return v;
}

struct value *value_create(struct bytes bytes)
{
	struct value *v;
	char *data;

	if (bytes.size > INLINE_MAX) {
		data = bytes.size <= UINT32_MAX ? malloc(bytes.size) : NULL;
		v = data ? value_around(data, bytes.size, bytes.size) : NULL;
		if (v) {
			memcpy(data, bytes.data, bytes.size);
		} else {
			free(data);
		}
		return v;
	}
	v = value_allocate(bytes.size, sizeof(*v) + bytes.size);
	if (v && bytes.size > 0) {
		memcpy(v->data, bytes.data, bytes.size);
	}
	return v;
}

struct value *value_take(struct buffer *buffer)
{
	struct value *v;

	/* Not worth a chunk, or more room than bytes: keep just the bytes. */
	if (buffer->size <= INLINE_MAX || buffer->capacity / 2 > buffer->size) {
		v = value_create(buffer_bytes(buffer));
		if (v) {
			buffer_finish(buffer);
		}
		return v;
	}
	v = value_around(buffer->data, buffer->size, buffer->capacity);
	if (v) {
		*buffer = (struct buffer){0};
	}
	return v;
}

struct value *value_append(struct value *v, struct bytes bytes)
{
	struct bytes old = value_bytes(v);
	struct chunk *chunk = v ? chunk_of(v) : NULL;
	size_t size = old.size + bytes.size;
	size_t capacity;
	struct value *result;
	char *data;

	if (chunk && chunk->size == v->size && chunk->capacity - chunk->size >= bytes.size) {
		result = view_allocate(size, chunk);
		if (result) {
			if (bytes.size > 0) {
				memcpy(chunk->data + old.size, bytes.data, bytes.size);
			}
			chunk->size = size;
			chunk->refs++;
			result->line = v->line;
		}
		return result;
	}
	capacity = size + size / 2 + 64;
	data = malloc(capacity);
	if (!data) {
		return NULL;
	}
	if (old.size > 0) {
		memcpy(data, old.data, old.size);
	}
	if (bytes.size > 0) {
		memcpy(data + old.size, bytes.data, bytes.size);
	}
	result = value_around(data, size, capacity);
	if (!result) {
		free(data);
	} else if (v) {
		result->line = v->line;
	}
	return result;
}

int value_merge(struct bytes present, struct bytes base, struct bytes mine, struct buffer *out)
{
	size_t start = out->size, size = present.size;
	int rc;

	if (mine.size < base.size || (mine.size > base.size && mine.size > size)) {
		size = mine.size;
	}
	rc = buffer_append(out, present.data, present.size < size ? present.size : size);
	rc = rc ? rc : buffer_resize(out, start + size);
	for (size_t i = 0; rc == 0 && i < mine.size && i < size; i++) {
		if (mine.data[i] != (i < base.size ? base.data[i] : 0)) {
			out->data[start + i] = mine.data[i];
		}
	}
	return rc;
}

bool value_continues(const struct value *later, const struct value *earlier)
{
	return later && earlier && later->line == earlier->line && later->size >= earlier->size;
}

struct value *value_ref(struct value *v)
{
	if (v) {
		v->refs++;
	}
	return v;
}

void value_unref(struct value *v)
{
	if (v && --v->refs == 0) {
		chunk_unref(chunk_of(v));
		slab_free(v, v->is_view ? sizeof(struct view) : sizeof(*v) + v->size);
	}
}

struct bytes value_bytes(const struct value *v)
{
	if (!v) {
		return bytes_of(NULL, 0);
	}
	return bytes_of(v->is_view ? chunk_of(v)->data : v->data, v->size);
}
