/* SPDX-License-Identifier: MIT
 * Copyright (c) 2026 The cubbyfs authors */

/* Open keys: reading, staging and committing values.
 *
 * What commits when. close(2) reaches us as a flush for every descriptor that
 * is closed, and as one release when the last is gone; a shell's `echo v > k`
 * is open(O_TRUNC), dup2, close, write, close. So a flush commits only what has
 * been written since the last, and only if it comes from the process that
 * opened the handle, and closes the last of its descriptors: not from a child
 * that ends and had it inherited, not from a shell that restores a descriptor
 * it had put aside. An O_TRUNC alone, and the making of an empty key, wait for the release.
 *
 * A key that is being made is a pending node: it has a number and takes
 * attributes, but no name. Its maker's lookups find it. Everybody who makes
 * the same name meanwhile shares the node; the first commit gives it the name.
 * If something else has taken the name by then, the commit sets the value of
 * that, if it may. */
#include "store/handover.h"
#include "store/internal.h"

#include "base/cleanup.h"
#include "base/log.h"
#include "store/permission.h"

#include <errno.h>
#include <fcntl.h>

/* --- planning a value ----------------------------------------------------- */

enum deadline_rule {
	DEADLINE_KEEP,
	DEADLINE_PLAIN_WRITE, /* the namespace's default, or none; a lock's starts anew */
	DEADLINE_RESTART,     /* touch(1) */
};

/* The deadline that one name is to get; *changes: there is one. A TTL that was staged may end
 * the name, which may be in another place by now, or be another's. 0, or as
 * permission_to_remove. */
static int decide_deadline(struct op *op, const struct entry *e, const struct node *parent,
	enum deadline_rule rule, struct change *c, bool *changes)
{
	const struct deadline *d = e ? expiry_get(&op->s->tree.expiry, e) : NULL;
	bool is_lock = d && d->lock;
	int64_t ttl = -1;
	int rc;

	*changes = false;
	if (op->staged.has_ttl) {
		/* Of a lock that is a further name of something, the lock's is meant. */
		if (e && !is_lock &&
			tree_lock_of(&op->s->tree, entry_node(e), op->moment.elapsed)) {
			return 0;
		}
		rc = e ? permission_to_remove(op->s, &op->caller, e) : 0;
		if (rc) {
			return rc;
		}
		ttl = op->staged.ttl;
	} else if (rule == DEADLINE_KEEP) {
		return 0;
	} else if (rule == DEADLINE_RESTART || is_lock) {
		if (!d) {
			return 0;
		}
		ttl = d->ttl;
	} else {
		ttl = store_default_ttl(parent);
	}
	if (ttl < 0 && !d) {
		return 0;
	}
	*changes = true;
	c->fields |= HAS_EXPIRES;
	c->expires = ttl < 0 ? 0 : op->moment.lease + ttl;
	c->ttl = ttl < 0 ? 0 : ttl;
	return 0;
}

/* Deadlines of the names of n; that of the first goes into *first. */
static int plan_deadlines(struct op *op, const struct node *n, enum deadline_rule rule,
	size_t first)
{
	const struct entry *alive = tree_name(&op->s->tree, n, op->moment.elapsed);
	struct change scratch, *c;
	bool changes;
	int rc = alive ? decide_deadline(op, alive, entry_parent(alive), rule, &op->changes[first],
				 &changes)
		       : 0;

	for (uint32_t i = 0; rc == 0 && i < n->nlink; i++) {
		const struct entry *e = node_name(n, i);

		scratch = (struct change){0};
		if (e == alive || !tree_alive(&op->s->tree, e, op->moment.elapsed)) {
			continue;
		}
		rc = decide_deadline(op, e, entry_parent(e), rule, &scratch, &changes);
		if (rc) {
			break;
		}
		if (!changes) {
			continue;
		}
		c = op_change(op, CHANGE_PUT, n->ino);
		if (!c) {
			return -ENOMEM;
		}
		c->fields = scratch.fields;
		c->expires = scratch.expires;
		c->ttl = scratch.ttl;
		if (op_place(op, entry_parent(e), entry_name(e), &c->place)) {
			return -ENOMEM;
		}
	}
	return rc;
}

/* The times of what was staged: when it was, unless somebody else has set the
 * value since. Then it changes now, and no time goes back. */
