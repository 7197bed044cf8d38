/* SPDX-License-Identifier: MIT
 * Copyright (c) 2026 The cubbyfs authors */

/* Sweeping away what has expired. For readers it is gone from its deadline on, swept or
 * not; what is left to do is the log, the memory, and to tell of it.
 *
 * That goes some names at a time, no faster than they can be told, a lock directory from
 * below. If somebody makes the name anew before its turn has come, it goes at once, with
 * all that is in it in one change. */
#include "store/internal.h"

#include <errno.h>

#define EXPIRE_RETRY NSEC_PER_SEC
#define EXPIRE_PAUSE NSEC_PER_MSEC

static int plan_end(struct op *op, const struct entry *e)
{
	struct change *c = op_change(op, CHANGE_EXPIRE, entry_node(e)->ino);

	return c ? op_place(op, entry_parent(e), entry_name(e), &c->place) : -ENOMEM;
}

/* What goes first of a name that has expired. */
static const struct entry *lowest(const struct entry *e)
{
	const struct entry *child;

	while (node_is_directory(entry_node(e)) && (child = tree_next(entry_node(e), 0))) {
		e = child;
	}
	return e;
}

/* The name whose deadline is the soonest, if it has passed. */
static int plan_expire(struct op *op)
{
	const struct deadline *d = expiry_first(&op->s->tree.expiry);

	return d && d->at <= op->moment.elapsed ? plan_end(op, lowest(d->entry)) : OP_NOTHING;
}

/* The name of op->node that is due. */
static int plan_sweep(struct op *op)
{
	const struct node *n = op->node;

	for (uint32_t i = 0; i < n->nlink; i++) {
		struct entry *e = node_name(n, i);

		if (!tree_alive(&op->s->tree, e, op->moment.elapsed)) {
			return plan_end(op, lowest(e));
		}
	}
	return OP_NOTHING;
}

/* The name op->name, if it is due. */
static int plan_sweep_name(struct op *op)
{
	struct node *parent;
	struct entry *e;

	if (store_namespace(op->s, op->parent, &parent)) {
		return OP_NOTHING;
	}
	e = tree_entry(parent, bytes_of_string(op->name));
	return e && !tree_alive(&op->s->tree, e, op->moment.elapsed) ? plan_end(op, e) : OP_NOTHING;
}

static void expire_ended(struct op *op, int rc)
{
	if (rc) {
		/* It is gone for readers all the same. */
		op->s->expire_not_before = op->moment.elapsed + EXPIRE_RETRY;
	} else {
		op->s->expired += op->n_changes;
	}
}

/* An op that expires what its plan finds; NULL without memory. */
static struct op *create_end(struct store *s, int (*plan)(struct op *op), struct node *n,
	const char *name)
{
	const struct store_caller nobody = {0};
	struct op *op = op_create(s, &nobody, plan, n, name, NULL, (struct store_reply){0});

	if (op) {
		op->durable = false;
		op->announces = true;
		op->notice = STORE_NOTICE_REMOVED;
		op->ended = expire_ended;
	}
	return op;
}

struct op *store_sweep_op(struct store *s, struct node *n)
{
	return create_end(s, plan_sweep, n, NULL);
}

void store_sweep(struct store *s, struct node *n)
{
	struct op *op;

	for (uint32_t i = 0; i < n->nlink; i++) {
		struct entry *e = node_name(n, i);

		if (!tree_alive(&s->tree, e, s->now.elapsed)) {
			op = store_sweep_op(s, n);
			if (op) {
				op_submit(op);
			}
			return;
		}
	}
}

void store_sweep_name(struct store *s, uint64_t parent, const char *name)
{
	struct node *dir;
	struct entry *e;
	struct op *op;

	if (s->tree.expiry.size == 0 || store_namespace(s, parent, &dir)) {
		return;
	}
	store_now(s);
	e = tree_entry(dir, bytes_of_string(name));
	if (!e || tree_alive(&s->tree, e, s->now.elapsed)) {
		return;
	}
	op = create_end(s, plan_sweep_name, NULL, name);
	if (op) {
		op->parent = parent;
		op_submit(op);
	}
}

bool store_expire(struct store *s, unsigned limit)
{
	while (limit-- > 0) {
		const struct deadline *d = expiry_first(&s->tree.expiry);
		struct op *op;

		if (!d || d->at > s->now.elapsed || s->now.elapsed < s->expire_not_before ||
			s->failed || s->config.read_only || s->running) {
			return false;
		}
		if (s->listener && s->listener->room(s->listener->arg) == 0) {
			s->expire_not_before = s->now.elapsed + EXPIRE_PAUSE;
			return false;
		}
		op = create_end(s, plan_expire, NULL, NULL);
		if (!op) {
			return false;
		}
		op_submit(op);
	}
	return true;
}
