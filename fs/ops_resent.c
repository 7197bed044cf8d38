/* SPDX-License-Identifier: MIT
 * Copyright (c) 2026 The cubbyfs authors */

/* Requests that a worker has carried out and not come to answer, because it was killed in
 * between: the kernel sends them once more (session.c). They are answered from the state
 * that there is. What may be carried out twice without harm is not here. */
#include "fs/ops.h"
#include "fs/session.h"

#include <fcntl.h>

static bool was_applied(fuse_req_t req)
{
	const struct frontend *fe = frontend_of(req);

	return session_is_resent(fe->session) &&
	       store_has_applied(fe->store, session_request(fe->session));
}

bool resent_status(fuse_req_t req)
{
	if (!was_applied(req)) {
		return false;
	}
	fuse_reply_err(req, 0);
	return true;
}

bool resent_entry(fuse_req_t req, fuse_ino_t parent, const char *name)
{
	struct store_caller caller = ops_caller(req);
	bool lasts;
	struct stat st;
	int r;

	if (!was_applied(req)) {
		return false;
	}
	r = store_lookup(store_of(req), &caller, parent, name, &st, &lasts);
	if (r) {
		ops_reply_error(req, r); /* made, and gone again */
	} else {
		ops_reply_entry(req, &st, false);
	}
	return true;
}

bool resent_attr(fuse_req_t req, fuse_ino_t ino)
{
	struct store_caller caller = ops_caller(req);
	bool lasts;
	struct stat st;
	int r;

	if (!was_applied(req)) {
		return false;
	}
	r = store_getattr(store_of(req), &caller, ino, &st, &lasts);
	if (r) {
		ops_reply_error(req, r);
	} else {
		ops_reply_attr(req, &st, false);
	}
	return true;
}

bool resent_write(fuse_req_t req, size_t size)
{
	if (!was_applied(req)) {
		return false;
	}
	fuse_reply_write(req, size);
	return true;
}

bool resent_open(fuse_req_t req, struct fuse_file_info *fi)
{
	const struct frontend *fe = frontend_of(req);
	uint64_t ino, handle;

	if (!session_is_resent(fe->session) ||
		!store_find_opened(fe->store, session_request(fe->session), &ino, &handle)) {
		return false;
	}
	describe_open(fe->store, fi, ino, handle);
	fuse_reply_open(req, fi);
	return true;
}

bool resent_create(fuse_req_t req, fuse_ino_t parent, const char *name, struct fuse_file_info *fi)
{
	const struct frontend *fe = frontend_of(req);
	struct store_caller caller = ops_caller(req);
	struct fuse_entry_param e = {.generation = 0};
	uint64_t ino, handle;
	bool lasts;
	int r = 0;

	if (!session_is_resent(fe->session)) {
		return false;
	}
	if (store_find_opened(fe->store, session_request(fe->session), &ino, &handle)) {
		store_remember(fe->store, ino);
		r = store_getattr(fe->store, &caller, ino, &e.attr, &lasts);
	} else if (was_applied(req)) {
		r = store_lookup(fe->store, &caller, parent, name, &e.attr, &lasts);
		r = r ? r : store_open_key(fe->store, &caller, e.attr.st_ino,
			fi->flags & ~(O_TRUNC | O_EXCL | O_CREAT), &handle);
	} else {
		return false;
	}
	if (r) {
		ops_reply_error(req, r);
		return true;
	}
	e.ino = e.attr.st_ino;
	describe_open(fe->store, fi, e.ino, handle);
	fuse_reply_create(req, &e, fi);
	return true;
}
