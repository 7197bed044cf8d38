/* SPDX-License-Identifier: MIT
 * Copyright (c) 2026 The cubbyfs authors */

/* Where things are: nodes by number, in an index that never pauses to grow; names in their
 * namespaces (directory.c). */
#include "store/tree.h"

#include "base/cleanup.h"
#include "base/clock.h"
#include "store/place.h"

#include <errno.h>
#include <stdlib.h>

/* What a line takes in a snapshot beyond name, value and path; measured. */
#define LINE_BYTES 256

static struct node *node_of(struct indexed *item)
{
	return container_of(item, struct node, by_ino);
}

static uint32_t hash_of_node(const struct indexed *item)
{
	return node_hash(container_of(item, const struct node, by_ino)->ino);
}

/* --- looking ----------------------------------------------------------- */

struct node *tree_node(const struct tree *t, uint64_t ino)
{
	struct indexed *item = index_first(&t->by_ino, node_hash(ino));

	while (item && node_of(item)->ino != ino) {
		item = index_next(item);
	}
	return item ? node_of(item) : NULL;
}

struct entry *tree_entry(const struct node *parent, struct bytes name)
{
	return directory_find(node_directory(parent), name);
}

bool tree_alive(const struct tree *t, const struct entry *e, int64_t elapsed)
{
	const struct deadline *d = expiry_get(&t->expiry, e);

	if (t->n_mortal == 0) {
		return !d || d->at > elapsed;
	}
	while (!d || d->at > elapsed) {
		e = node_first_name(entry_parent(e));
		if (!e) {
			return true;
		}
		d = expiry_get(&t->expiry, e);
	}
	return false;
}

bool tree_namespace_alive(const struct tree *t, const struct node *n, int64_t elapsed)
{
	const struct entry *e = node_first_name(n);

	return !e || tree_alive(t, e, elapsed);
}

struct entry *tree_find(const struct tree *t, const struct node *parent, struct bytes name,
	int64_t elapsed)
{
	struct entry *e = tree_entry(parent, name);

	return e && tree_alive(t, e, elapsed) ? e : NULL;
}

struct entry *tree_name(const struct tree *t, const struct node *n, int64_t elapsed)
{
	for (uint32_t i = 0; i < n->nlink; i++) {
		struct entry *e = node_name(n, i);

		if (tree_alive(t, e, elapsed)) {
			return e;
		}
	}
	return NULL;
}

bool tree_attached(const struct tree *t, const struct node *n)
{
	return n == t->root || n->nlink > 0;
}

struct entry *tree_next(const struct node *directory, uint64_t cookie)
{
	return directory_next(node_directory(directory), cookie);
}

struct entry *tree_following(const struct entry *e)
{
	return directory_after(node_directory(entry_parent(e)), e);
}

struct entry *tree_lowest(struct entry *top)
{
	struct entry *child;

	while (node_is_directory(entry_node(top)) && (child = tree_next(entry_node(top), 0))) {
		top = child;
	}
	return top;
}

struct entry *tree_after(const struct entry *e, const struct entry *top)
{
	struct entry *next;

	if (e == top) {
		return NULL;
	}
	next = tree_following(e);
	return next ? tree_lowest(next) : node_first_name(entry_parent(e));
}

bool tree_is_empty(const struct tree *t, const struct node *directory, int64_t elapsed)
{
	for (struct entry *e = tree_next(directory, 0); e; e = tree_following(e)) {
		if (tree_alive(t, e, elapsed)) {
			return false;
		}
	}
	return true;
}

/* Up to the root, or a namespace that has gone. */
size_t tree_path_size(const struct node *parent, size_t name_size)
{
	for (const struct node *n = parent; n->nlink > 0; n = entry_parent(node_first_name(n))) {
		name_size += node_first_name(n)->name_size + 1u;
	}
	return name_size;
}

int tree_path(const struct node *parent, struct bytes name, struct buffer *out)
{
	size_t start = out->size, size = tree_path_size(parent, name.size), end;
	const struct node *n;
	int rc;

	rc = buffer_resize(out, start + size);
	if (rc) {
		return rc;
	}
	end = start + size - name.size;
	if (name.size > 0) {
		memcpy(out->data + end, name.data, name.size);
	}
	for (n = parent; n->nlink > 0; n = entry_parent(node_first_name(n))) {
		out->data[--end] = '/';
		end -= node_first_name(n)->name_size;
		memcpy(out->data + end, node_first_name(n)->name, node_first_name(n)->name_size);
	}
	return 0;
}

