/* SPDX-License-Identifier: MIT
 * Copyright (c) 2026 The cubbyfs authors */

/* A value is small and holds its bytes itself, behind as little as can be (there are millions
 * of such), or it is a view of the first `size` bytes of a chunk. A chunk only ever grows at its
 * end, within the room it was made with; a view never sees what is added behind it. So an
 * append to the newest view is a memcpy of what is new, and readers of older
 * views need not know. An append to an older view, or past the room, copies.
 *
 * What was appended to what: views have a number for all that come from one beginning, and
 * the chunk keeps the small value that was that. */
#include "store/value.h"

#include "base/slab.h"

#include <stdbool.h>
#include <stdlib.h>

struct chunk {
	unsigned refs;
	size_t size, capacity;
	char *data;
	struct value *origin; /* small; or NULL */
};

struct value {
	uint32_t refs : 21; /* at REFS_MAX it is never freed */
	uint32_t is_view : 1;
	uint32_t small_size : 10;
	char data[]; /* if it is small */
};

struct view {
	struct value base;
	uint32_t size;
	uint64_t line;
	struct chunk *chunk;
};

#define REFS_MAX ((UINT32_C(1) << 21) - 1)
#define SMALL_MAX (SLAB_SIZE_MAX - sizeof(struct value))

_Static_assert(SMALL_MAX < 1 << 10, "a small value's size fits");

static const struct view *view_of(const struct value *v)
{
	return v && v->is_view ? (const struct view *)v : NULL;
}

static void chunk_unref(struct chunk *c)
{
	if (--c->refs == 0) {
		value_unref(c->origin);
		free(c->data);
		free(c);
	}
}

static struct value *view_create(size_t size, struct chunk *chunk, uint64_t line)
{
	struct view *view = size <= UINT32_MAX ? slab_allocate(sizeof(*view)) : NULL;

	if (!view) {
		return NULL;
	}
	view->base.refs = 1;
	view->base.is_view = true;
	view->size = (uint32_t)size;
	view->line = line;
	view->chunk = chunk;
	return &view->base;
}

/* A chunk around memory that it takes over. `before`: what it begins with; or NULL. */
static struct value *value_around(char *data, size_t size, size_t capacity, struct value *before)
{
	static uint64_t lines;
	const struct view *view = view_of(before);
	struct chunk *c = malloc(sizeof(*c));
	struct value *v = c ? view_create(size, c, view ? view->line : ++lines) : NULL;

	if (!v) {
		free(c);
		return NULL;
	}
	*c = (struct chunk){.refs = 1, .size = size, .capacity = capacity, .data = data};
	c->origin = value_ref(view ? view->chunk->origin : before);
	return v;
}

struct value *value_create(struct bytes bytes)
{
	struct value *v;
	char *data;

	if (bytes.size > SMALL_MAX) {
		data = malloc(bytes.size);
		v = data ? value_around(data, bytes.size, bytes.size, NULL) : NULL;
		if (v) {
			memcpy(data, bytes.data, bytes.size);
		} else {
			free(data);
		}
		return v;
	}
	v = slab_allocate(sizeof(*v) + bytes.size);
	if (v) {
		v->refs = 1;
		v->small_size = (uint32_t)bytes.size;
		if (bytes.size > 0) {
			memcpy(v->data, bytes.data, bytes.size);
		}
	}
	return v;
}

struct value *value_take(struct buffer *buffer)
{
	struct value *v;

	/* Not worth a chunk, or more room than bytes: keep just the bytes. */
	if (buffer->size <= SMALL_MAX || buffer->capacity / 2 > buffer->size) {
		v = value_create(buffer_bytes(buffer));
		if (v) {
			buffer_finish(buffer);
		}
		return v;
	}
	v = value_around(buffer->data, buffer->size, buffer->capacity, NULL);
	if (v) {
		*buffer = (struct buffer){0};
	}
	return v;
}

struct value *value_append(struct value *v, struct bytes bytes)
{
	struct bytes old = value_bytes(v);
	const struct view *view = view_of(v);
	struct chunk *c = view ? view->chunk : NULL;
	size_t size = old.size + bytes.size;
	size_t capacity;
	struct value *result;
	char *data;

	if (c && c->size == old.size && c->capacity - c->size >= bytes.size) {
		result = view_create(size, c, view->line);
		if (result) {
			if (bytes.size > 0) {
				memcpy(c->data + old.size, bytes.data, bytes.size);
			}
			c->size = size;
			c->refs++;
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
	result = value_around(data, size, capacity, v);
	if (!result) {
		free(data);
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
	const struct view *view = view_of(later), *before = view_of(earlier);

	if (!later || !earlier || later == earlier || !view) {
		return later && later == earlier;
	}
	return before ? view->line == before->line && view->size >= before->size
		      : view->chunk->origin == earlier;
}

struct value *value_ref(struct value *v)
{
	if (v && v->refs < REFS_MAX) {
		v->refs++;
	}
	return v;
}

void value_unref(struct value *v)
{
	const struct view *view = view_of(v);

	if (!v || v->refs == REFS_MAX || --v->refs > 0) {
		return;
	}
	if (view) {
		chunk_unref(view->chunk);
		slab_free(v, sizeof(*view));
	} else {
		slab_free(v, sizeof(*v) + v->small_size);
	}
}

struct bytes value_bytes(const struct value *v)
{
	const struct view *view = view_of(v);

	if (!v) {
		return bytes_of(NULL, 0);
	}
	return view ? bytes_of(view->chunk->data, view->size) : bytes_of(v->data, v->small_size);
}