static void plan_times(const struct op *op, const struct node *n, struct change *c)
{
	int64_t changed_at = op->changed_at > n->changed ? op->changed_at : n->changed;

	if (op->written_at == 0 || op->written_at < n->mtime || changed_at >= op->moment.wall) {
		return;
	}
	c->fields |= HAS_AGE;
	c->age = op->moment.wall - changed_at;
	if (op->written_at != changed_at) {
		c->fields |= HAS_MTIME;
		c->mtime = op->written_at;
	}
}

/* What was staged besides the value; times only by who may set them, now that the node may
 * be another than they were staged for. */
static int plan_staged(struct op *op, const struct node *target, struct change *c)
{
	bool may_set_times =
		target == op->node || op->caller.uid == 0 || op->caller.uid == node_uid(target);
	struct xattr_change *xattrs;
	size_t n = 0;

	if (op->staged.has_mtime && may_set_times) {
		c->fields |= HAS_MTIME;
		c->mtime = op->staged.mtime;
	}
	if (op->staged.has_atime && may_set_times) {
		c->fields |= HAS_ATIME;
		c->atime = op->staged.atime;
	}
	for (const struct xattr *x = op->staged.xattrs; x; x = x->next) {
		n++;
	}
	for (const struct xattr *x = op->staged.removed; x; x = x->next) {
		n++;
	}
	if (n == 0) {
		return 0;
	}
	xattrs = calloc(n, sizeof(*xattrs));
	if (op_keep(op, xattrs)) {
		return -ENOMEM;
	}
	c->xattrs = xattrs;
	for (const struct xattr *x = op->staged.removed; x; x = x->next) {
		xattrs[c->n_xattrs++] = (struct xattr_change){.name = xattr_name(x), .removed = true};
	}
	for (const struct xattr *x = op->staged.xattrs; x; x = x->next) {
		xattrs[c->n_xattrs++] = (struct xattr_change){
			.name = xattr_name(x), .value = xattr_value(x)};
	}
	return 0;
}

/* As the kernel asks a file system that says HANDLE_KILLPRIV. The set-gid bit of what the
 * group may not execute only who is in that group leaves. */
void plan_drop_set_id(struct op *op, const struct node *n, struct change *c)
{
	uint32_t mode = c->fields & HAS_MODE ? c->mode : n->mode;
	uint32_t drop = S_ISUID;

	if ((mode & S_ISGID) &&
		((mode & S_IXGRP) || !permission_in_group(op->s, &op->caller, node_gid(n)))) {
		drop |= S_ISGID;
	}
	if (op->caller.uid != 0 && (mode & drop) && S_ISREG(mode)) {
		c->fields |= HAS_MODE;
		c->mode = mode & ~drop;
	}
}

/* The name of a pending node: free, or another's by now, who then is *target. */
static int plan_new_name(struct op *op, struct node *n, struct node **target, struct place *place)
{
	struct bytes name = bytes_of(node_pending(n)->name, node_pending(n)->name_size);
	struct node *parent;
	struct entry *e;
	int rc = store_namespace(op->s, node_pending(n)->parent, &parent);

	if (rc || !tree_attached(&op->s->tree, parent)) {
		return STORE_NOT_FOUND;
	}
	e = tree_find(&op->s->tree, parent, name, op->moment.elapsed);
	if (e) {
		if (!S_ISREG(entry_node(e)->mode)) {
			return STORE_EXISTS;
		}
		*target = entry_node(e);
		return permission_to_write(op->s, &op->caller, entry_node(e)) ? 0 : -EACCES;
	}
	rc = quota_may_add(op->s, parent, false);
	rc = rc ? rc : op_clear(op, parent, name);
	return rc ? rc : op_new_place(op, parent, name, place);
}

/* May n become what c makes of it? 0 or STORE_FULL. */
static int check_size(struct op *op, const struct node *n, const struct change *c)
{
	uint64_t before_attributes = n->has_extra ? node_extra(n)->xattr_bytes : 0;
	uint64_t before = node_bytes(n);
	uint64_t after = before - before_attributes, attributes = before_attributes;

	if (c->fields & HAS_VALUE) {
		after = c->value.size;
	}
	for (size_t i = 0; i < c->n_xattrs; i++) {
		const struct xattr_change *x = &c->xattrs[i];
		const struct xattr *old = xattr_find(node_xattrs(n), x->name);

		attributes -= old ? xattr_size(x->name, xattr_value(old)) : 0;
		attributes += x->removed ? 0 : xattr_size(x->name, x->value);
	}
	if (attributes > before_attributes &&
		quota_is_full(&op->s->quota, 0, attributes, STORE_XATTRS_MAX)) {
		return STORE_FULL;
	}
	return quota_may_grow(op->s, quota_place(op->s, n), before, after + attributes);
}

