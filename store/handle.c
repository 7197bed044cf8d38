/* SPDX-License-Identifier: MIT
 * Copyright (c) 2026 The cubbyfs authors */

#include "store/handle.h"

#include "base/cleanup.h"
#include "store/internal.h"

#include <errno.h>

int handle_table_init(struct handle_table *t)
{
	*t = (struct handle_table){.next_id = 1};
	return table_init(&t->by_id);
}

void handle_table_finish(struct store *s)
{
	struct table *t = &s->handles.by_id;

	for (size_t i = 0; i < t->n_buckets; i++) {
		struct table_link *l;

		while ((l = table_bucket(t, i))) {
			handle_destroy(s, container_of(l, struct handle, by_id));
		}
	}
	table_finish(t);
}

struct handle *handle_create(struct store *s, const struct store_caller *caller, struct node *n,
	int flags)
{
	struct handle *h = calloc(1, sizeof(*h));

	if (!h || node_need_extra(n)) {
		free(h);
		return NULL;
	}
	h->id = s->handles.next_id++;
	h->node = n;
	h->flags = flags;
	h->opener = *caller;
	if (handle_writes(h) || (flags & O_TRUNC)) {
		h->process = store_process(s, caller);
		h->next = node_handles(n);
		node_extra(n)->handles = h;
	}
	if (flags & O_TRUNC) {
		h->has_stage = h->truncated = true;
		h->written_at = h->changed_at = s->now.wall;
	}
	tree_ref(n);
	node_extra(n)->n_open++;
	table_insert(&s->handles.by_id, &h->by_id, hash_number(h->id));
	return h;
}

void handle_destroy(struct store *s, struct handle *h)
{
	struct node *n = h->node;
	struct extra *extra = node_extra(n);
	struct handle **at = &extra->handles;

	while (*at && *at != h) {
		at = &(*at)->next;
	}
	if (*at) {
		*at = h->next;
	}
	handle_drop(s, h);
	value_unref(h->seen);
	value_unref(h->committing);
	table_remove(&s->handles.by_id, &h->by_id);
	free(h);
	extra->n_open--;
	node_settle_extra(n);
	/* Nobody is left who could still make it. */
	if (n->is_pending && !node_handles(n) && node_pending(n)->n_commits == 0) {
		tree_unpend(&s->tree, n);
	}
	tree_unref(&s->tree, n, 1);
}

struct handle *handle_find(const struct store *s, uint64_t id)
{
	struct table_link *l = table_first(&s->handles.by_id, hash_number(id));

	for (; l; l = table_next(l)) {
		struct handle *h = container_of(l, struct handle, by_id);

		if (h->id == id) {
			return h;
		}
	}
	return NULL;
}

struct handle *handle_of(struct store *s, const struct store_caller *caller, const struct node *n)
{
	pid_t process = node_handles(n) && caller->pid > 0 ? store_process(s, caller) : 0;

	for (struct handle *h = process > 0 ? node_handles(n) : NULL; h; h = h->next) {
		if ((h->process == process || h->writer == process) &&
			(h->has_stage || (n->is_pending && h->makes))) {
			return h;
		}
	}
	return NULL;
}

bool handle_is_maker(struct store *s, const struct store_caller *caller, const struct node *n)
{
	return handle_of(s, caller, n) != NULL;
}

void handle_drop(struct store *s, struct handle *h)
{
	s->handles.staged_bytes -= h->stage.size;
	buffer_finish(&h->stage);
	value_unref(h->base);
	h->base = NULL;
	staged_finish(&h->staged);
	h->has_stage = h->truncated = h->written = h->merges = false;
}

void handle_hand_over(struct store *s, struct handle *h, struct op *op)
{
	op->staged = h->staged;
	h->staged = (struct staged){0};
	handle_drop(s, h);
}

void handle_made(struct node *n)
{
	for (struct handle *h = node_handles(n); h; h = h->next) {
		h->makes = false;
	}
}

bool handle_must_make(const struct handle *h)
{
	return h->makes && h->node->is_pending && node_pending(h->node)->n_commits == 0;
}

void handle_begin_anew(struct handle *h)
{
	value_unref(h->seen);
	h->seen = NULL;
	h->has_seen = false;
}

void handle_rebase(struct store *s, struct handle *h)
{
	struct buffer merged = {0};

	if (!h->written || h->truncated || h->n_commits > 0 || h->base == node_value(h->node)) {
		return;
	}
	if (value_merge(value_bytes(node_value(h->node)), value_bytes(h->base),
		    buffer_bytes(&h->stage), &merged)) {
		buffer_finish(&merged);
		return;
	}
	s->handles.staged_bytes += merged.size - h->stage.size;
	buffer_finish(&h->stage);
	h->stage = merged;
	value_unref(h->base);
	h->base = value_ref(node_value(h->node));
}

struct bytes handle_base(const struct handle *h)
{
	return value_bytes(h->n_commits > 0 ? h->committing : node_value(h->node));
}

