/* SPDX-License-Identifier: MIT
 * Copyright (c) 2026 The cubbyfs authors */

#include "store/journal/ahead.h"

#include "store/record.h"

static void tell(const struct ahead *a, const struct ahead_block *b, bool near)
{
	for (size_t i = 0; i < b->n && a->soon; i++) {
		a->soon(a->arg, &b->lines[i].transition, near);
	}
}

static void decode(struct ahead *a, struct ahead_block *b)
{
	arena_reset(&b->arena);
	b->n = 0;
	while (b->n < AHEAD_LINES && a->rest.size > 0) {
		struct ahead_line *l = &b->lines[b->n];
		const char *newline = memchr(a->rest.data, '\n', a->rest.size);
		size_t size = newline ? (size_t)(newline - a->rest.data) : a->rest.size;

		l->text = bytes_of(a->rest.data, size);
		a->rest =
			bytes_of(l->text.data + size + !!newline, a->rest.size - size - !!newline);
		b->n += record_decode_ahead(&b->arena, l->text, &l->transition) == RECORD_OK;
	}
	tell(a, b, false);
}

static void step(struct ahead *a)
{
	struct ahead_block *last = &a->blocks[a->current];

	a->current ^= 1;
	a->next = 0;
	tell(a, &a->blocks[a->current], true);
	decode(a, last);
}

void ahead_init(
	struct ahead *a, void (*soon)(void *arg, const struct transition *t, bool near), void *arg)
{
	*a = (struct ahead){.soon = soon, .arg = arg};
}

void ahead_finish(struct ahead *a)
{
	arena_finish(&a->blocks[0].arena);
	arena_finish(&a->blocks[1].arena);
}

void ahead_begin(struct ahead *a, struct bytes lines)
{
	a->rest = lines;
	decode(a, &a->blocks[a->current ^ 1]);
	step(a);
}

const struct transition *ahead_take(struct ahead *a, struct bytes line)
{
	struct ahead_block *b = &a->blocks[a->current];

	if (a->next == b->n && a->blocks[a->current ^ 1].n > 0) {
		step(a);
		b = &a->blocks[a->current];
	}
	while (a->next < b->n && b->lines[a->next].text.data < line.data) {
		a->next++;
	}
	if (a->next == b->n || b->lines[a->next].text.data != line.data ||
		b->lines[a->next].text.size != line.size) {
		return NULL;
	}
	return &b->lines[a->next++].transition;
}
