/* SPDX-License-Identifier: MIT
 * Copyright (c) 2026 The cubbyfs authors */

/* The handover. A process that is killed leaves a log that has every commit, and a keep
 * (base/keep.h) that has the rest as of the last answer: each answer is given only
 * when what it tells of has been published. The one who comes after it replays the log and
 * restores the keep, and clients notice nothing.
 *
 * Between two publications the log may get ahead of the keep by one commit: the one under
 * way. So before it is appended the keep gets an intent: the revision that it will be,
 * and what follows from it: which handle's stage it uses up, which notices it raises, what its
 * request was. If the log turns out to have that revision, what follows is carried out;
 * else the intent is void, and the request that is sent once more begins anew. In what is
 * published with an intent the handle still has its stage.
 *
 * The guard. A request is sent once more if its answer was not written, be it that it was
 * applied. Most may be carried out twice (to flush what has no stage any more is
 * nothing), the others are known by a guard, which stays until the answer is out: one with
 * a revision counts if the log has that. What is done to a key without a name is in no log;
 * its guard is published with what it has done.
 *
 * Values are not kept where the log has them. A handle says which version of its node it
 * has seen, and which its stage began as; only when that is about to be replaced by another,
 * and the handle is in the middle of it, a copy goes into the keep. Nodes are kept when
 * the log does not have them: while they are being made, and when they lose their last
 * name while they are open. */
#include "store/handover.h"

#include "base/keep.h"
#include "base/log.h"
#include "store/handover_image.h"
#include "store/notice.h"
#include "store/place.h"

#include <errno.h>

/* --- handles ---------------------------------------------------------------------- */

void handover_touch(struct store *s, struct handle *h)
{
	if (s->config.keep && !h->is_touched) {
		h->is_touched = true;
		h->next_touched = s->handles.touched;
		s->handles.touched = h;
	}
}

void handover_touch_stage(struct store *s, struct handle *h, size_t start, size_t end)
{
	handover_touch(s, h);
	if (h->touched_from >= h->touched_to) {
		h->touched_from = start;
		h->touched_to = end;
		return;
	}
	h->touched_from = start < h->touched_from ? start : h->touched_from;
	h->touched_to = end > h->touched_to ? end : h->touched_to;
}

/* Those that it does not need any more. */
static void drop_values(struct store *s, struct handle *h)
{
	if (!h->seen_is_kept) {
		kept_value_use(&s->handles.kept, &h->keeps_seen, NULL);
	}
	if (!h->base_is_kept) {
		kept_value_use(&s->handles.kept, &h->keeps_base, NULL);
	}
}

void handover_drop(struct store *s, struct handle *h)
{
	struct keep *k = s->config.keep;
	struct handle **at = &s->handles.touched;

	if (!k) {
		return;
	}
	while (*at && *at != h) {
		at = &(*at)->next_touched;
	}
	if (*at) {
		*at = h->next_touched;
	}
	keep_drop(k, KEEP_HANDLE, h->id);
	if (h->stage_is_kept) {
		keep_drop(k, KEEP_STAGE, h->id);
	}
	h->seen_is_kept = h->base_is_kept = false;
	drop_values(s, h);
	if (h->node->is_kept && node_n_open(h->node) == 1) {
		h->node->is_kept = false;
		keep_drop(k, KEEP_NODE, h->node->ino);
	}
}

static void put_stage(struct keep *k, struct handle *h)
{
	size_t end = h->touched_to < h->stage.size ? h->touched_to : h->stage.size;

	if (!h->has_stage) {
		if (h->stage_is_kept) {
			keep_drop(k, KEEP_STAGE, h->id);
		}
		h->stage_is_kept = false;
	} else if (h->stage.size > 0 || h->stage_is_kept) {
		if (!h->stage_is_kept) {
			end = h->stage.size;
			h->touched_from = 0;
		}
		if (h->touched_from < end) {
			keep_write(k, KEEP_STAGE, h->id, h->touched_from,
				bytes_of(h->stage.data + h->touched_from, end - h->touched_from));
		}
		keep_resize(k, KEEP_STAGE, h->id, h->stage.size);
		h->stage_is_kept = true;
	}
	h->touched_from = h->touched_to = 0;
}

