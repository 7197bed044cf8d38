/* SPDX-License-Identifier: MIT
 * Copyright (c) 2026 The cubbyfs authors */

/* The reading of a namespace keeps nothing between two calls: the position is
 * the store's cookie, moved up by two for `.` and `..`. It stays good while
 * names come and go, over a seekdir(3), and for another worker. */

#include "base/cleanup.h"
#include "fs/control.h"
#include "fs/ops.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define OWN_COOKIES 2

void on_opendir(fuse_req_t req, fuse_ino_t ino, struct fuse_file_info *fi)
{
	struct store_caller caller = ops_caller(req);
	bool lasts;
	struct stat st;
	int r = 0;

	if (!control_owns(ino)) {
		r = store_getattr(store_of(req), &caller, ino, &st, &lasts);
	}
	if (r) {
		ops_reply_walk_error(req, r);
		return;
	}
	fi->fh = 0;
	fuse_reply_open(req, fi);
}

/* One page of a listing. */
struct page {
	fuse_req_t req;
	char *data;
	size_t size;
	size_t capacity;
};

static bool add(struct page *page, const char *name, uint64_t ino, mode_t mode, uint64_t cookie)
{
	const struct stat st = {.st_ino = ino, .st_mode = mode};
	size_t left = page->capacity - page->size;
	size_t need = fuse_add_direntry(
		page->req, page->data + page->size, left, name, &st, (off_t)cookie);

	if (need > left) {
		return false;
	}
	page->size += need;
	return true;
}

static bool add_name(void *arg, const struct store_name *name)
{
	char text[STORE_NAME_MAX + 1];

	if (name->name.size > STORE_NAME_MAX) {
		return true;
	}
	memcpy(text, name->name.data, name->name.size);
	text[name->name.size] = 0;
	return add(arg, text, name->ino, name->mode, name->cookie + OWN_COOKIES);
}

static int fill(struct page *page, fuse_ino_t ino, uint64_t offset)
{
	struct store_caller caller = ops_caller(page->req);
	struct frontend *fe = frontend_of(page->req);
	uint64_t parent = FUSE_ROOT_ID;
	int r = 0;

	if (offset < 1 && !add(page, ".", ino, S_IFDIR, 1)) {
		return 0;
	}
	if (offset < OWN_COOKIES) {
		if (control_owns(ino)) {
			parent = control_parent(ino);
		} else {
			r = store_parent(fe->store, ino, &parent);
		}
		if (r || !add(page, "..", parent, S_IFDIR, OWN_COOKIES)) {
			return r;
		}
		offset = OWN_COOKIES;
	}
	if (control_owns(ino)) {
		return control_readdir(fe->control, ino, offset - OWN_COOKIES, add_name, page);
	}
	return store_readdir(fe->store, &caller, ino, offset - OWN_COOKIES, add_name, page);
}

void on_readdir(fuse_req_t req, fuse_ino_t ino, size_t size, off_t offset,
	struct fuse_file_info *fi)
{
	_cleanup_free_ char *data = malloc(size);
	struct page page = {.req = req, .data = data, .capacity = size};
	int r = data ? fill(&page, ino, (uint64_t)offset) : -ENOMEM;

	(void)fi;
	if (r) {
		ops_reply_error(req, r);
	} else {
		fuse_reply_buf(req, page.data, page.size);
	}
}

void on_releasedir(fuse_req_t req, fuse_ino_t ino, struct fuse_file_info *fi)
{
	(void)ino;
	(void)fi;
	fuse_reply_err(req, 0);
}

void on_fsyncdir(fuse_req_t req, fuse_ino_t ino, int datasync, struct fuse_file_info *fi)
{
	struct store_caller caller = ops_caller(req);

	(void)ino;
	(void)datasync;
	(void)fi;
	store_fsync(store_of(req), &caller, 0, ops_then_status(req));
}
