/* SPDX-License-Identifier: MIT
 * Copyright (c) 2026 The cubbyfs authors */

/* Compaction: the state replaces the log that led to it.
 *
 * The snapshot is of one revision, exactly, although writing it takes many
 * turns of the loop with commits in between. From its beginning on every node
 * is in it or not, which its epoch tells: whoever is about to change a node
 * that is not in it yet has it written first, as it still is (before_change,
 * called by tree_apply), and what is made later carries the new epoch from the
 * start. The walk, a slice at a time, goes through the table of nodes and
 * not through the tree, because nodes move in the tree and never move down in
 * the table (see index_bucket). A set is five requests, each of which may find a
 * slice under way.
 *
 * It begins by itself when the log is DUE times what is alive in it. The old log
 * and the snapshot are there together at the end, with what has come meanwhile (a
 * twentieth, more if many write): that makes 2.5 times the live data. Each 0.4 of it
 * written has 1.0 written again, so that 3.5 bytes go to the disk for one of a set.
 * What is alive is estimated from what the tree counts, times what the last snapshot
 * took for one of it. */
#include "store/internal.h"

#include "base/cleanup.h"
#include "base/log.h"

#include <errno.h>

#define DUE 1.4
#define SLICE (NSEC_PER_MSEC / 5)
#define LOOK_AGAIN (NSEC_PER_SEC / 4)
#define AFTER_FAILURE (60 * NSEC_PER_SEC)

static int emit(struct store *s, struct node *n, bool urgent)
{
	struct node_image image;
	struct transition t;
	int rc = tree_image(&s->tree, n, s->now, &image);

	if (rc) {
		return rc;
	}
	t = (struct transition){
		.revision = n->revision,
		.at = n->changed,
		.changes = &image.change,
		.n_changes = 1,
	};
	rc = s->ops->snapshot_put(s->backend, &t, urgent);
	node_image_finish(&image);
	return rc;
}

static void before_change(void *arg, struct node *n)
{
	struct store *s = arg;

	if (emit(s, n, true) < 0) {
		s->compaction.failed = true;
	}
}

double compaction_live_bytes(const struct store *s)
{
	double ratio = s->compaction.ratio > 0 ? s->compaction.ratio : 1;

	return (double)s->tree.live_bytes * ratio;
}

void compaction_learn(struct store *s, uint64_t live)
{
	struct backend_usage usage = {0};

	s->ops->usage(s->backend, &usage);
	if (live > 0 && usage.snapshot_bytes > 0) {
		s->compaction.ratio = (double)usage.snapshot_bytes / (double)live;
	}
}

static void answer(struct store *s, int rc)
{
	struct store_reply *waiting = s->compaction.waiting;
	size_t n = s->compaction.n_waiting;

	s->compaction.waiting = NULL;
	s->compaction.n_waiting = 0;
	for (size_t i = 0; i < n; i++) {
		reply_with(waiting[i], rc, &(struct store_result){0});
	}
	free(waiting);
}

static void finished(struct store *s, int rc)
{
	struct compaction *c = &s->compaction;

	s->tree.before_change = NULL;
	c->active = c->ending = c->failed = false;
	c->not_before = s->now.elapsed + (rc ? AFTER_FAILURE : LOOK_AGAIN);
	if (rc && rc != -ECANCELED) {
		log_warning("%s: compaction failed (%s); the log is as it was", s->location,
			strerror(-rc));
	}
	answer(s, rc);
}

static void on_end(void *arg, int status)
{
	struct store *s = arg;

	store_now(s);
	if (status == 0) {
		compaction_learn(s, s->compaction.live);
	}
	finished(s, status);
}

static void begin(struct store *s)
{
	struct compaction *c = &s->compaction;
	int rc = s->ops->snapshot_begin(s->backend, s->tree.revision, s->tree.next_ino);

	if (rc == BACKEND_BUSY) {
		return; /* the one before it is not out of the way yet */
	}
	if (rc) {
		finished(s, rc);
		return;
	}
	s->tree.epoch = (s->tree.epoch + 1) & NODE_EPOCH_MAX;
	s->tree.before_change = before_change;
	s->tree.before_arg = s;
	c->active = true;
	c->live = s->tree.live_bytes;
	c->bucket = 0;
}

/* One bucket. 0, BACKEND_BUSY (to be repeated) or a negative errno. */
static int walk(struct store *s, size_t bucket)
{
	for (struct indexed *item = index_bucket(&s->tree.by_ino, bucket); item;
		item = index_next(item)) {
		struct node *n = container_of(item, struct node, by_ino);
		int rc;

		if (n->epoch == s->tree.epoch || !tree_attached(&s->tree, n)) {
			continue;
		}
		rc = emit(s, n, false);
		if (rc) {
			return rc;
		}
		n->epoch = s->tree.epoch;
	}
	return 0;
}

static bool is_due(struct store *s)
{
	struct backend_usage usage = {0};

	if (s->compaction.n_waiting > 0) {
		return true;
	}
	if (s->now.elapsed < s->compaction.not_before) {
		return false;
	}
	s->compaction.not_before = s->now.elapsed + LOOK_AGAIN;
	s->ops->usage(s->backend, &usage);
	return usage.bytes > s->config.compact_min &&
		(double)usage.bytes > DUE * compaction_live_bytes(s);
}

int64_t compaction_step(struct store *s)
{
	struct compaction *c = &s->compaction;
	int64_t end = s->now.elapsed + SLICE;
	int rc = 0;

	if (!s->ops->snapshot_begin || s->failed || s->config.read_only) {
		if (c->n_waiting > 0) {
			answer(s, s->failed ? -EROFS : s->config.read_only ? -EROFS : 0);
		}
		return -1;
	}
	if (c->ending) {
		return -1;
	}
	if (!c->active) {
		if (!is_due(s)) {
			return -1; /* the next change will have it looked at again */
		}
		begin(s);
		if (!c->active) {
			return c->n_waiting > 0 ? 2 * NSEC_PER_MSEC : -1;
		}
	}
	while (rc == 0 && !c->failed && c->bucket < s->tree.by_ino.n_buckets) {
		rc = walk(s, c->bucket);
		if (rc == 0) {
			c->bucket++;
			if (clock_elapsed(s->config.clock) >= end) {
				return 0;
			}
		}
	}
	if (rc == BACKEND_BUSY) {
		return 2 * NSEC_PER_MSEC;
	}
	if (rc || c->failed) {
		s->ops->snapshot_abort(s->backend);
		finished(s, rc ? rc : -EIO);
		return -1;
	}
	c->ending = true;
	s->tree.before_change = NULL;
	s->ops->snapshot_end(s->backend, on_end, s);
	return -1;
}

void compaction_stop(struct store *s)
{
	if (s->compaction.active && !s->compaction.ending) {
		s->ops->snapshot_abort(s->backend);
		finished(s, -ECANCELED);
	}
	answer(s, -ECANCELED);
}

void store_compact(struct store *s, struct store_reply reply)
{
	struct compaction *c = &s->compaction;
	struct store_reply *waiting = realloc(c->waiting, (c->n_waiting + 1) * sizeof(*waiting));

	if (!waiting) {
		reply_with(reply, -ENOMEM, NULL);
		return;
	}
	c->waiting = waiting;
	c->waiting[c->n_waiting++] = reply;
}
