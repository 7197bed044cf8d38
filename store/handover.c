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

#include "base/cleanup.h"
#include "base/keep.h"
#include "base/log.h"
#include "store/internal.h"
#include "store/notice.h"
#include "store/place.h"

#include <errno.h>
#include <poll.h>

/* --- bytes ---------------------------------------------------------------------- */

static int put_bytes(struct buffer *out, struct bytes b)
{
	uint32_t size = (uint32_t)b.size;
	int rc = buffer_append(out, &size, sizeof(size));

	return rc ? rc : buffer_append(out, b.data, b.size);
}

/* False: there are none left. */
static bool get(struct bytes *in, void *out, size_t size)
{
	if (in->size < size) {
		return false;
	}
	memcpy(out, in->data, size);
	*in = bytes_of(in->data + size, in->size - size);
	return true;
}

static bool get_bytes(struct bytes *in, struct bytes *out)
{
	uint32_t size;

	if (!get(in, &size, sizeof(size)) || in->size < size) {
		return false;
	}
	*out = bytes_of(in->data, size);
	*in = bytes_of(in->data + size, in->size - size);
	return true;
}

static int put_xattrs(struct buffer *out, const struct xattr *list)
{
	uint32_t n = 0;
	int rc;

	for (const struct xattr *x = list; x; x = x->next) {
		n++;
	}
	rc = buffer_append(out, &n, sizeof(n));
	for (const struct xattr *x = list; x && rc == 0; x = x->next) {
		rc = put_bytes(out, xattr_name(x));
		rc = rc ? rc : put_bytes(out, xattr_value(x));
	}
	return rc;
}

static bool get_xattrs(struct bytes *in, struct xattr **list)
{
	uint32_t n;

	if (!get(in, &n, sizeof(n))) {
		return false;
	}
	while (n-- > 0) {
		struct bytes name, value;

		if (!get_bytes(in, &name) || !get_bytes(in, &value)) {
			return false;
		}
		*list = xattr_create(name, value);
		if (!*list) {
			return false;
		}
		list = &(*list)->next;
	}
	return true;
}

static size_t size_of_xattrs(const struct xattr *list)
{
	size_t size = 0;

	for (const struct xattr *x = list; x; x = x->next) {
		size += xattr_size(xattr_name(x), xattr_value(x));
	}
	return size;
}

static int put_text(struct buffer *out, const char *text)
{
	return put_bytes(out, text ? bytes_of(text, strlen(text) + 1) : bytes_of(NULL, 0));
}

static bool get_text(struct bytes *in, char **out)
{
	struct bytes b;

	if (!get_bytes(in, &b)) {
		return false;
	}
	*out = b.size ? strndup(b.data, b.size) : NULL;
	return b.size == 0 || *out;
}

/* --- handles ---------------------------------------------------------------------- */

/* Followed by the staged action, and the attributes that are set and that are removed. */
struct handle_image {
	uint64_t ino, next_offset, seen_version, base_version, stage_size;
	uint64_t request, read_request;
	int64_t written_at, changed_at;
	int64_t ttl, mtime, atime;
	uint32_t uid, gid;
	int32_t pid, process, writer;
	int32_t flags, error;
	bool has_seen, is_lost, has_stage, has_base, merges, truncated, written, makes;
	bool has_ttl, has_mtime, has_atime;
	bool seen_is_kept, base_is_kept;
};