/* Its deadline has passed since the op was made. Swept away, n may be a node again that
 * is to make the key anew, as for an op that comes later; or it stays as it is. */
static int gone_before_plan(struct op *op, const struct node *n)
{
	return node_first_name(n) && n == op->node && !op->swept ? OP_SWEEP : store_gone(op->s, n);
}

int plan_value(struct op *op, struct value *value, bool keep_ttl)
{
	struct store *s = op->s;
	struct node *n = op->node, *home;
	struct place place = {0};
	struct entry *e;
	struct change *c;
	bool changes;
	size_t index;
	int rc;

	op->planned = value;
	if (n->is_pending) {
		rc = plan_new_name(op, n, &n, &place);
		if (rc) {
			return rc;
		}
	}
	home = store_home(s, n);
	if (op->conditional &&
		(n->is_pending ? 0 : home ? n->revision : UINT64_MAX) != op->revision) {
		return STORE_CONFLICT;
	}
	if (value_size(value) > store_max_value(s, home)) {
		return STORE_TOO_LARGE;
	}
	c = op_change(op, CHANGE_PUT, n->ino);
	if (!c) {
		return -ENOMEM;
	}
	index = op->n_changes - 1;
	c->fields = HAS_VALUE;
	c->value = value_bytes(value);
	op->made = n->ino;
	if (n->is_pending) {
		c->place = place;
		c->fields |= HAS_MODE | HAS_OWNER;
		c->mode = n->mode;
		c->uid = node_uid(n);
		c->gid = node_gid(n);
		decide_deadline(op, NULL, home, DEADLINE_PLAIN_WRITE, c, &changes);
	} else {
		e = tree_name(&s->tree, n, op->moment.elapsed);
		if (!e && (node_first_name(n) || n->is_expired)) {
			return gone_before_plan(op, n);
		}
		op->local = !e;
		rc = e ? op_place(op, entry_parent(e), entry_name(e), &c->place) : 0;
		if (rc) {
			return rc;
		}
	}
	/* An empty key that is made set-id was not written to. */
	if (!n->is_pending || value) {
		plan_drop_set_id(op, n, c);
	}
	plan_times(op, n, c);
	rc = plan_staged(op, n, c);
	rc = rc ? rc : check_size(op, n, c);
	if (rc || n->is_pending) {
		return rc;
	}
	return plan_deadlines(op, n, keep_ttl ? DEADLINE_KEEP : DEADLINE_PLAIN_WRITE, index);
}

int plan_attributes(struct op *op, bool restart)
{
	struct node *n = op->node;
	struct entry *e = tree_name(&op->s->tree, n, op->moment.elapsed);
	struct change *c = op_change(op, CHANGE_PUT, n->ino);
	int rc;

	if (!c) {
		return -ENOMEM;
	}
	op->made = n->ino;
	op->local = !e && n != op->s->tree.root;
	rc = e ? op_place(op, entry_parent(e), entry_name(e), &c->place) : 0;
	rc = rc ? rc : plan_staged(op, n, c);
	rc = rc ? rc : check_size(op, n, c);
	return rc ? rc :
		    plan_deadlines(op, n, restart ? DEADLINE_RESTART : DEADLINE_KEEP, 0);
}

/* --- opening ---------------------------------------------------------------- */

int store_open_key(struct store *s, const struct store_caller *caller, uint64_t ino, int flags,
	uint64_t *handle)
{
	struct node *n = tree_node(&s->tree, ino);
	struct handle *h;
	int rc;

	store_now(s);
	if (!n || !store_usable(s, n)) {
		return STORE_NOT_FOUND;
	}
	if (node_is_directory(n)) {
		return STORE_IS_DIRECTORY;
	}
	if (!S_ISREG(n->mode)) {
		return STORE_INVALID;
	}
	if (gone_is_shed(n)) {
		return STORE_STALE;
	}
	if ((s->failed || s->config.read_only) && (flags & (O_ACCMODE | O_TRUNC))) {
		return -EROFS;
	}
	rc = quota_may_open(&s->quota, caller->uid);
	if (rc) {
		return rc;
	}
	h = handle_create(s, caller, n, flags);
	if (!h) {
		return -ENOMEM;
	}
	h->makes = n->is_pending && handle_writes(h);
	*handle = h->id;
	return 0;
}

