/* SPDX-License-Identifier: MIT
 * Copyright (c) 2026 The cubbyfs authors */

/* Operations: how a change gets from a caller into the log and the tree.
 *
 * An op is planned against the state as it is, its transition is appended to
 * the log, and when the log has it, it is applied and answered. On a shared log
 * somebody else's transition may come first; then the op is planned again. So
 * a plan only reads the op's arguments and the tree, and may run many times.
 *
 * An op is made by op_create, filled in, and given away with op_submit, which
 * answers and frees it. */
#pragma once

#include "store/store.h"
#include "store/tree.h"

struct op;

/* What a plan returns besides store outcomes and errnos. */
#define OP_NOTHING (-100000) /* success, and there is nothing to change */
#define OP_SWEEP (-100001)   /* the node's names have expired: sweep them away, and plan again */

/* Of which attributes of op->node the caller's kernel knows that they change, so that no older
 * answer is taken up any more (see lasting.h). */
enum op_known {
	KNOWN_NOTHING,
	KNOWN_ATTRIBUTES, /* all: the answer has them */
	KNOWN_VALUE,	  /* size and times */
};

/* What was set through a handle and waits for its commit. */
struct staged {
	bool has_ttl;
	int64_t ttl; /* ns; -1: none */
	bool has_mtime, has_atime;
	int64_t mtime, atime;
	char *action;
	struct xattr *xattrs;  /* to be set */
	struct xattr *removed; /* names to be removed */
	size_t xattr_bytes;    /* of both */
};

void staged_finish(struct staged *s);

struct op {
	struct store *s;
	struct op *next;

	/* Fills in the transition's changes with op_change. 0, OP_NOTHING, a
	 * store outcome or a negative errno. */
	int (*plan)(struct op *op);
	/* After it was applied, before the answer: fills in the result. May be
	 * NULL. */
	void (*applied)(struct op *op);
	/* Once, whatever became of it, before the answer. May be NULL. */
	void (*ended)(struct op *op, int rc);

	struct store_caller caller;
	struct store_reply reply; /* done may be NULL */
	enum op_known known;
	bool durable;		  /* answer when it is on the disk */
	bool announces;		  /* there is something to tell the listener: */
	enum store_notice_kind notice;
	bool remember;		  /* the answer hands out a reference to the node */

	/* Arguments; which of them, the plan knows. All owned. */
	struct node *node; /* pinned */
	uint64_t parent, to_parent;
	char *name, *to_name;
	uint64_t handle;
	mode_t mode;
	dev_t rdev;
	int flags;
	unsigned which;
	struct stat attr;
	struct buffer data;
	struct value *value; /* to become the node's */
	bool has_value;
	bool merges;	    /* only what it differs in from: */
	struct value *base;
	int64_t written_at, changed_at; /* wall: when what was staged was; 0: now */
	struct staged staged;
	bool counted;	   /* among the commits of a pending node */
	bool swept;	   /* once, as OP_SWEEP asked */
	bool conditional;  /* only at this revision: */
	uint64_t revision;

	/* The plan's. */
	struct moment moment; /* when it was made */
	bool local; /* the node has no name: the log is not told */
	struct transition transition;
	struct change *changes;
	size_t n_changes, capacity;
	struct prepared *prepared;
	struct buffer notices; /* of the plan's changes, see notice.h */
	bool guarded; /* the keep has its request, see handover.h */
	void **kept; /* memory that the changes borrow */
	size_t n_kept;
	struct value *planned; /* the value that changes[0] sets; owned */
	uint64_t made;	       /* the node that the plan makes */
	char *holder;	       /* of the lock that it takes, from plan to plan; owned */
	size_t holder_size;
	uint64_t reserved;     /* the number of a new node, from plan to plan; 0: none yet */

	struct store_result result;
};

/* NULL without memory: the reply has been answered with -ENOMEM. `name` and
 * `to_name` are copied and may be NULL; `node` may be NULL. */
struct op *op_create(struct store *s, const struct store_caller *caller,
	int (*plan)(struct op *op), struct node *node, const char *name, const char *to_name,
	struct store_reply reply);

void op_submit(struct op *op);

/* Answers without ever having been submitted, and frees it. */
void op_refuse(struct op *op, int rc);

/* --- for plans ----------------------------------------------------------- */

/* A new change of the transition, zeroed; NULL without memory. Good until the
 * next one. */
struct change *op_change(struct op *op, enum change_type type, uint64_t ino);

/* The number for the node that the plan makes anew; nobody else gets it. */
uint64_t op_number(struct op *op);

/* Keeps malloced memory for as long as the plan holds. 0, or -ENOMEM and it has
 * been freed. NULL is -ENOMEM too. */
int op_keep(struct op *op, void *memory);

/* The place of `name` in `parent`, with its path. 0 or -ENOMEM. */
int op_place(struct op *op, const struct node *parent, struct bytes name, struct place *out);

/* The same for a name that is new: STORE_NAME_TOO_LONG if its path would be too long. */
int op_new_place(struct op *op, const struct node *parent, struct bytes name, struct place *out);

/* Removes names that have expired but are still in the way of `name` in
 * `parent`. 0 or -ENOMEM. */
int op_clear(struct op *op, const struct node *parent, struct bytes name);

/* Forgets what the plan so far has made. */
void op_reset(struct op *op);

/* Answers a reply that has no op. */
void reply_with(struct store_reply reply, int rc, const struct store_result *result);

/* Carries on after a completion. */
void op_pump(struct store *s);
