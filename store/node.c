/* SPDX-License-Identifier: MIT
 * Copyright (c) 2026 The cubbyfs authors */

#include "store/node.h"

#include <errno.h>
#include <linux/limits.h>
#include <stdlib.h>

static bool create_content(struct node *n, uint32_t mode)
{
	if (S_ISDIR(mode)) {
		n->content_ref = slab_ref_of(directory_create());
		return n->content_ref != 0;
	}
	if (S_ISCHR(mode) || S_ISBLK(mode)) {
		n->content_ref = slab_ref_of(slab_allocate(sizeof(uint64_t)));
		return n->content_ref != 0;
	}
	return true;
}

struct node *node_create(uint64_t ino, uint32_t mode)
{
	struct node *n = slab_allocate(sizeof(*n));

	if (!n) {
		return NULL;
	}
	if (!create_content(n, mode)) {
		slab_free(n, sizeof(*n));
		return NULL;
	}
	n->ino = ino;
	n->mode = (uint16_t)mode;
	n->owner = OWNER_ROOT;
	return n;
}

void node_shed(struct node *n)
{
	if (node_has_value(n)) {
		value_unref(node_value(n));
		node_put_value(n, NULL);
		node_clear_attributes(n);
		node_settle_extra(n);
	}
}

static void destroy_names(struct node *n)
{
	struct name_list *names = slab_at(n->names_ref);

	if (n->has_names) {
		free(names->entries);
		slab_free(names, sizeof(*names));
	}
}

void node_destroy(struct node *n)
{
	if (!n) {
		return;
	}
	if (node_is_directory(n)) {
		directory_destroy(node_directory(n));
	} else if (node_has_value(n)) {
		value_unref(node_value(n));
	} else {
		slab_free(slab_at(node_content(n)), sizeof(uint64_t));
	}
	extra_destroy(node_extra(n));
	destroy_names(n);
	owner_unref(n->owner);
	slab_free(n, sizeof(*n));
}

void node_set_owner(struct node *n, uint32_t owner)
{
	owner_unref(n->owner);
	n->owner = owner;
}

static void set_content(struct node *n, slab_ref content)
{
	if (n->has_extra) {
		node_extra(n)->content = content;
	} else {
		n->content_ref = content;
	}
}

void node_put_value(struct node *n, struct value *v)
{
	set_content(n, slab_ref_of(v));
}

uint64_t node_rdev(const struct node *n)
{
	return node_is_device(n) ? *(const uint64_t *)slab_at(node_content(n)) : 0;
}

void node_set_rdev(struct node *n, uint64_t rdev)
{
	if (node_is_device(n)) {
		*(uint64_t *)slab_at(node_content(n)) = rdev;
	}
}

/* --- what is in its extra --------------------------------------------------- */

struct extra *extra_create(void)
{
	return slab_allocate(sizeof(struct extra));
}

void extra_destroy(struct extra *extra)
{
	if (extra) {
		xattr_destroy_all(extra->xattrs);
		free(extra->action);
		slab_free(extra, sizeof(*extra));
	}
}

void node_put_extra(struct node *n, struct extra *extra)
{
	extra->content = n->content_ref;
	n->content_ref = slab_ref_of(extra);
	n->has_extra = true;
}

int node_need_extra(struct node *n)
{
	struct extra *extra = n->has_extra ? NULL : extra_create();

	if (extra) {
		node_put_extra(n, extra);
	}
	return n->has_extra ? 0 : -ENOMEM;
}

void node_settle_extra(struct node *n)
{
	struct extra *extra = node_extra(n);

	if (extra && !extra->xattrs && !extra->action && !extra->handles && !extra->pending &&
		!extra->has_atime && extra->n_open == 0) {
		n->content_ref = extra->content;
		n->has_extra = false;
		extra_destroy(extra);
	}
}

void node_clear_attributes(struct node *n)
{
	struct extra *extra = node_extra(n);

	if (extra) {
		xattr_destroy_all(extra->xattrs);
		free(extra->action);
		extra->xattrs = NULL;
		extra->xattr_bytes = 0;
		extra->action = NULL;
	}
}

void node_set_atime(struct node *n, int64_t atime)
{
	struct extra *extra = node_extra(n);

	if (extra) {
		extra->has_atime = atime != n->created;
		extra->atime = atime;
	}
}

/* --- its names ---------------------------------------------------------------- */

