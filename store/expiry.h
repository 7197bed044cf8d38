/* SPDX-License-Identifier: MIT
 * Copyright (c) 2026 The cubbyfs authors */

/* Deadlines of names, soonest first: a binary heap of deadlines, which know their
 * place in it, so that one is changed or taken away in O(log n). A name only says whether
 * it has one (there are many more that have none); which it is, an index tells.
 *
 * Names are borrowed: the tree takes an entry's deadline away before it frees
 * the entry. Times are on the tree's scale (see tree.h). */
#pragma once

#include "base/index.h"

#include <stddef.h>
#include <stdint.h>

struct entry;
struct lock;

/* For what is kept alive from outside. */
#define DEADLINE_NEVER (INT64_MAX / 8 * 7)

struct deadline {
	struct indexed by_entry;
	uint32_t place; /* in the heap */
	int64_t at;
	int64_t ttl; /* what touch(1) starts anew */
	struct entry *entry;
	struct lock *lock; /* that the name is; NULL: an ordinary name. Not owned here */
};

struct expiry_slot {
	int64_t at;
	slab_ref deadline;
};

struct expiry {
	struct expiry_slot *heap;
	size_t size, capacity;
	struct index by_entry;
	struct deadline *spare; /* for expiry_set; linked by by_entry.next */
	size_t n_spare;
};

/* 0 or -ENOMEM. */
int expiry_init(struct expiry *x);

void expiry_finish(struct expiry *x);

/* Room for n more, so that expiry_set cannot fail as long as there are no more than that. 0 or
 * -ENOMEM. */
int expiry_reserve(struct expiry *x, size_t n);
/* Gives room back that deadlines have left, some of it at a time. */
void expiry_trim(struct expiry *x);

/* Sets or moves the deadline of an entry; a lock stays what it is. */
void expiry_set(struct expiry *x, struct entry *entry, int64_t at, int64_t ttl);

/* Says which lock the entry is, or (NULL) that it is none. It has a deadline. */
void expiry_set_lock(struct expiry *x, const struct entry *entry, struct lock *lock);

/* Takes it away, if it has one. */
void expiry_clear(struct expiry *x, struct entry *entry);

/* Its deadline, or NULL. Borrowed until the next change. */
const struct deadline *expiry_get(const struct expiry *x, const struct entry *entry);

/* The soonest, or NULL. */
const struct deadline *expiry_first(const struct expiry *x);

/* Calls fn for those that are due at `now`, in no order, as long as it has not looked at
 * more than `limit` deadlines. */
void expiry_due(const struct expiry *x, int64_t now, size_t limit,
	void (*fn)(void *arg, const struct entry *e), void *arg);

/* Subtracts `offset` from every deadline. */
void expiry_shift(struct expiry *x, int64_t offset);
