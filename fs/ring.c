/* SPDX-License-Identifier: MIT
 * Copyright (c) 2026 The cubbyfs authors */

#include "fs/ring.h"

#include <stdlib.h>

#define MAX_RING ((size_t)8 << 20)

static size_t line_bytes(const struct line *l)
{
	return sizeof(*l) + l->size + l->path_size;
}

void line_unref(struct line *l)
{
	if (l && --l->refs == 0) {
		free(l);
	}
}

struct line *line_create(struct buffer *scratch, const struct store_event *e)
{
	struct line *l;

	scratch->size = 0;
	if (event_encode(e, scratch)) {
		return NULL;
	}
	l = malloc(sizeof(*l) + scratch->size + e->path.size);
	if (!l) {
		return NULL;
	}
	*l = (struct line){
		.refs = 1,
		.more = e->more,
		.revision = e->revision,
		.path_size = e->path.size,
		.size = scratch->size,
	};
	memcpy(l->data, scratch->data, scratch->size);
	if (e->path.size > 0) {
		memcpy(l->data + l->size, e->path.data, e->path.size);
	}
	if (scratch->capacity > MAX_RING) {
		buffer_finish(scratch);
	}
	return l;
}

static void ring_evict(struct ring *r)
{
	struct line *l = r->lines[r->start];

	r->whole_from = l->revision + 1;
	r->bytes -= line_bytes(l);
	r->start = (r->start + 1) % r->capacity;
	r->count--;
	r->first++;
	line_unref(l);
}

void ring_lose(struct ring *r, uint64_t revision)
{
	while (r->count > 0) {
		ring_evict(r);
	}
	r->first++; /* whoever was at the end has missed something */
	r->revision = revision;
	r->whole_from = revision + 1;
}

static bool ring_grow(struct ring *r)
{
	size_t capacity = r->capacity ? 2 * r->capacity : 256;
	struct line **lines = reallocarray(NULL, capacity, sizeof(struct line *));

	if (!lines) {
		return false;
	}
	for (size_t i = 0; i < r->count; i++) {
		lines[i] = r->lines[(r->start + i) % r->capacity];
	}
	free(r->lines);
	r->lines = lines;
	r->start = 0;
	r->capacity = capacity;
	return true;
}

bool ring_add(struct ring *r, struct line *l)
{
	if (r->count == r->capacity && !ring_grow(r)) {
		return false;
	}
	while (r->count > 0 && r->bytes + line_bytes(l) > MAX_RING) {
		ring_evict(r);
	}
	r->lines[(r->start + r->count) % r->capacity] = l;
	r->count++;
	r->bytes += line_bytes(l);
	r->revision = l->revision;
	return true;
}

uint64_t ring_after(const struct ring *r, uint64_t revision)
{
	uint64_t low = r->first, high = ring_end(r);

	while (low < high) {
		uint64_t middle = low + (high - low) / 2;

		if (ring_line(r, middle)->revision <= revision) {
			low = middle + 1;
		} else {
			high = middle;
		}
	}
	return low;
}

void ring_drop(struct ring *r)
{
	while (r->count > 0) {
		ring_evict(r);
	}
	free(r->lines);
	*r = (struct ring){.first = r->first};
}
