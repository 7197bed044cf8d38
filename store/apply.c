/* SPDX-License-Identifier: MIT
 * Copyright (c) 2026 The cubbyfs authors */

/* The second half of a commit: what tree_prepare has made is linked into the
 * tree. Between the two the log is written, so a commit that the log has is
 * never lost to a failed malloc.
 *
 * Mending. A stand-in for a namespace (see prepare.c) is made whole by its own
 * line, if that comes; else tree_replayed puts it back where its hint says, together
 * with the namespaces above it that are lost as well, and the store writes that down. A namespace with something in it that is in the
 * way of another name becomes a stand-in too: what moved it away is lost. A
 * change of a node that nothing has made is counted as unresolved, but for a
 * PUT or an APPEND, which make the node again from what they know.
 *
 * Snapshots. While one is being written, before_change is called for each
 * node that it has not got yet, before the first change to that node. */
#include "store/tree.h"

#include "base/cleanup.h"
#include "store/place.h"
#include "store/store.h"

#include <errno.h>
#include <stdlib.h>

struct context {
	struct tree *t;
	const struct transition *tr;
	struct moment now;
};

/* Before the first change to a node. */
static void touch(struct tree *t, struct node *n)
{
	if (n->epoch != t->epoch) {
		if (t->before_change && tree_attached(t, n)) {
			t->before_change(t->before_arg, n);
		}
		n->epoch = t->epoch;
	}
}

/* A name came to or went from a namespace. */
static void touch_namespace(const struct context *x, struct node *n)
{
	touch(x->t, n);
	n->mtime = n->changed = x->tr->at;
	n->revision = x->tr->revision;
}

static void remove_one(const struct context *x, struct entry *e)
{
	struct node *n = entry_node(e);

	touch(x->t, n);
	touch_namespace(x, entry_parent(e));
	if (n->nlink == 1 && node_has_value(n)) {
		x->t->live_bytes -= value_size(node_value(n));
	}
	tree_detach(x->t, e);
	n->changed = x->tr->at;
	n->revision = x->tr->revision;
	tree_collect(x->t, n);
}

/* Removes a name, and all that is below it. `expired`: who has something of that open
 * sees nothing more of it. */
static void remove_below(const struct context *x, struct entry *top, bool expired)
{
	struct entry *next;

	for (struct entry *e = tree_lowest(top); e; e = next) {
		next = tree_after(e, top);
		entry_node(e)->is_expired |= expired && entry_node(e)->nlink == 1;
		remove_one(x, e);
	}
}

static void remove_entry(const struct context *x, struct entry *e)
{
	remove_below(x, e, false);
}

static void set_deadline(const struct context *x, struct entry *e, int64_t expires, int64_t ttl)
{
	/* A journal can hold anything. */
	ttl = ttl < 0 ? 0 : ttl > TTL_MAX ? TTL_MAX : ttl;
	if (expires != 0) {
		expires = expires < 0 ? 1 : expires >= DEADLINE_NEVER ? DEADLINE_NEVER - 1 : expires;
	}
	if (expires == 0) {
		tree_clear_deadline(x->t, e);
	} else if (x->t->replaying) {
		tree_set_deadline(x->t, e, expires, ttl);
	} else {
		tree_set_deadline(x->t, e, expires - x->now.lease + x->now.elapsed, ttl);
	}
}

/* Takes the lock over. One acquisition never takes two names of a node, so that token and
 * node tell a lock: a second one is nonsense. */
static void set_lock(const struct context *x, struct entry *e, struct lock *lock)
{
	const struct node *n = entry_node(e);

	for (uint32_t i = 0; i < n->nlink; i++) {
		const struct entry *other = node_name(n, i);
		const struct lock *l = other != e ? tree_lock(x->t, other) : NULL;

		if (l && l->token == lock->token) {
			x->t->unresolved++;
			lock_destroy(lock);
			return;
		}
	}
	tree_set_lock(x->t, e, lock);
}

/* What a change says of the lease of a name. */
static void set_lease(const struct context *x, const struct change *c, struct prepared *p,
	struct entry *e)
{
	if (!(c->fields & HAS_EXPIRES)) {
		return;
	}
	if (p->lock) {
		tree_clear_deadline(x->t, e); /* of the last holder */
	}
	set_deadline(x, e, c->expires, c->ttl);
	if (p->lock && e->has_deadline) {
		set_lock(x, e, steal_pointer(&p->lock));
	}
}

