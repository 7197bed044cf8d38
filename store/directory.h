/* SPDX-License-Identifier: MIT
 * Copyright (c) 2026 The cubbyfs authors */

/* A namespace: the names in it.
 *
 * They are in a hash table, and are listed in the order of their hashes' bits read backwards. That
 * order does not change when the table grows (O. Shalev, N. Shavit, "Split-ordered lists", 2006),
 * and it follows from the names alone: so a cookie, which is a place in it (readdir's
 * offset), is good for any table with the same key (base/hash.h), be it of another process that has
 * made it of a snapshot. Entries are borrowed: they are the tree's. */
#pragma once

#include "base/bytes.h"
#include "base/index.h"
#include "store/policy.h"

#include <stddef.h>
#include <stdint.h>

struct entry;

struct directory {
	struct index names; /* without buckets as long as it has had none */
	uint64_t low;       /* no name is before this place */
	uint32_t n_directories;
	uint32_t n_pending;    /* keys that are being made in it */
	uint32_t reach;        /* no path below it is longer; 0: it is empty */
	uint64_t bytes;        /* node_bytes of all nodes that have their first name in it */
	struct policy *policy; /* NULL: none */
	char *hint; /* replay: where it was, if its own line has not been seen; else NULL */
};

/* NULL without memory. */
struct directory *directory_create(void);
/* NULL is fine. */
void directory_destroy(struct directory *d);

/* How many names there are. */
static inline size_t directory_size(const struct directory *d)
{
	return d->names.n_items;
}

/* Room for names. 0 or -ENOMEM. */
int directory_reserve(struct directory *d);
/* There must be room, and no such name. */
void directory_add(struct directory *d, struct entry *e);
void directory_remove(struct directory *d, struct entry *e);

/* NULL: there is none. */
struct entry *directory_find(const struct directory *d, struct bytes name);
/* Ahead of that: see index_prefetch. `near`: of what is first in the bucket. */
void directory_prefetch(const struct directory *d, struct bytes name, bool near);

/* The first entry at a place after `cookie` (0: of all), or NULL. Several have one place only
 * by a chance of one in 2^62. */
struct entry *directory_next(struct directory *d, uint64_t cookie);
/* The one after `e`, which is in it; or NULL. */
struct entry *directory_after(struct directory *d, const struct entry *e);
/* What directory_next goes on from after `e`. Where another with the same place comes after it
 * that is the one before, so that both are met twice rather than one of them never. */
uint64_t directory_cookie(const struct entry *e);
