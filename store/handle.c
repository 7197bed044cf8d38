/* SPDX-License-Identifier: MIT
 * Copyright (c) 2026 The cubbyfs authors */

#include "store/handle.h"

#include "base/cleanup.h"
#include "store/handover.h"
#include "store/internal.h"

#include <errno.h>

int handle_table_init(struct handle_table *t, struct keep *keep)
{
	int rc;

	*t = (struct handle_table){.next_id = 1};
	rc = table_init(&t->by_id);
	rc = rc ? rc : table_init(&t->by_node);
	return rc ? rc : kept_values_init(&t->kept, keep);
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
	table_finish(&s->handles.by_node);
	kept_values_finish(&s->handles.kept);
	buffer_finish(&s->handles.image);
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
	h->request = caller->request;
	h->opener.request = 0;
	h->account = quota_account(&s->quota, caller->uid);
	if (h->account) {
		h->account->open++;
	}
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
	tree_count_node(&s->tree, n);
	table_insert(&s->handles.by_id, &h->by_id, hash_number(h->id));
	table_insert(&s->handles.by_node, &h->by_node, hash_number(n->ino));
	handover_touch(s, h);
	if (n->is_pending && !n->is_kept) {
		handover_put_node(s, n);
	}
	return h;
}

/* --- what reads are served from ------------------------------------------------ */

static void drop_seen(struct handle *h)
{
	struct account *a = h->seen ? h->account : NULL;

	if (a) {
		a->kept -= value_size(h->seen);
		*(h->kept_before ? &h->kept_before->kept_after : &a->kept_first) = h->kept_after;
		*(h->kept_after ? &h->kept_after->kept_before : &a->kept_last) = h->kept_before;
		h->kept_before = h->kept_after = NULL;
	}
	value_unref(h->seen);
	h->seen = NULL;
	h->has_seen = h->seen_is_kept = false;
}

void handle_see_value(struct store *s, struct handle *h, struct value *v, uint64_t version)
{
	struct account *a = v ? h->account : NULL;

	value_ref(v);
	drop_seen(h);
	h->seen = v;
	h->seen_version = version;
	h->has_seen = true;
	h->is_lost = false;
	if (!a) {
		return;
	}
	a->kept += value_size(v);
	h->kept_before = a->kept_last;
	*(a->kept_last ? &a->kept_last->kept_after : &a->kept_first) = h;
	a->kept_last = h;
	while (a->kept > s->quota.max_kept && a->kept_first != h) {
		struct handle *first = a->kept_first;

		/* If the value is still that, it can be had again. */
		first->is_lost = true;
		first->seen_version =
			first->seen == node_value(first->node) ? first->node->version : UINT64_MAX;
		drop_seen(first);
		handover_touch(s, first);
	}
}

void handle_see(struct store *s, struct handle *h)
{
	if (!h->has_seen || h->seen != node_value(h->node) || h->seen_version != h->node->version) {
		handle_see_value(s, h, node_value(h->node), h->node->version);
	}
}

/* --- the end ------------------------------------------------------------------- */

void handle_destroy(struct store *s, struct handle *h)
{
	struct node *n = h->node;
	struct handle **at = &node_extra(n)->handles;

	handover_drop(s, h);
	while (*at && *at != h) {
		at = &(*at)->next;
	}
	if (*at) {
		*at = h->next;
	}
	handle_drop(s, h);
	drop_seen(h);
	value_unref(h->committing);
	table_remove(&s->handles.by_id, &h->by_id);
	table_remove(&s->handles.by_node, &h->by_node);
	if (h->account) {
		h->account->open--;
		quota_settle(&s->quota, h->account);
	}
	free(h);
	node_extra(n)->n_open--;
	tree_count_node(&s->tree, n);
	node_settle_extra(n);
	/* Nobody is left who could still make it. */
	if (n->is_pending && !node_handles(n) && node_pending(n)->n_commits == 0) {
		tree_unpend(&s->tree, n);
	}
	tree_unref(&s->tree, n);
}

struct handle *handle_find(struct store *s, uint64_t id)
{
	struct table_link *l = table_first(&s->handles.by_id, hash_number(id));

