/* SPDX-License-Identifier: MIT
 * Copyright (c) 2026 The cubbyfs authors */

/* Names that a transition may touch are looked at before and after; what is not
 * the same is an event. So there is one rule for all kinds of changes, however
 * many of them a transition has, and for a replay that mends:
 *
 *   before   after
 *   -        there      created
 *   there    -          deleted, or expired if an expiry took it
 *   there    there      updated, if it was set or is another node
 *                       (a key that another was renamed over, an exchange)
 *
 * A key that expired and was made again by the same transition is both, and
 * so is a name that was a namespace and is none any more. With a namespace comes
 * all that is below it, since all those names change.
 *
 * Before, that is: names of the nodes that changes name, what is at the places
 * they name, and, if it may go or move, all below. Whatever else there may be
 * at a name afterwards has not been there before. After, it is the names that
 * were noted before, and the names of the same nodes.
 *
 * The order of a revision's events does not depend on the tree's, which is not the
 * same for one that was replayed from a snapshot: what goes comes first, from below
 * to above, then what comes, from above to below. */
#include "store/difference.h"

#include "base/cleanup.h"
#include "store/place.h"
#include "store/tree.h"

#include <errno.h>
#include <stdlib.h>

/* A name as it was before, or as it is after. */
struct difference_item {
	size_t path, path_size; /* in difference.paths */
	bool after;
	bool is_namespace;
	bool has_value;
	bool is_set;	 /* by a change of the node itself */
	bool has_expired;
	uint64_t ino;
	struct value *value; /* a reference */
};

/* What noting a name includes. */
#define BELOW (1u << 0)	       /* all that is in it */
#define IS_SET (1u << 1)
#define HAS_EXPIRED (1u << 2)  /* it, and all below */
#define LEFT_EXPIRED (1u << 3) /* what is below and has a deadline: only what has expired is left
				* in a namespace that can be removed */

struct look {
	struct difference *d;
	const struct tree *t;
	bool after;
};

/* --- collecting ----------------------------------------------------------- */

/* The path of a namespace; of one that a damaged log has lost, where it was. */
static int append_namespace(const struct node *n, struct buffer *out)
{
	const struct entry *e = node_first_name(n);
	int rc;

	if (e) {
		rc = append_namespace(entry_parent(e), out);
		rc = rc ? rc : buffer_append(out, e->name, e->name_size);
	} else if (node_directory(n)->hint && *node_directory(n)->hint) {
		rc = buffer_append_string(out, node_directory(n)->hint);
	} else {
		return 0;
	}
	return rc ? rc : buffer_append(out, "/", 1);
}

/* The root's is empty, and if it is the only one there are no bytes at all. */
static struct bytes path_of(const struct difference *d, const struct difference_item *item)
{
	return bytes_of(d->paths.data ? d->paths.data + item->path : "", item->path_size);
}

static struct difference_item *add_item(struct difference *d)
{
	struct difference_item *items;
	size_t capacity;

	if (d->n_items == d->capacity) {
		capacity = d->capacity ? 2 * d->capacity : 16;
		items = reallocarray(d->items, capacity, sizeof(*items));
		if (!items) {
			return NULL;
		}
		d->items = items;
		d->capacity = capacity;
	}
	return &d->items[d->n_items++];
}

/* The path is what has been added to d->paths from `path` on. */
static void note(struct look *x, const struct node *n, size_t path, unsigned flags)
{
	struct difference_item *item = add_item(x->d);

	if (!item) {
		x->d->failed = true;
		return;
	}
	*item = (struct difference_item){
		.path = path,
		.path_size = x->d->paths.size - path,
		.after = x->after,
		.is_namespace = node_is_directory(n),
		.has_value = node_has_value(n),
		.is_set = flags & IS_SET,
		.has_expired = flags & HAS_EXPIRED,
		.ino = n->ino,
		.value = node_has_value(n) && node_value(n) ? value_ref(node_value(n)) : NULL,
	};
}

/* All names in a namespace whose path is given. */
static void note_below(struct look *x, const struct node *directory, size_t path, size_t size,
	unsigned flags)
{
	struct buffer *paths = &x->d->paths;

	for (struct entry *e = tree_next(directory, 0); e && !x->d->failed; e = tree_following(e)) {
		unsigned own = flags & ~LEFT_EXPIRED;
		size_t start = paths->size;
		size_t end;

		if ((flags & LEFT_EXPIRED) && expiry_get(&x->t->expiry, e)) {
			own |= HAS_EXPIRED;
		}
		if (buffer_reserve(paths, start + size + 1 + e->name_size)) {
			x->d->failed = true;
			return;
		}
		buffer_append(paths, paths->data + path, size);
		buffer_append(paths, "/", 1);
		buffer_append(paths, e->name, e->name_size);
		end = paths->size;
		note(x, entry_node(e), start, own);
		if (node_is_directory(entry_node(e))) {
			note_below(
				x, entry_node(e), start, end - start, own | (flags & LEFT_EXPIRED));
		}
	}
}

