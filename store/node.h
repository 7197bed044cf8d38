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

/* What few nodes have. */
struct extra {
	struct xattr *xattrs;
	size_t xattr_bytes; /* what xattr_size says of them all */
	char *action;	    /* why the last change was made, or NULL */
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
	uint32_t reach;	    /* no path below it is longer; 0: it is empty */
	uint64_t bytes;	    /* node_bytes of all nodes that have their first name in it */
	struct policy *policy; /* NULL: none */
	char *hint; /* replay: where it was, if its own line has not been seen; else NULL */
};

struct node {
	struct table_link by_ino;
	uint64_t ino;
	uint32_t mode, uid, gid;
	uint32_t nlink; /* names; a directory's own "." and children's ".." are added by stat */
	uint64_t revision;
	uint64_t version;
	int64_t created, changed, mtime, atime; /* wall clock, ns */
	union {
		struct value *value;	 /* key, symlink; NULL: empty */
		struct directory *directory;
		uint64_t rdev;
	};
	struct extra *extra; /* NULL: none */
	union {
		struct entry *names;
		struct pending *pending; /* if is_pending */
	};
	struct handle *handles; /* those open for writing */
	uint32_t refs;		/* handles and operations under way */
	uint32_t lookups;	/* that the front end has to give back */
	uint32_t n_open;	/* handles */
	uint32_t epoch;		/* of the last snapshot that it is in */
	bool is_pending;
	bool is_kept; /* its image is in the keep, see handover.c */
	bool is_counted; /* in tree.bytes */
	bool is_expired; /* and has no name any more */
	bool is_lost;	 /* and the name was a lock */
};

struct entry {
	struct table_link by_name;
	struct node *parent, *node;
	struct entry *next_name; /* another name of the node */
	uint64_t cookie;
	uint32_t timer; /* its deadline's place, see expiry.c */
	uint8_t name_size;
	char name[];
};

/* On the heap, zeroed but for ino and mode; NULL without memory. A directory
 * comes with its struct directory. */
struct node *node_create(uint64_t ino, uint32_t mode);
void node_destroy(struct node *n);
/* Gives up its value and its attributes, if it is a key: nobody can ask for them any more. */
void node_shed(struct node *n);

struct entry *entry_create(struct bytes name);
void entry_destroy(struct entry *e);

/* Whether setxattr(2) could have set it: one of the name spaces of xattr(7), and no NUL. */
bool xattr_name_is_possible(struct bytes name);
struct xattr *xattr_create(struct bytes name, struct bytes value);
struct bytes xattr_name(const struct xattr *x);
struct bytes xattr_value(const struct xattr *x);
/* The attribute of that name in a list, or NULL. */
struct xattr *xattr_find(struct xattr *list, struct bytes name);
/* Takes it out of the list and frees it, if it is there. Returns its xattr_size, or 0. */
size_t xattr_drop(struct xattr **list, struct bytes name);
void xattr_destroy_all(struct xattr *list);

/* What an attribute counts for where bytes are counted: name, value, and a little for itself,
 * so that many empty ones are not free. */
static inline size_t xattr_size(struct bytes name, struct bytes value)
{
	return 32 + name.size + value.size;
}

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

/* What a node counts for where bytes are counted: its value and its attributes. */
static inline uint64_t node_bytes(const struct node *n)
{
	return (node_has_value(n) ? value_size(n->value) : 0) +
		(n->extra ? n->extra->xattr_bytes : 0);
}

static inline struct xattr *node_xattrs(const struct node *n)
{
	return n->extra ? n->extra->xattrs : NULL;
}