	for (; l; l = table_next(l)) {
		struct handle *h = container_of(l, struct handle, by_id);

		if (h->id == id) {
			handover_touch(s, h);
			return h;
		}
	}
	return NULL;
}

static struct handle *of_node(struct table_link *l, const struct node *n)
{
	for (; l; l = table_next(l)) {
		struct handle *h = container_of(l, struct handle, by_node);

		if (h->node == n) {
			return h;
		}
	}
	return NULL;
}

struct handle *handle_first(struct store *s, const struct node *n)
{
	return of_node(table_first(&s->handles.by_node, hash_number(n->ino)), n);
}

struct handle *handle_next(const struct handle *h)
{
	return of_node(table_next(&h->by_node), h->node);
}

struct handle *handle_of(struct store *s, const struct store_caller *caller, const struct node *n)
{
	pid_t process = node_handles(n) && caller->pid > 0 ? store_process(s, caller) : 0;

	for (struct handle *h = process > 0 ? node_handles(n) : NULL; h; h = h->next) {
		if ((h->process == process || h->writer == process) &&
			(h->has_stage || (n->is_pending && h->makes))) {
			handover_touch(s, h);
			return h;
		}
	}
	return NULL;
}

struct store_caller handle_caller(const struct handle *h, const struct store_caller *caller)
{
	struct store_caller who = *caller;

	who.uid = h->opener.uid;
	who.gid = h->opener.gid;
	return who;
}

bool handle_is_maker(struct store *s, const struct store_caller *caller, const struct node *n)
{
	return handle_of(s, caller, n) != NULL;
}

void handle_count(struct store *s, struct handle *h, size_t before, size_t after)
{
	s->handles.staged_bytes += after;
	s->handles.staged_bytes -= before;
	if (h->account) {
		h->account->staged += after;
		h->account->staged -= before;
	}
}

void handle_set_base(struct handle *h, struct value *base, uint64_t version)
{
	if (h->account) {
		h->account->bases += value_size(base);
		h->account->bases -= value_size(h->base);
	}
	value_ref(base);
	value_unref(h->base);
	h->base = base;
	h->base_version = version;
	h->base_is_kept = false;
}

void handle_drop(struct store *s, struct handle *h)
{
	handle_count(s, h, h->stage.size + h->staged.xattr_bytes, 0);
	buffer_finish(&h->stage);
	handle_set_base(h, NULL, 0);
	staged_finish(&h->staged);
	h->has_stage = h->truncated = h->written = h->merges = false;
}

void handle_hand_over(struct store *s, struct handle *h, struct op *op)
{
	op->staged = h->staged;
	handle_count(s, h, h->staged.xattr_bytes, 0);
	h->staged = (struct staged){0};
	handle_drop(s, h);
}

void handle_made(struct store *s, struct node *n)
{
	for (struct handle *h = node_handles(n); h; h = h->next) {
		if (h->makes) {
			h->makes = false;
			handover_touch(s, h);
		}
	}
}

bool handle_makes_anew(struct store *s, struct handle *h)
{
	const struct entry *e = h && !h->node->is_pending ? node_first_name(h->node) : NULL;

	if (!e || !h->has_stage || store_gone(s, h->node) != STORE_NOT_FOUND ||
		!tree_namespace_alive(&s->tree, entry_parent(e), s->now.elapsed)) {
		return false;
	}
	store_sweep(s, h->node);
	return true;
}

bool handle_must_make(const struct handle *h)
{
	return h->makes && h->node->is_pending && node_pending(h->node)->n_commits == 0;
}

void handle_begin_anew(struct handle *h)
{
	drop_seen(h);
	h->is_lost = false;
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
	handle_count(s, h, h->stage.size, merged.size);
	buffer_finish(&h->stage);
	h->stage = merged;
	handle_set_base(h, node_value(h->node), h->node->version);
	handover_touch_stage(s, h, 0, h->stage.size);
}

struct bytes handle_base(const struct handle *h)
{
	return value_bytes(h->n_commits > 0 ? h->committing : node_value(h->node));
}

