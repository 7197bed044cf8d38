/* SPDX-License-Identifier: MIT
 * Copyright (c) 2026 The cubbyfs authors */

/* Nodes by number: references, attributes. */
#include "store/internal.h"

#include "store/handover.h"
#include "store/lasting.h"

#include "base/cleanup.h"

#include <errno.h>

#define BLOCK_SIZE 4096

void store_remember(struct store *s, uint64_t ino)
{
	struct node *n = tree_node(&s->tree, ino);

	if (n) {
		tree_remember(n);
	}
}

void store_forget(struct store *s, uint64_t ino, uint64_t count)
{
	struct node *n = tree_node(&s->tree, ino);

	if (n) {
		tree_forget(&s->tree, n, count);
	}
}

bool store_usable(struct store *s, const struct node *n)
{
	if (n == s->tree.root || n->is_pending) {
		return true;
	}
	return node_first_name(n) ? tree_name(&s->tree, n, s->now.elapsed) != NULL : !n->is_expired;
}

int store_gone(struct store *s, const struct node *n)
{
	bool lost = n->is_lost;

	for (uint32_t i = 0; i < n->nlink; i++) {
		const struct entry *e = node_name(n, i);

		lost |= tree_lock(&s->tree, e) != NULL;
	}
	return lost ? STORE_LOST : STORE_NOT_FOUND;
}

static struct timespec timespec_of(int64_t wall)
{
	struct timespec t = {.tv_sec = wall / NSEC_PER_SEC, .tv_nsec = wall % NSEC_PER_SEC};

	if (t.tv_nsec < 0) {
		t.tv_nsec += NSEC_PER_SEC;
		t.tv_sec--;
	}
	return t;
}

static int64_t wall_of(struct timespec t)
{
	int64_t wall;

	/* Past the year 2262 or before 1677: as near as can be. */
	if (__builtin_mul_overflow((int64_t)t.tv_sec, NSEC_PER_SEC, &wall) ||
		__builtin_add_overflow(wall, (int64_t)t.tv_nsec, &wall)) {
		return t.tv_sec < 0 ? INT64_MIN : INT64_MAX;
	}
	return wall;
}

void store_fill_stat(struct store *s, const struct node *n, struct stat *st)
{
	*st = (struct stat){0};
	st->st_ino = n->ino;
	st->st_mode = n->mode;
	st->st_uid = node_uid(n);
	st->st_gid = node_gid(n);
	st->st_nlink = n->nlink;
	st->st_blksize = BLOCK_SIZE;
	if (node_is_directory(n)) {
		st->st_nlink =
			tree_attached(&s->tree, n) ? 2 + node_directory(n)->n_directories : 0;
		st->st_size = BLOCK_SIZE;
	} else if (node_has_value(n)) {
		st->st_size = (off_t)value_size(node_value(n));
	} else {
		st->st_rdev = node_rdev(n);
	}
	if (S_ISFIFO(n->mode) || S_ISSOCK(n->mode)) {
		st->st_rdev = 0;
	}
	if (n->is_pending) {
		st->st_nlink = 1;
	}
	st->st_blocks = (st->st_size + 511) / 512;
	st->st_atim = timespec_of(node_atime(n));
	st->st_mtim = timespec_of(n->mtime);
	st->st_ctim = timespec_of(n->changed);
}

/* What a process that has something staged sees of it. */
static void overlay(const struct handle *h, struct stat *st)
{
	const struct node *n = h ? h->node : NULL;

	if (!h) {
		return;
	}
	if (h->has_stage) {
		st->st_size = (off_t)h->stage.size;
		st->st_blocks = (st->st_size + 511) / 512;
		st->st_mtim = timespec_of(h->written_at);
	}
	if (h->changed_at > n->changed) {
		st->st_ctim = timespec_of(h->changed_at);
	}
	if (h->staged.has_mtime) {
		st->st_mtim = timespec_of(h->staged.mtime);
	}
	if (h->staged.has_atime) {
		st->st_atim = timespec_of(h->staged.atime);
	}
}

int store_getattr(struct store *s, const struct store_caller *caller, uint64_t ino,
	struct stat *st, bool *lasts)
{
	struct node *n = tree_node(&s->tree, ino);