static void created(struct op *op)
{
	struct node *n = tree_node(&op->s->tree, op->made);
	struct handle *h = n ? handle_create(op->s, &op->caller, n, op->flags & ~O_TRUNC) : NULL;

	if (!h) {
		return; /* the answer says so */
	}
	op->result.ino = n->ino;
	op->result.handle = h->id;
	store_fill_stat(op->s, n, &op->result.stat);
}

/* Makes op->node, or a new one, at once: empty, and with a handle. */
static int plan_create(struct op *op)
{
	struct bytes name = bytes_of_string(op->name);
	struct node *parent;
	struct change *c;
	bool changes;
	int rc = store_namespace(op->s, op->parent, &parent);

	if (rc) {
		return rc;
	}
	if (tree_find(&op->s->tree, parent, name, op->moment.elapsed)) {
		return op->flags & O_EXCL ? STORE_EXISTS : STORE_STALE;
	}
	if (op->node) {
		/* The change that gives it the name is the last. */
		rc = plan_value(op, NULL, false);
		return rc || !(op->flags & O_EXCL) ?
			rc : lock_plan(op, parent, name, &op->changes[op->n_changes - 1]);
	}
	rc = quota_may_add(op->s, parent, false);
	rc = rc ? rc : op_clear(op, parent, name);
	if (rc) {
		return rc;
	}
	op->made = op_number(op);
	c = op_change(op, CHANGE_PUT, op->made);
	if (!c) {
		return -ENOMEM;
	}
	c->fields = HAS_VALUE | HAS_MODE | HAS_OWNER;
	c->mode = op->mode;
	c->uid = op->caller.uid;
	c->gid = parent->mode & S_ISGID ? node_gid(parent) : op->caller.gid;
	decide_deadline(op, NULL, parent, DEADLINE_PLAIN_WRITE, c, &changes);
	rc = op->flags & O_EXCL ? lock_plan(op, parent, name, c) : 0;
	return rc ? rc : op_new_place(op, parent, name, &c->place);
}

/* A key that others will see when it is committed. */
static int create_pending(struct store *s, const struct store_caller *caller, struct node *parent,
	struct bytes name, mode_t mode, int flags, struct store_result *result)
{
	struct node *n;
	struct handle *h;
	uint32_t owner;
	int rc = s->failed || s->config.read_only ? -EROFS : quota_may_add(s, parent, false);

	if (rc == 0 && tree_path_size(parent, name.size) > STORE_PATH_MAX) {
		rc = STORE_NAME_TOO_LONG;
	}
	if (rc) {
		return rc;
	}
	rc = owner_get(
		caller->uid, parent->mode & S_ISGID ? node_gid(parent) : caller->gid, &owner);
	if (rc) {
		return rc;
	}
	n = tree_pend(&s->tree, parent, name, S_IFREG | (mode & 07777));
	if (!n) {
		owner_unref(owner);
		return -ENOMEM;
	}
	node_set_owner(n, owner);
	n->created = n->changed = n->mtime = s->now.wall;
	h = handle_create(s, caller, n, flags);
	if (!h) {
		tree_unpend(&s->tree, n);
		tree_forget(&s->tree, n, 1);
		return -ENOMEM;
	}
	h->makes = true;
	result->ino = n->ino;
	result->handle = h->id;
	store_fill_stat(s, n, &result->stat);
	return 0;
}