struct counters {
	uint64_t next_ino, next_handle;
	int64_t failed;
};

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
static void drop_values(struct keep *k, struct handle *h)
{
	if (h->keeps_seen && !h->seen_is_kept) {
		keep_drop(k, KEEP_SEEN, h->id);
		h->keeps_seen = false;
	}
	if (h->keeps_base && !h->base_is_kept) {
		keep_drop(k, KEEP_BASE, h->id);
		h->keeps_base = false;
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
	drop_values(k, h);
	if (h->node->is_kept && h->node->n_open == 1) {
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
	image.seen_is_kept = h->seen_is_kept;
	image.base_is_kept = h->base_is_kept;
	out->size = 0;
	rc = buffer_append(out, &image, sizeof(image));
	rc = rc ? rc : put_text(out, h->staged.action);
	rc = rc ? rc : put_xattrs(out, h->staged.xattrs);
	rc = rc ? rc : put_xattrs(out, h->staged.removed);
	if (rc) {
		log_error("out of memory: an open key would not survive this process");
		return;
	}
	put_stage(k, h);
	drop_values(k, h);
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

/* A value that is about to be replaced: who is in the middle of it keeps it. One that is
 * appended to goes on in what comes. */
static void keep_value(struct store *s, const struct node *n, bool is_appended_to)
{
	struct bytes value = value_bytes(n->value);

	for (struct handle *h = handle_first(s, n); h; h = handle_next(h)) {
		if (h->has_seen && h->seen == n->value && h->next_offset < value.size &&
			!h->seen_is_kept && !is_appended_to) {
			h->seen_is_kept = h->keeps_seen = true;
			handover_touch(s, h);
			keep_put(s->config.keep, KEEP_SEEN, h->id, value);
		}
		if (h->has_stage && h->base && h->base == n->value && !h->base_is_kept) {
			h->base_is_kept = h->keeps_base = true;
			handover_touch(s, h);
			keep_put(s->config.keep, KEEP_BASE, h->id, value);
		}
	}
}

/* --- nodes that are in no log -------------------------------------------------------- */

/* Followed by the value, the attributes, and the name that a pending one will have. */
struct handover_node {
	uint32_t mode, uid, gid;
	uint64_t revision, version, rdev, parent;
	int64_t created, changed, mtime, atime;
	bool is_pending, is_expired, is_lost;
};

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
	struct bytes value = node_has_value(n) ? value_bytes(n->value) : bytes_of(NULL, 0);
	struct bytes name = n->is_pending ?
		bytes_of(n->pending->name, n->pending->name_size) : bytes_of(NULL, 0);
	const struct xattr *xattrs = node_xattrs(n);
	struct handover_node image;
	struct buffer *out = &s->handles.image;
	int rc;

	memset(&image, 0, sizeof(image));
	image.mode = n->mode;
	image.uid = n->uid;
	image.gid = n->gid;
	image.revision = n->revision;
	image.version = n->version;
	image.rdev = node_has_value(n) ? 0 : n->rdev;
	image.parent = n->is_pending ? n->pending->parent : 0;
	image.created = n->created;
	image.changed = n->changed;
	image.mtime = n->mtime;
	image.atime = n->atime;
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
		image.parent = fate->again->parent->ino;
		image.version = 0;
		name = entry_name(fate->again);
		value = bytes_of(NULL, 0);
		xattrs = NULL;
	}
	out->size = 0;
	rc = buffer_append(out, &image, sizeof(image));
	rc = rc ? rc : put_bytes(out, value);
	rc = rc ? rc : put_xattrs(out, xattrs);
	rc = rc ? rc : put_bytes(out, name);
	if (rc) {
		log_error("out of memory: an open key would not survive this process");
		return;
	}
	n->is_kept = true;
	keep_put(s->config.keep, KEEP_NODE, n->ino, buffer_bytes(out));
}

void handover_put_node(struct store *s, struct node *n)
{
	if (s->config.keep && n->n_open > 0 && !node_is_directory(n) &&
		(n->is_pending || !n->names)) {
		put_node(s, n, NULL);
	}
}

/* Whether what expires is to be made anew by who has it open: as apply.c decides. */
static bool is_made_anew(struct op *op, const struct entry *e)
{
	struct store *s = op->s;
	const struct node *n = e->node;

	return n->handles && !node_is_directory(n) && n->nlink == 1 && !tree_lock(&s->tree, e) &&
	       (!e->parent->names || tree_alive(&s->tree, e->parent->names, op->moment.elapsed)) &&
	       !tree_find_pending(&s->tree, e->parent, entry_name(e));
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

		if (e->node->n_open > 0) {
			put_node(s, e->node, &fate);
		}
		if (fate.again) {
			keep_value(s, e->node, false);
		}
	}
}

static struct entry *entry_at(struct store *s, const struct place *place)
{
	struct node *parent = tree_node(&s->tree, place->parent);

	return parent && node_is_directory(parent) ?
		tree_entry(&s->tree, parent, place_name(place)) : NULL;
}

