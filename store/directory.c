/* SPDX-License-Identifier: MIT
 * Copyright (c) 2026 The cubbyfs authors */

/* Names are sorted by cookie, because they are only ever added at the end. They are in groups,
 * each of which knows the least cookie that can be in it: a name takes four bytes, one is found
 * without a look at others but those of its group, and one that goes moves no more than its group.
 * A group that has become empty stays, as a signpost. When half of the room is not used, the
 * names are put together again. */
#include "store/directory.h"

#include "store/node.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define GROUP 61
#define FIRST_CAPACITY 4

struct directory_group {
	uint64_t first; /* cookie; those in it are not below, those in the one before are */
	uint32_t n;
	slab_ref entries[GROUP]; /* in the last group as many as there is room for */
};

struct directory *directory_create(void)
{
	struct directory *d = slab_allocate(sizeof(*d));

	if (d) {
		d->next_cookie = 1;
	}
	return d;
}

void directory_destroy(struct directory *d)
{
	if (d) {
		policy_destroy(d->policy);
		free(d->groups);
		free(d->hint);
		slab_free(d, sizeof(*d));
	}
}

static struct entry *entry_at(const struct directory_group *g, uint32_t i)
{
	return slab_at(g->entries[i]);
}

/* --- looking ------------------------------------------------------------- */

/* How many groups begin at or before a cookie. */
static size_t groups_before(const struct directory *d, uint64_t cookie)
{
	size_t low = 0, high = d->n_groups;

	while (low < high) {
		size_t middle = low + (high - low) / 2;

		if (d->groups[middle].first <= cookie) {
			low = middle + 1;
		} else {
			high = middle;
		}
	}
	return low;
}

/* The place in a group of the first entry after a cookie. */
static uint32_t place_after(const struct directory_group *g, uint64_t cookie)
{
	uint32_t low = 0, high = g->n;

	while (low < high) {
		uint32_t middle = low + (high - low) / 2;

		if (entry_cookie(entry_at(g, middle)) <= cookie) {
			low = middle + 1;
		} else {
			high = middle;
		}
	}
	return low;
}

struct entry *directory_next(const struct directory *d, uint64_t cookie)
{
	size_t i = groups_before(d, cookie);
	uint32_t place = i > 0 ? place_after(&d->groups[i - 1], cookie) : 0;

	if (i > 0 && place < d->groups[i - 1].n) {
		return entry_at(&d->groups[i - 1], place);
	}
	while (i < d->n_groups && d->groups[i].n == 0) {
		i++;
	}
	return i < d->n_groups ? entry_at(&d->groups[i], 0) : NULL;
}

struct entry *directory_last(const struct directory *d)
{
	size_t i = d->n_groups;

	while (i > 0 && d->groups[i - 1].n == 0) {
		i--;
	}
	return i > 0 ? entry_at(&d->groups[i - 1], d->groups[i - 1].n - 1) : NULL;
}

size_t directory_size(const struct directory *d)
{
	return d->n_groups * GROUP;
}

/* --- changing ------------------------------------------------------------ */

/* Of a group with room for n. */
static size_t group_bytes(size_t n)
{
	return offsetof(struct directory_group, entries) + n * sizeof(slab_ref);
}

static size_t bytes_for(size_t capacity)
{
	size_t rest = capacity % GROUP;

	return capacity / GROUP * sizeof(struct directory_group) + (rest ? group_bytes(rest) : 0);
}

int directory_reserve(struct directory *d, size_t n)
{
	size_t used = d->n_groups ? (d->n_groups - 1) * GROUP + d->groups[d->n_groups - 1].n : 0;
	size_t capacity = d->capacity ? d->capacity : FIRST_CAPACITY;
	struct directory_group *groups;

	if (used + n <= d->capacity) {
		return 0;
	}
	while (capacity < used + n) {
		capacity *= 2;
	}
	groups = realloc(d->groups, bytes_for(capacity));
	if (!groups) {
		return -ENOMEM;
	}
	d->groups = groups;
	d->capacity = capacity;
	return 0;
}

/* At the end. */
static void put(struct directory *d, struct entry *e)
{
	struct directory_group *g = d->n_groups ? &d->groups[d->n_groups - 1] : NULL;

	if (!g || g->n == GROUP) {
		g = &d->groups[d->n_groups++];
		g->first = entry_cookie(e);
		g->n = 0;
	}
	g->entries[g->n++] = slab_ref_of(e);
}

void directory_add(struct directory *d, struct entry *e)
{
	e->cookie_low = (uint32_t)d->next_cookie;
	e->cookie_high = (uint16_t)(d->next_cookie >> 32);
	d->next_cookie++;
	d->n_live++;
	put(d, e);
}

static void close_up(struct directory *d)
{
	size_t n_groups = d->n_groups;

	d->n_groups = 0;
	for (size_t i = 0; i < n_groups; i++) {
		/* What is put is never ahead of what is taken, but may be in its group. */
		struct directory_group from;

		memcpy(&from, &d->groups[i], group_bytes(d->groups[i].n));
		for (uint32_t k = 0; k < from.n; k++) {
			put(d, entry_at(&from, k));
		}
	}
}

void directory_remove(struct directory *d, const struct entry *e)
{
	struct directory_group *g = &d->groups[groups_before(d, entry_cookie(e)) - 1];
	uint32_t place = place_after(g, entry_cookie(e)) - 1;

	g->n--;
	memmove(g->entries + place, g->entries + place + 1, (g->n - place) * sizeof(slab_ref));
	d->n_live--;
	while (d->n_groups > 0 && d->groups[d->n_groups - 1].n == 0) {
		d->n_groups--;
	}
	if (d->n_groups > 1 && d->n_live < d->n_groups * GROUP / 2) {
		close_up(d);
	}
}