/* The same for a further name in a snapshot. */
static void set_lease_of_link(const struct context *x, const struct link *l,
	struct prepared_link *p, struct entry *e)
{
	if (l->expires) {
		set_deadline(x, e, l->expires, l->ttl);
	}
	if (p->lock && e->has_deadline) {
		set_lock(x, e, steal_pointer(&p->lock));
	}
	x->t->unresolved += l->lock.token && !tree_lock(x->t, e);
}

/* Whether `n` is `below`, or above it. */
static bool is_above(const struct node *n, const struct node *below)
{
	while (below && below != n) {
		below = below->nlink > 0 ? entry_parent(node_first_name(below)) : NULL;
	}
	return below == n;
}

/* Whether it is a namespace with something in it that has not expired. */
static bool holds_something(const struct context *x, const struct node *n)
{
	return x->t->replaying && node_is_directory(n) && !tree_is_empty(x->t, n, x->tr->at);
}

/* Something else has the name: what took it away is lost. A namespace with
 * something in it has surely gone elsewhere, and is kept as a stand-in. */
static bool make_way(const struct context *x, struct entry *e)
{
	struct node *n = entry_node(e);
	struct buffer hint = {0};

	x->t->unresolved += x->t->replaying;
	if (!holds_something(x, n)) {
		remove_entry(x, e);
		return true;
	}
	if (tree_path(entry_parent(e), entry_name(e), &hint) || buffer_append(&hint, "", 1)) {
		buffer_finish(&hint);
		return false;
	}
	touch_namespace(x, entry_parent(e));
	tree_detach(x->t, e);
	node_directory(n)->hint = hint.data;
	x->t->has_stand_ins = true;
	return true;
}

/* Gives n the name that *entry says, unless it has it. Returns the entry. */
static struct entry *name_node(const struct context *x, const struct place *place,
	struct node *n, struct entry **entry)
{
	struct node *parent = tree_node(x->t, place->parent);
	struct bytes name = place_name(place);
	bool is_free = true;
	struct entry *e;

	if (!parent || !node_is_directory(parent)) {
		return NULL;
	}
	e = tree_entry(parent, name);
	if (e && entry_node(e) == n) {
		return e;
	}
	if (!*entry || !node_has_room(n) ||
		(node_is_directory(n) && (n->nlink > 0 || is_above(n, parent)))) {
		return NULL;
	}
	if (e) {
		tree_ref(n); /* it may be in what goes */
		is_free = make_way(x, e);
		tree_unpin(n);
	}
	if (!is_free) {
		return NULL;
	}
	e = steal_pointer(entry);
	tree_attach(x->t, parent, e, n);
	return e;
}

static void set_value(struct tree *t, struct node *n, struct value *value)
{
	uint64_t before = node_bytes(n);

	if (tree_attached(t, n)) {
		t->live_bytes += value_size(value);
		t->live_bytes -= value_size(node_value(n));
	}
	value_unref(node_value(n));
	node_put_value(n, value);
	tree_count_bytes(t, n, before);
}

/* Whether a node can have an attribute of that name: of ours, only a namespace's policy. */
static bool is_possible(const struct node *n, struct bytes name)
{
	size_t prefix = strlen(XATTR_CUBBY);

	if (name.size >= prefix && memcmp(name.data, XATTR_CUBBY, prefix) == 0) {
		return node_is_directory(n) && policy_knows(name);
	}
	return xattr_name_is_possible(name);
}

static void put_xattrs(
	const struct context *x, struct node *n, const struct change *c, struct prepared *p)
{
	uint64_t before = node_bytes(n);
	struct extra *extra = node_extra(n);

	for (size_t i = 0; extra && i < c->n_xattrs; i++) {
		struct xattr *fresh = NULL;

		if (!c->xattrs[i].removed) {
			fresh = p->xattrs;
			p->xattrs = fresh->next;
		}
		extra->xattr_bytes -= xattr_drop(&extra->xattrs, c->xattrs[i].name);
		if (fresh && !is_possible(n, c->xattrs[i].name)) {
			x->t->unresolved++;
			free(fresh);
		} else if (fresh) {
			struct xattr **tail = &extra->xattrs;

			while (*tail) {
				tail = &(*tail)->next;
			}
			fresh->next = NULL;
			*tail = fresh;
			extra->xattr_bytes += xattr_size(xattr_name(fresh), xattr_value(fresh));
		}
	}
	tree_count_bytes(x->t, n, before);
	if (p->policy && node_is_directory(n)) {
		policy_destroy(node_directory(n)->policy);
		node_directory(n)->policy = steal_pointer(&p->policy);
	}
}