/* --- deadlines ------------------------------------------------------------ */

void tree_set_deadline(struct tree *t, struct entry *e, int64_t at, int64_t ttl)
{
	struct lock *l = tree_lock(t, e);

	if (l && l->keepalive && ttl == 0) {
		tree_let_go(t, l); /* 0 expires at once: it never means for ever */
		l->keepalive = false;
	}
	t->n_mortal += !e->has_deadline && node_is_directory(entry_node(e));
	expiry_set(&t->expiry, e, l && l->lives ? DEADLINE_NEVER : at, ttl);
}

void tree_let_go(struct tree *t, struct lock *lock)
{
	if (lock->watched && t->unwatch) {
		t->unwatch(t->unwatch_arg, lock->token);
	}
	lock->watched = lock->lives = false;
}

static void drop_lock(struct tree *t, const struct entry *e)
{
	struct lock *l = tree_lock(t, e);

	if (l) {
		tree_let_go(t, l);
		table_remove(&t->locks, &l->by_token);
		lock_destroy(l);
	}
}

void tree_clear_deadline(struct tree *t, struct entry *e)
{
	if (e->has_deadline) {
		drop_lock(t, e);
		t->n_mortal -= node_is_directory(entry_node(e));
		expiry_clear(&t->expiry, e);
	}
}

void tree_set_lock(struct tree *t, struct entry *e, struct lock *lock)
{
	drop_lock(t, e);
	lock->entry = e;
	table_insert(&t->locks, &lock->by_token, hash_number(lock->token));
	expiry_set_lock(&t->expiry, e, lock);
}

/* --- names --------------------------------------------------------------- */

int tree_reserve(struct node *directory)
{
	return directory_reserve(node_directory(directory));
}

static void count(struct tree *t, const struct node *n, const struct entry *e, int by)
{
	uint64_t bytes = LINE_BYTES + 2 * (uint64_t)e->name_size;

	if (node_is_directory(n)) {
		t->n_namespaces += (uint64_t)(int64_t)by;
		node_directory(entry_parent(e))->n_directories += (uint32_t)by;
	} else {
		t->n_keys += (uint64_t)(int64_t)by;
	}
	t->live_bytes += by > 0 ? bytes : -bytes;
}

/* A path of that size is below the node now. */
static void extend_reach(struct node *n, size_t size)
{
	while (n && node_directory(n)->reach < size) {
		const struct entry *e = node_first_name(n);

		node_directory(n)->reach = (uint32_t)size;
		size += e ? e->name_size + 1u : 0;
		n = e ? entry_parent(e) : NULL;
	}
}

static size_t reach_of(const struct node *n)
{
	return node_is_directory(n) && node_directory(n)->reach ? node_directory(n)->reach + 1u : 0;
}

size_t tree_longest_path(const struct node *parent, size_t name_size, const struct node *n)
{
	return tree_path_size(parent, name_size) + reach_of(n);
}

/* While a log is replayed that will have made so many times what it has made by now. It may have
 * more changes of what is there than a snapshot, and its beginning is not like its end: by no more
 * than EXPECT_MOST at a time. (As it is compacted, there are not many more in all.) Each time moves
 * what is there already, so it shall not take many. */
#define EXPECT_MOST 16
/* What is smaller grows by itself: there may be very many of that. */
#define EXPECT_FROM 64

static void expect(struct index *x, double growth)
{
	if (growth > 1 && x->n_items >= x->n_buckets && x->n_items >= EXPECT_FROM) {
		index_expect(x, (size_t)((double)x->n_items *
					 (growth < EXPECT_MOST ? growth : EXPECT_MOST)));
	}
}

void tree_attach(struct tree *t, struct node *parent, struct entry *e, struct node *n)
{
	struct directory *d = node_directory(parent);

	if (n->is_pending) {
		tree_unpend(t, n);
	}
	e->parent_ref = slab_ref_of(parent);
	e->node_ref = slab_ref_of(n);
	node_add_name(n, e);
	if (n->nlink == 1) {
		d->bytes += node_bytes(n);
	}
	tree_count_node(t, n);
	expect(&d->names, t->growth);
	directory_add(d, e);
	count(t, n, e, 1);
	extend_reach(parent, e->name_size + reach_of(n));
}

