/* SPDX-License-Identifier: MIT
 * Copyright (c) 2026 The cubbyfs authors */

/* An intrusive hash table that never pauses: linear hashing (Litwin 1980)
 * splits one bucket for each insertion past the load factor, so no insertion
 * ever moves more than one bucket's items, at any size.
 *
 * The table owns its bucket array and nothing else. Items embed a table_link;
 * equal hashes are told apart by the caller, who walks the bucket. */
#pragma once

#include "base/hash.h"

#include <stddef.h>
#include <stdint.h>

struct table_link {
	struct table_link *next;
	uint32_t hash;
};

struct table {
	struct table_link **buckets;
	size_t n_buckets; /* in use */
	size_t capacity;  /* allocated */
	size_t n_items;
};

/* 0 or -ENOMEM. */
int table_init(struct table *t);
void table_finish(struct table *t);

/* Never fails: without memory to grow, chains get longer. */
void table_insert(struct table *t, struct table_link *link, uint32_t hash);
void table_remove(struct table *t, struct table_link *link);

/* The first link with this hash, and the next one after `link`; NULL at the end. */
struct table_link *table_first(const struct table *t, uint32_t hash);
struct table_link *table_next(const struct table_link *link);

/* Bucket heads for a walk over everything. Items only ever move to higher
 * buckets, so a walk from 0 upwards to the table's current n_buckets meets
 * each item that stays in the table at least once, whatever is inserted or
 * removed between two buckets. */
struct table_link *table_bucket(const struct table *t, size_t bucket);