	*lasts = false;
	store_now(s);
	/* Who holds it open may still fstat it. */
	if (!n || (!store_usable(s, n) && node_n_open(n) == 0)) {
		return STORE_NOT_FOUND;
	}
	store_fill_stat(s, n, st);
	if (node_handles(n)) {
		overlay(handle_of(s, caller, n), st);
	}
	*lasts = lasting_node(s, n);
	if (*lasts) {
		lasting_told(s, n);
	}
	return 0;
}

int store_stat_removed(struct store *s, uint64_t ino, struct stat *st)
{
	struct node *n = tree_node(&s->tree, ino);

	if (!n) {
		return STORE_NOT_FOUND;
	}
	store_fill_stat(s, n, st);
	/* It has the name once more, for the one who is about to take it away. */
	st->st_nlink = node_is_directory(n) ? 2 : n->nlink + 1;
	return 0;
}

uint64_t store_number(struct store *s, uint64_t parent, const char *name)
{
	struct node *dir;
	struct entry *e;

	store_now(s);
	if (store_namespace(s, parent, &dir)) {
		return 0;
	}
	e = tree_find(&s->tree, dir, bytes_of_string(name), s->now.elapsed);
	return e ? entry_node(e)->ino : 0;
}

int store_path(struct store *s, uint64_t ino, struct buffer *out)
{
	struct node *n = tree_node(&s->tree, ino);
	struct entry *e;

	store_now(s);
	if (n == s->tree.root) {
		return 0;
	}
	e = n ? tree_name(&s->tree, n, s->now.elapsed) : NULL;
	return e ? tree_path(entry_parent(e), entry_name(e), out) : STORE_NOT_FOUND;
}

/* --- setting -------------------------------------------------------------- */

static int plan_setattr(struct op *op)
{
	struct node *n = op->node;
	unsigned which = op->which;
	bool owner = which & (STORE_SET_UID | STORE_SET_GID);
	struct value *value;
	struct change *c;
	int rc;

	if (!store_usable(op->s, n)) {
		return store_gone(op->s, n);
	}
	if (which & STORE_SET_SIZE) {
		struct buffer bytes = {0};
		struct bytes old = value_bytes(node_value(n));
		uint64_t size = (uint64_t)op->attr.st_size;

		if (size > store_max_value(op->s, store_home(op->s, n))) {
			return STORE_TOO_LARGE;
		}
		if (buffer_append(&bytes, old.data, old.size < size ? old.size : size) ||
			buffer_resize(&bytes, size)) {
			buffer_finish(&bytes);
			return -ENOMEM;
		}
		value = value_take(&bytes);
		if (!value) {
			buffer_finish(&bytes);
			return -ENOMEM;
		}
		rc = plan_value(op, value, false);
	} else {
		rc = plan_attributes(op, which & (STORE_SET_MTIME | STORE_SET_MTIME_NOW));
	}
	if (rc) {
		return rc;
	}
	c = &op->changes[0];
	if (which & STORE_SET_MODE) {
		c->fields |= HAS_MODE;
		c->mode = (n->mode & S_IFMT) | (op->attr.st_mode & 07777);
		if (which & STORE_SET_SIZE) {
			/* The kernel's idea of what truncate(2) leaves of them. */
			plan_drop_set_id(op, n, c);
		}
	}
	if (owner) {
		c->fields |= HAS_OWNER;
		c->uid = which & STORE_SET_UID ? op->attr.st_uid : node_uid(n);
		c->gid = which & STORE_SET_GID ? op->attr.st_gid : node_gid(n);
		/* A change of owner takes the set-id bits, whoever makes it. */
		if (!node_is_directory(n) && !(which & STORE_SET_MODE)) {
			uint32_t mode = c->fields & HAS_MODE ? c->mode : n->mode;
			uint32_t drop = S_ISUID | (mode & S_IXGRP ? S_ISGID : 0);

			if (mode & drop) {
				c->fields |= HAS_MODE;
				c->mode = mode & ~drop;
			}
		}
	}
	if (which & (STORE_SET_MTIME | STORE_SET_MTIME_NOW)) {
		c->fields |= HAS_MTIME;
		c->mtime = which & STORE_SET_MTIME_NOW ? op->moment.wall : wall_of(op->attr.st_mtim);
	}
	if (which & (STORE_SET_ATIME | STORE_SET_ATIME_NOW)) {
		c->fields |= HAS_ATIME;
		c->atime = which & STORE_SET_ATIME_NOW ? op->moment.wall : wall_of(op->attr.st_atim);
	}
	return 0;
}

