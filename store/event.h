/* SPDX-License-Identifier: MIT
 * Copyright (c) 2026 The cubbyfs authors */

/* Changes of the visible state, as .cubby/events tells them (design 1.4).
 *
 * One transition gives one event or several: a rename is a `deleted` and a
 * `created`, a key with two names that is set is two `updated`. All but the last
 * of a revision say `more`, so that who resumes knows what he has whole.
 *
 * Events are made from a tree and a transition, before and after it is applied:
 * live by the store, and for the past by an event_replay, which goes through
 * the log with a tree of its own. */
#pragma once

#include "base/bytes.h"
#include "store/value.h"

#include <stdbool.h>
#include <stdint.h>

struct store;
struct transition;
struct tree;

enum store_event_type {
	STORE_EVENT_CREATED,
	STORE_EVENT_UPDATED, /* the value, or an attribute */
	STORE_EVENT_DELETED,
	STORE_EVENT_EXPIRED,
	/* What happened from revision `from` up to `revision`, which is the next
	 * that there is, cannot be told. No other field holds. */
	STORE_EVENT_LOST,
};

/* Borrowed during the call. */
struct store_event {
	enum store_event_type type;
	uint64_t revision;
	uint64_t from; /* STORE_EVENT_LOST */
	int64_t at;   /* wall clock, ns */
	uint32_t by;  /* uid */
	bool more;    /* not the last of its revision */
	bool is_namespace;
	struct bytes path;
	struct value *old_value; /* NULL: none (not made before, or no key) */
	struct value *new_value;
	bool has_old, has_new;	 /* an empty value is a value */
	struct bytes action;
};

typedef void store_event_fn(void *arg, const struct store_event *event);

/* Has every event told from now on, after it is applied; NULL: no more. One
 * watcher. */
void store_watch(struct store *s, store_event_fn *fn, void *arg);

/* The last revision. */
uint64_t store_revision(const struct store *s);

/* Appends the JSON line of an event (with its newline): message_type, event_type,
 * scope (the namespace's path), key (the name), old_value, new_value, revision,
 * at (RFC 3339), by, and, where they are so: action, namespace, more. What is no
 * UTF-8 is {"base64":…}; a value that there is not, null. For a loss: from, first.
 * 0, or -ENOMEM and out is as it was. */
int event_encode(const struct store_event *event, struct buffer *out);

/* The events from after revision `since` on, out of the log. It reads on while
 * the log grows, also over a compaction. */
struct event_replay;

/* STORE_UNSUPPORTED where the backend keeps no log to read. */
int event_replay_create(struct event_replay **out, struct store *s, uint64_t since);
void event_replay_destroy(struct event_replay *r);

/* The first revision that there is after `since`: since + 1, or a later one if a
 * compaction has taken what was before (which is told as lost, too). */
uint64_t event_replay_first(const struct event_replay *r);

/* Goes on for about `budget` ns and tells what it finds. 1 when all has been told
 * up to this moment (it may be called again when there is more), 0 to be called
 * again, or a negative errno: then it is of no more use. Not from within a
 * callback of the store. */
int event_replay_step(struct event_replay *r, int64_t budget, store_event_fn *fn, void *arg);
