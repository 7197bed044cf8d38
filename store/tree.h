/* SPDX-License-Identifier: MIT
 * Copyright (c) 2026 The cubbyfs authors */

/* The state: what all transitions add up to.
 *
 * Changes are applied in two steps, so that nothing can fail once the log has
 * them: tree_prepare makes all that a transition will need, tree_apply puts
 * it in its place and cannot fail. Live commits and the replay use the same
 * two; the replay alone meets changes that refer to what was lost, and mends.
 *
 * The tree owns its nodes and entries (see node.h). Pointers to them are
 * borrowed until the next tree_apply or tree_unref. */
#pragma once

#include "base/table.h"
#include "store/expiry.h"
#include "store/gone.h"
#include "store/lock.h"
#include "store/node.h"
#include "store/transition.h"

/* Now, on both clocks; and on the one that deadlines are kept by in the log: the
 * wall clock, but never before the newest time that the log knows of. */
struct moment {
	int64_t wall, elapsed, lease;
};

struct tree {
	struct index by_ino;
	struct table pending; /* keys that are being made, by namespace and name */
	struct node *root;
	struct expiry expiry; /* on the scale of clock_elapsed; while replaying, of the wall clock */
	struct table locks;	/* by token */
	uint64_t n_mortal;	/* namespaces that have a deadline */
	/* A lock whose holder is watched has ended. NULL: nobody cares. */
	void (*unwatch)(void *arg, uint64_t token);
	void *unwatch_arg;
	uint64_t next_ino;
	uint64_t revision; /* of the last transition applied */
	bool replaying;
	double growth; /* see tree_expect */
	struct gone gone;
	bool has_stand_ins; /* or had: see prepare.c */

	uint64_t n_keys, n_namespaces; /* names of either; the root is not counted */
	uint64_t live_bytes;	       /* about what a snapshot of it takes in the log */
	uint64_t bytes;		       /* node_bytes of all that have a name or are open */
	uint64_t unresolved;	       /* changes that referred to what was lost */
	uint64_t *restored;	       /* namespaces that tree_replayed gave a name */
	size_t n_restored;

	/* A snapshot is being written: called for a node of it before its first
	 * change since. NULL: none is. */
	void (*before_change)(void *arg, struct node *n);
	void *before_arg;
	uint32_t epoch;
};

/* An empty root owned by uid, gid. 0 or -ENOMEM. */
int tree_init(struct tree *t, uid_t uid, gid_t gid, mode_t mode, int64_t now);
void tree_finish(struct tree *t);

/* --- looking ----------------------------------------------------------- */

struct node *tree_node(const struct tree *t, uint64_t ino);
/* Whatever its deadline. */
struct entry *tree_entry(const struct node *parent, struct bytes name);
/* Whether the deadline of the entry, if any, is still to come, and those of the
 * namespaces above it. */
bool tree_alive(const struct tree *t, const struct entry *e, int64_t elapsed);
/* The same of a namespace, which may be the root. */
bool tree_namespace_alive(const struct tree *t, const struct node *n, int64_t elapsed);
/* An entry that is alive, or NULL. */
struct entry *tree_find(const struct tree *t, const struct node *parent, struct bytes name,
	int64_t elapsed);
/* The first of its names that is alive, or NULL. */
struct entry *tree_name(const struct tree *t, const struct node *n, int64_t elapsed);
/* The first entry after `cookie`, or NULL; alive or not. */
struct entry *tree_next(const struct node *directory, uint64_t cookie);
/* The one after it in its namespace, or NULL. */
struct entry *tree_following(const struct entry *e);
/* A walk over a name and all that is below it, which comes first: from tree_lowest to
 * `top` itself; NULL after that. What is behind may be removed. */
struct entry *tree_lowest(struct entry *top);
struct entry *tree_after(const struct entry *e, const struct entry *top);
/* Whether the namespace has a name that is alive. */
bool tree_is_empty(const struct tree *t, const struct node *directory, int64_t elapsed);
/* Whether `n` is the root, or has a name; a namespace that was removed is not. */
bool tree_attached(const struct tree *t, const struct node *n);

/* How long the path of a name of so many bytes in `parent` is. */
size_t tree_path_size(const struct node *parent, size_t name_size);
/* How long the longest path can be, at most, once n has such a name: its own, or one below it
 * (or what was the longest since it was last empty). */
size_t tree_longest_path(const struct node *parent, size_t name_size, const struct node *n);

/* Appends the path of `name` in `parent`, without a leading slash. 0 or -ENOMEM. */
int tree_path(const struct node *parent, struct bytes name, struct buffer *out);

/* --- keys that are being made ------------------------------------------- */

/* Makes a node that has no name yet, but will have this one. NULL without
 * memory. The caller has one reference. */
struct node *tree_pend(struct tree *t, const struct node *parent, struct bytes name, uint32_t mode);
/* A key that has expired while it is open for writing: what is written will make
 * it anew. Without memory it will not. */
