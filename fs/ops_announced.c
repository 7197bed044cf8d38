/* SPDX-License-Identifier: MIT
 * Copyright (c) 2026 The cubbyfs authors */

/* The announcer's own requests: answered so that the kernel does its part, with
 * nothing applied (see announcer.c). */
#include "fs/announcer.h"
#include "fs/ops.h"
#include "fs/session.h"

#include <errno.h>

static bool current_stat(fuse_req_t req, fuse_ino_t ino, struct stat *st, bool *lasts)
{
	struct store_caller caller = ops_caller(req);
	int r = store_getattr(store_of(req), &caller, ino, st, lasts);

	if (r || st->st_nlink == 0) {
		/* On its way through what has gone, or about to take it away. */
		r = announcer_stat(frontend_of(req)->announcer, ino, st) ? 0 : STORE_NOT_FOUND;
	}
	if (r) {
		ops_reply_error(req, r);
		return false;
	}
	announcer_permit(st);
	return true;
}

bool announced_lookup(fuse_req_t req, fuse_ino_t parent, const char *name)
{
	struct stat st;

	if (!ops_by_announcer(req)) {
		return false;
	}
	switch (announcer_lookup(frontend_of(req)->announcer, parent, name, &st)) {
	case ANNOUNCER_ORDINARY:
		return false;
	case ANNOUNCER_NODE:
		store_remember(store_of(req), st.st_ino);
		ops_reply_entry(req, &st, false);
		return true;
	case ANNOUNCER_NOTHING:
		break;
	}
	fuse_reply_err(req, ENOENT);
	return true;
}

bool announced_attr(fuse_req_t req, fuse_ino_t ino)
{
	struct stat st;
	bool lasts;

	if (!ops_by_announcer(req)) {
		return false;
	}
	if (current_stat(req, ino, &st, &lasts)) {
		ops_reply_attr(req, &st, lasts && !S_ISDIR(st.st_mode));
	}
	return true;
}

/* Whether it has come to another node than it was to touch. True if it has replied. */
static bool is_astray(fuse_req_t req, fuse_ino_t ino)
{
	int error = announcer_touched(frontend_of(req)->announcer, ino);

	if (error) {
		fuse_reply_err(req, error);
	}
	return error;
}

bool announced_touch(fuse_req_t req, fuse_ino_t ino)
{
	return ops_by_announcer(req) && (is_astray(req, ino) || announced_attr(req, ino));
}

bool announced_removal(fuse_req_t req, fuse_ino_t parent, const char *name)
{
	const struct frontend *fe = frontend_of(req);

	if (!ops_by_announcer(req)) {
		return false;
	}
	fuse_reply_err(req,
		announcer_removed(fe->announcer, parent, name, session_request(fe->session)));
	return true;
}

bool announced_making(fuse_req_t req, fuse_ino_t parent, const char *name,
	struct fuse_file_info *fi)
{
	const struct frontend *fe = frontend_of(req);
	struct fuse_entry_param e = {.generation = 0};
	int r;

	if (!ops_by_announcer(req)) {
		return false;
	}
	r = announcer_made(
		fe->announcer, parent, name, session_request(fe->session), &e.attr);
	if (r) {
		ops_reply_error(req, r);
		return true;
	}
	e.ino = e.attr.st_ino;
	if (fi) {
		fi->fh = ANNOUNCER_HANDLE;
		fi->direct_io = 1;
		fuse_reply_create(req, &e, fi);
	} else {
		fuse_reply_entry(req, &e);
	}
	return true;
}

bool announced_open(fuse_req_t req, fuse_ino_t ino, struct fuse_file_info *fi)
{
	if (!ops_by_announcer(req)) {
		return false;
	}
	if (is_astray(req, ino)) {
		return true;
	}
	fi->fh = ANNOUNCER_HANDLE;
	fi->direct_io = 1;
	fuse_reply_open(req, fi);
	return true;
}

bool announced_close(fuse_req_t req, const struct fuse_file_info *fi)
{
	if (fi->fh != ANNOUNCER_HANDLE) {
		return false;
	}
	fuse_reply_err(req, 0);
	return true;
}
