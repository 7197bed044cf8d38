/* SPDX-License-Identifier: MIT
 * Copyright (c) 2026 The cubbyfs authors */

/* Where things are: nodes by number, entries by namespace and name, both in
 * tables that never pause to grow, and each namespace's entries in the order of
 * their making for readdir.
 *
 * A cookie (readdir's offset) is an entry's number in its namespace, given
 * when the name is made and never again. The slots are sorted by it, because
 * names are only ever added at the end; a name that goes leaves its cookie
 * behind, so that a search from any cookie still finds its place. When half
 * of the slots are such, they are closed up. */
#include "store/tree.h"

#include "base/cleanup.h"
#include "base/clock.h"

#include <errno.h>
#include <stdlib.h>

/* What a line takes in the log beyond name, value and path; measured. */
#define LINE_BYTES 150

/* --- looking ----------------------------------------------------------- */

struct node *tree_node(const struct tree *t, uint64_t ino)
{
	struct table_link *l = table_first(&t->by_ino, hash_number(ino));

	for (; l; l = table_next(l)) {
		struct node *n = container_of(l, struct node, by_ino);

		if (n->ino == ino) {
			return n;
		}
	}
	return NULL;
}

struct entry *tree_entry(const struct tree *t, const struct node *parent, struct bytes name)
{
	struct table_link *l = table_first(&t->by_name, hash_bytes(parent->ino, name.data, name.size));

	for (; l; l = table_next(l)) {
		struct entry *e = container_of(l, struct entry, by_name);

		if (e->parent == parent && bytes_equal(entry_name(e), name)) {
			return e;
		}
	}
	return NULL;
}

bool tree_alive(const struct tree *t, const struct entry *e, int64_t elapsed)
{
	const struct deadline *d = expiry_get(&t->expiry, e);

	if (t->n_mortal == 0) {
		return !d || d->at > elapsed;
	}
	while (!d || d->at > elapsed) {
		e = e->parent->names;
		if (!e) {
			return true;
		}
		d = expiry_get(&t->expiry, e);
	}
	return false;
}

struct entry *tree_find(const struct tree *t, const struct node *parent, struct bytes name,
	int64_t elapsed)
{
	struct entry *e = tree_entry(t, parent, name);

	return e && tree_alive(t, e, elapsed) ? e : NULL;
}

struct entry *tree_name(const struct tree *t, const struct node *n, int64_t elapsed)
{
	struct entry *e = n->is_pending ? NULL : n->names;

	while (e && !tree_alive(t, e, elapsed)) {
		e = e->next_name;
	}
	return e;
}

bool tree_attached(const struct tree *t, const struct node *n)
{
	return n == t->root || (!n->is_pending && n->names);
}

static uint64_t slot_cookie(uintptr_t slot)
{
	return slot & 1 ? slot >> 1 : ((const struct entry *)slot)->cookie;
}

/* The first slot whose cookie is above `cookie`. */
static size_t slot_after(const struct directory *d, uint64_t cookie)
{
	size_t low = 0, high = d->n_slots;

	while (low < high) {
		size_t middle = low + (high - low) / 2;

		if (slot_cookie(d->slots[middle]) <= cookie) {
			low = middle + 1;
		} else {
			high = middle;
		}
	}
	return low;
}

struct entry *tree_next(const struct node *directory, uint64_t cookie)
{
	const struct directory *d = directory->directory;

	for (size_t i = slot_after(d, cookie); i < d->n_slots; i++) {
		if (!(d->slots[i] & 1)) {
			return (struct entry *)d->slots[i];
		}
	}
	return NULL;
}

struct entry *tree_last(struct node *directory)
{
	struct directory *d = directory->directory;

	while (d->n_slots > 0 && d->slots[d->n_slots - 1] & 1) {
		d->n_slots--;
	}
	return d->n_slots > 0 ? (struct entry *)d->slots[d->n_slots - 1] : NULL;
}

struct entry *tree_lowest(struct entry *top)
{
	struct entry *child;