int node_reserve_names(struct node *n, size_t more)
{
	struct name_list *names = n->has_names ? slab_at(n->names_ref) : NULL;
	size_t wanted = n->nlink + more, capacity;
	slab_ref *entries;

	if (wanted <= (names ? names->capacity : 1)) {
		return 0;
	}
	capacity = wanted > 2 * (size_t)n->nlink ? wanted : 2 * (size_t)n->nlink;
	entries = realloc(names ? names->entries : NULL, capacity * sizeof(*entries));
	if (!entries) {
		return -ENOMEM;
	}
	if (!names) {
		names = slab_allocate(sizeof(*names));
		if (!names) {
			free(entries);
			return -ENOMEM;
		}
		entries[0] = n->names_ref;
		n->names_ref = slab_ref_of(names);
		n->has_names = true;
	}
	names->entries = entries;
	names->capacity = (uint32_t)capacity;
	return 0;
}

bool node_has_room(const struct node *n)
{
	const struct name_list *names = n->has_names ? slab_at(n->names_ref) : NULL;

	return n->nlink < (names ? names->capacity : 1) && n->nlink < NODE_LINK_MAX;
}

void node_add_name(struct node *n, struct entry *e)
{
	if (n->has_names) {
		((struct name_list *)slab_at(n->names_ref))->entries[n->nlink] = slab_ref_of(e);
	} else {
		n->names_ref = slab_ref_of(e);
	}
	n->nlink++;
}

void node_drop_name(struct node *n, const struct entry *e)
{
	struct name_list *names = n->has_names ? slab_at(n->names_ref) : NULL;
	uint32_t i = 0;

	n->nlink--;
	if (!names) {
		n->names_ref = 0;
		return;
	}
	if (names->entries[0] == slab_ref_of(e)) {
		names->entries[0] = names->entries[n->nlink];
		return;
	}
	while (names->entries[i] != slab_ref_of(e)) {
		i++;
	}
	memmove(names->entries + i, names->entries + i + 1, (n->nlink - i) * sizeof(slab_ref));
}

/* --- an entry ------------------------------------------------------------------ */

#define NEAR_BITS 14

uint32_t node_hash(uint64_t ino)
{
	/* Numbers are given out one after the other, so those near each other are often of one
	 * namespace: they are kept near each other, in 64 KiB of buckets, and so in a snapshot. */
	return hash_number(ino >> NEAR_BITS) << NEAR_BITS | hash_number(ino) >> (32 - NEAR_BITS);
}

static size_t entry_size(size_t name_size)
{
	return offsetof(struct entry, name) + name_size;
}

struct entry *entry_create(struct bytes name)
{
	struct entry *e = slab_allocate(entry_size(name.size));

	if (e) {
		e->name_size = (uint8_t)name.size;
		memcpy(e->name, name.data, name.size);
	}
	return e;
}

void entry_destroy(struct entry *e)
{
	if (e) {
		slab_free(e, entry_size(e->name_size));
	}
}

/* --- extended attributes --------------------------------------------------------- */

bool xattr_name_is_possible(struct bytes name)
{
	static const char *const spaces[] = {"user.", "trusted.", "security."};

	for (size_t i = 0; i < sizeof(spaces) / sizeof(spaces[0]); i++) {
		size_t size = strlen(spaces[i]);

		if (name.size > size && memcmp(name.data, spaces[i], size) == 0) {
			return name.size <= XATTR_NAME_MAX && !memchr(name.data, 0, name.size);
		}
	}
	return false;
}

struct xattr *xattr_create(struct bytes name, struct bytes value)
{
	struct xattr *x = malloc(sizeof(*x) + name.size + 1 + value.size);

	if (!x) {
		return NULL;
	}
	x->next = NULL;
	x->name_size = (uint16_t)name.size;
	x->value_size = (uint32_t)value.size;
	memcpy(x->name, name.data, name.size);
	x->name[name.size] = 0;
	if (value.size > 0) {
		memcpy(x->name + name.size + 1, value.data, value.size);
	}
	return x;
}

struct bytes xattr_name(const struct xattr *x)
{
	return bytes_of(x->name, x->name_size);
}

struct bytes xattr_value(const struct xattr *x)
{
	return bytes_of(x->name + x->name_size + 1, x->value_size);
}

struct xattr *xattr_find(struct xattr *list, struct bytes name)
{
	while (list && !bytes_equal(xattr_name(list), name)) {
		list = list->next;
	}
	return list;
}

size_t xattr_drop(struct xattr **list, struct bytes name)
{
	while (*list) {
		struct xattr *x = *list;

		if (bytes_equal(xattr_name(x), name)) {
			size_t size = xattr_size(xattr_name(x), xattr_value(x));

			*list = x->next;
			free(x);
			return size;
		}
		list = &x->next;
	}
	return 0;
}

void xattr_destroy_all(struct xattr *list)
{
	while (list) {
		struct xattr *next = list->next;

		free(list);
		list = next;
	}
}
