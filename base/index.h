/* SPDX-License-Identifier: MIT
 * Copyright (c) 2026 The cubbyfs authors */

/* base/table.h's linear hashing once more, for objects of base/slab.h: a bucket and a link
 * take four bytes each, and hashes are not kept but made again when a bucket is split. It
 * never pauses, whatever its size, and shrinks only if it is told to.
 *
 * It owns its bucket array and nothing else. An item begins with a struct indexed. */
#pragma once

#include "base/slab.h"

struct indexed {
	slab_ref next;
};

struct index {
	slab_ref *buckets;
	size_t n_buckets; /* in use */
	size_t capacity;  /* allocated */
	size_t n_items;
	uint32_t (*hash)(const struct indexed *item);
};

/* 0 or -ENOMEM. */
int index_init(struct index *x, uint32_t (*hash)(const struct indexed *item));
void index_finish(struct index *x);

/* So many items will come, so that buckets need not be split one by one among them. Takes
 * time and memory for so many buckets; a hint. */
void index_expect(struct index *x, size_t n);

/* Never fails: without memory to grow, chains get longer. */
void index_insert(struct index *x, struct indexed *item, uint32_t hash);
void index_remove(struct index *x, struct indexed *item, uint32_t hash);

/* After an index_remove: gives up some buckets, if there are more than two for an item. Called
 * after each, it keeps a table as small as what is in it; but items move to lower buckets, so
 * index_bucket's promise is void. */
void index_trim(struct index *x);

/* What is in the bucket of a hash, the caller tells which is meant: the first item, and the
 * one after; NULL at the end. */
struct indexed *index_first(const struct index *x, uint32_t hash);
static inline struct indexed *index_next(const struct indexed *item)
{
	return slab_at(item->next);
}

/* Ahead of an index_first: fetches the bucket into the cache; and then, some time later, what
 * is first in it. */
void index_prefetch(const struct index *x, uint32_t hash);
void index_prefetch_first(const struct index *x, uint32_t hash);

/* For a walk over everything, with the promise of table_bucket. */
struct indexed *index_bucket(const struct index *x, size_t bucket);