static void note_entry(struct look *x, const struct entry *e, unsigned flags)
{
	size_t start = x->d->paths.size;
	int rc = append_namespace(entry_parent(e), &x->d->paths);
	size_t size;

	rc = rc ? rc : buffer_append(&x->d->paths, e->name, e->name_size);
	if (rc) {
		x->d->failed = true;
		return;
	}
	size = x->d->paths.size - start;
	note(x, entry_node(e), start, flags);
	if ((flags & BELOW) && node_is_directory(entry_node(e))) {
		note_below(x, entry_node(e), start, size, flags & ~IS_SET);
	}
}

/* All names that a node has. */
static void note_node(struct look *x, uint64_t ino, unsigned flags)
{
	const struct node *n = tree_node(x->t, ino);

	if (n && n == x->t->root) {
		note(x, n, x->d->paths.size, flags);
	}
	if (n && !n->is_pending) {
		for (uint32_t i = 0; i < n->nlink; i++) {
			const struct entry *e = node_name(n, i);

			note_entry(x, e, flags);
		}
	}
}

static const struct entry *entry_at(const struct look *x, const struct place *place)
{
	const struct node *parent = tree_node(x->t, place->parent);

	return parent && node_is_directory(parent) ? tree_entry(parent, place_name(place)) : NULL;
}

/* What has a name that a change is about. */
static void note_place(struct look *x, const struct place *place, unsigned flags)
{
	const struct entry *e = entry_at(x, place);

	if (e) {
		note_entry(x, e, flags);
	}
}

static void note_change(struct look *x, const struct change *c)
{
	const struct entry *e;

	switch (c->type) {
	case CHANGE_PUT:
	case CHANGE_APPEND:
		note_node(x, c->ino, IS_SET);
		e = x->after || c->ino == INO_ROOT ? NULL : entry_at(x, &c->place);
		if (e && entry_node(e)->ino != c->ino) {
			note_entry(x, e, BELOW);
		}
		break;
	case CHANGE_LINK:
		note_place(x, &c->place, BELOW);
		break;
	case CHANGE_REMOVE:
	case CHANGE_EXPIRE:
		e = entry_at(x, &c->place);
		if (x->after) {
			break; /* it is looked for anyway */
		}
		if (e && entry_node(e)->ino == c->ino) {
			note_entry(x, e,
				BELOW | (c->type == CHANGE_EXPIRE ? HAS_EXPIRED : LEFT_EXPIRED));
		} else {
			note_node(x, c->ino, BELOW);
		}
		break;
	case CHANGE_RENAME:
		note_node(x, c->ino, BELOW);
		e = x->after ? NULL : entry_at(x, &c->to);
		if (e && entry_node(e)->ino != c->ino) {
			note_entry(x, e, BELOW | LEFT_EXPIRED);
		}
		break;
	case CHANGE_EXCHANGE:
		note_node(x, c->ino, BELOW);
		note_place(x, &c->place, BELOW);
		note_place(x, &c->to, BELOW);
		break;
	}
}

/* Lines that stand for what is there already: see transition.h. */
static bool is_told(const struct transition *tr, const struct change *c)
{
	return tr->revision != 0 && !(c->fields & HAS_HISTORY);
}

void difference_begin(struct difference *d, const struct tree *t, const struct transition *tr)
{
	struct look x = {.d = d, .t = t};

	for (size_t i = 0; i < tr->n_changes; i++) {
		if (is_told(tr, &tr->changes[i])) {
			note_change(&x, &tr->changes[i]);
		}
	}
}

/* What has this path now, or NULL. */
static const struct node *resolve(const struct tree *t, struct bytes path)
{
	const struct node *n = t->root;

	while (path.size > 0) {
		const char *slash = memchr(path.data, '/', path.size);
		size_t size = slash ? (size_t)(slash - path.data) : path.size;
		const struct entry *e =
			node_is_directory(n) ? tree_entry(n, bytes_of(path.data, size)) : NULL;

		if (!e) {
			return NULL;
		}
		n = entry_node(e);
		size += slash != NULL;
		path = bytes_of(path.data + size, path.size - size);
	}
	return n;
}

static void look_again(struct look *x)
{
	size_t n_before = x->d->n_items;

	for (size_t i = 0; i < n_before && !x->d->failed; i++) {
		struct difference_item item = x->d->items[i];
		const struct node *n = resolve(x->t, path_of(x->d, &item));
		size_t end = x->d->paths.size;

		if (n) {
			note(x, n, end, 0);
			if (!x->d->failed) {
				x->d->items[x->d->n_items - 1].path = item.path;
				x->d->items[x->d->n_items - 1].path_size = item.path_size;
			}
		}
	}
}

/* --- telling -------------------------------------------------------------- */

