/* SPDX-License-Identifier: MIT
 * Copyright (c) 2026 The cubbyfs authors */

/* The second half of the handover (see handover.c): what another process has left. */
#include "store/handover.h"

#include "base/cleanup.h"
#include "base/keep.h"
#include "base/log.h"
#include "store/handover_image.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>

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
	r->found = s->has_inherited = true;
	if (!image_get(&b, &c, sizeof(c))) {
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
	uint32_t owner;

	if (!image_get_bytes(b, &value)) {
		return false;
	}
	if (value.size > 0 && node_has_value(n)) {
		node_put_value(n, value_create(value));
		if (!node_value(n)) {
			return false;
		}
	}
	node_set_rdev(n, image->rdev);
	if (owner_get(image->uid, image->gid, &owner)) {
		return false;
	}
	node_set_owner(n, owner);
	if (node_need_extra(n)) {
		return false;
	}
	node_set_atime(n, image->atime);
	if (!image_get_xattrs(b, &node_extra(n)->xattrs) || !image_get_bytes(b, &name)) {
		return false;
	}
	node_extra(n)->xattr_bytes = image_xattrs_size(node_extra(n)->xattrs);
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
	n = image_get(&b, &image, sizeof(image)) ? node_create(ino, image.mode) : NULL;
	if (!n) {
		r->n_lost++;
		return;
	}
	n->revision = image.revision;
	n->version = image.version;
	n->created = image.created;
	n->changed = image.changed;
	n->mtime = image.mtime;
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

/* The value that a handle has of its node's, of that version. `kept`: which one in the keep
 * the handle says that it is, or 0; it may have come there when the change under way began.
 * *user is that one then. *ok: it is known. Borrowed. */
static struct value *value_of_version(struct store *s, const struct handle *h, uint64_t version,
	uint64_t kept, struct kept_value **user, bool *ok)
{
	struct kept_values *t = &s->handles.kept;

	*ok = true;
	if (!kept && version == h->node->version) {
		return node_value(h->node);
	}
	kept_value_use(t, user, kept_value_find(t, kept, h->node->ino, version));
	*ok = *user != NULL;
	return *user ? (*user)->value : NULL;
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
	if (i->has_seen) {
		struct value *seen = value_of_version(
			s, h, i->seen_version, i->kept_seen, &h->keeps_seen, &ok);

		handle_see_value(s, h, seen, i->seen_version);
		h->seen_is_kept = h->keeps_seen != NULL;
		/* If it is not known it had been read to its end: the end is what is there. A
		 * handle that writes begins anew. */
		h->has_seen = ok || !handle_writes(h);
	}
	h->is_lost = i->is_lost;
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
		handle_set_base(h,
			value_of_version(s, h, i->base_version, i->kept_base, &h->keeps_base, &ok),
			i->base_version);
		h->base_is_kept = h->keeps_base != NULL;
	}
	h->staged.has_ttl = i->has_ttl;
	h->staged.ttl = i->ttl;
	h->staged.has_mtime = i->has_mtime;
	h->staged.mtime = i->mtime;
	h->staged.has_atime = i->has_atime;
	h->staged.atime = i->atime;
	if (!image_get_text(b, &h->staged.action) || !image_get_xattrs(b, &h->staged.xattrs) ||
		!image_get_xattrs(b, &h->staged.removed)) {
		return false;
	}
	h->staged.xattr_bytes = image_xattrs_size(h->staged.xattrs) + image_xattrs_size(h->staged.removed);
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

	if (!image_get(&b, &i, sizeof(i)) || !(n = tree_node(&s->tree, i.ino))) {
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
	if (!image_get(&b, &intent, sizeof(intent)) || intent.revision > s->tree.revision) {
		return;
	}
	n = tree_node(&s->tree, intent.ino);
	h = intent.handle ? handle_find(s, intent.handle) : NULL;
	if (h && !intent.appends) {
		handle_drop(s, h);
		if (intent.merges) {
			handle_begin_anew(h);
		} else if (n) {
			handle_see_value(s, h, node_value(n), n->version);
		}
		if (h->node->is_pending && h->node != n) {
			/* Another had the name it was to get, and has the value now. */
			handle_made(s, h->node);
			tree_unpend(&s->tree, h->node);
			handover_put_node(s, h->node);
		}
	}
	if (n && node_first_name(n) && !n->is_pending) {
		handle_made(s, n);
	}
	for (h = n && intent.appends ? handle_first(s, n) : NULL; h; h = handle_next(h)) {
		if (h->has_seen && h->seen_version + 1 == n->version) {
			handle_see_value(s, h, node_value(n), n->version);
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
	if (n && node_n_open(n) == 0 && (n->is_pending || !node_first_name(n))) {
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

		if (store_sync_due(s)) {
			store_sync(s);
		} else {
			poll(&p, 1, -1);
		}
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
	r.rc = kept_values_restore(&s->handles.kept);
	if (r.rc) {
		return r.rc;
	}
	keep_each(k, KEEP_COUNTERS, restore_counters, &r);
	keep_each(k, KEEP_NODE, restore_node, &r);
	keep_each(k, KEEP_HANDLE, restore_handle, &r);
	keep_each(k, KEEP_INTENT, restore_intent, &r);
	keep_each(k, KEEP_NODE, drop_orphan, &r);
	kept_values_settle(&s->handles.kept);
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
	       image_get(&b, &revision, sizeof(revision)) && revision <= s->restored_revision;
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
