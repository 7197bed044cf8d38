/* SPDX-License-Identifier: MIT
 * Copyright (c) 2026 The cubbyfs authors */

/* The first half of a commit: everything that tree_apply will need is made
 * here, so that nothing can fail once the log has the transition.
 *
 * A replay may meet a change whose namespace was made by a line that is
 * damaged, or (in a snapshot, where the order is free) has not come yet. It
 * gets a stand-in: a namespace with the right number and no name, which
 * remembers from the change's path where it was (see apply.c). */
#include "store/tree.h"

#include "store/place.h"

#include <errno.h>
#include <stdlib.h>

static void unprepare(struct prepared *p)
{
	node_destroy(p->node);
	entry_destroy(p->entry);
	entry_destroy(p->entry2);
	value_unref(p->value);
	xattr_destroy_all(p->xattrs);
	extra_destroy(p->extra);
	owner_unref(p->owner);
	policy_destroy(p->policy);
	lock_destroy(p->lock);
	for (size_t i = 0; i < p->n_links; i++) {
		entry_destroy(p->links[i].entry);
		lock_destroy(p->links[i].lock);
	}
	free(p->links);
	free(p->action);
	*p = (struct prepared){0};
}

void tree_unprepare(struct prepared *prepared, size_t n)
{
	for (size_t i = 0; i < n; i++) {
		unprepare(&prepared[i]);
	}
}

/* A namespace that some line says is there, but which none has made. */
static struct node *make_stand_in(struct tree *t, const struct transition *tr,
	const struct place *place)
{
	struct node *n = node_create(place->parent, S_IFDIR | 0755);
	struct bytes hint = place_above(place);

	if (!n) {
		return NULL;
	}
	node_directory(n)->hint = strndup(hint.size ? hint.data : "", hint.size);
	if (!node_directory(n)->hint) {
		node_destroy(n);
		return NULL;
	}
	t->has_stand_ins = true;
	node_set_owner(n, owner_ref(t->root->owner));
	n->created = n->changed = n->mtime = tr->at;
	n->revision = tr->revision;
	tree_add_node(t, n);
	return n;
}

/* Among what the same transition makes, too. */
static struct node *find_node(
	const struct tree *t, const struct prepared *prepared, size_t i, uint64_t ino)
{
	struct node *n = tree_node(t, ino);

	for (size_t k = 0; !n && k <= i; k++) {
		if (prepared[k].node && prepared[k].node->ino == ino) {
			n = prepared[k].node;
		}
	}
	return n;
}

/* Finds the namespace of a place, among what the same transition makes too. */
static int find_parent(struct tree *t, const struct transition *tr, const struct prepared *prepared,
	size_t i, const struct place *place, struct node **out)
{
	struct node *n = find_node(t, prepared, i, place->parent);

	if (!n && t->replaying && place->parent != 0) {
		n = make_stand_in(t, tr, place);
		if (!n) {
			return -ENOMEM;
		}
	}
	*out = n && node_is_directory(n) ? n : NULL;
	return 0;
}

/* How many names a transition adds at the most, to any one namespace or in all. */
static size_t names_added(const struct transition *tr)
{
	size_t n = 0;

	for (size_t i = 0; i < tr->n_changes; i++) {
		n += tr->changes[i].type == CHANGE_EXCHANGE ? 2 : 1 + tr->changes[i].n_links;
	}
	return n;
}

/* A lock that a name is to be. */
static int prepare_lock(const struct transition *tr, const struct change *c, struct prepared *p)
{
	struct holding holding = c->lock;

	if (!(c->fields & HAS_LOCK)) {
		return 0;
	}
	if (holding.token == 0 || holding.token > tr->revision) {
		holding.token = tr->revision;
	}
	p->lock = lock_create(&holding);
	return p->lock ? 0 : -ENOMEM;
}

/* Room in the node that change i is about, if it may get names besides the one that it has or
 * is given first. */
static int prepare_node_names(
	struct tree *t, const struct transition *tr, const struct prepared *prepared, size_t i)
{
	const struct change *c = &tr->changes[i];
	bool is_first = i == 0 && prepared[0].node && c->n_links == 0;
	struct node *n;

	if (is_first || (c->type != CHANGE_LINK && c->type != CHANGE_PUT)) {
		return 0;
	}
	n = find_node(t, prepared, i, c->ino);
	return n && !node_is_directory(n) ? node_reserve_names(n, names_added(tr)) : 0;
}

