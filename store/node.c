/* SPDX-License-Identifier: MIT
 * Copyright (c) 2026 The cubbyfs authors */

#include "store/node.h"

#include <linux/limits.h>
#include <stdlib.h>

struct node *node_create(uint64_t ino, uint32_t mode)
{
	struct node *n = calloc(1, sizeof(*n));

	if (!n) {
		return NULL;
	}
	n->ino = ino;
	n->mode = mode;
	if (S_ISDIR(mode)) {
		n->directory = calloc(1, sizeof(*n->directory));
		if (!n->directory) {
			free(n);
			return NULL;
		}
		n->directory->next_cookie = 1;
	}
	return n;
}

static void destroy_extra(struct node *n)
{
	if (n->extra) {
		xattr_destroy_all(n->extra->xattrs);
		free(n->extra->action);
		free(n->extra);
		n->extra = NULL;
	}
}

void node_shed(struct node *n)
{
	if (node_has_value(n)) {
		value_unref(n->value);
		n->value = NULL;
		destroy_extra(n);
	}
}

void node_destroy(struct node *n)
{
	if (!n) {
		return;
	}
	if (node_is_directory(n)) {
		policy_destroy(n->directory->policy);
		free(n->directory->slots);
		free(n->directory->hint);
		free(n->directory);
	} else if (node_has_value(n)) {
		value_unref(n->value);
	}
	destroy_extra(n);
	free(n);
}

struct entry *entry_create(struct bytes name)
{
	struct entry *e = calloc(1, sizeof(*e) + name.size);

	if (e) {
		e->name_size = (uint8_t)name.size;
		memcpy(e->name, name.data, name.size);
	}
	return e;
}

void entry_destroy(struct entry *e)
{
	free(e);
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
