/* SPDX-License-Identifier: MIT
 * Copyright (c) 2026 The cubbyfs authors */

/* A namespace: the names in it, in the order of their making.
 *
 * A cookie (readdir's offset) is a name's number in its namespace, given when the name comes and
 * never again; a search from any cookie that ever was finds what comes after it. Entries are
 * borrowed: they are the tree's. */
#pragma once

#include "base/slab.h"
#include "store/policy.h"

#include <stddef.h>
#include <stdint.h>

struct directory_group;
struct entry;

struct directory {
	struct directory_group *groups;
	size_t n_groups;
	size_t capacity; /* names that there is room for, in all groups */
	size_t n_live;   /* names */
	uint64_t next_cookie;
	uint32_t n_directories;
	uint32_t n_pending;    /* keys that are being made in it */
	uint32_t reach;        /* no path below it is longer; 0: it is empty */
	uint64_t bytes;        /* node_bytes of all nodes that have their first name in it */
	struct policy *policy; /* NULL: none */
	char *hint; /* replay: where it was, if its own line has not been seen; else NULL */
};

/* NULL without memory. */
struct directory *directory_create(void);
/* NULL is fine. */
void directory_destroy(struct directory *d);

/* Room for n more names. 0 or -ENOMEM. */
int directory_reserve(struct directory *d, size_t n);
/* There must be room. Gives the entry its cookie. */
void directory_add(struct directory *d, struct entry *e);
void directory_remove(struct directory *d, const struct entry *e);

/* The first entry after `cookie`, or NULL. */
struct entry *directory_next(const struct directory *d, uint64_t cookie);
/* The last one, or NULL. */
struct entry *directory_last(const struct directory *d);

/* For tests: names that it takes the memory of. */
size_t directory_size(const struct directory *d);