void tree_detach(struct tree *t, struct entry *e)
{
	struct directory *d = node_directory(entry_parent(e));
	struct node *n = entry_node(e);
	bool was_first = e == node_first_name(n);

	count(t, n, e, -1);
	tree_clear_deadline(t, e);
	directory_remove(d, e);
	d->reach = directory_size(d) ? d->reach : 0;
	node_drop_name(n, e);
	if (was_first) {
		d->bytes -= node_bytes(n);
	}
	if (was_first && n->nlink > 0) {
		node_directory(entry_parent(node_first_name(n)))->bytes += node_bytes(n);
	}
	tree_count_node(t, n);
	entry_destroy(e);
}

void tree_add_node(struct tree *t, struct node *n)
{
	index_insert(&t->by_ino, &n->by_ino, node_hash(n->ino));
	if (n->ino >= t->next_ino && n->ino < INO_LIMIT) {
		t->next_ino = n->ino + 1;
	}
	/* What is made while a snapshot is being written is not in it. */
	n->epoch = t->epoch;
}

void tree_count_bytes(struct tree *t, struct node *n, uint64_t before)
{
	uint64_t by = node_bytes(n) - before; /* unsigned: less is a sum that wraps */

	t->bytes += n->is_counted ? by : 0;
	if (n->nlink > 0) {
		node_directory(entry_parent(node_first_name(n)))->bytes += by;
	}
}

/* As on a local file system, what has no name any more takes its space until it is closed;
 * but not until the kernel, too, has forgotten it. */
void tree_count_node(struct tree *t, struct node *n)
{
	bool counts = n == t->root || node_n_open(n) > 0 || n->nlink > 0;

	if (counts != n->is_counted) {
		n->is_counted = counts;
		t->bytes += counts ? node_bytes(n) : -node_bytes(n);
	}
}

void tree_collect(struct tree *t, struct node *n)
{
	if (n == t->root || n->refs > 0 || n->is_pending || n->nlink > 0) {
		return;
	}
	if (n->lookups > 0) {
		gone_add(t, n);
		return;
	}
	index_remove(&t->by_ino, &n->by_ino, node_hash(n->ino));
	node_destroy(n);
}

/* --- keys that are being made -------------------------------------------- */

static uint32_t pending_hash(const struct node *parent, struct bytes name)
{
	return (uint32_t)hash_bytes(name.data, name.size) + hash_number(parent->ino);
}

bool tree_pend_node(
	struct tree *t, struct node *n, const struct node *parent, struct bytes name)
{
	struct pending *p = malloc(sizeof(*p) + name.size);

	if (!p || node_need_extra(n)) {
		free(p);
		return false;
	}
	p->node = n;
	p->parent = parent->ino;
	p->n_commits = 0;
	p->name_size = (uint8_t)name.size;
	memcpy(p->name, name.data, name.size);
	table_insert(&t->pending, &p->by_name, pending_hash(parent, name));
	node_directory(parent)->n_pending++;
	node_extra(n)->pending = p;
	n->is_pending = true;
	return true;
}

struct node *tree_pend(struct tree *t, const struct node *parent, struct bytes name, uint32_t mode)
{
	struct node *n = node_create(t->next_ino, mode);

	if (!n || !tree_pend_node(t, n, parent, name)) {
		node_destroy(n);
		return NULL;
	}
	n->lookups = 1;
	tree_add_node(t, n);
	return n;
}

void tree_pend_again(struct tree *t, struct node *n, const struct node *parent,
	struct bytes name)
{
	uint64_t before = node_bytes(n);

	/* Somebody else may be making the name already. */
	if (tree_find_pending(t, parent, name) || !tree_pend_node(t, n, parent, name)) {
		return;
	}
	n->is_expired = false;
	n->version = 0;
	value_unref(node_value(n));
	node_put_value(n, NULL);
	/* The line that makes it anew has no attributes but those that are set by then. */
	node_clear_attributes(n);
	tree_count_bytes(t, n, before);
}

struct pending *tree_find_pending(const struct tree *t, const struct node *parent,
	struct bytes name)
{
	struct table_link *l;

