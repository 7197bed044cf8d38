/* SPDX-License-Identifier: MIT
 * Copyright (c) 2026 The cubbyfs authors */

/* See base/table.c for the method. */
#include "base/index.h"

#include "base/linear_hash.h"

#include <errno.h>
#include <stdlib.h>

#define FIRST_CAPACITY 4
/* Buckets for an item that index_trim leaves; and how many it gives up at once, if an
 * index_expect has expected too much. */
#define MOST_BUCKETS 2
#define TRIM_MOST 16

int index_init(struct index *x, uint32_t (*hash)(const struct indexed *item))
{
	*x = (struct index){.hash = hash};
	x->buckets = malloc(FIRST_CAPACITY * sizeof(slab_ref));
	if (!x->buckets) {
		return -ENOMEM;
	}
	x->buckets[0] = 0;
	x->n_buckets = 1;
	x->capacity = FIRST_CAPACITY;
	return 0;
}

void index_finish(struct index *x)
{
	free(x->buckets);
	*x = (struct index){0};
}

static void split_one(struct index *x)
{
	size_t fresh = x->n_buckets;
	slab_ref *buckets, *from, *to;
	struct indexed *item;
	size_t mask;

	if (fresh >= UINT32_MAX) {
		return; /* no more bits to tell items apart by */
	}
	if (fresh == x->capacity) {
		buckets = realloc(x->buckets, x->capacity * 2 * sizeof(slab_ref));
		if (!buckets) {
			return;
		}
		x->buckets = buckets;
		x->capacity *= 2;
	}
	x->n_buckets++;
	mask = linear_hash_mask(x->n_buckets);
	from = &x->buckets[fresh & (mask >> 1)];
	to = &x->buckets[fresh];
	*to = 0;
	while ((item = slab_at(*from))) {
		if ((x->hash(item) & mask) == fresh) {
			*to = *from;
			to = &item->next;
			*from = item->next;
			*to = 0;
		} else {
			from = &item->next;
		}
	}
}

void index_expect(struct index *x, size_t n)
{
	size_t before = 0;

	while (x->n_buckets < n && x->n_buckets > before) {
		before = x->n_buckets;
		split_one(x);
	}
}

void index_insert(struct index *x, struct indexed *item, uint32_t hash)
{
	slab_ref *bucket;

	if (x->n_items >= x->n_buckets) {
		split_one(x);
	}
	bucket = &x->buckets[linear_hash_bucket(x->n_buckets, hash)];
	item->next = *bucket;
	*bucket = slab_ref_of(item);
	x->n_items++;
}

void index_remove(struct index *x, struct indexed *item, uint32_t hash)
{
	slab_ref *at = &x->buckets[linear_hash_bucket(x->n_buckets, hash)], wanted = slab_ref_of(item);

	while (*at && *at != wanted) {
		at = &((struct indexed *)slab_at(*at))->next;
	}
	if (*at) {
		*at = item->next;
		item->next = 0;
		x->n_items--;
	}
}

/* Undoes the last split_one. */
static void merge_one(struct index *x)
{
	size_t last = x->n_buckets - 1;
	slab_ref *into = &x->buckets[last & (linear_hash_mask(x->n_buckets) >> 1)];
	slab_ref *end = &x->buckets[last], *buckets;

	while (*end) {
		end = &((struct indexed *)slab_at(*end))->next;
	}
	*end = *into;
	*into = x->buckets[last];
	x->n_buckets = last;
	if (x->capacity > FIRST_CAPACITY && x->n_buckets <= x->capacity / 4) {
		buckets = realloc(x->buckets, x->capacity / 2 * sizeof(slab_ref));
		if (buckets) {
			x->buckets = buckets;
			x->capacity /= 2;
		}
	}
}

void index_trim(struct index *x)
{
	for (unsigned i = 0;
		i < TRIM_MOST && x->n_buckets > 1 && x->n_buckets > MOST_BUCKETS * x->n_items;
		i++) {
		merge_one(x);
	}
}

struct indexed *index_first(const struct index *x, uint32_t hash)
{
	return slab_at(x->buckets[linear_hash_bucket(x->n_buckets, hash)]);
}

void index_prefetch(const struct index *x, uint32_t hash)
{
	__builtin_prefetch(&x->buckets[linear_hash_bucket(x->n_buckets, hash)]);
}

void index_prefetch_first(const struct index *x, uint32_t hash)
{
	__builtin_prefetch(index_first(x, hash));
}

struct indexed *index_bucket(const struct index *x, size_t bucket)
{
	return bucket < x->n_buckets ? slab_at(x->buckets[bucket]) : NULL;
}
