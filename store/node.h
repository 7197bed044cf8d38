/* SPDX-License-Identifier: MIT
 * Copyright (c) 2026 The cubbyfs authors */

/* What the tree is made of: nodes (inodes) and entries (names of nodes).
 *
 * The tree owns nodes that have a name; references (of the kernel, of an
 * operation under way) and handles keep one that has none. An entry belongs to
 * the namespace that it is in. */
#pragma once

#include "base/bytes.h"
#include "base/table.h"
#include "store/index.h"
#include "store/policy.h"
#include "store/value.h"

#include <stdbool.h>
#include <stdint.h>
#include <sys/stat.h>

struct handle;
struct entry;

/* An extended attribute; the value follows the name and its NUL. */
struct xattr {
	struct xattr *next;
	uint32_t value_size;
	uint16_t name_size;
	char name[];
};

/* What few nodes have, or for a short time. */
struct extra {
	struct xattr *xattrs;
	char *action;		/* why the last change was made, or NULL */
	struct handle *handles; /* those open for writing */
	int64_t atime;		/* if has_atime */
	uint32_t n_open;	/* handles */
	bool has_atime;		/* else it is the time of creation */
};

/* A key that is being made: a node that has no name yet. */
struct pending {
	struct table_link by_name;
	struct node *node;
	uint64_t parent; /* it stays: a namespace in which keys are made is not empty */
	uint32_t n_commits; /* under way */
	uint8_t name_size;
	char name[];
};

/* The names in a namespace, in the order of their making. A slot is an entry,
 * or, with the lowest bit set, the cookie of one that has gone. */
struct directory {
	uintptr_t *slots;
	size_t n_slots, capacity;
	size_t n_live;
	uint64_t next_cookie;
	uint32_t n_directories;
	uint32_t n_pending; /* keys that are being made in it */
	struct policy *policy; /* NULL: none */
	char *hint; /* replay: where it was, if its own line has not been seen; else NULL */
};

/* There may be tens of millions of the following two, and what they take is what a key costs.
 * So they come from base/slab.h, refer to each other in 32 bits, and what is rare is in
 * `extra`. Of a key with one name, 10 bytes long, and a value of 100: the node 80 bytes, the
 * entry 28 + 10, the value 12 + 100 (value.c), its slot in the namespace 8, and a bucket of
 * 4 in either index. Times are whole, in ns: only equal ones are left out. */
struct node {
	struct indexed by_ino;
	uint32_t epoch : 28; /* of the last snapshot that it is in */
	uint32_t is_pending : 1;
	uint32_t is_expired : 1; /* and has no name any more */
	uint32_t is_lost : 1;	 /* and the name was a lock */
	uint64_t ino;
	uint64_t revision : 48;
	uint64_t nlink : 16; /* names; a directory's own "." and children's ".." are added by stat */
	uint64_t version : 48;
	uint64_t mode : 16;
	int64_t created, changed, mtime; /* wall clock, ns */
	uint32_t uid, gid;
	uint32_t refs; /* references, handles and operations under way */
	slab_ref content_ref; /* a key's or symlink's value (0: empty), a namespace's struct
			       * directory, a device's number */
	slab_ref names_ref;   /* the first entry; if is_pending, the struct pending */
	slab_ref extra_ref;   /* 0: none */
};

struct entry {
	struct indexed by_name;
	slab_ref parent_ref, node_ref;
	slab_ref next_ref; /* another name of the node */
	uint64_t cookie : 48;
	uint64_t name_size : 8;
	uint32_t timer; /* its deadline's place, see expiry.c */
	char name[];
};

/* Limits of the above; and see REVISION_LIMIT, VERSION_LIMIT. */
#define NODE_LINK_MAX UINT16_MAX
#define EPOCH_MAX ((UINT32_C(1) << 28) - 1)

/* Zeroed but for ino and mode; NULL without memory. A directory comes with its struct
 * directory, a device with room for its number. */
struct node *node_create(uint64_t ino, uint32_t mode);
void node_destroy(struct node *n);

struct entry *entry_create(struct bytes name);
void entry_destroy(struct entry *e);

/* Whether setxattr(2) could have set it: one of the name spaces of xattr(7), and no NUL. */
bool xattr_name_is_possible(struct bytes name);
struct xattr *xattr_create(struct bytes name, struct bytes value);
struct bytes xattr_name(const struct xattr *x);
struct bytes xattr_value(const struct xattr *x);
/* The attribute of that name in a list, or NULL. */
struct xattr *xattr_find(struct xattr *list, struct bytes name);
/* Takes it out of the list and frees it, if it is there. */
void xattr_drop(struct xattr **list, struct bytes name);
void xattr_destroy_all(struct xattr *list);

static inline bool node_is_directory(const struct node *n)
{
	return S_ISDIR(n->mode);
}

static inline bool node_has_value(const struct node *n)
{
	return S_ISREG(n->mode) || S_ISLNK(n->mode);
}

static inline struct bytes entry_name(const struct entry *e)
{
	return bytes_of(e->name, e->name_size);
}

static inline struct entry *node_names(const struct node *n)
{
	return slab_at(n->names_ref);
}

static inline struct pending *node_pending(const struct node *n)
{
	return slab_at(n->names_ref);
}

static inline struct value *node_value(const struct node *n)
{
	return slab_at(n->content_ref);
}

static inline struct directory *node_directory(const struct node *n)
{
	return slab_at(n->content_ref);
}

/* A device's number, to be read or set; NULL: it is no device. */
static inline uint64_t *node_rdev(const struct node *n)
{
	return slab_at(n->content_ref);
}

static inline struct extra *node_extra(const struct node *n)
{
	return slab_at(n->extra_ref);
}

static inline struct xattr *node_xattrs(const struct node *n)
{
	return n->extra_ref ? node_extra(n)->xattrs : NULL;
}

static inline struct handle *node_handles(const struct node *n)
{
	return n->extra_ref ? node_extra(n)->handles : NULL;
}

static inline uint32_t node_n_open(const struct node *n)
{
	return n->extra_ref ? node_extra(n)->n_open : 0;
}

static inline int64_t node_atime(const struct node *n)
{
	const struct extra *extra = node_extra(n);

	return extra && extra->has_atime ? extra->atime : n->created;
}

/* There must be an extra if it is not the time of creation, which is set before. */
void node_set_atime(struct node *n, int64_t atime);

/* Makes the extra of a node, if it has none. 0 or -ENOMEM. */
int node_need_extra(struct node *n);
/* Frees it, if there is nothing in it. */
void node_settle_extra(struct node *n);
struct extra *extra_create(void);
void extra_destroy(struct extra *extra);

static inline struct node *entry_parent(const struct entry *e)
{
	return slab_at(e->parent_ref);
}

static inline struct node *entry_node(const struct entry *e)
{
	return slab_at(e->node_ref);
}

static inline struct entry *entry_next(const struct entry *e)
{
	return slab_at(e->next_ref);
}

/* Hashes of the two indexes. */
uint32_t node_hash(uint64_t ino);
uint32_t entry_hash(uint64_t parent, struct bytes name);