static int compare(const void *a, const void *b, void *arg)
{
	const struct difference_item *x = a, *y = b;
	const char *paths = arg;
	size_t size = x->path_size < y->path_size ? x->path_size : y->path_size;
	int r = size ? memcmp(paths + x->path, paths + y->path, size) : 0;

	if (r == 0 && x->path_size != y->path_size) {
		r = x->path_size < y->path_size ? -1 : 1;
	}
	return r ? r : (int)x->after - (int)y->after;
}

/* What became of one name: at most one item from before, and one from after. */
struct pair {
	const struct difference_item *old, *new;
	bool goes, comes;
};

static bool same_name(const struct difference *d, const struct difference_item *a,
	const struct difference_item *b)
{
	return bytes_equal(path_of(d, a), path_of(d, b));
}

/* Brings each name's items together, into the first of each kind. */
static void merge(struct difference *d)
{
	size_t to = 0;

	for (size_t i = 0; i < d->n_items; i++) {
		struct difference_item *item = &d->items[i];
		struct difference_item *last = to ? &d->items[to - 1] : NULL;

		if (last && last->after == item->after && same_name(d, last, item)) {
			last->is_set |= item->is_set;
			last->has_expired |= item->has_expired;
			value_unref(item->value);
		} else {
			d->items[to++] = *item;
		}
	}
	d->n_items = to;
}

static struct pair pair_at(const struct difference *d, size_t i)
{
	const struct difference_item *item = &d->items[i];
	struct pair p = {0};

	if (item->after) {
		if (i > 0 && same_name(d, item - 1, item)) {
			return p; /* told with the other */
		}
		p.new = item;
	} else {
		p.old = item;
		if (i + 1 < d->n_items && item[1].after && same_name(d, item, item + 1)) {
			p.new = item + 1;
		}
	}
	p.goes = p.old && (!p.new || p.old->has_expired ||
				  p.old->is_namespace != p.new->is_namespace);
	if (p.new) {
		p.comes = !p.old || p.goes || p.new->is_set || p.old->ino != p.new->ino;
	}
	return p;
}

struct teller {
	const struct difference *d;
	struct store_event event;
	size_t left;
	store_event_fn *fn;
	void *arg;
};

static void tell(struct teller *x, enum store_event_type type, const struct difference_item *old,
	const struct difference_item *new)
{
	const struct difference_item *any = new ? new : old;
	struct store_event *e = &x->event;

	e->type = type;
	e->path = path_of(x->d, any);
	e->is_namespace = any->is_namespace;
	e->has_old = old && old->has_value;
	e->old_value = old ? old->value : NULL;
	e->has_new = new && new->has_value;
	e->new_value = new ? new->value : NULL;
	e->more = --x->left > 0;
	x->fn(x->arg, e);
}

static void tell_all(struct difference *d, const struct transition *tr, store_event_fn *fn,
	void *arg)
{
	struct teller x = {
		.d = d,
		.event = {
			.revision = tr->revision,
			.at = tr->at,
			.by = tr->by,
			.action = tr->action,
		},
		.fn = fn,
		.arg = arg,
	};

	qsort_r(d->items, d->n_items, sizeof(*d->items), compare, d->paths.data);
	merge(d);
	for (size_t i = 0; i < d->n_items; i++) {
		struct pair p = pair_at(d, i);

		x.left += p.goes + p.comes;
	}
	for (size_t i = d->n_items; i-- > 0;) {
		struct pair p = pair_at(d, i);

		if (p.goes) {
			tell(&x, p.old->has_expired ? STORE_EVENT_EXPIRED : STORE_EVENT_DELETED,
				p.old, NULL);
		}
	}
	for (size_t i = 0; i < d->n_items; i++) {
		struct pair p = pair_at(d, i);

		if (p.comes) {
			bool created = !p.old || p.goes;

			tell(&x, created ? STORE_EVENT_CREATED : STORE_EVENT_UPDATED,
				created ? NULL : p.old, p.new);
		}
	}
}

void difference_end(struct difference *d, const struct tree *t, const struct transition *tr,
	store_event_fn *fn, void *arg)
{
	struct look x = {.d = d, .t = t, .after = true};

	look_again(&x);
	for (size_t i = 0; i < tr->n_changes && !d->failed; i++) {
		if (is_told(tr, &tr->changes[i])) {
			note_change(&x, &tr->changes[i]);
		}
	}
	if (d->failed) {
		fn(arg, &(struct store_event){
			.type = STORE_EVENT_LOST,
			.from = tr->revision,
			.revision = tr->revision + 1,
		});
	} else if (d->n_items > 0) {
		tell_all(d, tr, fn, arg);
	}
	difference_drop(d);
}

void difference_drop(struct difference *d)
{
	for (size_t i = 0; i < d->n_items; i++) {
		value_unref(d->items[i].value);
	}
	d->n_items = 0;
	d->paths.size = 0;
	d->failed = false;
}

void difference_finish(struct difference *d)
{
	difference_drop(d);
	free(d->items);
	buffer_finish(&d->paths);
	*d = (struct difference){0};
}