static void put_action(struct node *n, bool changes_value, struct prepared *p)
{
	struct extra *extra = node_extra(n);

	if (extra && (p->action || changes_value)) {
		free(extra->action);
		extra->action = steal_pointer(&p->action);
	}
}

static void count_version(struct node *n)
{
	n->version += n->version < VERSION_LIMIT;
}

static void put_attributes(const struct context *x, struct node *n, const struct change *c,
	struct prepared *p, bool is_new)
{
	bool changes_value = (c->fields & HAS_VALUE) && node_has_value(n);
	int64_t atime = c->fields & HAS_ATIME ? c->atime : is_new ? x->tr->at : node_atime(n);

	if (is_new) {
		n->created = n->mtime = x->tr->at;
	}
	if (c->fields & HAS_MODE) {
		n->mode = (n->mode & S_IFMT) | (c->mode & 07777);
	}
	if (c->fields & HAS_OWNER) {
		node_set_owner(n, p->owner);
		p->owner = OWNER_ROOT;
	}
	if (c->fields & HAS_RDEV) {
		node_set_rdev(n, c->rdev);
	}
	if (c->fields & HAS_MTIME) {
		n->mtime = c->mtime;
	} else if (changes_value) {
		n->mtime = x->tr->at - c->age;
	}
	n->changed = x->tr->at - c->age;
	n->revision = x->tr->revision ? x->tr->revision : n->revision;
	if (changes_value || is_new) {
		count_version(n);
	}
	if (c->fields & HAS_HISTORY) {
		n->version = c->version;
		n->created = c->created;
		n->changed = c->changed;
	}
	node_set_atime(n, atime);
}

static void apply_put(const struct context *x, const struct change *c, struct prepared *p)
{
	struct tree *t = x->t;
	struct node *n = tree_node(t, c->ino);
	bool stand_in = n && node_is_directory(n) && node_directory(n)->hint;
	bool is_new = !n || n->is_pending;
	struct entry *e = NULL;

	if (!n) {
		n = p->node;
		p->node = NULL;
		tree_add_node(t, n);
	} else {
		touch(t, n);
	}
	if (c->ino != INO_ROOT && x->tr->revision != 0) {
		bool had_name = tree_attached(t, n);

		e = name_node(x, &c->place, n, &p->entry);
		if (e && !had_name && node_has_value(n)) {
			t->live_bytes += value_size(node_value(n));
		}
		/* In a snapshot namespaces have lines of their own. */
		if (e && !had_name && !(c->fields & HAS_HISTORY)) {
			touch_namespace(x, entry_parent(e));
		}
	}
	if (stand_in && tree_attached(t, n)) {
		free(node_directory(n)->hint);
		node_directory(n)->hint = NULL;
	}
	if ((c->fields & HAS_VALUE) && node_has_value(n)) {
		set_value(t, n, steal_pointer(&p->value));
	}
	if (!n->has_extra && p->extra) {
		node_put_extra(n, steal_pointer(&p->extra));
	}
	put_attributes(x, n, c, p, is_new);
	put_xattrs(x, n, c, p);
	put_action(n, (c->fields & HAS_VALUE) != 0, p);
	if (e) {
		set_lease(x, c, p, e);
	}
	for (size_t i = 0; i < p->n_links && e; i++) {
		struct entry *named = name_node(x, &c->links[i].place, n, &p->links[i].entry);

		if (named) {
			set_lease_of_link(x, &c->links[i], &p->links[i], named);
		}
		t->unresolved += !named;
	}
	/* Without a namespace to be in, it cannot be reached. */
	if (!tree_attached(t, n) && !n->is_pending && n->refs == 0 && n->lookups == 0 &&
		!(node_is_directory(n) && node_directory(n)->hint)) {
		t->unresolved++;
		tree_collect(t, n);
	}
}

static void apply_append(const struct context *x, const struct change *c, struct prepared *p)
{
	struct node *n = tree_node(x->t, c->ino);
	bool is_new = !n;

	if (!n) {
		n = steal_pointer(&p->node);
		tree_add_node(x->t, n);
		n->created = x->tr->at;
		node_set_owner(n, owner_ref(x->t->root->owner));
		x->t->unresolved++;
		if (!name_node(x, &c->place, n, &p->entry)) {
			tree_collect(x->t, n);
			return;
		}
	} else if (!S_ISREG(n->mode)) {
		x->t->unresolved++;
		return;
	}
	touch(x->t, n);
	if (!is_new && c->offset != value_size(node_value(n))) {
		x->t->unresolved++;
	}
	set_value(x->t, n, steal_pointer(&p->value));
	n->mtime = n->changed = x->tr->at;
	n->revision = x->tr->revision;
	count_version(n);
	put_action(n, true, p);
}

