/* SPDX-License-Identifier: MIT
 * Copyright (c) 2026 The cubbyfs authors */

#include "store/notice.h"

#include "base/cleanup.h"
#include "base/log.h"
#include "store/internal.h"
#include "store/lasting.h"
#include "store/place.h"

/* Followed by the way and the path. */
struct encoded {
	struct store_notice notice; /* the pointers in it mean nothing */
	struct stat stat;
};

static void add(struct op *op, const struct store_notice *n, struct bytes path)
{
	struct encoded e = {.notice = *n};

	if (n->stat) {
		e.stat = *n->stat;
	}
	e.notice.path = bytes_of(NULL, path.size);
	if (buffer_reserve(&op->notices, op->notices.size + sizeof(e) +
				n->n_way * sizeof(*n->way) + path.size)) {
		log_error("out of memory: a change is not announced");
		return;
	}
	buffer_append(&op->notices, &e, sizeof(e));
	buffer_append(&op->notices, n->way, n->n_way * sizeof(*n->way));
	buffer_append(&op->notices, path.data, path.size);
}

/* The change that the notice is of: the first that sets a value or takes a name. */
static const struct change *change_to_tell(const struct op *op)
{
	for (size_t i = 0; i < op->n_changes; i++) {
		const struct change *c = &op->changes[i];

		if (op->notice == STORE_NOTICE_REMOVED ?
				c->type == CHANGE_EXPIRE || c->type == CHANGE_REMOVE :
				c->type == CHANGE_APPEND || (c->fields & HAS_VALUE)) {
			return c;
		}
	}
	return NULL;
}

/* The numbers of the namespaces from the root to this one, without the root's. 0 or -ENOMEM. */
static int find_way(const struct node *n, struct buffer *out)
{
	const struct node *above = n;
	size_t count = 0;
	uint64_t *way;
	int rc;

	for (; node_first_name(above); above = entry_parent(node_first_name(above))) {
		count++;
	}
	rc = buffer_resize(out, count * sizeof(*way));
	way = (void *)out->data;
	for (; rc == 0 && node_first_name(n); n = entry_parent(node_first_name(n))) {
		way[--count] = n->ino;
	}
	return rc;
}

/* A name is about to go, and before it all that is below it. */
static void add_removal(struct op *op, const struct change *c)
{
	struct store *s = op->s;
	struct node *parent = tree_node(&s->tree, c->place.parent);
	struct entry *top = parent && node_is_directory(parent)
				    ? tree_entry(parent, place_name(&c->place))
				    : NULL;
	_cleanup_buffer_ struct buffer path = {0}, way = {0};
	bool in_expired;

	if (!top || entry_node(top)->ino != c->ino) {
		return;
	}
	in_expired = !tree_namespace_alive(&s->tree, parent, op->moment.elapsed);
	for (struct entry *e = tree_lowest(top); e; e = tree_after(e, top)) {
		struct stat st;

		path.size = way.size = 0;
		if (tree_path(entry_parent(e), entry_name(e), &path) ||
			((in_expired || e != top) && find_way(entry_parent(e), &way))) {
			log_error("out of memory: a removal is not announced");
			continue;
		}
		store_fill_stat(s, entry_node(e), &st);
		add(op,
			&(struct store_notice){
				.kind = STORE_NOTICE_REMOVED,
				.ino = entry_node(e)->ino,
				.parent = entry_parent(e)->ino,
				.mode = entry_node(e)->mode,
				.stat = &st,
				.way = (void *)way.data,
				.n_way = way.size / sizeof(uint64_t),
			},
			buffer_bytes(&path));
	}
}

/* Names that are not to be remembered any more. */
static void add_mortals(struct op *op, const struct change *c)
{
	struct store_notice n = {.kind = STORE_NOTICE_MORTAL, .ino = c->ino};

	if (c->type != CHANGE_RENAME) {
		n.parent = c->place.parent;
		add(op, &n, c->place.path);
	}
	if (c->type == CHANGE_RENAME || c->type == CHANGE_EXCHANGE) {
		n.parent = c->to.parent;
		add(op, &n, c->to.path);
	}
}

void notices_collect(struct op *op)
{
	const struct change *c = op->announces && op->s->listener && !op->local ?
		change_to_tell(op) : NULL;
	const struct node *n;

	op->notices.size = 0;
	for (size_t i = 0; i < op->n_changes && op->s->listener && !op->local; i++) {
		if (lasting_ends(op->s, &op->changes[i])) {
			add_mortals(op, &op->changes[i]);
		}
	}
	if (c && op->notice == STORE_NOTICE_REMOVED) {
		add_removal(op, c);
	} else if (c && (n = tree_node(&op->s->tree, c->ino))) {
		add(op, &(struct store_notice){
			.kind = op->notice,
			.ino = c->ino,
			.parent = c->place.parent,
			.mode = n->mode,
		}, c->place.path);
	}
}

void notices_tell(struct store *s, struct bytes notices)
{
	_cleanup_buffer_ struct buffer way = {0};
	const char *at = notices.data;
	struct encoded e;

	while (s->listener && notices.size - (size_t)(at - notices.data) >= sizeof(e)) {
		memcpy(&e, at, sizeof(e));
		at += sizeof(e);
		way.size = 0;
		if (buffer_append(&way, at, e.notice.n_way * sizeof(uint64_t))) {
			log_error("out of memory: a change is not announced");
			return;
		}
		at += way.size;
		e.notice.way = e.notice.n_way ? (void *)way.data : NULL;
		e.notice.path.data = at;
		e.notice.stat = &e.stat;
		at += e.notice.path.size;
		s->listener->notice(s->listener->arg, &e.notice);
	}
}
