/* SPDX-License-Identifier: MIT
 * Copyright (c) 2026 The cubbyfs authors */

/* flock(2) and fcntl(2) locks on files. (Those on directories, fifos, sockets and
 * devices the kernel keeps to itself.) Control files may be locked as any other.
 *
 * The kernel sends a lock's owner as a number: for flock(2) and F_OFD_SETLK of the
 * open file, else of the process's descriptor table, which a FLUSH repeats. It says
 * no more of an open file's record locks when that is closed for good, so
 * RELEASE ends whatever was locked through the handle.
 *
 * A request that waits is kept. Once we have read it no signal ends it, not even
 * SIGKILL: the kernel sends INTERRUPT, and the caller stays until we answer. As
 * in events.c, `interrupted` runs in the loop's own thread, and answering is
 * allowed in it. EINTR must be an answer to that only: the kernel makes it
 * ERESTARTSYS. */
#include "base/cleanup.h"
#include "fs/ops.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <sys/file.h>

/* A request for a lock. */
struct locking {
	fuse_req_t req;
	uint64_t ticket;
};

static void locked(void *arg, int rc, const struct store_result *result)
{
	_cleanup_free_ struct locking *l = arg;

	(void)result;
	ops_reply_error(l->req, rc);
}

static void interrupted(fuse_req_t req, void *arg)
{
	const struct locking *l = arg;

	store_cancel_lock(store_of(req), l->ticket);
}

static void set(fuse_req_t req, fuse_ino_t ino, const struct store_lock *lock, bool wait)
{
	struct store_caller caller = ops_caller(req);
	struct locking *l = malloc(sizeof(*l));
	uint64_t ticket;

	if (!l) {
		fuse_reply_err(req, ENOLCK);
		return;
	}
	*l = (struct locking){.req = req};
	ticket = store_setlk(store_of(req), &caller, ino, lock, wait,
		(struct store_reply){.done = locked, .arg = l});
	if (ticket) {
		l->ticket = ticket;
		/* Calls it at once if that has happened already. */
		fuse_req_interrupt_func(req, interrupted, l);
	}
}

/* 0 or a positive errno. */
static int decode(struct store_lock *out, const struct flock *l, const struct fuse_file_info *fi)
{
	*out = (struct store_lock){
		.kind = STORE_LOCK_RECORD,
		.start = (uint64_t)l->l_start,
		.end = (uint64_t)(l->l_len == 0 ? INT64_MAX : l->l_start + (l->l_len - 1)),
		.owner = fi->lock_owner,
		.pid = l->l_pid,
		.handle = fi->fh,
	};
	if (l->l_start < 0 || l->l_len < 0) {
		return EINVAL;
	}
	switch (l->l_type) {
	case F_RDLCK:
		out->type = STORE_LOCK_SHARED;
		return 0;
	case F_WRLCK:
		out->type = STORE_LOCK_EXCLUSIVE;
		return 0;
	case F_UNLCK:
		out->type = STORE_UNLOCK;
		return 0;
	default:
		return EINVAL;
	}
}

void on_getlk(fuse_req_t req, fuse_ino_t ino, struct fuse_file_info *fi, struct flock *lock)
{
	struct store_lock wanted, found;
	int e = decode(&wanted, lock, fi);

	if (e) {
		fuse_reply_err(req, e);
		return;
	}
	store_getlk(store_of(req), ino, &wanted, &found);
	*lock = (struct flock){.l_type = F_UNLCK, .l_whence = SEEK_SET};
	if (found.type != STORE_UNLOCK) {
		lock->l_type = found.type == STORE_LOCK_SHARED ? F_RDLCK : F_WRLCK;
		lock->l_start = (off_t)found.start;
		lock->l_len = found.end >= INT64_MAX ? 0 : (off_t)(found.end - found.start + 1);
		lock->l_pid = found.pid;
	}
	fuse_reply_lock(req, lock);
}

void on_setlk(
	fuse_req_t req, fuse_ino_t ino, struct fuse_file_info *fi, struct flock *lock, int sleep)
{
	struct store_lock wanted;
	int e = decode(&wanted, lock, fi);

	if (e) {
		fuse_reply_err(req, e);
	} else {
		set(req, ino, &wanted, sleep);
	}
}

void on_flock(fuse_req_t req, fuse_ino_t ino, struct fuse_file_info *fi, int op)
{
	struct store_lock wanted = {
		.kind = STORE_LOCK_FLOCK,
		.end = UINT64_MAX,
		.owner = fi->lock_owner,
		.handle = fi->fh,
	};

	switch (op & ~LOCK_NB) {
	case LOCK_SH:
		wanted.type = STORE_LOCK_SHARED;
		break;
	case LOCK_EX:
		wanted.type = STORE_LOCK_EXCLUSIVE;
		break;
	case LOCK_UN:
		wanted.type = STORE_UNLOCK;
		break;
	default:
		fuse_reply_err(req, EINVAL);
		return;
	}
	set(req, ino, &wanted, !(op & LOCK_NB));
}

/* --- closing ----------------------------------------------------------------- */

struct closing {
	fuse_req_t req;
	fuse_ino_t ino;
	uint64_t owner;
	int rc; /* what close(2) says */
};

static void unlocked(void *arg, int rc, const struct store_result *result)
{
	_cleanup_free_ struct closing *c = arg;

	(void)rc;
	(void)result;
	ops_reply_error(c->req, c->rc);
}

static void flushed(void *arg, int rc, const struct store_result *result)
{
	struct closing *c = arg;
	struct store_caller caller = ops_caller(c->req);

	(void)result;
	c->rc = rc;
	store_unlock_owner(store_of(c->req), &caller, c->ino, c->owner,
		(struct store_reply){.done = unlocked, .arg = c});
}

struct store_reply ops_then_unlock(fuse_req_t req, fuse_ino_t ino, uint64_t owner)
{
	struct closing *c;

	if (!store_has_records(store_of(req), ino)) {
		return ops_then_status(req);
	}
	c = malloc(sizeof(*c));
	if (!c) {
		struct store_caller caller = ops_caller(req);

		/* Rather too early than never. */
		store_unlock_owner(store_of(req), &caller, ino, owner, (struct store_reply){0});
		return ops_then_status(req);
	}
	*c = (struct closing){.req = req, .ino = ino, .owner = owner};
	return (struct store_reply){.done = flushed, .arg = c};
}
