/* SPDX-License-Identifier: MIT
 * Copyright (c) 2026 The cubbyfs authors */

/* Recent events as lines, numbered one after the other: what streams share.
 *
 * Bounded in bytes; but the newest line stays, however large it is. The ring has
 * a reference to each line, and so has a stream that is in the middle of one. */
#pragma once

#include "base/bytes.h"
#include "store/event.h"

struct line {
	uint32_t refs;
	bool more; /* not the last of its revision */
	uint64_t revision;
	size_t path_size, size;
	char data[]; /* the line, then the path */
};

/* lines[(start + i) % capacity] is event number first + i. */
struct ring {
	struct line **lines;
	size_t start, count, capacity;
	size_t bytes;
	uint64_t first;
	uint64_t whole_from; /* the first revision of which nothing was evicted */
	uint64_t revision;   /* the last */
};

/* Encodes an event, by way of `scratch`. NULL without memory. */
struct line *line_create(struct buffer *scratch, const struct store_event *e);
void line_unref(struct line *l);

static inline struct bytes line_path(const struct line *l)
{
	return bytes_of(l->data + l->size, l->path_size);
}

/* Takes the reference over, but not when it is false: without memory. */
bool ring_add(struct ring *r, struct line *l);

/* Nothing up to `revision` can be told. */
void ring_lose(struct ring *r, uint64_t revision);

/* Lets go of all; numbers go on. */
void ring_drop(struct ring *r);

static inline struct line *ring_line(const struct ring *r, uint64_t number)
{
	return r->lines[(r->start + (number - r->first)) % r->capacity];
}

static inline uint64_t ring_end(const struct ring *r)
{
	return r->first + r->count;
}

/* The number of the first event of a revision after this one. */
uint64_t ring_after(const struct ring *r, uint64_t revision);