	if (t->pending.n_items == 0) {
		return NULL;
	}
	l = table_first(&t->pending, pending_hash(parent, name));
	for (; l; l = table_next(l)) {
		struct pending *p = container_of(l, struct pending, by_name);

		if (p->parent == parent->ino && bytes_equal(bytes_of(p->name, p->name_size), name)) {
			return p;
		}
	}
	return NULL;
}

void tree_unpend(struct tree *t, struct node *n)
{
	struct node *parent;

	if (n->is_pending) {
		parent = tree_node(t, node_pending(n)->parent);
		if (parent) {
			node_directory(parent)->n_pending--;
		}
		table_remove(&t->pending, &node_pending(n)->by_name);
		free(node_pending(n));
		node_extra(n)->pending = NULL;
		n->is_pending = false;
		node_settle_extra(n);
	}
}

/* --- references ----------------------------------------------------------- */

void tree_remember(struct node *n)
{
	n->lookups += n->lookups < NODE_LOOKUPS_MAX;
}

void tree_forget(struct tree *t, struct node *n, uint64_t count)
{
	if (n->lookups < NODE_LOOKUPS_MAX) {
		n->lookups -= count < n->lookups ? count : n->lookups;
	}
	tree_collect(t, n);
}

void tree_ref(struct node *n)
{
	n->refs += n->refs < NODE_REFS_MAX;
}

void tree_unpin(struct node *n)
{
	n->refs -= n->refs > 0 && n->refs < NODE_REFS_MAX;
}

void tree_unref(struct tree *t, struct node *n)
{
	tree_unpin(n);
	tree_collect(t, n);
}

void tree_prefetch(const struct tree *t, const struct transition *tr, bool near)
{
	const struct change *c = &tr->changes[0]; /* there are more only now and then */
	const struct node *parent = tree_node(t, c->place.parent);

	if (near) {
		index_prefetch_first(&t->by_ino, node_hash(c->ino));
	} else {
		index_prefetch(&t->by_ino, node_hash(c->ino));
	}
	if (parent && node_is_directory(parent)) {
		directory_prefetch(node_directory(parent), place_name(&c->place), near);
	}
}

void tree_expect(struct tree *t, uint64_t done, uint64_t total)
{
	t->growth = done > 0 ? (double)total / (double)done : 1;
	expect(&t->by_ino, t->growth);
}

/* --- the whole ------------------------------------------------------------ */

int tree_init(struct tree *t, uid_t uid, gid_t gid, mode_t mode, int64_t now)
{
	uint32_t owner = OWNER_ROOT;

	*t = (struct tree){.next_ino = INO_FIRST};
	if (index_init(&t->by_ino, hash_of_node) || table_init(&t->pending) ||
		table_init(&t->locks) || expiry_init(&t->expiry) || owner_get(uid, gid, &owner) ||
		!(t->root = node_create(INO_ROOT, S_IFDIR | (mode & 07777)))) {
		owner_unref(owner);
		tree_finish(t);
		return -ENOMEM;
	}
	node_set_owner(t->root, owner);
	t->root->created = t->root->changed = t->root->mtime = now;
	index_insert(&t->by_ino, &t->root->by_ino, node_hash(INO_ROOT));
	tree_count_node(t, t->root);
	return 0;
}

static void destroy_node_and_names(struct node *n)
{
	free(node_pending(n));
	for (uint32_t i = 0; i < n->nlink; i++) {
		entry_destroy(node_name(n, i));
	}
	node_destroy(n);
}

void tree_finish(struct tree *t)
{
	for (size_t i = 0; i < t->by_ino.n_buckets; i++) {
		struct indexed *item = index_bucket(&t->by_ino, i);

		while (item) {
			struct indexed *next = index_next(item);

			destroy_node_and_names(node_of(item));
			item = next;
		}
	}
	index_finish(&t->by_ino);
	table_finish(&t->pending);
	for (size_t i = 0; i < t->locks.n_buckets; i++) {
		struct table_link *l;

		while ((l = table_bucket(&t->locks, i))) {
			table_remove(&t->locks, l);
			tree_let_go(t, container_of(l, struct lock, by_token));
			lock_destroy(container_of(l, struct lock, by_token));
		}
	}
	table_finish(&t->locks);
	expiry_finish(&t->expiry);
	free(t->restored);
	t->restored = NULL;
	t->root = NULL;
}
