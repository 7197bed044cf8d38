/* SPDX-License-Identifier: MIT
 * Copyright (c) 2026 The cubbyfs authors */

/* Open keys and what is staged through them. The table owns the handles; a
 * handle holds a reference to its node. */
#pragma once

#include "base/table.h"
#include "store/kept_value.h"
#include "store/op.h"

#include <fcntl.h>

struct handle {
	struct table_link by_id, by_node;
	uint64_t id;
	uint64_t request; /* that has opened it, see handover.h */
	struct node *node;
	struct handle *next; /* of the same node, if it may write */
	int flags;	     /* as opened */
	struct store_caller opener;
	struct account *account; /* of the opener; NULL: nothing is counted */
	pid_t process;	     /* that opened it; its close commits */
	pid_t writer;	     /* that wrote last */

	struct value *seen; /* what reads are served from; NULL is empty */
	bool has_seen;
	uint64_t seen_version; /* of the node */
	bool is_lost; /* it had to let go of it, and the value was of that version */
	struct handle *kept_before, *kept_after; /* in the account, if seen is not empty */
	uint64_t next_offset; /* where the pass goes on */
	uint64_t read_request; /* that has brought it there, see handover.h */

	/* What is to become the value. */
	bool has_stage;
	struct buffer stage;
	struct value *base; /* what it began as */
	uint64_t base_version; /* of the node */
	bool merges; /* what it has changed since goes on top of the value (publish.c) */
	bool truncated; /* by O_TRUNC: commits at release, not at flush */
	bool written;	/* by write(2) or ftruncate(2): commits at flush */
	int64_t written_at; /* wall */
	int64_t changed_at; /* wall: the same, or when its times were set after that */
	struct staged staged;
	bool makes;   /* its end makes the key, if that is still to be made */
	int error;    /* why it commits nothing any more; until it is truncated */

	/* What the last commit makes the value, while commits are under way. */
	struct value *committing;
	unsigned n_commits;

	/* handover.c: what of it the keep has, and what it has not got yet. */
	struct handle *next_touched;
	size_t touched_from, touched_to; /* of the stage */
	bool is_touched, stage_is_kept;
	struct kept_value *keeps_seen, *keeps_base; /* as the keep has it, be they not that any more */
	bool seen_is_kept, base_is_kept; /* they are */
};

struct handle_table {
	struct table by_id, by_node;
	uint64_t next_id;
	uint64_t staged_bytes;
	struct handle *touched; /* handover.c */
	struct kept_values kept;
	struct buffer image;
};

int handle_table_init(struct handle_table *t, struct keep *keep);
void handle_table_finish(struct store *s);

/* Opens; NULL without memory. */
struct handle *handle_create(struct store *s, const struct store_caller *caller, struct node *n,
	int flags);
void handle_destroy(struct store *s, struct handle *h);
struct handle *handle_find(struct store *s, uint64_t id);

/* Those of a node, whatever they are open for, in no order; NULL: no more. */
struct handle *handle_first(struct store *s, const struct node *n);
struct handle *handle_next(const struct handle *h);

static inline bool handle_writes(const struct handle *h)
{
	return (h->flags & O_ACCMODE) != O_RDONLY;
}

/* The handle through which a process has something staged on a node, or is
 * making it; NULL if there is none. */
struct handle *handle_of(struct store *s, const struct store_caller *caller, const struct node *n);

/* Who makes a change by way of h: the caller with the rights of who has opened it. Whoever closes an
 * inherited descriptor, or has become another since, lends it none. */
struct store_caller handle_caller(const struct handle *h, const struct store_caller *caller);

/* Whether the caller's process is making n, a pending node. */
bool handle_is_maker(struct store *s, const struct store_caller *caller, const struct node *n);

/* The key that n was to be is there: nobody has to make it any more. */
void handle_made(struct store *s, struct node *n);

/* Whether what is staged through h (NULL: nothing is) makes a key anew that has expired.
 * If so, that is swept away now. */
bool handle_makes_anew(struct store *s, struct handle *h);

/* Whether its end has to make the key: nothing else that is under way will. */
bool handle_must_make(const struct handle *h);

/* What reads are served from is the node's value now. Where the user's handles keep more than
 * they may, those that began first let go of theirs. */
void handle_see(struct store *s, struct handle *h);
/* The same, of any value (a reference is taken) that the node had in that version. */
void handle_see_value(struct store *s, struct handle *h, struct value *v, uint64_t version);

/* The next read takes the value as it is then. */
void handle_begin_anew(struct handle *h);

/* Puts what was written on top of the value as it is now, unless it replaces all (or
 * there is no memory). */
void handle_rebase(struct store *s, struct handle *h);

/* What a stage begins as: the value as it will be once all is committed. */
struct bytes handle_base(const struct handle *h);

/* Stages a size, as ftruncate(2). 0, STORE_TOO_LARGE, STORE_FULL or -ENOMEM. */
int handle_resize(struct store *s, struct handle *h, uint64_t size);

/* Commits what is staged; with a condition, only at that revision. Answers
 * also if nothing is. `notice`: whether a close will still tell of it. */
void handle_commit(struct store *s, const struct store_caller *caller, struct handle *h,
	enum store_notice_kind notice, bool durable, const uint64_t *revision, struct store_reply reply);

/* What a stage stands on from now on, of that version of the node: counted, and a reference
 * is taken. */
void handle_set_base(struct handle *h, struct value *base, uint64_t version);

/* Throws away what is staged. */
void handle_drop(struct store *s, struct handle *h);

/* Counts an attribute that is staged to be set or (value NULL) removed, instead of one of
 * that name that is staged already. 0 or STORE_FULL. */
int handle_stage_xattr(struct store *s, struct handle *h, struct bytes name,
	const struct bytes *value);

/* What is staged has grown or shrunk by itself. */
void handle_count(struct store *s, struct handle *h, size_t before, size_t after);

/* Gives the attributes that are staged to an op, and drops the bytes. */
void handle_hand_over(struct store *s, struct handle *h, struct op *op);

/* Plans the value of op->node: a PUT of `value` (taken over, NULL is empty) as
 * a plain write or, with keep_ttl, as an operation on the value. */
int plan_value(struct op *op, struct value *value, bool keep_ttl);

/* A write by anybody but root takes the set-id bits away: adds that to c, a change of n. */
void plan_drop_set_id(struct op *op, const struct node *n, struct change *c);

/* Plans a change of op->node that leaves its value alone: of what the caller
 * adds to changes[0], and of what op->staged says. `restart`: TTLs start anew,
 * as by touch(1). */
int plan_attributes(struct op *op, bool restart);
