/* SPDX-License-Identifier: MIT
 * Copyright (c) 2026 The cubbyfs authors */

#include "store/lasting.h"

#include "store/internal.h"
#include "store/place.h"

/* Nodes that the kernel is warned of at once: some milliseconds. */
#define MAX_BELOW 1000

/* --- what lasts -------------------------------------------------------------- */

static bool lasting_namespace(const struct store *s, const struct node *n)
{
	const struct entry *e;

	if (s->tree.n_mortal == 0) {
		return true;
	}
	while ((e = node_first_name(n)) && !e->has_deadline) {
		n = entry_parent(e);
	}
	return !e;
}

bool lasting_name(const struct store *s, const struct entry *e)
{
	return !e->has_deadline && lasting_namespace(s, entry_parent(e));
}

/* Whether a commit may come that the kernel knows nothing of. */
static bool is_staged(const struct node *n)
{
	for (const struct handle *h = node_handles(n); h; h = h->next) {
		if (h->has_stage || h->n_commits > 0) {
			return true;
		}
	}
	return false;
}

bool lasting_node(const struct store *s, const struct node *n)
{
	/* What is about to be in the log has been warned of already. */
	if (is_staged(n) || s->running) {
		return false;
	}
	for (uint32_t i = 0; i < n->nlink; i++) {
		if (!lasting_name(s, node_name(n, i))) {
			return false;
		}
	}
	return n->nlink > 0 || n == s->tree.root; /* not what is being made, or was removed */
}

/* --- what ends --------------------------------------------------------------- */

void store_warn(struct store *s, void (*stale)(void *arg, uint64_t ino), void *arg)
{
	s->warned.stale = stale;
	s->warned.arg = arg;
}

void lasting_told(struct store *s, const struct node *n)
{
	if (n->ino == s->warned.last) {
		s->warned.last = 0;
	}
}

/* Whether the kernel has been told anything of the node. (It has what a process before us has
 * told, and nobody counted.) */
static bool is_known_at_all(const struct store *s, uint64_t ino)
{
	const struct node *n = ino == INO_ROOT || s->has_inherited ? NULL : tree_node(&s->tree, ino);

	return !n || n->lookups > 0;
}

static void warn(struct store *s, uint64_t ino)
{
	/* A name after the other may be made in one namespace, and nobody ask about that. */
	if (ino != 0 && ino != s->warned.last && is_known_at_all(s, ino)) {
		s->warned.last = ino;
		s->warned.stale(s->warned.arg, ino);
	}
}

static struct entry *entry_of(const struct store *s, const struct place *place)
{
	const struct node *parent = tree_node(&s->tree, place->parent);

	return parent && node_is_directory(parent) ? tree_entry(parent, place_name(place)) : NULL;
}

/* Whether a name without a deadline comes to where all have one. (It may be where all have one
 * now, and be remembered all the same, from before that was so.) */
static bool comes_to_the_mortal(
	const struct store *s, const struct entry *e, const struct place *place)
{
	const struct node *parent = tree_node(&s->tree, place->parent);

	return e && !e->has_deadline && parent && !lasting_namespace(s, parent);
}

bool lasting_ends(const struct store *s, const struct change *c)
{
	bool gets_deadline = (c->fields & HAS_EXPIRES) && c->expires != 0;
	const struct entry *e;

	switch (c->type) {
	case CHANGE_PUT:
	case CHANGE_APPEND:
		e = gets_deadline ? entry_of(s, &c->place) : NULL;
		return e && !e->has_deadline;
	case CHANGE_RENAME:
		e = entry_of(s, &c->place);
		return (gets_deadline && e && !e->has_deadline) ||
			comes_to_the_mortal(s, e, &c->to);
	case CHANGE_EXCHANGE:
		return comes_to_the_mortal(s, entry_of(s, &c->place), &c->to) ||
			comes_to_the_mortal(s, entry_of(s, &c->to), &c->place);
	case CHANGE_LINK:
	case CHANGE_REMOVE:
	case CHANGE_EXPIRE:
		break;
	}
	return false;
}

/* What is below `top`, too, if it is a namespace; but not for longer than others can wait. The
 * rest can only be found from within it. */
static void warn_of_tree(struct store *s, struct entry *top)
{
	int left = MAX_BELOW;

	warn(s, entry_node(top)->ino);
	for (struct entry *e = tree_lowest(top); e != top && left > 0; e = tree_after(e, top)) {
		warn(s, entry_node(e)->ino);
		left--;
	}
}

/* The kernel has made the system call of whoever writes, and so it knows that size and times
 * have changed, from the first byte that is staged to the end. */
static bool is_known_to_writer(const struct op *op, const struct node *n, const struct change *c)
{
	return op->known == KNOWN_VALUE && n == op->node &&
		(!(c->fields & HAS_MODE) || c->mode == n->mode);
}

static void warn_of_put(struct op *op, const struct change *c)
{
	const struct node *n = tree_node(&op->s->tree, c->ino);

	if (!op->local && (!n || (n->nlink == 0 && n != op->s->tree.root))) {
		warn(op->s, c->place.parent); /* a new name */
		return;
	}
	if (n && !is_known_to_writer(op, n, c) && !(op->known == KNOWN_ATTRIBUTES && n == op->node)) {
		warn(op->s, c->ino);
	}
}

static void warn_of_removal(struct op *op, const struct change *c)
{
	struct entry *e = entry_of(op->s, &c->place);

	if (e) {
		warn(op->s, c->place.parent);
		/* That a name has gone, an event stream may tell before the kernel knows. It asks then. */
		warn_of_tree(op->s, e);
	}
}

static void warn_of_move(struct op *op, const struct change *c)
{
	const struct entry *from = entry_of(op->s, &c->place), *to = entry_of(op->s, &c->to);

	warn(op->s, c->place.parent);
	warn(op->s, c->to.parent);
	warn(op->s, from ? entry_node(from)->ino : 0);
	warn(op->s, to ? entry_node(to)->ino : 0);
}

void lasting_warn(struct op *op)
{
	struct store *s = op->s;

	if (!s->warned.stale) {
		return;
	}
	for (size_t i = 0; i < op->n_changes; i++) {
		const struct change *c = &op->changes[i];
		struct entry *e;

		switch (c->type) {
		case CHANGE_PUT:
		case CHANGE_APPEND:
			warn_of_put(op, c);
			break;
		case CHANGE_REMOVE:
		case CHANGE_EXPIRE:
			warn_of_removal(op, c);
			break;
		case CHANGE_RENAME:
		case CHANGE_EXCHANGE:
			warn_of_move(op, c);
			break;
		case CHANGE_LINK:
			warn(s, c->place.parent);
			break;
		}
		if (!lasting_ends(s, c)) {
			continue;
		}
		e = entry_of(s, &c->place);
		if (e) {
			warn_of_tree(s, e);
		}
		e = c->type == CHANGE_EXCHANGE ? entry_of(s, &c->to) : NULL;
		if (e) {
			warn_of_tree(s, e);
		}
	}
}
