/* SPDX-License-Identifier: MIT
 * Copyright (c) 2026 The cubbyfs authors */

/* A bucket of the table has the hashes with the same lowest bits: read backwards, a range of
 * places. To split it is to halve the range. So a listing goes from range to range, and in each
 * takes the next place that is in its bucket. */
#include "store/directory.h"

#include "base/cleanup.h"
#include "base/hash.h"
#include "base/linear_hash.h"
#include "store/node.h"

#include <errno.h>
#include <stdlib.h>

/* Places are from 1 to 2^62: an off_t, with some to spare for the front end. */
#define PLACE_BITS 62
#define LAST_PLACE (UINT64_C(1) << PLACE_BITS)

static struct entry *entry_of(struct indexed *item)
{
	return container_of(item, struct entry, by_name);
}

static uint64_t hash_of_name(struct bytes name)
{
	return hash_bytes(name.data, name.size);
}

static uint32_t hash_of_entry(const struct indexed *item)
{
	return (uint32_t)hash_of_name(entry_name(container_of(item, const struct entry, by_name)));
}

struct directory *directory_create(void)
{
	return slab_allocate(sizeof(struct directory));
}

void directory_destroy(struct directory *d)
{
	if (d) {
		policy_destroy(d->policy);
		index_finish(&d->names);
		free(d->hint);
		slab_free(d, sizeof(*d));
	}
}

/* --- places -------------------------------------------------------------- */

/* Swaps the neighbouring groups of so many bits; `low` has the lower one of each pair. */
static uint64_t swap(uint64_t bits, unsigned by, uint64_t low)
{
	return (bits & low) << by | (bits >> by & low);
}

static uint64_t backwards(uint64_t bits)
{
	bits = swap(bits, 1, UINT64_C(0x5555555555555555));
	bits = swap(bits, 2, UINT64_C(0x3333333333333333));
	bits = swap(bits, 4, UINT64_C(0x0f0f0f0f0f0f0f0f));
	return __builtin_bswap64(bits);
}

static uint64_t place_of_hash(uint64_t hash)
{
	return (backwards(hash) >> (64 - PLACE_BITS)) + 1;
}

static uint64_t place_of(const struct entry *e)
{
	return place_of_hash(hash_of_name(entry_name(e)));
}

/* A hash that has the place, but for the highest bits. */
static uint32_t hash_at(uint64_t place)
{
	return (uint32_t)backwards((place - 1) << (64 - PLACE_BITS));
}

/* The last place of those whose hashes end like the one of this place, where so many bits tell
 * buckets apart. */
static uint64_t end_of_range(uint64_t place, size_t mask)
{
	unsigned bits = (unsigned)__builtin_popcountl(mask);

	return ((place - 1) | ((LAST_PLACE >> bits) - 1)) + 1;
}

static struct entry *same_place(struct indexed *item, uint64_t place)
{
	while (item && place_of(entry_of(item)) != place) {
		item = index_next(item);
	}
	return item ? entry_of(item) : NULL;
}

/* The next one in the bucket that has the same place. */
static struct entry *twin(const struct entry *e)
{
	struct indexed *rest = index_next(&e->by_name);

	return rest ? same_place(rest, place_of(e)) : NULL;
}

struct entry *directory_next(struct directory *d, uint64_t cookie)
{
	uint64_t from = cookie < d->low ? d->low : cookie + 1, best = 0;
	size_t mask = linear_hash_mask(d->names.n_buckets);
	struct entry *found = NULL;

	if (d->names.n_items == 0 || cookie >= LAST_PLACE) {
		return NULL;
	}
	for (uint64_t at = from; !found && at <= LAST_PLACE; at = end_of_range(at, mask) + 1) {
		for (struct indexed *item = index_first(&d->names, hash_at(at)); item;
			item = index_next(item)) {
			uint64_t place = place_of(entry_of(item));

			if (place >= from && (!found || place < best)) {
				found = entry_of(item);
				best = place;
			}
		}
	}
	if (found && from == d->low) {
		d->low = best;
	}
	return found;
}

struct entry *directory_after(struct directory *d, const struct entry *e)
{
	struct entry *other = twin(e);

	return other ? other : directory_next(d, place_of(e));
}

uint64_t directory_cookie(const struct entry *e)
{
	return place_of(e) - (twin(e) != NULL);
}

/* --- names --------------------------------------------------------------- */

struct entry *directory_find(const struct directory *d, struct bytes name)
{
	struct indexed *item = NULL;

	if (d->names.n_items > 0) {
		item = index_first(&d->names, (uint32_t)hash_of_name(name));
	}
	while (item && !bytes_equal(entry_name(entry_of(item)), name)) {
		item = index_next(item);
	}
	return item ? entry_of(item) : NULL;
}

void directory_prefetch(const struct directory *d, struct bytes name, bool near)
{
	if (d->names.n_items == 0) {
		return;
	}
	if (near) {
		index_prefetch_first(&d->names, (uint32_t)hash_of_name(name));
	} else {
		index_prefetch(&d->names, (uint32_t)hash_of_name(name));
	}
}

int directory_reserve(struct directory *d)
{
	return d->names.n_buckets > 0 ? 0 : index_init(&d->names, hash_of_entry);
}

void directory_add(struct directory *d, struct entry *e)
{
	uint64_t hash = hash_of_name(entry_name(e)), place = place_of_hash(hash);

	d->low = d->names.n_items == 0 || place < d->low ? place : d->low;
	index_insert(&d->names, &e->by_name, (uint32_t)hash);
}

void directory_remove(struct directory *d, struct entry *e)
{
	index_remove(&d->names, &e->by_name, hash_of_entry(&e->by_name));
	index_trim(&d->names);
}
