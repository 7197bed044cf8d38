/* SPDX-License-Identifier: MIT
 * Copyright (c) 2026 The cubbyfs authors */

/* What the tree is made of: nodes (inodes) and entries (names of nodes).
 *
 * The tree owns nodes that have a name; references (of the kernel, of an
 * operation under way) and handles keep one that has none. An entry belongs to
 * the namespace that it is in.
 *
 * There may be tens of millions of either, and what they take is what a key costs. So they
 * come from base/slab.h and refer to each other in 32 bits, and what few nodes have, or for a
 * short time, is in a struct extra. A key with a name of 10 bytes and a value of 100 takes 72
 * bytes for its node, 20 + 10 for the entry, 4 + 100 for the value (value.c), all rounded up to
 * eight; and about 4 in its namespace (directory.c) and in either index (base/index.h). What is not
 * plainly a member has a function below. */
#pragma once

#include "base/bytes.h"
#include "base/index.h"
#include "base/table.h"
#include "store/directory.h"
#include "store/owner.h"
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

/* What few nodes have, or while they are open. */
struct extra {
	struct xattr *xattrs;
	size_t xattr_bytes; /* what xattr_size says of them all */
	char *action;	    /* why the last change was made, or NULL */
	struct handle *handles;  /* those open for writing */
	struct pending *pending; /* if is_pending */
	int64_t atime;           /* if has_atime */
	uint32_t n_open;         /* handles */
	slab_ref content;        /* the node's, which has no room for it but here */
	bool has_atime;          /* else it is the time of creation */
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

/* Several names of one node. */
struct name_list {
	slab_ref *entries;
	uint32_t capacity;
};

struct node {
	struct indexed by_ino;
	uint32_t owner : OWNER_BITS;
	uint32_t has_extra : 1;
	uint32_t has_names : 1;
	uint32_t is_pending : 1;
	uint32_t is_kept : 1;    /* its image is in the keep, see handover.c */
	uint32_t is_counted : 1; /* in tree.bytes */
	uint32_t is_expired : 1; /* and has no name any more */
	uint32_t is_lost : 1;    /* and the name was a lock */
	uint32_t is_gone : 1;    /* see gone.h */
	uint64_t ino;
	uint64_t revision : 48;
	uint64_t mode : 16;
	uint64_t version : 48;
	uint64_t nlink : 16;             /* names; "." and ".." of directories are added by stat */
	int64_t created, changed, mtime; /* wall clock, ns */
	slab_ref content_ref; /* a key's or symlink's value (0: empty), a namespace's struct
			       * directory, a device's number; if has_extra, that */
	slab_ref names_ref;   /* its entry; if has_names, the struct name_list */
	/* That the front end has to give back; and operations' under way. Either stays at its
	 * limit for good once it is there. */
	uint64_t lookups : 24;
	uint64_t refs : 20;
	uint64_t epoch : 20; /* of the last snapshot that it is in */
};

/* A name; there is no NUL. Its deadline is in expiry.c. */
struct entry {
	struct indexed by_name;
	slab_ref parent_ref, node_ref;
	uint8_t name_size;
	bool has_deadline;
	char name[];
};

_Static_assert(sizeof(struct node) == 72 && offsetof(struct entry, name) == 14,
	"what a key costs is reckoned with");

/* Limits of the above. See REVISION_LIMIT, VERSION_LIMIT too. */
#define NODE_LINK_MAX UINT16_MAX
#define NODE_LOOKUPS_MAX ((UINT32_C(1) << 24) - 1)
#define NODE_REFS_MAX ((UINT32_C(1) << 20) - 1)
#define NODE_EPOCH_MAX ((UINT32_C(1) << 20) - 1)

/* Zeroed but for ino and mode; root's. NULL without memory. A directory comes with its
 * struct directory, a device with room for its number. */
struct node *node_create(uint64_t ino, uint32_t mode);
void node_destroy(struct node *n);
/* Gives up its value and its attributes, if it is a key: nobody can ask for them any more. */
void node_shed(struct node *n);

struct entry *entry_create(struct bytes name);
void entry_destroy(struct entry *e);

/* The hash of the tree's index. */
uint32_t node_hash(uint64_t ino);

/* --- a node --------------------------------------------------------------- */

static inline bool node_is_directory(const struct node *n)
{
	return S_ISDIR(n->mode);
}

static inline bool node_has_value(const struct node *n)
{
	return S_ISREG(n->mode) || S_ISLNK(n->mode);
}

static inline bool node_is_device(const struct node *n)
{
	return S_ISCHR(n->mode) || S_ISBLK(n->mode);
}

static inline uint32_t node_uid(const struct node *n)
{
	return owner_uid(n->owner);
}

static inline uint32_t node_gid(const struct node *n)
{
	return owner_gid(n->owner);
}

/* Takes over an owner's number, in place of the one it has. */
void node_set_owner(struct node *n, uint32_t owner);

/* NULL: there is none. */
static inline struct extra *node_extra(const struct node *n)
{
	return n->has_extra ? slab_at(n->content_ref) : NULL;
}

static inline slab_ref node_content(const struct node *n)
{
	return n->has_extra ? node_extra(n)->content : n->content_ref;
}

/* Of a key or symlink. */
static inline struct value *node_value(const struct node *n)
{
	return slab_at(node_content(n));
}

/* Takes over a reference; that to the old value is the caller's. */
void node_put_value(struct node *n, struct value *v);

static inline struct directory *node_directory(const struct node *n)
{
	return slab_at(node_content(n));
}

/* 0 if it is no device. */
uint64_t node_rdev(const struct node *n);
void node_set_rdev(struct node *n, uint64_t rdev);

/* --- what is in its extra --------------------------------------------------- */

struct extra *extra_create(void);
void extra_destroy(struct extra *extra);

/* Makes the extra of a node, if it has none. 0 or -ENOMEM. */
int node_need_extra(struct node *n);
/* Takes over one for a node that has none. */
void node_put_extra(struct node *n, struct extra *extra);
/* Frees it, if there is nothing in it. */
void node_settle_extra(struct node *n);
/* Frees the attributes and the action. */
void node_clear_attributes(struct node *n);

static inline struct xattr *node_xattrs(const struct node *n)
{
	return n->has_extra ? node_extra(n)->xattrs : NULL;
}

static inline struct handle *node_handles(const struct node *n)
{
	return n->has_extra ? node_extra(n)->handles : NULL;
}

static inline uint32_t node_n_open(const struct node *n)
{
	return n->has_extra ? node_extra(n)->n_open : 0;
}

static inline struct pending *node_pending(const struct node *n)
{
	return n->is_pending ? node_extra(n)->pending : NULL;
}

static inline int64_t node_atime(const struct node *n)
{
	return n->has_extra && node_extra(n)->has_atime ? node_extra(n)->atime : n->created;
}

/* Needs an extra, if it is not the time of creation, which is set before. */
void node_set_atime(struct node *n, int64_t atime);

/* --- its names ---------------------------------------------------------------- */

/* The names are numbered from 0 to nlink - 1: the first, and the others by age. When the first
 * goes, the newest is the first from then on. */
static inline struct entry *node_name(const struct node *n, uint32_t i)
{
	const struct name_list *list = n->has_names ? slab_at(n->names_ref) : NULL;

	return slab_at(list ? list->entries[i] : n->names_ref);
}

/* The first, or NULL. */
static inline struct entry *node_first_name(const struct node *n)
{
	return n->nlink > 0 ? node_name(n, 0) : NULL;
}

/* Room for n more. 0 or -ENOMEM. */
int node_reserve_names(struct node *n, size_t more);
bool node_has_room(const struct node *n);
/* There must be room. */
void node_add_name(struct node *n, struct entry *e);
void node_drop_name(struct node *n, const struct entry *e);

/* --- an entry ------------------------------------------------------------------ */

static inline struct bytes entry_name(const struct entry *e)
{
	return bytes_of(e->name, e->name_size);
}

static inline struct node *entry_parent(const struct entry *e)
{
	return slab_at(e->parent_ref);
}

static inline struct node *entry_node(const struct entry *e)
{
	return slab_at(e->node_ref);
}

/* --- extended attributes --------------------------------------------------------- */

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

/* What a node counts for where bytes are counted: its value and its attributes. */
static inline uint64_t node_bytes(const struct node *n)
{
	return (node_has_value(n) ? value_size(node_value(n)) : 0) +
	       (n->has_extra ? node_extra(n)->xattr_bytes : 0);
}