static void setattr_applied(struct op *op)
{
	struct node *n = op->node;

	op->result.ino = n->ino;
	op->result.lasts = lasting_node(op->s, n);
	if (op->result.lasts) {
		lasting_told(op->s, n);
	}
	store_fill_stat(op->s, n, &op->result.stat);
	if (node_handles(n)) {
		overlay(handle_of(op->s, &op->caller, n), &op->result.stat);
	}
}

/* A key that is being made, and is nobody else's business yet. */
static int set_pending(struct node *n, const struct stat *attr, unsigned which, int64_t now)
{
	uint32_t owner;
	int rc = owner_get(which & STORE_SET_UID ? attr->st_uid : node_uid(n),
		which & STORE_SET_GID ? attr->st_gid : node_gid(n), &owner);

	if (rc) {
		return rc;
	}
	node_set_owner(n, owner);
	if (which & STORE_SET_MODE) {
		n->mode = (n->mode & S_IFMT) | (attr->st_mode & 07777);
	}
	n->changed = now;
	return 0;
}

/* Times that are set after the bytes were written belong to them. */
static void stage_times(struct handle *h, const struct stat *attr, unsigned which, int64_t now)
{
	if (which & (STORE_SET_MTIME | STORE_SET_MTIME_NOW)) {
		h->staged.has_mtime = true;
		h->staged.mtime = which & STORE_SET_MTIME_NOW ? now : wall_of(attr->st_mtim);
	}
	h->changed_at = now;
	if (which & (STORE_SET_ATIME | STORE_SET_ATIME_NOW)) {
		h->staged.has_atime = true;
		h->staged.atime = which & STORE_SET_ATIME_NOW ? now : wall_of(attr->st_atim);
	}
}

void store_setattr(struct store *s, const struct store_caller *caller, uint64_t ino,
	uint64_t handle, const struct stat *attr, unsigned which, struct store_reply reply)
{
	const unsigned times = STORE_SET_ATIME | STORE_SET_MTIME | STORE_SET_ATIME_NOW |
		STORE_SET_MTIME_NOW;
	struct node *n = tree_node(&s->tree, ino);
	struct handle *h = handle ? handle_find(s, handle) : NULL;
	struct store_result result = {.ino = ino};
	struct op *op;
	int rc = 0;

	store_now(s);
	if (!n || (handle && !h)) {
		reply_with(reply, n ? STORE_BAD_HANDLE : STORE_NOT_FOUND, NULL);
		return;
	}
	if ((which & STORE_SET_SIZE) && !S_ISREG(n->mode)) {
		reply_with(reply, node_is_directory(n) ? STORE_IS_DIRECTORY : STORE_INVALID, NULL);
		return;
	}
	if (s->failed || s->config.read_only) {
		reply_with(reply, -EROFS, NULL);
		return;
	}
	if (!h && node_handles(n)) {
		h = handle_of(s, caller, n);
	}
	if (!store_usable(s, n) && !handle_makes_anew(s, h)) {
		reply_with(reply, store_gone(s, n), NULL);
		return;
	}
	if (h && (which & STORE_SET_SIZE) && (handle_writes(h) || h->has_stage)) {
		rc = attr->st_size < 0 ? STORE_INVALID :
					 handle_resize(s, h, (uint64_t)attr->st_size);
		which &= ~STORE_SET_SIZE;
	}
	if (rc == 0 && h && (h->has_stage || n->is_pending) && (which & times)) {
		stage_times(h, attr, which, s->now.wall);
		/* A lock is refreshed now, not when it is closed. */
		which &= tree_lock_of(&s->tree, n, s->now.elapsed) ? ~0u : ~times;
	}
	if (rc == 0 && n->is_pending && which) {
		rc = set_pending(n, attr, which, s->now.wall);
		handover_put_node(s, n);
		which = 0;
	}
	if (rc || which == 0) {
		store_fill_stat(s, n, &result.stat);
		overlay(h, &result.stat);
		reply_with(reply, rc, &result);
		return;
	}
	op = op_create(s, caller, plan_setattr, n, NULL, NULL, reply);
	if (op) {
		op->known = KNOWN_ATTRIBUTES;
		op->which = which;
		op->attr = *attr;
		op->applied = setattr_applied;
		op_submit(op);
	}
}
