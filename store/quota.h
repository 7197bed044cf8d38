/* SPDX-License-Identifier: MIT
 * Copyright (c) 2026 The cubbyfs authors */

/* Limits: how much the store and each namespace may hold, and how much of the daemon's
 * memory one user may take besides.
 *
 * What is held is counted by the tree. These functions only say whether a change may be
 * planned; a change that takes away, or leaves as much as there was, always may, also where
 * a limit has been set below what is there. Names whose deadline has passed do not count,
 * swept away or not.
 *
 * Users are counted by accounts. One exists while it has something; root has none: NULL,
 * for which nothing is counted and all is allowed. */
#pragma once

#include "base/table.h"
#include "store/store.h"

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

struct handle;
struct node;

/* Handles keep old values of so many times as many bytes as may be staged: to read from, and
 * as many that stages began as. */
#define QUOTA_KEPT 4

struct account {
	struct table_link by_uid;
	uid_t uid;
	uint64_t staged; /* bytes */
	uint64_t open;   /* handles */
	uint64_t locks;  /* ranges, and requests that wait */
	uint64_t kept;   /* bytes of values that handles read from */
	uint64_t bases;  /* bytes of values that stages began as */
	struct handle *kept_first, *kept_last; /* those, in the order in which they began */
};

struct quota {
	struct table accounts;
	uint64_t max_keys, max_bytes; /* of the store; UINT64_MAX, here and below: none */
	uint64_t max_staged, max_open, max_locks;
	uint64_t max_kept;
	uint64_t refused; /* since open */
};

/* 0 or -ENOMEM. */
int quota_init(struct quota *q, const struct store_config *config);
/* Accounts have been emptied by their holders. */
void quota_finish(struct quota *q);

/* --- what is held ---------------------------------------------------------- */

/* May one more name be made here? 0 or STORE_TOO_MANY. */
int quota_may_add(struct store *s, const struct node *parent, bool is_directory);
/* The same for a key that has a name elsewhere, and is moved. */
int quota_may_enter(struct store *s, const struct node *parent);
/* May a node in `parent` (NULL: without a name) take `after` bytes instead of `before`?
 * 0 or STORE_FULL. */
int quota_may_grow(struct store *s, const struct node *parent, uint64_t before, uint64_t after);
/* The same where the bytes are in the store already. */
int quota_may_bring(struct store *s, const struct node *parent, uint64_t before, uint64_t after);
/* The namespace that a node's bytes are counted for: that of its first name, or where it is
 * being made. NULL: none. */
const struct node *quota_place(struct store *s, const struct node *n);

/* --- users ------------------------------------------------------------------- */

/* The user's account, made if need be, for something to be counted in it at once. NULL for
 * root, and without memory: then it is not counted. */
struct account *quota_account(struct quota *q, uid_t uid);
/* The same, but NULL if there is none. */
struct account *quota_find(const struct quota *q, uid_t uid);
/* After something was taken out of it. NULL is fine. */
void quota_settle(struct quota *q, struct account *a);

/* Whether one more of that is past the limit; counts the refusal. */
bool quota_is_full(struct quota *q, uint64_t has, uint64_t more, uint64_t limit);
/* May the user open one more? 0 or -EMFILE. */
int quota_may_open(struct quota *q, uid_t uid);