void store_create(struct store *s, const struct store_caller *caller, uint64_t parent,
	const char *name, mode_t mode, int flags, struct store_reply reply)
{
	struct bytes b = bytes_of_string(name);
	struct store_result result = {0};
	struct node *dir;
	struct pending *p;
	struct op *op;
	bool is_anothers;
	int rc = store_check_name(name);

	rc = rc ? rc : store_namespace(s, parent, &dir);
	rc = rc ? rc : quota_may_open(&s->quota, caller->uid);
	if (rc) {
		reply_with(reply, rc, NULL);
		return;
	}
	store_now(s);
	mode = S_IFREG | (mode & 07777);
	p = tree_find(&s->tree, dir, b, s->now.elapsed) ? NULL : tree_find_pending(&s->tree, dir, b);
	/* Only its owner joins in the making of somebody's key. Others are not kept from the
	 * name, which nobody has: theirs is there at once, since only one can be waited for. */
	is_anothers = p && caller->uid != node_uid(p->node);
	p = is_anothers ? NULL : p;
	if (flags & O_EXCL) {
		store_sweep_name(s, parent, name);
	}
	if ((flags & O_EXCL) || (flags & O_ACCMODE) == O_RDONLY || caller->pid <= 0 ||
		(is_anothers && !tree_find(&s->tree, dir, b, s->now.elapsed))) {
		/* Nothing will be staged, or it is to be seen at once, or its maker
		 * could not be told from others. */
		op = op_create(s, caller, plan_create, p ? p->node : NULL, name, NULL, reply);
		if (op) {
			op->parent = parent;
			op->mode = mode;
			op->flags = flags;
			op->applied = created;
			op->remember = true;
			op_submit(op);
		}
		return;
	}
	if (tree_find(&s->tree, dir, b, s->now.elapsed)) {
		rc = STORE_STALE;
	} else if (p) {
		rc = store_open_key(s, caller, p->node->ino, flags, &result.handle);
		if (rc == 0) {
			tree_remember(p->node);
			result.ino = p->node->ino;
			store_fill_stat(s, p->node, &result.stat);
		}
	} else {
		rc = create_pending(s, caller, dir, b, mode, flags, &result);
	}
	reply_with(reply, rc, &result);
}

/* --- reading and writing ------------------------------------------------------- */

/* The handle whose stage a read through h is served from, or NULL. Other
 * descriptors of the process see what is staged only while the key has never had
 * a value: the key is then its maker's own (git's index-pack reads the pack that
 * it is writing by name), and there is no old value to see. */
static struct handle *stage_to_read(struct store *s, const struct store_caller *caller,
	struct handle *h)
{
	struct node *n = h->node;
	struct handle *other;

	if (h->has_stage && handle_writes(h)) {
		return h;
	}
	if (!node_handles(n) || node_value(n) || (!n->is_pending && n->version > 1)) {
		return NULL;
	}
	other = handle_of(s, caller, n);
	return other && other->has_stage ? other : NULL;
}

/* Whether a read takes the value as it is now. One that only reads keeps what it
 * has until it begins anew at 0, wherever it jumps. One that may write will write
 * over what it has read, so it must not have read something old: it keeps only
 * what it reads in one go. */
static bool begins_pass(const struct handle *h, const struct store_caller *caller, uint64_t offset)
{
	/* Sent once more it reads what it has read. */
	bool is_again = caller->request && caller->request == h->read_request;

	return offset == 0 || !h->has_seen ||
		(handle_writes(h) && offset != h->next_offset && !is_again);
}

int store_read(struct store *s, const struct store_caller *caller, uint64_t handle,
	uint64_t offset, size_t size, struct bytes *out)
{
	struct handle *h = handle_find(s, handle), *staging;
	struct bytes all;

	if (!h) {
		return STORE_BAD_HANDLE;
	}
	store_now(s);
	staging = stage_to_read(s, caller, h);
	if (staging) {
		all = buffer_bytes(&staging->stage);
	} else {
		if (begins_pass(h, caller, offset) ||
			value_continues(node_value(h->node), h->seen)) {
			if (!store_usable(s, h->node)) {
				return STORE_NOT_FOUND;
			}
			if (h->is_lost && offset != 0 && !handle_writes(h) &&
				h->node->version != h->seen_version) {
				return STORE_STALE;
			}
			handle_see(s, h);
		}
		all = value_bytes(h->seen);
	}
	if (offset >= all.size) {
		*out = bytes_of("", 0);
		return 0;
	}
	if (size > all.size - offset) {
		size = all.size - offset;
	}
	*out = bytes_of(all.data + offset, size);
	h->next_offset = offset + size;
	h->read_request = caller->request;
	return 0;
}