static void keep_what_goes(struct op *op, const struct change *c)
{
	struct store *s = op->s;
	struct entry *e = NULL;
	struct node *n = tree_node(&s->tree, c->ino);

	if (n && n->n_open > 0 && node_has_value(n) &&
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
	if (n->is_kept && n->names && !n->is_pending) {
		n->is_kept = false;
		keep_drop(s->config.keep, KEEP_NODE, n->ino);
	} else if (n->n_open > 0) {
		handover_put_node(s, n);
	}
}

/* --- the way of an op ------------------------------------------------------------------ */

/* Followed by the notices. */
struct intent {
	uint64_t revision, handle, ino;
	bool appends; /* to the value of ino */
	bool merges;  /* what the handle had staged */
};

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
		for (struct handle *h = n->n_open > 0 ? handle_first(s, n) : NULL; h;
			h = handle_next(h)) {
			if (h->has_seen && value_continues(n->value, h->seen)) {
				handle_see_value(s, h, n->value, n->version);
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

/* --- restoring -------------------------------------------------------------------------- */

struct restoration {
	struct store *s;
	bool found; /* somebody was here before */
	unsigned n_lost;
	int rc;
};

static void restore_counters(void *arg, uint64_t id, struct bytes b)
{
	struct restoration *r = arg;
	struct store *s = r->s;
	struct counters c;

	(void)id;
	r->found = true;
	if (!get(&b, &c, sizeof(c))) {
		return;
	}
	if (c.next_ino > s->tree.next_ino) {
		s->tree.next_ino = c.next_ino;
	}
	s->handles.next_id = c.next_handle;
	/* What was lost then is lost still. */
	s->failed = (int)c.failed;
}

static bool fill_node(struct store *s, struct node *n, const struct handover_node *image,
	struct bytes *b)
{
	struct bytes value, name;
	struct node *parent;

	if (!get_bytes(b, &value)) {
		return false;
	}
	if (value.size > 0 && node_has_value(n)) {
		n->value = value_create(value);
		if (!n->value) {
			return false;
		}
	} else if (!node_has_value(n)) {
		n->rdev = image->rdev;
	}
	n->extra = calloc(1, sizeof(*n->extra));
	if (!n->extra || !get_xattrs(b, &n->extra->xattrs) || !get_bytes(b, &name)) {
		return false;
	}
	n->extra->xattr_bytes = size_of_xattrs(n->extra->xattrs);
	if (image->is_pending) {
		parent = tree_node(&s->tree, image->parent);
		return parent && node_is_directory(parent) && tree_attached(&s->tree, parent) &&
			tree_pend_node(&s->tree, n, parent, name);
	}
	return true;
}

static void restore_node(void *arg, uint64_t ino, struct bytes b)
{
	struct restoration *r = arg;
	struct handover_node image;
	struct node *n;

	/* It was about to lose its name, or has got it. */
	if (tree_node(&r->s->tree, ino)) {
		keep_drop(r->s->config.keep, KEEP_NODE, ino);
		return;
	}
	n = get(&b, &image, sizeof(image)) ? node_create(ino, image.mode) : NULL;
	if (!n) {
		r->n_lost++;
		return;
	}
	n->uid = image.uid;
	n->gid = image.gid;
	n->revision = image.revision;
	n->version = image.version;
	n->created = image.created;
	n->changed = image.changed;
	n->mtime = image.mtime;
	n->atime = image.atime;
	n->is_expired = image.is_expired;
	n->is_lost = image.is_lost;
	n->is_kept = true;
	if (!fill_node(r->s, n, &image, &b)) {
		node_destroy(n);
		r->n_lost++;
		return;
	}
	tree_add_node(&r->s->tree, n);
}

/* The value that a handle has of its node's, of that version. *is_kept: the handle says that
 * it is in the keep; then, whether it is: it may have come there when the change under
 * way began. *ok: it is known. Owned. */
static struct value *value_of_version(struct store *s, const struct handle *h, uint64_t version,
	enum keep_kind kind, bool *is_kept, bool *ok)
{
	struct bytes kept;

	*ok = true;
	if (!*is_kept && version == h->node->version) {
		return value_ref(h->node->value);
	}
	*ok = *is_kept = keep_find(s->config.keep, kind, h->id, &kept);
	return *ok && kept.size ? value_create(kept) : NULL;
}

static bool fill_handle(struct store *s, struct handle *h, const struct handle_image *i,
	struct bytes *b)
{
	struct bytes stage;
	bool ok = true;

	h->process = i->process;
	h->writer = i->writer;
	h->next_offset = i->next_offset;
	h->request = i->request;
	h->read_request = i->read_request;
	h->written_at = i->written_at;
	h->changed_at = i->changed_at;
	h->error = i->error;
	h->makes = i->makes;
	h->seen_version = i->seen_version;
	h->base_version = i->base_version;
	if (i->has_seen) {
		bool is_kept = i->seen_is_kept;
		struct value *seen =
			value_of_version(s, h, i->seen_version, KEEP_SEEN, &is_kept, &ok);

		handle_see_value(s, h, seen, i->seen_version);
		value_unref(seen);
		h->seen_is_kept = is_kept;
		/* If it is not known it had been read to its end: the end is what is there. A
		 * handle that writes begins anew. */
		h->has_seen = ok || !handle_writes(h);
	}
	h->is_lost = i->is_lost;
	h->keeps_seen = keep_find(s->config.keep, KEEP_SEEN, h->id, &stage);
	h->has_stage = i->has_stage;
	h->truncated = i->truncated;
	h->written = i->written;
	h->merges = i->merges;
	if (i->has_stage && i->stage_size > 0) {
		if (!keep_find(s->config.keep, KEEP_STAGE, h->id, &stage) ||
			stage.size != i->stage_size ||
			buffer_append(&h->stage, stage.data, stage.size)) {
			return false;
		}
		handle_count(s, h, 0, h->stage.size);
		h->stage_is_kept = true;
	}
	if (i->has_stage && i->has_base) {
		h->base_is_kept = i->base_is_kept;
		h->base = value_of_version(s, h, i->base_version, KEEP_BASE, &h->base_is_kept, &ok);
	}
	h->keeps_base = keep_find(s->config.keep, KEEP_BASE, h->id, &stage);
	h->staged.has_ttl = i->has_ttl;
	h->staged.ttl = i->ttl;
	h->staged.has_mtime = i->has_mtime;
	h->staged.mtime = i->mtime;
	h->staged.has_atime = i->has_atime;
	h->staged.atime = i->atime;
	if (!get_text(b, &h->staged.action) || !get_xattrs(b, &h->staged.xattrs) ||
		!get_xattrs(b, &h->staged.removed)) {
		return false;
	}
	h->staged.xattr_bytes = size_of_xattrs(h->staged.xattrs) + size_of_xattrs(h->staged.removed);
	handle_count(s, h, 0, h->staged.xattr_bytes);
	return true;
}

static void restore_handle(void *arg, uint64_t id, struct bytes b)
{
	struct restoration *r = arg;
	struct store *s = r->s;
	struct handle_image i;
	struct store_caller opener;
	uint64_t next = s->handles.next_id;
	struct handle *h;
	struct node *n;

	if (!get(&b, &i, sizeof(i)) || !(n = tree_node(&s->tree, i.ino))) {
		r->n_lost++;
		return;
	}
	opener = (struct store_caller){.uid = i.uid, .gid = i.gid, .pid = i.pid};
	s->handles.next_id = id;
	h = handle_create(s, &opener, n, i.flags & ~O_TRUNC);
	s->handles.next_id = next;
	if (!h) {
		r->rc = -ENOMEM;
		return;
	}
	h->flags = i.flags;
	if (!fill_handle(s, h, &i, &b)) {
		handle_destroy(s, h);
		r->n_lost++;
	}
}

/* The change that was under way. */
static void restore_intent(void *arg, uint64_t id, struct bytes b)
{
	struct restoration *r = arg;
	struct store *s = r->s;
	struct intent intent;
	struct handle *h;
	struct node *n;

	(void)id;
	r->found = true;
	keep_drop(s->config.keep, KEEP_INTENT, 0);
	if (!get(&b, &intent, sizeof(intent)) || intent.revision > s->tree.revision) {
		return;
	}
	n = tree_node(&s->tree, intent.ino);
	h = intent.handle ? handle_find(s, intent.handle) : NULL;
	if (h && !intent.appends) {
		handle_drop(s, h);
		if (intent.merges) {
			handle_begin_anew(h);
		} else if (n) {
			handle_see_value(s, h, n->value, n->version);
		}
		if (h->node->is_pending && h->node != n) {
			/* Another had the name it was to get, and has the value now. */
			handle_made(s, h->node);
			tree_unpend(&s->tree, h->node);
			handover_put_node(s, h->node);
		}
	}
	if (n && n->names && !n->is_pending) {
		handle_made(s, n);
	}
	for (h = n && intent.appends ? handle_first(s, n) : NULL; h; h = handle_next(h)) {
		if (h->has_seen && h->seen_version + 1 == n->version) {
			handle_see_value(s, h, n->value, n->version);
			handover_touch(s, h);
		}
	}
	if (buffer_append(&s->inherited_notices, b.data, b.size)) {
		log_error("out of memory: a change is not announced");
	}
}

static void restore_range(void *arg, uint64_t id, struct bytes b)
{
	struct restoration *r = arg;

	if (advisory_restore(&r->s->advisory, id, b)) {
		r->n_lost++;
	}
}

/* Keys that nobody is making any more; their makers' handles were lost. */
static void drop_orphan(void *arg, uint64_t ino, struct bytes b)
{
	struct restoration *r = arg;
	struct node *n = tree_node(&r->s->tree, ino);

	(void)b;
	if (n && n->n_open == 0 && (n->is_pending || !n->names)) {
		keep_drop(r->s->config.keep, KEEP_NODE, ino);
		tree_unpend(&r->s->tree, n);
		tree_collect(&r->s->tree, n);
	}
}

static void on_sync(void *arg, int status)
{
	*(int *)arg = status;
}

/* Whoever waited for a sync when the process ended is answered at once later on: all that was
 * replayed is on the disk by then. */
static int sync_all(struct store *s)
{
	int status = 1;

	s->ops->sync(s->backend, on_sync, &status);
	while (status > 0) {
		struct pollfd p = {.fd = s->ops->poll_fd(s->backend), .events = POLLIN};

		poll(&p, 1, -1);
		s->ops->dispatch(s->backend);
	}
	store_synced(s, status);
	return 0;
}

int handover_restore(struct store *s)
{
	struct restoration r = {.s = s};
	struct keep *k = s->config.keep;

	s->advisory.keep = k;
	if (!k) {
		return 0;
	}
	keep_each(k, KEEP_COUNTERS, restore_counters, &r);
	keep_each(k, KEEP_NODE, restore_node, &r);
	keep_each(k, KEEP_HANDLE, restore_handle, &r);
	keep_each(k, KEEP_INTENT, restore_intent, &r);
	keep_each(k, KEEP_NODE, drop_orphan, &r);
	keep_each(k, KEEP_RANGE, restore_range, &r);
	if (r.n_lost > 0) {
		log_warning("%s: %u open files or locks could not be taken over", s->location,
			r.n_lost);
	}
	s->restored_revision = s->tree.revision;
	return r.rc || !r.found || s->failed || s->config.read_only ? r.rc : sync_all(s);
}

bool store_has_applied(const struct store *s, uint64_t request)
{
	struct bytes b;
	uint64_t revision;

	return keep_find(s->config.keep, KEEP_GUARD, request, &b) &&
	       get(&b, &revision, sizeof(revision)) && revision <= s->restored_revision;
}

bool store_find_opened(struct store *s, uint64_t request, uint64_t *ino, uint64_t *handle)
{
	for (size_t i = 0; i < s->handles.by_id.n_buckets; i++) {
		struct table_link *l = table_bucket(&s->handles.by_id, i);

		for (; l; l = l->next) {
			struct handle *h = container_of(l, struct handle, by_id);

			if (h->request == request) {
				*ino = h->node->ino;
				*handle = h->id;
				return true;
			}
		}
	}
	return false;
}

static void drop_guard(void *arg, uint64_t request, struct bytes b)
{
	(void)b;
	keep_drop(arg, KEEP_GUARD, request);
}

void store_settle(struct store *s)
{
	keep_each(s->config.keep, KEEP_GUARD, drop_guard, s->config.keep);
}