/* The entry that a change says `ino` has at `place`; for one that is not there
 * any more, because a line was lost, its first name. */
static struct entry *entry_of(const struct context *x, const struct place *place, uint64_t ino)
{
	struct node *parent = tree_node(x->t, place->parent);
	struct entry *e = NULL;
	struct node *n;

	if (parent && node_is_directory(parent)) {
		e = tree_entry(parent, place_name(place));
		if (e && entry_node(e)->ino == ino) {
			return e;
		}
	}
	x->t->unresolved++;
	n = tree_node(x->t, ino);
	return n && !n->is_pending ? node_first_name(n) : NULL;
}

static void apply_link(const struct context *x, const struct change *c, struct prepared *p)
{
	struct node *n = tree_node(x->t, c->ino);
	struct entry *e = NULL;

	if (n && !node_is_directory(n)) {
		touch(x->t, n);
		e = name_node(x, &c->place, n, &p->entry);
	}
	if (!e) {
		x->t->unresolved++;
		return;
	}
	touch_namespace(x, entry_parent(e));
	set_lease(x, c, p, e);
	n->changed = x->tr->at;
	n->revision = x->tr->revision;
}

static void apply_remove(const struct context *x, const struct change *c)
{
	struct entry *e = entry_of(x, &c->place, c->ino);
	struct node *n = tree_node(x->t, c->ino), *parent = NULL;
	bool pend = false;

	if (e) {
		if (n->nlink == 1 && c->type == CHANGE_EXPIRE) {
			/* A handle may keep it; it shows nothing more of it. But what is
			 * written through one makes the key anew; not a lock, which is
			 * another's by then. */
			n->is_lost = tree_lock(x->t, e) != NULL;
			parent = entry_parent(e);
			pend = node_handles(n) && !n->is_lost &&
			       tree_namespace_alive(x->t, parent, x->now.elapsed);
		}
		remove_below(x, e, c->type == CHANGE_EXPIRE);
		if (pend) {
			tree_pend_again(x->t, n, parent, place_name(&c->place));
		}
		return;
	}
	if (n && node_is_directory(n) && node_directory(n)->hint &&
		directory_size(node_directory(n)) == 0) {
		tree_collect(x->t, n); /* a stand-in whose end has come */
	}
}

/* Moves a node from one name to another, with its deadline. A lock is one no more,
 * unless the change goes on to say so. Returns the new name. */
static struct entry *move(const struct context *x, struct entry *from, struct node *parent,
	struct entry **entry)
{
	const struct deadline *d = expiry_get(&x->t->expiry, from);
	struct deadline kept = d ? *d : (struct deadline){0};
	struct node *n = entry_node(from);
	struct entry *to = steal_pointer(entry);

	touch(x->t, n);
	touch_namespace(x, entry_parent(from));
	touch_namespace(x, parent);
	tree_detach(x->t, from);
	tree_attach(x->t, parent, to, n);
	if (d) {
		tree_set_deadline(x->t, to, kept.at, kept.ttl);
	}
	n->changed = x->tr->at;
	n->revision = x->tr->revision;
	return to;
}

static void apply_rename(const struct context *x, const struct change *c, struct prepared *p)
{
	struct entry *from = entry_of(x, &c->place, c->ino);
	struct node *parent = tree_node(x->t, c->to.parent);
	struct entry *old;
	struct node *n;

	if (!from || !parent || !p->entry || !node_is_directory(parent) ||
		(node_is_directory(entry_node(from)) && is_above(entry_node(from), parent))) {
		n = tree_node(x->t, c->ino);
		if (!from && n && node_is_directory(n) && node_directory(n)->hint && parent &&
			!is_above(n, parent)) {
			/* A stand-in: at least this name of it is known. */
			if (name_node(x, &c->to, n, &p->entry)) {
				free(node_directory(n)->hint);
				node_directory(n)->hint = NULL;
				touch_namespace(x, parent);
				n->changed = x->tr->at;
				n->revision = x->tr->revision;
			}
		}
		x->t->unresolved++;
		return;
	}
	old = tree_entry(parent, entry_name(p->entry));
	if (old == from) {
		return;
	}
	if (old) {
		bool kept = holds_something(x, entry_node(old));

		if (kept ? !make_way(x, old) : is_above(entry_node(old), entry_parent(from))) {
			x->t->unresolved++;
			return;
		}
		if (!kept) {
			remove_entry(x, old);
		}
	}
	set_lease(x, c, p, move(x, from, parent, &p->entry));
}