static int plan_append(struct op *op)
{
	struct store *s = op->s;
	struct node *n = op->node;
	struct bytes data = buffer_bytes(&op->data);
	struct value *value = value_append(node_value(n), data);
	uint64_t offset = value_size(node_value(n));
	struct place place = {0};
	struct change *c;
	struct entry *e;
	int rc;

	if (!value) {
		return -ENOMEM;
	}
	if (n->is_pending) {
		return plan_value(op, value, false);
	}
	op->planned = value;
	if (value_size(value) > store_max_value(s, store_home(s, n))) {
		return STORE_TOO_LARGE;
	}
	rc = quota_may_grow(s, quota_place(s, n), offset, value_size(value));
	if (rc) {
		return rc;
	}
	e = tree_name(&s->tree, n, op->moment.elapsed);
	c = op_change(op, CHANGE_APPEND, n->ino);
	if (!c) {
		return -ENOMEM;
	}
	c->value = data;
	c->offset = offset;
	op->made = n->ino;
	if (!e && (node_first_name(n) || n->is_expired)) {
		return gone_before_plan(op, n);
	}
	op->local = !e;
	if (!e) {
		return 0;
	}
	rc = op_place(op, entry_parent(e), entry_name(e), &place);
	if (rc) {
		return rc;
	}
	c->place = place;
	/* Attributes that change with it go in changes of their own. */
	c = op_change(op, CHANGE_PUT, n->ino);
	if (!c) {
		return -ENOMEM;
	}
	c->place = place;
	plan_drop_set_id(op, n, c);
	rc = plan_deadlines(op, n, DEADLINE_PLAIN_WRITE, 1);
	if (rc == 0 && op->n_changes == 2 && op->changes[1].fields == 0) {
		op->n_changes--;
	}
	return rc;
}

static void append_done(struct op *op)
{
	op->result.ino = op->made;
	op->result.size = op->data.size;
	handle_made(op->s, op->node);
}

static void append(struct store *s, const struct store_caller *caller, struct handle *h,
	struct bytes data, struct store_reply reply)
{
	const struct store_caller who = handle_caller(h, caller);
	struct op *op;

	store_sweep(s, h->node);
	op = op_create(s, &who, plan_append, h->node, NULL, NULL, reply);
	if (!op) {
		return;
	}
	op->known = KNOWN_VALUE;
	op->applied = append_done;
	op->handle = h->id;
	if (buffer_append(&op->data, data.data, data.size)) {
		op_refuse(op, -ENOMEM);
		return;
	}
	op_submit(op);
}

/* Adds to what is staged, which then is the value. */
struct write_reply {
	struct store_reply reply;
	size_t size;
};

static void append_committed(void *arg, int rc, const struct store_result *result)
{
	struct write_reply *w = arg;
	struct store_result r = result ? *result : (struct store_result){0};

	r.size = w->size;
	reply_with(w->reply, rc, &r);
	free(w);
}

static void append_to_stage(struct store *s, const struct store_caller *caller, struct handle *h,
	struct bytes data, struct store_reply reply)
{
	size_t old = h->stage.size;
	struct write_reply *w = malloc(sizeof(*w));
	int rc = w ? handle_resize(s, h, old + data.size) : -ENOMEM;

	if (rc) {
		free(w);
		reply_with(reply, rc, NULL);
		return;
	}
	memcpy(h->stage.data + old, data.data, data.size);
	handover_touch_stage(s, h, old, old + data.size);
	*w = (struct write_reply){.reply = reply, .size = data.size};
	handle_commit(s, caller, h, STORE_NOTICE_MODIFIED, false, NULL,
		(struct store_reply){.done = append_committed, .arg = w});
}

void store_write(struct store *s, const struct store_caller *caller, uint64_t handle,
	struct bytes data, uint64_t offset, int flags, struct store_reply reply)
{
	struct handle *h = handle_find(s, handle);
	struct store_result result = {.size = data.size};
	uint64_t end;
	int rc;

	if (!h || !handle_writes(h)) {
		reply_with(reply, STORE_BAD_HANDLE, NULL);
		return;
	}
	store_now(s);
	rc = s->failed || s->config.read_only ? -EROFS : h->error;
	if (rc || data.size == 0) {
		reply_with(reply, rc, &result);
		return;
	}
	if (caller->pid > 0) {
		h->writer = store_process(s, caller);
	}
	if (flags & O_APPEND) {
		if (h->has_stage) {
			append_to_stage(s, caller, h, data, reply);
		} else {
			append(s, caller, h, data, reply);
		}
		return;
	}
	end = offset > UINT64_MAX - data.size ? UINT64_MAX : offset + data.size;
	if (!h->has_stage || end > h->stage.size) {
		uint64_t size = h->has_stage ? h->stage.size : handle_base(h).size;

		rc = handle_resize(s, h, end > size ? end : size);
		if (rc) {
			reply_with(reply, rc, NULL);
			return;
		}
	}
	memcpy(h->stage.data + offset, data.data, data.size);
	handover_touch_stage(s, h, offset, end);
	h->written = true;
	h->written_at = h->changed_at = s->now.wall;
	h->staged.has_mtime = false;
	result.ino = h->node->ino;
	reply_with(reply, 0, &result);
}

