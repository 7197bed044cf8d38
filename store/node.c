/* SPDX-License-Identifier: MIT
 * Copyright (c) 2026 The cubbyfs authors */

#include "store/node.h"

#include <errno.h>
#include <linux/limits.h>
#include <stdlib.h>

static bool create_content(struct node *n, uint32_t mode)
{
	struct directory *d;
	uint64_t *rdev;

	if (S_ISDIR(mode)) {
		d = slab_allocate(sizeof(*d));
		if (!d) {
			return false;
		}
		d->next_cookie = 1;
		n->content_ref = slab_ref_of(d);
	} else if (S_ISCHR(mode) || S_ISBLK(mode)) {
		rdev = slab_allocate(sizeof(*rdev));
		n->content_ref = slab_ref_of(rdev);
		return rdev;
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
	return n;
}

void node_destroy(struct node *n)
{
	struct directory *d;

	if (!n) {
		return;
	}
	if (node_is_directory(n)) {
		d = node_directory(n);
		policy_destroy(d->policy);
		free(d->slots);
		free(d->hint);
		slab_free(d, sizeof(*d));
	} else if (node_has_value(n)) {
		value_unref(node_value(n));
	} else {
		slab_free(node_rdev(n), sizeof(uint64_t));
	}
	extra_destroy(node_extra(n));
	slab_free(n, sizeof(*n));
}

void node_set_atime(struct node *n, int64_t atime)
{
	struct extra *extra = node_extra(n);

	if (extra) {
		extra->has_atime = atime != n->created;
		extra->atime = atime;
	}
}

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

int node_need_extra(struct node *n)
{
	if (!n->extra_ref) {
		n->extra_ref = slab_ref_of(extra_create());
	}
	return n->extra_ref ? 0 : -ENOMEM;
}

void node_settle_extra(struct node *n)
{
	struct extra *extra = node_extra(n);

	if (extra && !extra->xattrs && !extra->action && !extra->handles && !extra->has_atime &&
		extra->n_open == 0) {
		n->extra_ref = 0;
		extra_destroy(extra);
	}
}

uint32_t node_hash(uint64_t ino)
{
	/* Numbers are given out one after the other: sixteen of them share a cache line of
	 * buckets. */
	return hash_number(ino >> 4) << 4 | (uint32_t)(ino & 15);
}

uint32_t entry_hash(uint64_t parent, struct bytes name)
{
	return hash_bytes(parent, name.data, name.size);
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

void xattr_drop(struct xattr **list, struct bytes name)
{
	while (*list) {
		struct xattr *x = *list;

		if (bytes_equal(xattr_name(x), name)) {
			*list = x->next;
			free(x);
			return;
		}
		list = &x->next;
	}
}

void xattr_destroy_all(struct xattr *list)
{
	while (list) {
		struct xattr *next = list->next;

		free(list);
		list = next;
	}
}
