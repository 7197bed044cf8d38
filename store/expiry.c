/* SPDX-License-Identifier: MIT
 * Copyright (c) 2026 The cubbyfs authors */

#include "store/expiry.h"

#include "store/node.h"

#include <errno.h>
#include <limits.h>
#include <stdlib.h>

/* entry->timer is the index plus one; 0 says that there is no deadline. */

void expiry_finish(struct expiry *x)
{
	free(x->heap);
	*x = (struct expiry){0};
}

int expiry_reserve(struct expiry *x, size_t n)
{
	size_t capacity = x->capacity ? x->capacity : 64;
	struct deadline *heap;

	if (x->size + n <= x->capacity) {
		return 0;
	}
	while (capacity < x->size + n) {
		capacity *= 2;
	}
	heap = realloc(x->heap, capacity * sizeof(*heap));
	if (!heap) {
		return -ENOMEM;
	}
	x->heap = heap;
	x->capacity = capacity;
	return 0;
}

static void place(struct expiry *x, size_t i, struct deadline d)
{
	x->heap[i] = d;
	d.entry->timer = (uint32_t)i + 1;
}

static void sift_up(struct expiry *x, size_t i, struct deadline d)
{
	while (i > 0 && x->heap[(i - 1) / 2].at > d.at) {
		place(x, i, x->heap[(i - 1) / 2]);
		i = (i - 1) / 2;
	}
	place(x, i, d);
}

static void sift_down(struct expiry *x, size_t i, struct deadline d)
{
	for (;;) {
		size_t child = 2 * i + 1;

		if (child >= x->size) {
			break;
		}
		if (child + 1 < x->size && x->heap[child + 1].at < x->heap[child].at) {
			child++;
		}
		if (x->heap[child].at >= d.at) {
			break;
		}
		place(x, i, x->heap[child]);
		i = child;
	}
	place(x, i, d);
}

static void settle(struct expiry *x, size_t i, struct deadline d)
{
	if (i > 0 && x->heap[(i - 1) / 2].at > d.at) {
		sift_up(x, i, d);
	} else {
		sift_down(x, i, d);
	}
}

void expiry_set(struct expiry *x, struct entry *entry, int64_t at, int64_t ttl)
{
	struct deadline d = {.at = at, .ttl = ttl, .entry = entry};

	if (entry->timer) {
		d.lock = x->heap[entry->timer - 1].lock;
		settle(x, entry->timer - 1, d);
	} else {
		sift_up(x, x->size++, d);
	}
}

void expiry_set_lock(struct expiry *x, const struct entry *entry, struct lock *lock)
{
	x->heap[entry->timer - 1].lock = lock;
}

void expiry_clear(struct expiry *x, struct entry *entry)
{
	size_t i;

	if (!entry->timer) {
		return;
	}
	i = entry->timer - 1;
	entry->timer = 0;
	x->size--;
	if (i < x->size) {
		settle(x, i, x->heap[x->size]);
	}
}

const struct deadline *expiry_get(const struct expiry *x, const struct entry *entry)
{
	return entry->timer ? &x->heap[entry->timer - 1] : NULL;
}

const struct deadline *expiry_first(const struct expiry *x)
{
	return x->size ? &x->heap[0] : NULL;
}

void expiry_due(const struct expiry *x, int64_t now, size_t limit,
	void (*fn)(void *arg, const struct entry *e), void *arg)
{
	size_t stack[2 * CHAR_BIT * sizeof(size_t)], depth = 0;

	if (x->size > 0) {
		stack[depth++] = 0;
	}
	while (depth > 0 && limit-- > 0) {
		size_t i = stack[--depth], child = 2 * i + 1;

		/* What is below one that is not due is not due either. */
		if (x->heap[i].at > now) {
			continue;
		}
		fn(arg, x->heap[i].entry);
		for (size_t c = child; c < x->size && c <= child + 1; c++) {
			stack[depth++] = c;
		}
	}
}

void expiry_shift(struct expiry *x, int64_t offset)
{
	for (size_t i = 0; i < x->size; i++) {
		x->heap[i].at -= offset;
	}
}