/* Sets the size of the stage, which begins as a copy of the value. */
int handle_resize(struct store *s, struct handle *h, uint64_t size)
{
	struct node *home = store_home(s, h->node);
	struct bytes old;
	int rc;

	if (size > store_max_value(s, home)) {
		handle_drop(s, h);
		h->makes = false;
		h->error = STORE_TOO_LARGE;
		return STORE_TOO_LARGE;
	}
	if (!h->has_stage) {
		old = handle_base(h);
		if (old.size > size) {
			old.size = size;
		}
		/* All at once: half of it would be committed as it is. */
		rc = buffer_reserve(&h->stage, size);
		if (rc) {
			return rc;
		}
		buffer_append(&h->stage, old.data, old.size);
		s->handles.staged_bytes += h->stage.size;
		h->base = value_ref(h->n_commits > 0 ? h->committing : node_value(h->node));
		h->has_stage = true;
	}
	s->handles.staged_bytes -= h->stage.size;
	rc = buffer_resize(&h->stage, size);
	s->handles.staged_bytes += h->stage.size;
	if (rc == 0) {
		h->written = true;
		h->written_at = h->changed_at = s->now.wall;
		h->staged.has_mtime = false;
		h->error = 0;
	}
	return rc;
}

static int plan_commit(struct op *op)
{
	_cleanup_buffer_ struct buffer merged = {0};
	struct value *value, *present = node_value(op->node);
	int rc;

	/* A key that is being made has nobody else's bytes. */
	if (!op->merges || op->node->is_pending || present == op->base) {
		return plan_value(op, value_ref(op->value), false);
	}
	rc = value_merge(
		value_bytes(present), value_bytes(op->base), value_bytes(op->value), &merged);
	if (rc) {
		return rc;
	}
	value = value_take(&merged);
	return value ? plan_value(op, value, false) : -ENOMEM;
}

static void commit_ended(struct op *op, int rc)
{
	struct handle *h = handle_find(op->s, op->handle);
	struct node *n = op->node;

	/* The errno is told; a close that failed must not succeed later. */
	if (rc && h) {
		h->makes = false;
	} else if (rc == 0) {
		handle_made(n);
	}
	if (h && --h->n_commits == 0) {
		value_unref(h->committing);
		h->committing = NULL;
	}
	if (!n->is_pending) {
		return;
	}
	node_pending(n)->n_commits -= op->counted && node_pending(n)->n_commits > 0;
	/* Its name was taken by another meanwhile, which has the value now; or
	 * the last who could make it has failed to. */
	if (rc == 0 || (!node_handles(n) && node_pending(n)->n_commits == 0)) {
		tree_unpend(&op->s->tree, n);
	}
}

void handle_commit(struct store *s, const struct store_caller *caller, struct handle *h,
	enum store_notice_kind notice, bool durable, const uint64_t *revision, struct store_reply reply)
{
	uint64_t id = h->id;
	struct op *op;

	store_now(s);
	store_sweep(s, h->node);
	if (!h->has_stage && !handle_must_make(h)) {
		if (durable) {
			store_fsync(s, caller, 0, reply);
		} else {
			reply_with(reply, 0, &(struct store_result){.ino = h->node->ino});
		}
		return;
	}
	op = op_create(s, caller, plan_commit, h->node, NULL, NULL, reply);
	if (!op) {
		/* As in commit_ended; and it has been told already. */
		h = handle_find(s, id);
		if (h) {
			handle_drop(s, h);
			h->makes = false;
		}
		return;
	}
	op->ended = commit_ended;
	op->announces = true;
	op->notice = notice;
	if (h->node->is_pending) {
		node_pending(h->node)->n_commits++;
		op->counted = true;
	}
	op->handle = h->id;
	op->durable |= durable;
	/* What fstat(2) has shown before the close is what stat(2) shows after it:
	 * git, for one, goes by that. */
	op->written_at = h->has_stage ? h->written_at : h->node->mtime;
	op->changed_at = h->has_stage ? h->changed_at : h->node->changed;
	if (revision) {
		op->conditional = true;
		op->revision = *revision;
	}
	if (h->stage.size > 0) {
		s->handles.staged_bytes -= h->stage.size;
		op->value = value_take(&h->stage);
		if (!op->value) {
			s->handles.staged_bytes += h->stage.size;
			handle_drop(s, h);
			h->n_commits++; /* for commit_ended */
			op_refuse(op, -ENOMEM);
			return;
		}
	}
	if (h->merges && !h->truncated) {
		op->merges = true;
		op->base = steal_pointer(&h->base);
	}
	h->n_commits++;
	value_unref(h->committing);
	h->committing = value_ref(op->value);
	handle_hand_over(s, h, op);
	value_unref(h->seen);
	h->seen = value_ref(op->value);
	h->has_seen = true;
	op_submit(op);
}