void tree_pend_again(struct tree *t, struct node *n, const struct node *parent,
	struct bytes name);
/* The same for a node that is there, nameless. False without memory. */
bool tree_pend_node(
	struct tree *t, struct node *n, const struct node *parent, struct bytes name);
struct pending *tree_find_pending(const struct tree *t, const struct node *parent,
	struct bytes name);
/* It will not be made after all. */
void tree_unpend(struct tree *t, struct node *n);

/* --- references --------------------------------------------------------- */

/* The front end's, by number. It may give back more than it was given: what another process
 * was given before us. */
void tree_remember(struct node *n);
void tree_forget(struct tree *t, struct node *n, uint64_t count);
/* Handles' and operations'. */
void tree_ref(struct node *n);
/* Gives one back; the node stays. */
void tree_unpin(struct node *n);
/* Frees a node without names when the last reference goes. */
void tree_unref(struct tree *t, struct node *n);

/* --- names, for apply.c -------------------------------------------------- */

/* Room for names in a namespace. 0 or -ENOMEM. */
int tree_reserve(struct node *directory);
/* The deadline of a name. There must be room (expiry_reserve). */
void tree_set_deadline(struct tree *t, struct entry *e, int64_t at, int64_t ttl);
/* Takes the deadline away; a lock is none any more. */
void tree_clear_deadline(struct tree *t, struct entry *e);
/* The name, which has a deadline, is this lock (owned from here on) from now on. */
void tree_set_lock(struct tree *t, struct entry *e, struct lock *lock);
/* Its holder is not watched any more, and has no part in its deadline. */
void tree_let_go(struct tree *t, struct lock *lock);
/* Gives a node the name that the entry (owned from here on) says. There must
 * be room in the namespace, and the name be free. */
void tree_attach(struct tree *t, struct node *parent, struct entry *e, struct node *n);
/* Takes a name away and frees the entry; the node may be without a name then. */
void tree_detach(struct tree *t, struct entry *e);
/* Frees the node if nothing holds it. */
void tree_collect(struct tree *t, struct node *n);
void tree_add_node(struct tree *t, struct node *n);
/* The node_bytes of n have changed. */
void tree_count_bytes(struct tree *t, struct node *n, uint64_t before);
/* It has been opened, or closed. */
void tree_count_node(struct tree *t, struct node *n);

/* --- changing ----------------------------------------------------------- */

/* What a change will need; made by tree_prepare, used up by tree_apply. */
struct prepared {
	struct node *node;    /* a new node */
	struct entry *entry;  /* for a new name */
	struct entry *entry2; /* CHANGE_EXCHANGE */
	struct value *value;
	struct xattr *xattrs;
	struct extra *extra;
	struct policy *policy;
	struct lock *lock;
	uint32_t owner; /* HAS_OWNER */
	char *action;
	struct prepared_link {
		struct entry *entry;
		struct lock *lock;
	} *links; /* for further names, as many as the change has */
	size_t n_links;
};

/* Prepares every change of `tr` into `prepared` (tr->n_changes, zeroed).
 * prepared[i].value may be set before, to a value that is the change's own: it
 * is then used instead of a copy. 0, or -ENOMEM and nothing is left to free. */
int tree_prepare(struct tree *t, const struct transition *tr, struct prepared *prepared);
/* For a transition that will not be applied after all. */
void tree_unprepare(struct prepared *prepared, size_t n);

/* A transition of revision 0 is of no log: it changes a node that has no name. */
void tree_apply(struct tree *t, const struct transition *tr, struct prepared *prepared,
	struct moment now);

/* A transition out of a log, prepared and applied change by change: in one that no store
 * has written (a whole line may still be nonsense) a change may take away what a later
 * one was prepared for. 0 or -ENOMEM; then a part of it may be applied. */
int tree_replay(struct tree *t, const struct transition *tr, struct moment now);

/* A transition that will be replayed a little later: what is needed to find what it is about is
 * fetched into the cache, in two steps. */
void tree_prefetch(const struct tree *t, const struct transition *tr, bool near);

/* In between: `done` bytes of `total` are replayed; makes room ahead for what will come. */
void tree_expect(struct tree *t, uint64_t done, uint64_t total);

/* After the replay: gives namespaces whose own lines were lost the names they
 * had, and turns deadlines from the wall clock's scale to that of `now`. 0 or
 * -ENOMEM. */
int tree_replayed(struct tree *t, struct moment now);

/* The change that makes node n as it is, for a snapshot; `scratch` and `links`
 * are the caller's and hold what it borrows. 0 or -ENOMEM. */
struct node_image {
	struct change change;
	struct buffer paths;
	struct link *links;
	struct xattr_change *xattrs;
};
int tree_image(const struct tree *t, const struct node *n, struct moment now,
	struct node_image *out);
void node_image_finish(struct node_image *image);
