/* SPDX-License-Identifier: MIT
 * Copyright (c) 2026 The cubbyfs authors */

/* At a limit, what has expired and is still to be swept away is looked for in the heap of
 * deadlines, whose top it is: that takes as long as there is of it, and not longer than
 * MAX_LOOK. Where more is due than that, some of it counts until it is swept, moments later. */
#include "store/quota.h"

#include "base/cleanup.h"
#include "store/internal.h"

#include <errno.h>
#include <stdlib.h>

#define MAX_LOOK 4096

static uint64_t limit_of(uint64_t configured)
{
	return configured ? configured : UINT64_MAX;
}

int quota_init(struct quota *q, const struct store_config *config)
{
	*q = (struct quota){
		.max_keys = limit_of(config->max_keys),
		.max_bytes = limit_of(config->max_bytes),
		.max_staged = limit_of(config->max_staged),
		.max_open = limit_of(config->max_open),
		.max_locks = limit_of(config->max_locks),
	};
	q->max_kept = q->max_staged <= UINT64_MAX / QUOTA_KEPT ?
		q->max_staged * QUOTA_KEPT : UINT64_MAX;
	return table_init(&q->accounts);
}

void quota_finish(struct quota *q)
{
	for (size_t i = 0; i < q->accounts.n_buckets; i++) {
		struct table_link *l;

		while ((l = table_bucket(&q->accounts, i))) {
			table_remove(&q->accounts, l);
			free(container_of(l, struct account, by_uid));
		}
	}
	table_finish(&q->accounts);
}

/* --- what is held ------------------------------------------------------------- */

/* What counts no more, of one namespace or (NULL) of all. */
struct due {
	const struct node *parent;
	uint64_t names, keys, bytes;
};

static void add_due(void *arg, const struct entry *e)
{
	struct due *d = arg;

	if (d->parent && d->parent != entry_parent(e)) {
		return;
	}
	d->names++;
	d->keys += !node_is_directory(entry_node(e));
	d->bytes += entry_node(e)->nlink == 1 ? node_bytes(entry_node(e)) : 0;
}

static struct due find_due(const struct store *s, const struct node *parent)
{
	struct due d = {.parent = parent};

	expiry_due(&s->tree.expiry, s->now.elapsed, MAX_LOOK, add_due, &d);
	return d;
}

static bool fits(uint64_t has, uint64_t more, uint64_t limit)
{
	return limit == UINT64_MAX || (has <= limit && more <= limit - has);
}

static int refuse(struct store *s, int rc)
{
	s->quota.refused++;
	return rc;
}

int quota_may_enter(struct store *s, const struct node *parent)
{
	const struct policy *p = node_directory(parent)->policy;
	uint64_t limit = p ? p->max_keys : UINT64_MAX;
	uint64_t has =
		directory_size(node_directory(parent)) - node_directory(parent)->n_directories;

	if (fits(has, 1, limit) || fits(has - find_due(s, parent).keys, 1, limit)) {
		return 0;
	}
	return refuse(s, STORE_TOO_MANY);
}

int quota_may_add(struct store *s, const struct node *parent, bool is_directory)
{
	uint64_t has = s->tree.n_keys + s->tree.n_namespaces, limit = s->quota.max_keys;

	if (!fits(has, 1, limit) && !fits(has - find_due(s, NULL).names, 1, limit)) {
		return refuse(s, STORE_TOO_MANY);
	}
	return is_directory ? 0 : quota_may_enter(s, parent);
}

int quota_may_bring(struct store *s, const struct node *parent, uint64_t before, uint64_t after)
{
	const struct policy *p = parent ? node_directory(parent)->policy : NULL;
	uint64_t limit = p ? p->max_bytes : UINT64_MAX;
	uint64_t has = parent ? node_directory(parent)->bytes : 0;

	if (after <= before || fits(has, after - before, limit) ||
		fits(has - find_due(s, parent).bytes, after - before, limit)) {
		return 0;
	}
	return refuse(s, STORE_FULL);
}

int quota_may_grow(struct store *s, const struct node *parent, uint64_t before, uint64_t after)
{
	uint64_t has = s->tree.bytes, limit = s->quota.max_bytes;

	if (after > before && !fits(has, after - before, limit) &&
		!fits(has - find_due(s, NULL).bytes, after - before, limit)) {
		return refuse(s, STORE_FULL);
	}
	return quota_may_bring(s, parent, before, after);
}

const struct node *quota_place(struct store *s, const struct node *n)
{
	if (n->is_pending) {
		return tree_node(&s->tree, node_pending(n)->parent);
	}
	return node_first_name(n) ? entry_parent(node_first_name(n)) : NULL;
}

/* --- users ---------------------------------------------------------------------- */

struct account *quota_find(const struct quota *q, uid_t uid)
{
	struct table_link *l = uid == 0 ? NULL : table_first(&q->accounts, hash_number(uid));

	for (; l; l = table_next(l)) {
		struct account *a = container_of(l, struct account, by_uid);

		if (a->uid == uid) {
			return a;
		}
	}
	return NULL;
}

struct account *quota_account(struct quota *q, uid_t uid)
{
	struct account *a = quota_find(q, uid);

	if (!a && uid != 0) {
		a = calloc(1, sizeof(*a));
		if (a) {
			a->uid = uid;
			table_insert(&q->accounts, &a->by_uid, hash_number(uid));
		}
	}
	return a;
}

void quota_settle(struct quota *q, struct account *a)
{
	if (a && a->staged == 0 && a->open == 0 && a->locks == 0) {
		table_remove(&q->accounts, &a->by_uid);
		free(a);
	}
}

bool quota_is_full(struct quota *q, uint64_t has, uint64_t more, uint64_t limit)
{
	bool full = !fits(has, more, limit);

	q->refused += full;
	return full;
}

int quota_may_open(struct quota *q, uid_t uid)
{
	const struct account *a = quota_find(q, uid);

	return a && quota_is_full(q, a->open, 1, q->max_open) ? -EMFILE : 0;
}
