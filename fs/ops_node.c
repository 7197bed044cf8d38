/* SPDX-License-Identifier: MIT
 * Copyright (c) 2026 The cubbyfs authors */

#include "fs/control.h"
#include "fs/ops.h"

#include <errno.h>
#include <linux/limits.h>
#include <stdio.h>
#include <string.h>

void on_lookup(fuse_req_t req, fuse_ino_t parent, const char *name)
{
	struct store_caller caller = ops_caller(req);
	bool lasts = false;
	struct stat st;
	int r;

	if (announced_lookup(req, parent, name)) {
		return;
	}
	if (control_claims(parent, name)) {
		r = control_lookup(frontend_of(req)->control, parent, name, &st);
	} else {
		r = store_lookup(store_of(req), &caller, parent, name, &st, &lasts);
	}
	if (r) {
		ops_reply_error(req, r);
	} else {
		ops_reply_entry(req, &st, lasts);
	}
}

/* The root's reference is the mount's own; nobody looked it up. */
static void forget(struct store *store, fuse_ino_t ino, uint64_t count)
{
	if (ino != FUSE_ROOT_ID && !control_owns(ino)) {
		store_forget(store, ino, count);
	}
}

void on_forget(fuse_req_t req, fuse_ino_t ino, uint64_t count)
{
	forget(store_of(req), ino, count);
	fuse_reply_none(req);
}

void on_forget_multi(fuse_req_t req, size_t count, struct fuse_forget_data *forgets)
{
	for (size_t i = 0; i < count; i++) {
		forget(store_of(req), forgets[i].ino, forgets[i].nlookup);
	}
	fuse_reply_none(req);
}

static bool is_namespace(fuse_req_t req, fuse_ino_t ino)
{
	uint64_t parent;

	return store_parent(store_of(req), ino, &parent) == 0;
}

/* Of a key that has expired since it was looked up: ESTALE has the kernel look it up again. It
 * asks for attributes to check permissions, and an open(O_CREAT) must not fail there. */
void on_getattr(fuse_req_t req, fuse_ino_t ino, struct fuse_file_info *fi)
{
	struct store_caller caller = ops_caller(req);
	bool lasts = false;
	struct stat st;
	int r;

	if (announced_attr(req, ino)) {
		return;
	}
	if (control_owns(ino)) {
		r = control_getattr(frontend_of(req)->control, ino, &st);
	} else {
		r = store_getattr(store_of(req), &caller, ino, &st, &lasts);
	}
	(void)fi;
	if (r == 0) {
		ops_reply_attr(req, &st, lasts);
	} else if (is_namespace(req, ino)) {
		ops_reply_error(req, r);
	} else {
		ops_reply_walk_error(req, r);
	}
}

/* A time that is to be "now" comes with both of its flags. */
static unsigned fields_of(int to_set)
{
	unsigned which = 0;

	which |= to_set & FUSE_SET_ATTR_MODE ? STORE_SET_MODE : 0;
	which |= to_set & FUSE_SET_ATTR_UID ? STORE_SET_UID : 0;
	which |= to_set & FUSE_SET_ATTR_GID ? STORE_SET_GID : 0;
	which |= to_set & FUSE_SET_ATTR_SIZE ? STORE_SET_SIZE : 0;
	if (to_set & FUSE_SET_ATTR_ATIME_NOW) {
		which |= STORE_SET_ATIME_NOW;
	} else if (to_set & FUSE_SET_ATTR_ATIME) {
		which |= STORE_SET_ATIME;
	}
	if (to_set & FUSE_SET_ATTR_MTIME_NOW) {
		which |= STORE_SET_MTIME_NOW;
	} else if (to_set & FUSE_SET_ATTR_MTIME) {
		which |= STORE_SET_MTIME;
	}
	return which;
}

void on_setattr(fuse_req_t req, fuse_ino_t ino, struct stat *attr, int to_set,
	struct fuse_file_info *fi)
{
	struct store_caller caller = ops_caller(req);
	unsigned which = fields_of(to_set);