/* It commits nothing any more, and holds up no memory. */
static int give_up(struct store *s, struct handle *h, int rc)
{
	handle_drop(s, h);
	h->makes = false;
	h->error = rc;
	return rc;
}

/* May it stage `more` bytes? */
static bool is_past_limit(struct store *s, const struct handle *h, uint64_t more)
{
	return h->account &&
		quota_is_full(&s->quota, h->account->staged, more, s->quota.max_staged);
}

/* Sets the size of the stage, which begins as a copy of the value. */
int handle_resize(struct store *s, struct handle *h, uint64_t size)
{
	struct node *home = store_home(s, h->node);
	struct bytes old = h->has_stage ? bytes_of(NULL, 0) : handle_base(h);
	size_t before;
	int rc;

	if (size > store_max_value(s, home)) {
		return give_up(s, h, STORE_TOO_LARGE);
	}
	if ((size > h->stage.size && is_past_limit(s, h, size - h->stage.size)) ||
		(h->account && old.size > 0 &&
			quota_is_full(&s->quota, h->account->bases, old.size, s->quota.max_kept))) {
		return give_up(s, h, STORE_FULL);
	}
	if (!h->has_stage) {
		if (old.size > size) {
			old.size = size;
		}
		/* All at once: half of it would be committed as it is. */
		rc = buffer_reserve(&h->stage, size);
		if (rc) {
			return rc;
		}
		buffer_append(&h->stage, old.data, old.size);
		handle_count(s, h, 0, h->stage.size);
		handle_set_base(h, h->n_commits > 0 ? h->committing : node_value(h->node),
			h->n_commits > 0 ? UINT64_MAX : h->node->version);
		h->has_stage = true;
		handover_touch_stage(s, h, 0, h->stage.size);
	}
	before = h->stage.size;
	rc = buffer_resize(&h->stage, size);
	handover_touch_stage(s, h, before < size ? before : size, size);
	handle_count(s, h, before, h->stage.size);
	if (rc == 0) {
		h->written = true;
		h->written_at = h->changed_at = s->now.wall;
		h->staged.has_mtime = false;
		h->error = 0;
	}
	return rc;
}

static size_t staged_size(const struct handle *h, struct bytes name)
{
	const struct xattr *x = xattr_find(h->staged.xattrs, name);

	x = x ? x : xattr_find(h->staged.removed, name);
	return x ? xattr_size(name, xattr_value(x)) : 0;
}

int handle_stage_xattr(struct store *s, struct handle *h, struct bytes name,
	const struct bytes *value)
{
	size_t before = h->staged.xattr_bytes, old = staged_size(h, name);
	size_t fresh = xattr_size(name, value ? *value : bytes_of("", 0));
	size_t after = before - old + fresh;

	if (value && after > before &&
		(quota_is_full(&s->quota, before, after - before, STORE_XATTRS_MAX) ||
			is_past_limit(s, h, after - before))) {
		return STORE_FULL;
	}
	h->staged.xattr_bytes = after;
	handle_count(s, h, before, after);
	return 0;
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
		handle_made(op->s, n);
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
		handover_put_node(op->s, n);
	}
}

void handle_commit(struct store *s, const struct store_caller *caller, struct handle *h,
	enum store_notice_kind notice, bool durable, const uint64_t *revision, struct store_reply reply)
{
	const struct store_caller who = handle_caller(h, caller);
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
	op = op_create(s, &who, plan_commit, h->node, NULL, NULL, reply);
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
	op->known = KNOWN_VALUE;
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
		size_t size = h->stage.size;

		op->value = value_take(&h->stage);
		handle_count(s, h, size, h->stage.size);
		if (!op->value) {
			handle_drop(s, h);
			h->n_commits++; /* for commit_ended */
			op_refuse(op, -ENOMEM);
			return;
		}
	}
	if (h->merges && !h->truncated) {
		op->merges = true;
		op->base = value_ref(h->base);
	}
	h->n_commits++;
	value_unref(h->committing);
	h->committing = value_ref(op->value);
	handle_hand_over(s, h, op);
	handle_see_value(s, h, op->value, UINT64_MAX);
	op_submit(op);
}
