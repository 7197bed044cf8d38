/* SPDX-License-Identifier: MIT
 * Copyright (c) 2026 The cubbyfs authors */

/* Owners are in pages that stay where they are, so that the table of pairs can link them. A
 * page is made when the numbers before it are all in use, and kept. */
#include "store/owner.h"

#include "base/cleanup.h"
#include "base/table.h"

#include <errno.h>
#include <stdbool.h>
#include <stdlib.h>

#define PAGE 256
#define N_PAGES ((1u << OWNER_BITS) / PAGE)

struct owner {
	struct table_link by_pair;
	uint32_t number;
	uint32_t uid, gid;
	uint32_t refs;
	uint32_t next_free; /* if it has no users: another such; 0: there is none */
};

static struct owner *pages[N_PAGES]; /* most of it is never touched */
static uint32_t n_pages, first_free;
static struct table by_pair;

static struct owner *owner_at(uint32_t number)
{
	return &pages[number / PAGE][number % PAGE];
}

static uint32_t hash_pair(uint32_t uid, uint32_t gid)
{
	return hash_number((uint64_t)uid << 32 | gid);
}

static bool new_page(void)
{
	struct owner *page;

	if (n_pages == N_PAGES || (!by_pair.buckets && table_init(&by_pair))) {
		return false;
	}
	page = calloc(PAGE, sizeof(*page));
	if (!page) {
		return false;
	}
	for (uint32_t i = PAGE; i-- > 0;) {
		page[i].number = n_pages * PAGE + i;
		if (page[i].number != OWNER_ROOT) {
			page[i].next_free = first_free;
			first_free = page[i].number;
		}
	}
	pages[n_pages++] = page;
	return true;
}

static struct owner *find(uint32_t uid, uint32_t gid)
{
	struct table_link *l = by_pair.buckets ? table_first(&by_pair, hash_pair(uid, gid)) : NULL;

	for (; l; l = table_next(l)) {
		struct owner *o = container_of(l, struct owner, by_pair);

		if (o->uid == uid && o->gid == gid) {
			return o;
		}
	}
	return NULL;
}

int owner_get(uint32_t uid, uint32_t gid, uint32_t *out)
{
	struct owner *o;

	if (uid == 0 && gid == 0) {
		*out = OWNER_ROOT;
		return 0;
	}
	o = find(uid, gid);
	if (!o) {
		if (!first_free && !new_page()) {
			return -ENOMEM;
		}
		o = owner_at(first_free);
		first_free = o->next_free;
		o->uid = uid;
		o->gid = gid;
		table_insert(&by_pair, &o->by_pair, hash_pair(uid, gid));
	}
	o->refs++;
	*out = o->number;
	return 0;
}

uint32_t owner_ref(uint32_t owner)
{
	if (owner != OWNER_ROOT) {
		owner_at(owner)->refs++;
	}
	return owner;
}

void owner_unref(uint32_t owner)
{
	struct owner *o = owner != OWNER_ROOT ? owner_at(owner) : NULL;

	if (o && --o->refs == 0) {
		table_remove(&by_pair, &o->by_pair);
		o->next_free = first_free;
		first_free = owner;
	}
}

uint32_t owner_uid(uint32_t owner)
{
	return owner != OWNER_ROOT ? owner_at(owner)->uid : 0;
}

uint32_t owner_gid(uint32_t owner)
{
	return owner != OWNER_ROOT ? owner_at(owner)->gid : 0;
}