int store_allocate(struct store *s, const struct store_caller *caller, uint64_t handle,
	uint64_t size)
{
	struct handle *h = handle_find(s, handle);
	uint64_t old;

	if (!h || !handle_writes(h)) {
		return STORE_BAD_HANDLE;
	}
	store_now(s);
	h->writer = store_process(s, caller);
	old = h->has_stage ? h->stage.size : handle_base(h).size;
	return size <= old ? 0 : handle_resize(s, h, size);
}

/* --- closing --------------------------------------------------------------------- */

/* Whether the process that opened h has another descriptor of it. One for each of
 * its other handles of the same key is theirs. */
static bool is_held_elsewhere(struct store *s, const struct handle *h)
{
	unsigned others = 0;

	if (!s->config.writers_of) {
		return false;
	}
	for (const struct handle *o = node_handles(h->node); o; o = o->next) {
		others += o != h && o->process == h->process && handle_writes(o);
	}
	return s->config.writers_of(s->config.arg, h->process, h->node->ino) > others;
}

void store_flush(struct store *s, const struct store_caller *caller, uint64_t handle,
	struct store_reply reply)
{
	struct handle *h = handle_find(s, handle);
	int rc;

	if (!h) {
		reply_with(reply, STORE_BAD_HANDLE, NULL);
		return;
	}
	/* Processes of other pid namespaces cannot be told apart: their closes wait
	 * for the release. */
	if ((!h->written && !h->error) || h->process <= 0 ||
		store_process(s, caller) != h->process) {
		reply_with(reply, 0, &(struct store_result){.ino = h->node->ino});
		return;
	}
	rc = h->error;
	if (rc) {
		reply_with(reply, rc, NULL);
		return;
	}
	if (is_held_elsewhere(s, h)) {
		reply_with(reply, 0, &(struct store_result){.ino = h->node->ino});
		return;
	}
	handle_commit(s, caller, h, STORE_NOTICE_MODIFIED, false, NULL, reply);
}

struct sync_reply {
	struct store *s;
	struct store_reply reply;
};

static void synced(void *arg, int status)
{
	struct sync_reply *r = arg;

	store_synced(r->s, status);
	reply_with(r->reply, status, &(struct store_result){0});
	free(r);
}

void store_fsync(struct store *s, const struct store_caller *caller, uint64_t handle,
	struct store_reply reply)
{
	struct handle *h = handle ? handle_find(s, handle) : NULL;
	struct sync_reply *r;
	int rc;

	if (handle && !h) {
		reply_with(reply, STORE_BAD_HANDLE, NULL);
		return;
	}
	rc = h && h->error ? h->error : s->failed ? -EIO : 0;
	if (rc) {
		reply_with(reply, rc, NULL);
		return;
	}
	if (h && (h->has_stage || handle_must_make(h))) {
		handle_commit(s, caller, h, STORE_NOTICE_MODIFIED, true, NULL, reply);
		return;
	}
	r = malloc(sizeof(*r));
	if (!r) {
		reply_with(reply, -ENOMEM, NULL);
		return;
	}
	*r = (struct sync_reply){.s = s, .reply = reply};
	s->ops->sync(s->backend, synced, r);
}

static void released(void *arg, int rc, const struct store_result *result)
{
	(void)result;
	store_drop_locks_of(arg);
	if (rc) {
		log_warning("a value could not be kept at the end of its last descriptor (%s)",
			rc < 0 ? strerror(-rc) : "refused");
	}
}

void store_release(struct store *s, uint64_t handle)
{
	struct handle *h = handle_find(s, handle);
	void *locks;

	if (!h) {
		return;
	}
	store_now(s);
	locks = store_locks_of(s, h->node->ino, handle);
	if (h->has_stage || handle_must_make(h)) {
		/* IN_CLOSE_WRITE has been raised already. */
		handle_commit(s, &h->opener, h, STORE_NOTICE_WRITTEN, false, NULL,
			(struct store_reply){.done = released, .arg = locks});
		locks = NULL;
	}
	handle_destroy(s, h);
	store_drop_locks_of(locks);
}