static void put_handle(struct store *s, struct handle *h)
{
	struct handle_image image;
	struct buffer *out = &s->handles.image;
	struct keep *k = s->config.keep;
	int rc;

	memset(&image, 0, sizeof(image));
	image.ino = h->node->ino;
	image.next_offset = h->next_offset;
	image.seen_version = h->seen_version;
	image.base_version = h->base_version;
	image.stage_size = h->stage.size;
	image.request = h->request;
	image.read_request = h->read_request;
	image.written_at = h->written_at;
	image.changed_at = h->changed_at;
	image.ttl = h->staged.ttl;
	image.mtime = h->staged.mtime;
	image.atime = h->staged.atime;
	image.uid = h->opener.uid;
	image.gid = h->opener.gid;
	image.pid = h->opener.pid;
	image.process = h->process;
	image.writer = h->writer;
	image.flags = h->flags;
	image.error = h->error;
	image.has_seen = h->has_seen;
	image.is_lost = h->is_lost;
	image.has_stage = h->has_stage;
	image.has_base = h->base != NULL;
	image.merges = h->merges;
	image.truncated = h->truncated;
	image.written = h->written;
	image.makes = h->makes;
	image.has_ttl = h->staged.has_ttl;
	image.has_mtime = h->staged.has_mtime;
	image.has_atime = h->staged.has_atime;
	image.kept_seen = h->seen_is_kept ? h->keeps_seen->id : 0;
	image.kept_base = h->base_is_kept ? h->keeps_base->id : 0;
	out->size = 0;
	rc = buffer_append(out, &image, sizeof(image));
	rc = rc ? rc : image_put_text(out, h->staged.action);
	rc = rc ? rc : image_put_xattrs(out, h->staged.xattrs);
	rc = rc ? rc : image_put_xattrs(out, h->staged.removed);
	if (rc) {
		log_error("out of memory: an open key would not survive this process");
		return;
	}
	put_stage(k, h);
	drop_values(s, h);
	keep_put(k, KEEP_HANDLE, h->id, buffer_bytes(out));
}

/* Not those that have given their stage to a commit that is still to come, unless all. */
static void put_touched(struct store *s, bool all)
{
	struct handle **at = &s->handles.touched, *h;

	while ((h = *at)) {
		if (h->n_commits > 0 && !all) {
			at = &h->next_touched;
			continue;
		}
		*at = h->next_touched;
		h->is_touched = false;
		put_handle(s, h);
	}
}

void store_publish(struct store *s)
{
	struct counters c = {s->tree.next_ino, s->handles.next_id, s->failed};
	struct keep *k = s->config.keep;

	if (!k) {
		return;
	}
	put_touched(s, true);
	if (c.next_ino != s->published.next_ino || c.next_handle != s->published.next_handle ||
		c.failed != s->published.failed) {
		keep_put(k, KEEP_COUNTERS, 0, bytes_of(&c, sizeof(c)));
		s->published.next_ino = c.next_ino;
		s->published.next_handle = c.next_handle;
		s->published.failed = c.failed;
	}
	keep_publish(k);
}

static bool keep_for(struct store *s, const struct node *n, struct kept_value **user)
{
	kept_value_use(&s->handles.kept, user, kept_value_of(&s->handles.kept, n));
	return *user != NULL;
}

/* A value that is about to be replaced: who is in the middle of it keeps it. One that is
 * appended to goes on in what comes. */
static void keep_value(struct store *s, const struct node *n, bool is_appended_to)
{
	const struct value *value = node_value(n);

	for (struct handle *h = handle_first(s, n); h; h = handle_next(h)) {
		if (h->has_seen && h->seen == value && h->next_offset < value_size(value) &&
			!h->seen_is_kept && !is_appended_to) {
			h->seen_is_kept = keep_for(s, n, &h->keeps_seen);
			handover_touch(s, h);
		}
		if (h->has_stage && h->base && h->base == value && !h->base_is_kept) {
			h->base_is_kept = keep_for(s, n, &h->keeps_base);
			handover_touch(s, h);
		}
	}
}

