/* SPDX-License-Identifier: MIT
 * Copyright (c) 2026 The cubbyfs authors */

/* What the files of the store share; nobody else includes it. */
#pragma once

#include "store/advisory.h"
#include "store/difference.h"
#include "store/handle.h"
#include "store/op.h"
#include "store/quota.h"
#include "store/store.h"
#include "store/tree.h"

/* The state of a compaction under way, see compaction.c. */
struct compaction {
	bool active;
	bool ending;	    /* all is handed over; waiting for the backend */
	bool failed;	    /* a put failed; to be abandoned */
	size_t bucket;	    /* of the table of nodes: the walk so far */
	int64_t not_before; /* elapsed: after a failure, and between two looks */
	uint64_t live;	    /* tree.live_bytes when it began */
	double ratio;	    /* bytes of a snapshot for one of tree.live_bytes; 0: unknown */
	struct store_reply *waiting;
	size_t n_waiting;
};

/* Who is told of events, see event.c. */
struct watcher {
	store_event_fn *fn; /* NULL: nobody */
	void *arg;
	struct difference difference;
};

struct store {
	struct store_config config;
	char *location;
	const struct backend_ops *ops;
	struct backend *backend;
	struct tree tree;
	struct moment now; /* of the call that is being served */

	const struct store_listener *listener; /* NULL: none */
	struct watcher watcher;
	bool has_inherited; /* the front end's references, from a process before us */
	struct {
		void (*stale)(void *arg, uint64_t ino); /* NULL: nobody is told */
		void *arg;
		uint64_t last; /* that was told, if it was not asked for since */
	} warned;

	struct handle_table handles;
	struct quota quota;

	struct advisory advisory;
	struct publication *publications; /* see publish.c */
	bool answering;			  /* those who waited for a lock */

	/* handover.c */
	struct {
		uint64_t next_ino, next_handle;
		int failed;
	} published;
	struct buffer inherited_notices; /* to be told when somebody listens */
	uint64_t restored_revision;

	struct op *queue, **queue_tail; /* operations waiting; the first may be in flight */
	struct op *running;		/* its append is under way */
	bool pumping;
	int failed; /* errno that made it read-only, or 0 */

	int64_t dirty_since; /* elapsed, of the oldest change not synced; 0: none */
	bool syncing;
	int64_t expire_not_before; /* elapsed: after an expiry could not be written */
	uint64_t expired;	   /* since open */
	struct compaction compaction;
	int64_t opened; /* elapsed */
	int64_t wall_offset; /* wall less elapsed, but for the jitter of looking at both */
	int64_t look_after;  /* elapsed: when to, see lock.c; 0: never */
	int64_t lease_floor; /* newest time in the log, less elapsed when it was written (or read) */
};

/* A sync has ended so; one that failed makes the store read-only. */
void store_synced(struct store *s, int status);

/* Takes the time for the call that begins. */
void store_now(struct store *s);
/* The log knows of the time of t: deadlines go by none before it, whatever the clock is set to. */
void store_note_time(struct store *s, const struct transition *t, struct moment now);

/* event.c: tree_apply, and the watcher is told. */
void store_apply(struct store *s, const struct transition *t, struct prepared *prepared,
	struct moment now);

/* The process of a caller. */
pid_t store_process(struct store *s, const struct store_caller *caller);

/* The attributes of a node, for everybody. */
void store_fill_stat(struct store *s, const struct node *n, struct stat *st);

/* Whether node n may still be used: it is the root, has a name that is alive,
 * is being made, or was removed (not expired) and is held open. */
bool store_usable(struct store *s, const struct node *n);
/* What to say of one that may not: STORE_LOST if it was a lock, else STORE_NOT_FOUND. */
int store_gone(struct store *s, const struct node *n);

/* Limits that the policy of a namespace, or the store, sets. */
uint64_t store_max_value(const struct store *s, const struct node *parent);
/* The namespace whose policy rules a node's value: that of its first name, or
 * where it is being made. NULL: none any more. */
struct node *store_home(struct store *s, const struct node *n);
/* The deadline that a plain write gives in a namespace: ns from now, or -1. */
int64_t store_default_ttl(const struct node *parent);

/* A name that a client gave: 0, STORE_NAME_TOO_LONG or STORE_INVALID. */
int store_check_name(const char *name);

/* Finds a namespace by number. 0, STORE_NOT_FOUND or STORE_NOT_DIRECTORY. */
int store_namespace(struct store *s, uint64_t ino, struct node **out);

/* Expires the names of a node that are due, now. */
void store_sweep(struct store *s, struct node *n);
/* What does that, not submitted yet; NULL without memory. */
struct op *store_sweep_op(struct store *s, struct node *n);
/* The same for one name, before it is made anew: so that its end is told first. */
void store_sweep_name(struct store *s, uint64_t parent, const char *name);

/* Expires up to `limit` keys that are due. Returns whether more are. */
bool store_expire(struct store *s, unsigned limit);

/* publish.c: what follows the release of a handle: its locks go. `arg` of the
 * reply: NULL if there are none. */
void *store_locks_of(struct store *s, uint64_t ino, uint64_t handle);
void store_drop_locks_of(void *locks);

/* compaction.c */
int64_t compaction_step(struct store *s); /* as store_tick returns */
void compaction_stop(struct store *s);
double compaction_live_bytes(const struct store *s);
/* The log's snapshot is of so many tree.live_bytes: what one of them takes is known now. */
void compaction_learn(struct store *s, uint64_t live);