/* A new name at a place: an entry, and room for it. None if node `ino` has the
 * name already. */
static int prepare_name(struct tree *t, const struct transition *tr,
	const struct prepared *prepared, size_t i, const struct place *place, uint64_t ino,
	struct entry **out)
{
	struct bytes name = place_name(place);
	struct node *parent;
	struct entry *e;
	int rc;

	if (!place_name_is_possible(name)) {
		return 0;
	}
	rc = find_parent(t, tr, prepared, i, place, &parent);
	if (rc || !parent) {
		return rc;
	}
	if (expiry_reserve(&t->expiry, names_added(tr))) {
		return -ENOMEM;
	}
	e = tree_entry(parent, name);
	/* A change before this one may take it away first. */
	if (e && entry_node(e)->ino == ino && i == 0) {
		return 0;
	}
	*out = entry_create(name);
	if (!*out || tree_reserve(parent)) {
		return -ENOMEM;
	}
	return prepare_node_names(t, tr, prepared, i);
}

static int prepare_policy(const struct node *n, const struct change *c, struct prepared *p)
{
	bool touched = false;
	int rc;

	for (size_t i = 0; i < c->n_xattrs; i++) {
		touched |= policy_knows(c->xattrs[i].name);
	}
	if (!touched) {
		return 0;
	}
	p->policy = policy_create();
	if (!p->policy) {
		return -ENOMEM;
	}
	for (const struct xattr *x = n ? node_xattrs(n) : NULL; x; x = x->next) {
		bool changed = false;

		for (size_t i = 0; i < c->n_xattrs; i++) {
			changed |= bytes_equal(c->xattrs[i].name, xattr_name(x));
		}
		if (!changed && policy_set(p->policy, xattr_name(x), xattr_value(x)) == -ENOMEM) {
			return -ENOMEM;
		}
	}
	for (size_t i = 0; i < c->n_xattrs; i++) {
		if (c->xattrs[i].removed) {
			continue;
		}
		rc = policy_set(p->policy, c->xattrs[i].name, c->xattrs[i].value);
		if (rc == -ENOMEM) {
			return rc;
		}
	}
	return 0;
}

/* What a node is that no line has made, as far as the change tells. */
static uint32_t likely_mode(const struct change *c)
{
	for (size_t i = 0; i < c->n_xattrs; i++) {
		if (policy_knows(c->xattrs[i].name)) {
			return S_IFDIR | 0755;
		}
	}
	return S_IFREG | 0600;
}

/* The further names of a node in a snapshot. */
static int prepare_links(struct tree *t, const struct transition *tr, size_t i,
	struct prepared *prepared)
{
	const struct change *c = &tr->changes[i];
	struct prepared *p = &prepared[i];
	struct node *parent;
	int rc;

	if (c->n_links == 0) {
		return 0;
	}
	p->links = calloc(c->n_links, sizeof(*p->links));
	if (!p->links) {
		return -ENOMEM;
	}
	p->n_links = c->n_links;
	for (size_t k = 0; k < c->n_links; k++) {
		const struct link *l = &c->links[k];

		if (!place_name_is_possible(place_name(&l->place))) {
			continue;
		}
		rc = find_parent(t, tr, prepared, i, &l->place, &parent);
		p->links[k].entry = entry_create(place_name(&l->place));
		if (l->lock.token) {
			p->links[k].lock = lock_create(&l->lock);
		}
		if (rc || (parent && tree_reserve(parent)) || !p->links[k].entry ||
			(l->lock.token && !p->links[k].lock)) {
			return -ENOMEM;
		}
	}
	return prepare_node_names(t, tr, prepared, i);
}

/* Whether the node will have one when the transition is applied, too: what is only there for
 * handles goes with them. */
static bool keeps_extra(const struct node *n)
{
	const struct extra *extra = node_extra(n);

	return extra && (extra->xattrs || extra->action || extra->has_atime);
}

/* Whether the time of access will not be that of the creation any more. */
static bool changes_atime(
	const struct transition *tr, const struct change *c, const struct node *n, bool exists)
{
	bool is_new = !exists || n->is_pending;
	int64_t created = c->fields & HAS_HISTORY ? c->created : is_new ? tr->at : n->created;
	int64_t atime = c->fields & HAS_ATIME ? c->atime : is_new ? tr->at : node_atime(n);

	return atime != created;
}