	if (announced_touch(req, ino) || ops_refuse_changing(req, ino) ||
		resent_attr(req, ino)) {
		return;
	}
	if (which == 0) {
		on_getattr(req, ino, fi);
		return;
	}
	store_setattr(
		store_of(req), &caller, ino, fi ? fi->fh : 0, attr, which, ops_then_attr(req));
}

void on_readlink(fuse_req_t req, fuse_ino_t ino)
{
	char text[PATH_MAX];
	struct bytes target;
	int r;

	if (control_owns(ino)) {
		fuse_reply_err(req, EINVAL);
		return;
	}
	r = store_readlink(store_of(req), ino, &target);
	if (r) {
		ops_reply_walk_error(req, r);
		return;
	}
	snprintf(text, sizeof(text), "%.*s", (int)target.size, target.data);
	fuse_reply_readlink(req, text);
}

void on_mknod(fuse_req_t req, fuse_ino_t parent, const char *name, mode_t mode, dev_t rdev)
{
	struct store_caller caller = ops_caller(req);

	if (announced_making(req, parent, name, NULL) || ops_refuse_making(req, parent, name) ||
		resent_entry(req, parent, name)) {
		return;
	}
	store_mknod(store_of(req), &caller, parent, name, mode, rdev, ops_then_entry(req));
}

void on_mkdir(fuse_req_t req, fuse_ino_t parent, const char *name, mode_t mode)
{
	on_mknod(req, parent, name, (mode & ~(mode_t)S_IFMT) | S_IFDIR, 0);
}

void on_symlink(fuse_req_t req, const char *target, fuse_ino_t parent, const char *name)
{
	struct store_caller caller = ops_caller(req);

	if (announced_making(req, parent, name, NULL) || ops_refuse_making(req, parent, name) ||
		resent_entry(req, parent, name)) {
		return;
	}
	store_symlink(store_of(req), &caller, parent, name, target, ops_then_entry(req));
}

void on_link(fuse_req_t req, fuse_ino_t ino, fuse_ino_t parent, const char *name)
{
	struct store_caller caller = ops_caller(req);

	if (ops_refuse_making(req, parent, name) || ops_refuse_changing(req, ino) ||
		resent_entry(req, parent, name)) {
		return;
	}
	store_link(store_of(req), &caller, ino, parent, name, ops_then_entry(req));
}

void on_unlink(fuse_req_t req, fuse_ino_t parent, const char *name)
{
	struct store_caller caller = ops_caller(req);

	if (announced_removal(req, parent, name) || ops_refuse_removing(req, parent, name) ||
		resent_status(req)) {
		return;
	}
	store_unlink(store_of(req), &caller, parent, name, ops_then_status(req));
}

void on_rmdir(fuse_req_t req, fuse_ino_t parent, const char *name)
{
	struct store_caller caller = ops_caller(req);

	if (announced_removal(req, parent, name) || ops_refuse_removing(req, parent, name) ||
		resent_status(req)) {
		return;
	}
	store_rmdir(store_of(req), &caller, parent, name, ops_then_status(req));
}

void on_rename(fuse_req_t req, fuse_ino_t parent, const char *name, fuse_ino_t to_parent,
	const char *to_name, unsigned flags)
{
	struct store_caller caller = ops_caller(req);

	if (flags & ~(unsigned)(RENAME_NOREPLACE | RENAME_EXCHANGE)) {
		fuse_reply_err(req, EINVAL);
		return;
	}
	if (ops_refuse_removing(req, parent, name) || resent_status(req)) {
		return;
	}
	if (flags & RENAME_NOREPLACE ? ops_refuse_making(req, to_parent, to_name)
				     : ops_refuse_removing(req, to_parent, to_name)) {
		return;
	}
	store_rename(store_of(req), &caller, parent, name, to_parent, to_name, flags,
		ops_then_status(req));
}
