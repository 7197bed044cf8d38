/* SPDX-License-Identifier: MIT
 * Copyright (c) 2026 The cubbyfs authors */

/* Linear hashing (linear_hash.h).
 *
 * With n buckets in use, and 2^k the smallest power of two that is not below
 * n, an item lives in bucket `hash mod 2^k`, or, where there is no such bucket
 * yet, in `hash mod 2^(k-1)`. To grow by one bucket is to split bucket
 * n - 2^(k-1) between itself and the new bucket n: one chain is touched,
 * however many items there are. The array itself doubles by realloc, which
 * for large blocks is mremap(2) and moves page tables, not pages; what is
 * allocated beyond n is not touched before it is used.
 *
 * A table never shrinks: that keeps the walk's promise (see table_bucket) and
 * a state that was large once will be again. */
#include "base/table.h"

#include "base/linear_hash.h"

#include <errno.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#define FIRST_CAPACITY 16

int table_init(struct table *t)
{
	*t = (struct table){0};
	t->buckets = malloc(FIRST_CAPACITY * sizeof(struct table_link *));
	if (!t->buckets) {
		return -ENOMEM;
	}
	t->buckets[0] = NULL;
	t->n_buckets = 1;
	t->capacity = FIRST_CAPACITY;
	return 0;
}

void table_finish(struct table *t)
{
	free(t->buckets);
	*t = (struct table){0};
}

static void split_one(struct table *t)
{
	size_t fresh = t->n_buckets;
	struct table_link **buckets;
	struct table_link **from, **to;
	size_t mask;

	if (fresh >= UINT32_MAX) {
		return; /* no more bits to tell items apart by */
	}
	if (fresh == t->capacity) {
		buckets = realloc(t->buckets, t->capacity * 2 * sizeof(struct table_link *));
		if (!buckets) {
			return;
		}
		t->buckets = buckets;
		t->capacity *= 2;
	}
	t->n_buckets++;
	mask = linear_hash_mask(t->n_buckets);
	from = &t->buckets[fresh & (mask >> 1)];
	to = &t->buckets[fresh];
	*to = NULL;
	while (*from) {
		struct table_link *link = *from;

		if ((link->hash & mask) == fresh) {
			*from = link->next;
			link->next = NULL;
			*to = link;
			to = &link->next;
		} else {
			from = &link->next;
		}
	}
}

void table_insert(struct table *t, struct table_link *link, uint32_t hash)
{
	size_t bucket;

	if (t->n_items >= t->n_buckets) {
		split_one(t);
	}
	bucket = linear_hash_bucket(t->n_buckets, hash);
	link->hash = hash;
	link->next = t->buckets[bucket];
	t->buckets[bucket] = link;
	t->n_items++;
}

void table_remove(struct table *t, struct table_link *link)
{
	struct table_link **at = &t->buckets[linear_hash_bucket(t->n_buckets, link->hash)];

	while (*at && *at != link) {
		at = &(*at)->next;
	}
	if (*at) {
		*at = link->next;
		link->next = NULL;
		t->n_items--;
	}
}

static struct table_link *same_hash(struct table_link *link, uint32_t hash)
{
	while (link && link->hash != hash) {
		link = link->next;
	}
	return link;
}

struct table_link *table_first(const struct table *t, uint32_t hash)
{
	return same_hash(t->buckets[linear_hash_bucket(t->n_buckets, hash)], hash);
}

struct table_link *table_next(const struct table_link *link)
{
	return same_hash(link->next, link->hash);
}

struct table_link *table_bucket(const struct table *t, size_t bucket)
{
	return bucket < t->n_buckets ? t->buckets[bucket] : NULL;
}