static int prepare_put(struct tree *t, const struct transition *tr, size_t i,
	struct prepared *prepared)
{
	const struct change *c = &tr->changes[i];
	struct prepared *p = &prepared[i];
	struct node *n = tree_node(t, c->ino);
	struct bytes action = c->fields & HAS_HISTORY ? c->action : tr->action;
	struct xattr **tail = &p->xattrs;
	uint32_t mode;
	int rc;

	if (!n) {
		mode = c->fields & HAS_MODE ? c->mode : likely_mode(c);
		p->node = node_create(c->ino, mode);
		if (!p->node) {
			return -ENOMEM;
		}
		n = p->node;
	}
	if (c->ino != INO_ROOT && tr->revision != 0) {
		rc = prepare_name(t, tr, prepared, i, &c->place, c->ino, &p->entry);
		if (rc) {
			return rc;
		}
		rc = prepare_links(t, tr, i, prepared);
		if (rc) {
			return rc;
		}
	}
	if ((c->fields & HAS_VALUE) && !p->value && c->value.size > 0) {
		p->value = value_create(c->value);
		if (!p->value) {
			return -ENOMEM;
		}
	}
	for (size_t k = 0; k < c->n_xattrs; k++) {
		if (c->xattrs[k].removed) {
			continue;
		}
		*tail = xattr_create(c->xattrs[k].name, c->xattrs[k].value);
		if (!*tail) {
			return -ENOMEM;
		}
		tail = &(*tail)->next;
	}
	if (action.size > 0) {
		p->action = strndup(action.data, action.size);
		if (!p->action) {
			return -ENOMEM;
		}
	}
	if ((c->fields & HAS_OWNER) && owner_get(c->uid, c->gid, &p->owner)) {
		return -ENOMEM;
	}
	if (!keeps_extra(n) && (p->xattrs || p->action || (i > 0 && (c->fields & HAS_ATIME)) ||
				       changes_atime(tr, c, n, !p->node))) {
		p->extra = extra_create();
		if (!p->extra) {
			return -ENOMEM;
		}
	}
	return node_is_directory(n) ? prepare_policy(n, c, p) : 0;
}

static int prepare_append(struct tree *t, const struct transition *tr, size_t i,
	struct prepared *prepared)
{
	const struct change *c = &tr->changes[i];
	struct prepared *p = &prepared[i];
	struct node *n = tree_node(t, c->ino);
	int rc;

	if (!n) {
		p->node = node_create(c->ino, S_IFREG | 0600);
		if (!p->node) {
			return -ENOMEM;
		}
		rc = prepare_name(t, tr, prepared, i, &c->place, c->ino, &p->entry);
		if (rc) {
			return rc;
		}
	} else if (!S_ISREG(n->mode)) {
		return 0;
	}
	if (!p->value) {
		p->value = value_append(n ? node_value(n) : NULL, c->value);
	}
	return p->value ? 0 : -ENOMEM;
}

static int prepare(struct tree *t, const struct transition *tr, size_t i, struct prepared *prepared)
{
	const struct change *c = &tr->changes[i];
	struct prepared *p = &prepared[i];
	int rc = prepare_lock(tr, c, p);

	if (rc) {
		return rc;
	}

	switch (c->type) {
	case CHANGE_PUT:
		return prepare_put(t, tr, i, prepared);
	case CHANGE_APPEND:
		return prepare_append(t, tr, i, prepared);
	case CHANGE_LINK:
		return prepare_name(t, tr, prepared, i, &c->place, c->ino, &p->entry);
	case CHANGE_RENAME:
		return prepare_name(t, tr, prepared, i, &c->to, c->ino, &p->entry);
	case CHANGE_EXCHANGE:
		rc = prepare_name(t, tr, prepared, i, &c->to, c->ino, &p->entry);
		return rc ? rc :
			    prepare_name(t, tr, prepared, i, &c->place, 0, &p->entry2);
	case CHANGE_REMOVE:
	case CHANGE_EXPIRE:
		return 0;
	}
	return 0;
}

int tree_prepare(struct tree *t, const struct transition *tr, struct prepared *prepared)
{
	for (size_t i = 0; i < tr->n_changes; i++) {
		int rc = prepare(t, tr, i, prepared);

		if (rc) {
			tree_unprepare(prepared, tr->n_changes);
			return rc;
		}
	}
	return 0;
}
