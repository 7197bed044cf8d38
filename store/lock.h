/* SPDX-License-Identifier: MIT
 * Copyright (c) 2026 The cubbyfs authors */

/* Locks: names that were made exclusively in a lock namespace (design 1.5).
 *
 * A lock is a lease of a name: it has a deadline (expiry.h), and this besides.
 * The tree owns it with the entry, and finds it by its token too. It ends with
 * the name, or when the name is made permanent. */
#pragma once

#include "base/table.h"
#include "store/transition.h"

#include <stdint.h>

struct entry;
struct node;
struct op;
struct store;
struct tree;

struct lock {
	struct table_link by_token;
	struct entry *entry; /* the name; borrowed */
	uint64_t token;
	bool keepalive; /* the TTL runs from the end of the holder, and */
	bool lives;	/* that has not come, so there is no deadline */
	bool watched;	/* and will be told */
	bool is_ending; /* keepalive: its TTL has begun, and the log is being told */
	uint16_t holder_size;
	char holder[];
};

#define LOCK_HOLDER_MAX 1024

/* A holder that is too long is cut. NULL without memory. */
struct lock *lock_create(const struct holding *h);
/* One that is in no tree (tree_clear_deadline). NULL is fine. */
void lock_destroy(struct lock *l);

struct bytes lock_holder(const struct lock *l);

/* --- in the tree --------------------------------------------------------- */

/* The lock that a name is, or NULL. */
struct lock *tree_lock(const struct tree *t, const struct entry *e);

/* The lock that a node has the name of: the newest that has not expired, or NULL.
 * A node that has several names can be several locks. */
struct lock *tree_lock_of(const struct tree *t, const struct node *n, int64_t elapsed);

/* The name of `n` that is the lock with this token, if that has not expired. */
struct entry *tree_lock_by_token(const struct tree *t, const struct node *n, uint64_t token,
	int64_t elapsed);

/* --- taking, for plans ------------------------------------------------------ */

/* An exclusive creation of `name`: in a lock namespace c, which makes the name, takes
 * a lock too. 0 or -ENOMEM. c is one of the op's changes. */
int lock_plan(struct op *op, const struct node *parent, struct bytes name, struct change *c);

/* `e` gets another name, and is an ordinary name or a lock after that: what c has to
 * say of it. `exclusive`: the new name is made exclusively; `over_key`: it is that of an
 * ordinary key, which stays one (sed -i). 0 or -ENOMEM. */
int lock_plan_move(struct op *op, const struct entry *e, bool exclusive, bool over_key,
	const struct node *to_parent, struct bytes to_name, struct change *c);

/* --- keepalive ------------------------------------------------------------------ */

/* A lock has been taken: if it is to be kept alive, its holder is watched. */
void lock_taken(struct store *s, uint64_t token);
/* After a replay: what is kept alive goes on being, if its holder still lives; else its
 * TTL begins. 0 or -ENOMEM. */
int lock_revive_all(struct store *s);
/* Looks after holders whose end nobody tells. Returns as store_tick. */
int64_t lock_look_after(struct store *s);