	while (node_is_directory(top->node) && (child = tree_next(top->node, 0))) {
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
	next = tree_next(e->parent, e->cookie);
	return next ? tree_lowest(next) : e->parent->names;
}

bool tree_is_empty(const struct tree *t, const struct node *directory, int64_t elapsed)
{
	const struct directory *d = directory->directory;

	for (size_t i = 0; d->n_live > 0 && i < d->n_slots; i++) {
		if (!(d->slots[i] & 1) &&
			tree_alive(t, (const struct entry *)d->slots[i], elapsed)) {
			return false;
		}
	}
	return true;
}

/* Up to the root, or a namespace that has gone. */
size_t tree_path_size(const struct node *parent, size_t name_size)
{
	for (const struct node *n = parent; !n->is_pending && n->names; n = n->names->parent) {
		name_size += n->names->name_size + 1u;
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
	for (n = parent; !n->is_pending && n->names; n = n->names->parent) {
		out->data[--end] = '/';
		end -= n->names->name_size;
		memcpy(out->data + end, n->names->name, n->names->name_size);
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
	t->n_mortal += !e->timer && node_is_directory(e->node);
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
	if (e->timer) {
		drop_lock(t, e);
		t->n_mortal -= node_is_directory(e->node);
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

static void close_up(struct directory *d)
{
	size_t to = 0;

	for (size_t i = 0; i < d->n_slots; i++) {
		if (!(d->slots[i] & 1)) {
			d->slots[to++] = d->slots[i];
		}
	}
	d->n_slots = to;
}

int tree_reserve(struct node *directory, size_t n)
{
	struct directory *d = directory->directory;
	size_t capacity = d->capacity ? d->capacity : 4;
	uintptr_t *slots;

	if (d->n_slots + n <= d->capacity) {
		return 0;
	}
	while (capacity < d->n_slots + n) {
		capacity *= 2;
	}
	slots = realloc(d->slots, capacity * sizeof(*slots));
	if (!slots) {
		return -ENOMEM;
	}
	d->slots = slots;
	d->capacity = capacity;
	return 0;
}

static void count(struct tree *t, const struct node *n, const struct entry *e, int by)
{
	uint64_t bytes = LINE_BYTES + 2 * (uint64_t)e->name_size;

	if (node_is_directory(n)) {
		t->n_namespaces += (uint64_t)(int64_t)by;
		e->parent->directory->n_directories += (uint32_t)by;
	} else {
		t->n_keys += (uint64_t)(int64_t)by;
	}
	t->live_bytes += by > 0 ? bytes : -bytes;
}

/* A path of that size is below the node now. */
static void extend_reach(struct node *n, size_t size)
{
	while (n->directory->reach < size) {
		n->directory->reach = (uint32_t)size;
		if (n->is_pending || !n->names) {
			break;
		}
		size += n->names->name_size + 1u;
		n = n->names->parent;
	}
}

static size_t reach_of(const struct node *n)
{
	return node_is_directory(n) && n->directory->reach ? n->directory->reach + 1u : 0;
}

size_t tree_longest_path(const struct node *parent, size_t name_size, const struct node *n)
{
	return tree_path_size(parent, name_size) + reach_of(n);
}

void tree_attach(struct tree *t, struct node *parent, struct entry *e, struct node *n)
{
	struct directory *d = parent->directory;

	if (n->is_pending) {
		tree_unpend(t, n);
	}
	e->parent = parent;
	e->node = n;
	e->cookie = d->next_cookie++;
	/* Behind the first, which stays the first. */
	if (!n->names) {
		n->names = e;
		d->bytes += node_bytes(n);
	} else {
		e->next_name = n->names->next_name;
		n->names->next_name = e;
	}
	n->nlink++;
	tree_count_node(t, n);
	d->slots[d->n_slots++] = (uintptr_t)e;
	d->n_live++;
	table_insert(&t->by_name, &e->by_name, hash_bytes(parent->ino, e->name, e->name_size));
	count(t, n, e, 1);
	extend_reach(parent, e->name_size + reach_of(n));
}

void tree_detach(struct tree *t, struct entry *e)
{
	struct directory *d = e->parent->directory;
	struct entry **at = &e->node->names;
	size_t slot = slot_after(d, e->cookie) - 1;

	count(t, e->node, e, -1);
	if (e == e->node->names) {
		d->bytes -= node_bytes(e->node);
		if (e->next_name) {
			e->next_name->parent->directory->bytes += node_bytes(e->node);
		}
	}
	tree_clear_deadline(t, e);
	table_remove(&t->by_name, &e->by_name);
	d->slots[slot] = (uintptr_t)e->cookie << 1 | 1;
	d->n_live--;
	d->reach = d->n_live ? d->reach : 0;
	if (d->n_slots > 32 && d->n_live < d->n_slots / 2) {
		close_up(d);
	}
	while (*at != e) {
		at = &(*at)->next_name;
	}
	*at = e->next_name;
	e->node->nlink--;
	tree_count_node(t, e->node);
	entry_destroy(e);
}

void tree_add_node(struct tree *t, struct node *n)
{
	table_insert(&t->by_ino, &n->by_ino, hash_number(n->ino));
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
	if (!n->is_pending && n->names) {
		n->names->parent->directory->bytes += by;
	}
}

/* As on a local file system, what has no name any more takes its space until it is closed;
 * but not until the kernel, too, has forgotten it. */
void tree_count_node(struct tree *t, struct node *n)
{
	bool counts = n == t->root || n->n_open > 0 || (!n->is_pending && n->names);

	if (counts != n->is_counted) {
		n->is_counted = counts;
		t->bytes += counts ? node_bytes(n) : -node_bytes(n);
	}
}

void tree_collect(struct tree *t, struct node *n)
{
	if (n == t->root || n->refs > 0 || n->is_pending || n->names) {
		return;
	}
	if (n->lookups > 0) {
		/* The kernel has it still, for somebody's O_PATH. It is not counted any more. */
		node_shed(n);
		return;
	}
	table_remove(&t->by_ino, &n->by_ino);
	node_destroy(n);
}

/* --- keys that are being made -------------------------------------------- */

bool tree_pend_node(
	struct tree *t, struct node *n, const struct node *parent, struct bytes name)
{
	struct pending *p = malloc(sizeof(*p) + name.size);

	if (!p) {
		return false;
	}
	p->node = n;
	p->parent = parent->ino;
	p->n_commits = 0;
	p->name_size = (uint8_t)name.size;
	memcpy(p->name, name.data, name.size);
	table_insert(&t->pending, &p->by_name, hash_bytes(parent->ino, name.data, name.size));
	parent->directory->n_pending++;
	n->pending = p;
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
	value_unref(n->value);
	n->value = NULL;
	/* The line that makes it anew has no attributes but those that are set by then. */
	if (n->extra) {
		xattr_destroy_all(n->extra->xattrs);
		free(n->extra->action);
		free(n->extra);
		n->extra = NULL;
	}
	tree_count_bytes(t, n, before);
}

struct pending *tree_find_pending(const struct tree *t, const struct node *parent,
	struct bytes name)
{
	struct table_link *l;

	if (t->pending.n_items == 0) {
		return NULL;
	}
	l = table_first(&t->pending, hash_bytes(parent->ino, name.data, name.size));
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
		parent = tree_node(t, n->pending->parent);
		if (parent) {
			parent->directory->n_pending--;
		}
		table_remove(&t->pending, &n->pending->by_name);
		free(n->pending);
		n->names = NULL;
		n->is_pending = false;
	}
}

/* --- references ----------------------------------------------------------- */

void tree_remember(struct node *n)
{
	n->lookups++;
}

void tree_forget(struct tree *t, struct node *n, uint64_t count)
{
	n->lookups = count < n->lookups ? n->lookups - (uint32_t)count : 0;
	tree_collect(t, n);
}

void tree_ref(struct node *n)
{
	n->refs++;
}

void tree_unref(struct tree *t, struct node *n, uint64_t count)
{
	n->refs = count < n->refs ? n->refs - (uint32_t)count : 0;
	tree_collect(t, n);
}

/* --- the whole ------------------------------------------------------------ */

int tree_init(struct tree *t, uid_t uid, gid_t gid, mode_t mode, int64_t now)
{
	*t = (struct tree){.next_ino = INO_FIRST};
	if (table_init(&t->by_ino) || table_init(&t->by_name) || table_init(&t->pending) ||
		table_init(&t->locks) ||
		!(t->root = node_create(INO_ROOT, S_IFDIR | (mode & 07777)))) {
		tree_finish(t);
		return -ENOMEM;
	}
	t->root->uid = uid;
	t->root->gid = gid;
	t->root->created = t->root->changed = t->root->mtime = t->root->atime = now;
	table_insert(&t->by_ino, &t->root->by_ino, hash_number(INO_ROOT));
	tree_count_node(t, t->root);
	return 0;
}

static void destroy_node_and_names(struct node *n)
{
	if (n->is_pending) {
		free(n->pending);
	} else {
		while (n->names) {
			struct entry *next = n->names->next_name;

			entry_destroy(n->names);
			n->names = next;
		}
	}
	node_destroy(n);
}

void tree_finish(struct tree *t)
{
	for (size_t i = 0; i < t->by_ino.n_buckets; i++) {
		struct table_link *l = table_bucket(&t->by_ino, i);

		while (l) {
			struct table_link *next = l->next;

			destroy_node_and_names(container_of(l, struct node, by_ino));
			l = next;
		}
	}
	table_finish(&t->by_ino);
	table_finish(&t->by_name);
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