/* --- nodes that are in no log -------------------------------------------------------- */

/* What a change is about to make of a node that it takes a name of. */
struct fate {
	uint64_t revision;
	int64_t at;
	bool expires, is_lost;
	const struct entry *again; /* the name that it is to be made anew with; or NULL */
};

/* As it is, or as it will be. */
static void put_node(struct store *s, struct node *n, const struct fate *fate)
{
	struct bytes value = node_has_value(n) ? value_bytes(node_value(n)) : bytes_of(NULL, 0);
	struct bytes name = n->is_pending
				    ? bytes_of(node_pending(n)->name, node_pending(n)->name_size)
				    : bytes_of(NULL, 0);
	const struct xattr *xattrs = node_xattrs(n);
	struct handover_node image;
	struct buffer *out = &s->handles.image;
	int rc;

	memset(&image, 0, sizeof(image));
	image.mode = n->mode;
	image.uid = node_uid(n);
	image.gid = node_gid(n);
	image.revision = n->revision;
	image.version = n->version;
	image.rdev = node_has_value(n) ? 0 : node_rdev(n);
	image.parent = n->is_pending ? node_pending(n)->parent : 0;
	image.created = n->created;
	image.changed = n->changed;
	image.mtime = n->mtime;
	image.atime = node_atime(n);
	image.is_pending = n->is_pending;
	image.is_expired = n->is_expired;
	image.is_lost = n->is_lost;
	if (fate) {
		image.revision = fate->revision;
		image.changed = fate->at;
		image.is_expired |= fate->expires;
		image.is_lost |= fate->is_lost;
	}
	if (fate && fate->again) { /* as tree_pend_again leaves it */
		image.is_pending = true;
		image.is_expired = false;
		image.parent = entry_parent(fate->again)->ino;
		image.version = 0;
		name = entry_name(fate->again);
		value = bytes_of(NULL, 0);
		xattrs = NULL;
	}
	out->size = 0;
	rc = buffer_append(out, &image, sizeof(image));
	rc = rc ? rc : image_put_bytes(out, value);
	rc = rc ? rc : image_put_xattrs(out, xattrs);
	rc = rc ? rc : image_put_bytes(out, name);
	if (rc) {
		log_error("out of memory: an open key would not survive this process");
		return;
	}
	n->is_kept = true;
	keep_put(s->config.keep, KEEP_NODE, n->ino, buffer_bytes(out));
}

void handover_put_node(struct store *s, struct node *n)
{
	if (s->config.keep && node_n_open(n) > 0 && !node_is_directory(n) &&
		(n->is_pending || !node_first_name(n))) {
		put_node(s, n, NULL);
	}
}

/* Whether what expires is to be made anew by who has it open: as apply.c decides. */
static bool is_made_anew(struct op *op, const struct entry *e)
{
	struct store *s = op->s;
	const struct node *n = entry_node(e), *parent = entry_parent(e);

	return node_handles(n) && !node_is_directory(n) && n->nlink == 1 &&
	       !tree_lock(&s->tree, e) &&
	       tree_namespace_alive(&s->tree, parent, op->moment.elapsed) &&
	       !tree_find_pending(&s->tree, parent, entry_name(e));
}

/* What is open of what a change takes away. If it has other names, those may go too. */
static void keep_going(struct op *op, struct entry *top, bool expires)
{
	struct store *s = op->s;

	for (struct entry *e = tree_lowest(top); e; e = tree_after(e, top)) {
		const struct fate fate = {
			.revision = op->transition.revision,
			.at = op->transition.at,
			.expires = expires,
			.is_lost = expires && tree_lock(&s->tree, e),
			.again = expires && e == top && is_made_anew(op, e) ? e : NULL,
		};

		if (node_n_open(entry_node(e)) > 0) {
			put_node(s, entry_node(e), &fate);
		}
		if (fate.again) {
			keep_value(s, entry_node(e), false);
		}
	}
}

static struct entry *entry_at(struct store *s, const struct place *place)
{
	struct node *parent = tree_node(&s->tree, place->parent);