static void apply_exchange(const struct context *x, const struct change *c, struct prepared *p)
{
	struct entry *a = entry_of(x, &c->place, c->ino);
	struct node *parent = tree_node(x->t, c->to.parent);
	struct entry *b = parent && p->entry && node_is_directory(parent)
				  ? tree_entry(parent, entry_name(p->entry))
				  : NULL;
	struct node *a_parent;

	if (!a || !b || !p->entry2 || a == b || entry_parent(a)->ino != c->place.parent ||
		!bytes_equal(entry_name(a), place_name(&c->place)) ||
		is_above(entry_node(a), entry_parent(b)) ||
		is_above(entry_node(b), entry_parent(a))) {
		x->t->unresolved++;
		return;
	}
	/* Two names are in the way of each other: a's goes first, under none. */
	a_parent = entry_parent(a);
	{
		const struct deadline *da = expiry_get(&x->t->expiry, a);
		struct deadline kept = da ? *da : (struct deadline){0};
		struct node *n = entry_node(a);
		struct entry *to = steal_pointer(&p->entry);
		struct node *b_parent = entry_parent(b);

		touch(x->t, n);
		touch(x->t, entry_node(b));
		touch_namespace(x, a_parent);
		touch_namespace(x, b_parent);
		tree_detach(x->t, a);
		move(x, b, a_parent, &p->entry2);
		tree_attach(x->t, b_parent, to, n);
		if (da) {
			tree_set_deadline(x->t, to, kept.at, kept.ttl);
		}
		n->changed = x->tr->at;
		n->revision = x->tr->revision;
	}
}

void tree_apply(struct tree *t, const struct transition *tr, struct prepared *prepared,
	struct moment now)
{
	struct context x = {.t = t, .tr = tr, .now = now};

	for (size_t i = 0; i < tr->n_changes; i++) {
		const struct change *c = &tr->changes[i];
		struct prepared *p = &prepared[i];

		switch (c->type) {
		case CHANGE_PUT:
			apply_put(&x, c, p);
			break;
		case CHANGE_APPEND:
			apply_append(&x, c, p);
			break;
		case CHANGE_LINK:
			apply_link(&x, c, p);
			break;
		case CHANGE_REMOVE:
		case CHANGE_EXPIRE:
			apply_remove(&x, c);
			break;
		case CHANGE_RENAME:
			apply_rename(&x, c, p);
			break;
		case CHANGE_EXCHANGE:
			apply_exchange(&x, c, p);
			break;
		}
		tree_unprepare(p, 1);
	}
	expiry_trim(&t->expiry);
	if (tr->revision > t->revision) {
		t->revision = tr->revision;
	}
}

int tree_replay(struct tree *t, const struct transition *tr, struct moment now)
{
	struct transition one = *tr;

	one.n_changes = 1;
	for (size_t i = 0; i < tr->n_changes; i++) {
		struct prepared prepared = {0};
		int rc;

		one.changes = &tr->changes[i];
		rc = tree_prepare(t, &one, &prepared);
		if (rc) {
			return rc;
		}
		tree_apply(t, &one, &prepared, now);
	}
	return 0;
}

/* --- the end of a replay -------------------------------------------------- */

static int note_restored(struct tree *t, const struct node *n)
{
	uint64_t *more = reallocarray(t->restored, t->n_restored + 1, sizeof(*more));

	if (!more) {
		return -ENOMEM;
	}
	t->restored = more;
	more[t->n_restored++] = n->ino;
	return 0;
}

/* A namespace above a stand-in, of which no line tells more than its name: under
 * a new number. */
static int restore_above(struct tree *t, struct node *parent, struct bytes name,
	const struct node *below, struct node **out)
{
	struct node *n = node_create(t->next_ino, S_IFDIR | 0755);
	struct entry *e = n ? entry_create(name) : NULL;

	if (!e || tree_reserve(parent)) {
		entry_destroy(e);
		node_destroy(n);
		return -ENOMEM;
	}
	node_set_owner(n, owner_ref(t->root->owner));
	n->created = n->changed = n->mtime = below->created;
	n->revision = below->revision;
	tree_add_node(t, n);
	tree_attach(t, parent, e, n);
	t->unresolved++;
	*out = n;
	return note_restored(t, n);
}

