/* SPDX-License-Identifier: MIT
 * Copyright (c) 2026 The cubbyfs authors */

#include "store/expiry.h"

#include "base/cleanup.h"
#include "store/node.h"

#include <errno.h>
#include <limits.h>
#include <stdlib.h>

/* Kept for the next ones. */
#define SPARE 64

static const struct deadline *deadline_of(const struct indexed *item)
{
	return container_of(item, const struct deadline, by_entry);
}

static uint32_t hash_entry(const struct entry *e)
{
	return hash_number(slab_ref_of(e));
}

static uint32_t hash_of_deadline(const struct indexed *item)
{
	return hash_entry(deadline_of(item)->entry);
}

int expiry_init(struct expiry *x)
{
	*x = (struct expiry){0};
	return index_init(&x->by_entry, hash_of_deadline);
}

static struct deadline *deadline_at(slab_ref ref)
{
	return slab_at(ref);
}

static void put_spare(struct expiry *x, struct deadline *d)
{
	d->by_entry.next = slab_ref_of(x->spare);
	x->spare = d;
	x->n_spare++;
}

static struct deadline *take_spare(struct expiry *x)
{
	struct deadline *d = x->spare;

	x->spare = deadline_at(d->by_entry.next);
	x->n_spare--;
	return d;
}

void expiry_trim(struct expiry *x)
{
	for (int i = 0; i < SPARE && x->n_spare > SPARE; i++) {
		slab_free(take_spare(x), sizeof(struct deadline));
	}
}

void expiry_finish(struct expiry *x)
{
	for (size_t i = 0; i < x->size; i++) {
		slab_free(deadline_at(x->heap[i].deadline), sizeof(struct deadline));
	}
	while (x->spare) {
		slab_free(take_spare(x), sizeof(struct deadline));
	}
	free(x->heap);
	index_finish(&x->by_entry);
	*x = (struct expiry){0};
}

int expiry_reserve(struct expiry *x, size_t n)
{
	size_t capacity = x->capacity ? x->capacity : 64;
	struct deadline *d;
	struct expiry_slot *heap;

	while (x->n_spare < n) {
		d = slab_allocate(sizeof(*d));
		if (!d) {
			return -ENOMEM;
		}
		put_spare(x, d);
	}
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

static void place(struct expiry *x, size_t i, struct expiry_slot d)
{
	x->heap[i] = d;
	deadline_at(d.deadline)->place = (uint32_t)i;
}

static void sift_up(struct expiry *x, size_t i, struct expiry_slot d)
{
	while (i > 0 && x->heap[(i - 1) / 2].at > d.at) {
		place(x, i, x->heap[(i - 1) / 2]);
		i = (i - 1) / 2;
	}
	place(x, i, d);
}

static void sift_down(struct expiry *x, size_t i, struct expiry_slot d)
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

static void settle(struct expiry *x, size_t i, struct expiry_slot d)
{
	if (i > 0 && x->heap[(i - 1) / 2].at > d.at) {
		sift_up(x, i, d);
	} else {
		sift_down(x, i, d);
	}
}

static struct deadline *find(const struct expiry *x, const struct entry *entry)
{
	struct indexed *item =
		entry->has_deadline ? index_first(&x->by_entry, hash_entry(entry)) : NULL;

	while (item && deadline_of(item)->entry != entry) {
		item = index_next(item);
	}
	return item ? container_of(item, struct deadline, by_entry) : NULL;
}

void expiry_set(struct expiry *x, struct entry *entry, int64_t at, int64_t ttl)
{
	struct deadline *d = find(x, entry);
	struct expiry_slot due = {.at = at};

	if (d) {
		d->at = at;
		d->ttl = ttl;
		due.deadline = slab_ref_of(d);
		settle(x, d->place, due);
		return;
	}
	d = take_spare(x);
	*d = (struct deadline){.at = at, .ttl = ttl, .entry = entry};
	entry->has_deadline = true;
	index_insert(&x->by_entry, &d->by_entry, hash_entry(entry));
	due.deadline = slab_ref_of(d);
	sift_up(x, x->size++, due);
}

void expiry_set_lock(struct expiry *x, const struct entry *entry, struct lock *lock)
{
	find(x, entry)->lock = lock;
}

void expiry_clear(struct expiry *x, struct entry *entry)
{
	struct deadline *d = find(x, entry);
	size_t i;

	if (!d) {
		return;
	}
	i = d->place;
	entry->has_deadline = false;
	index_remove(&x->by_entry, &d->by_entry, hash_entry(entry));
	put_spare(x, d);
	x->size--;
	if (i < x->size) {
		settle(x, i, x->heap[x->size]);
	}
}

const struct deadline *expiry_get(const struct expiry *x, const struct entry *entry)
{
	return find(x, entry);
}

const struct deadline *expiry_first(const struct expiry *x)
{
	return x->size ? deadline_at(x->heap[0].deadline) : NULL;
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
		fn(arg, deadline_at(x->heap[i].deadline)->entry);
		for (size_t c = child; c < x->size && c <= child + 1; c++) {
			stack[depth++] = c;
		}
	}
}

void expiry_shift(struct expiry *x, int64_t offset)
{
	for (size_t i = 0; i < x->size; i++) {
		x->heap[i].at -= offset;
		deadline_at(x->heap[i].deadline)->at -= offset;
	}
}