	return parent && node_is_directory(parent) ? tree_entry(parent, place_name(place)) : NULL;
}

static void keep_what_goes(struct op *op, const struct change *c)
{
	struct store *s = op->s;
	struct entry *e = NULL;
	struct node *n = tree_node(&s->tree, c->ino);

	if (n && node_n_open(n) > 0 && node_has_value(n) &&
		(c->type == CHANGE_APPEND || (c->fields & HAS_VALUE))) {
		keep_value(s, n, c->type == CHANGE_APPEND);
	}
	if (c->type == CHANGE_REMOVE || c->type == CHANGE_EXPIRE) {
		e = entry_at(s, &c->place);
	} else if (c->type == CHANGE_RENAME) {
		e = entry_at(s, &c->to);
	}
	if (e) {
		keep_going(op, e, c->type == CHANGE_EXPIRE);
	}
}

/* What is in a log again, or still is nowhere. */
static void look_after_node(struct store *s, struct node *n)
{
	if (n->is_kept && node_first_name(n) && !n->is_pending) {
		n->is_kept = false;
		keep_drop(s->config.keep, KEEP_NODE, n->ino);
	} else if (node_n_open(n) > 0) {
		handover_put_node(s, n);
	}
}

/* --- the way of an op ------------------------------------------------------------------ */

static bool needs_intent(const struct op *op)
{
	return op->s->config.keep && !op->local;
}

void handover_intend(struct op *op)
{
	struct store *s = op->s;
	struct intent intent;
	struct buffer *out = &s->handles.image;
	uint64_t revision = op->transition.revision;

	if (!needs_intent(op)) {
		return;
	}
	for (size_t i = 0; i < op->n_changes; i++) {
		keep_what_goes(op, &op->changes[i]);
	}
	memset(&intent, 0, sizeof(intent));
	intent.revision = revision;
	intent.handle = op->handle;
	intent.ino = op->changes[0].ino;
	intent.appends = op->changes[0].type == CHANGE_APPEND;
	intent.merges = op->merges;
	out->size = 0;
	if (buffer_append(out, &intent, sizeof(intent)) ||
		buffer_append(out, op->notices.data, op->notices.size)) {
		log_error("out of memory: a change may be made twice if this process ends now");
		return;
	}
	keep_put(s->config.keep, KEEP_INTENT, 0, buffer_bytes(out));
	if (op->caller.request) {
		op->guarded = true;
		keep_put(s->config.keep, KEEP_GUARD, op->caller.request,
			bytes_of(&revision, sizeof(revision)));
	}
	/* What the request has done to handles before; but see above. */
	put_touched(s, false);
	keep_publish(s->config.keep);
}

void handover_refused(struct op *op)
{
	if (needs_intent(op)) {
		keep_drop(op->s->config.keep, KEEP_INTENT, 0);
		handover_answered(op->s, op->guarded ? op->caller.request : 0);
		op->guarded = false;
	}
}

void handover_applied(struct op *op)
{
	const uint64_t always = 0;
	struct store *s = op->s;

	if (!s->config.keep) {
		return;
	}
	for (size_t i = 0; i < op->n_changes; i++) {
		struct node *n = tree_node(&s->tree, op->changes[i].ino);

		if (!n) {
			continue;
		}
		look_after_node(s, n);
		for (struct handle *h = node_n_open(n) > 0 ? handle_first(s, n) : NULL; h;
			h = handle_next(h)) {
			if (h->has_seen && value_continues(node_value(n), h->seen)) {
				handle_see_value(s, h, node_value(n), n->version);
				handover_touch(s, h);
			}
		}
	}
	if (!op->local) {
		keep_drop(s->config.keep, KEEP_INTENT, 0);
	} else if (op->caller.request) {
		/* No log will tell: it is there with what it has done. */
		op->guarded = true;
		keep_put(s->config.keep, KEEP_GUARD, op->caller.request,
			bytes_of(&always, sizeof(always)));
	}
}

void handover_answered(struct store *s, uint64_t request)
{
	if (request && s->config.keep) {
		keep_drop(s->config.keep, KEEP_GUARD, request);
	}
}