/* Gives a stand-in the place that its hint tells of. */
static int restore(struct tree *t, struct node *n)
{
	struct bytes rest = bytes_of_string(node_directory(n)->hint);
	struct node *parent = t->root;
	_cleanup_buffer_ struct buffer name = {0};
	struct entry *e;
	int rc;

	for (;;) {
		const char *slash = rest.size ? memchr(rest.data, '/', rest.size) : NULL;
		struct bytes component = bytes_of(rest.data,
			slash ? (size_t)(slash - rest.data) : rest.size);

		if (!slash) {
			rest = component;
			break;
		}
		e = tree_entry(parent, component);
		if (!e && place_name_is_possible(component) && t->next_ino < INO_LIMIT) {
			rc = restore_above(t, parent, component, n, &parent);
			if (rc) {
				return rc;
			}
		} else if (!e || !node_is_directory(entry_node(e)) || is_above(n, entry_node(e))) {
			break; /* as near as can be */
		} else {
			parent = entry_node(e);
		}
		rest = bytes_of(slash + 1, rest.size - component.size - 1);
	}
	rest = place_name(&(struct place){.path = rest});
	rc = buffer_append(&name, rest.data, rest.size);
	for (unsigned i = 0; rc == 0 && (!place_name_is_possible(buffer_bytes(&name)) ||
						tree_entry(parent, buffer_bytes(&name)));
		i++) {
		name.size = rest.size < STORE_NAME_MAX - 32 ? rest.size : STORE_NAME_MAX - 32;
		rc = buffer_printf(&name, i ? "~%llu~%u" : "~%llu", (unsigned long long)n->ino, i);
	}
	if (rc == 0) {
		rc = tree_reserve(parent);
	}
	e = rc == 0 ? entry_create(buffer_bytes(&name)) : NULL;
	if (!e) {
		return -ENOMEM;
	}
	tree_attach(t, parent, e, n);
	free(node_directory(n)->hint);
	node_directory(n)->hint = NULL;
	t->unresolved++;
	return 0;
}

static size_t depth_of(const struct node *n)
{
	size_t depth = 0;

	for (const char *c = node_directory(n)->hint; *c; c++) {
		depth += *c == '/';
	}
	return depth;
}

/* Those above come before those in them, whatever the table's order is. */
static int compare_stand_ins(const void *a, const void *b)
{
	const struct node *x = *(struct node *const *)a, *y = *(struct node *const *)b;
	size_t dx = depth_of(x), dy = depth_of(y);

	return dx != dy ? (dx < dy ? -1 : 1) : x->ino < y->ino ? -1 : 1;
}

/* Drops stand-ins that have nothing in them, and lists the others. */
static int list_stand_ins(struct tree *t, struct node ***out, size_t *n_out)
{
	struct node **list = NULL, **more;
	size_t n_list = 0;

	for (size_t i = 0; i < t->by_ino.n_buckets; i++) {
		struct indexed *item = index_bucket(&t->by_ino, i);

		while (item) {
			struct node *n = container_of(item, struct node, by_ino);

			item = index_next(item);
			if (!node_is_directory(n) || !node_directory(n)->hint) {
				continue;
			}
			if (directory_size(node_directory(n)) == 0) {
				tree_collect(t, n);
				continue;
			}
			more = realloc(list, (n_list + 1) * sizeof(*list));
			if (!more) {
				free(list);
				return -ENOMEM;
			}
			list = more;
			list[n_list++] = n;
		}
	}
	if (n_list > 0) {
		qsort(list, n_list, sizeof(*list), compare_stand_ins);
	}
	*out = list;
	*n_out = n_list;
	return 0;
}

static int restore_all(struct tree *t)
{
	struct node **list = NULL;
	size_t n = 0;
	int rc = t->has_stand_ins ? list_stand_ins(t, &list, &n) : 0;

	for (size_t i = 0; i < n && rc == 0; i++) {
		rc = restore(t, list[i]);
		rc = rc ? rc : note_restored(t, list[i]);
	}
	free(list);
	return rc;
}

int tree_replayed(struct tree *t, struct moment now)
{
	int rc = restore_all(t);

	if (rc) {
		return rc;
	}
	expiry_shift(&t->expiry, now.lease - now.elapsed);
	t->replaying = false;
	t->growth = 1;
	return 0;
}
