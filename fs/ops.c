/* SPDX-License-Identifier: MIT
 * Copyright (c) 2026 The cubbyfs authors */

/* What the connection is like, and why.
 *
 * The kernel remembers names and attributes, as long as they last (store_lookup),
 * and is told before that ends otherwise than by its own calls. All files are direct: a page
 * cache cannot be made safe against values that change under a reader.
 *
 * For attributes that depends on the order of things: an answer may be taken up after they
 * have changed once more. The kernel sorts that out for lookups and for getattr, by counting
 * the changes that it is told of (store/lasting.h); for what is made anew it does not, nor for setattr, but
 * where nobody can change the same node meanwhile, since the caller has it locked. So the making of a name tells
 * no attributes to be remembered, nor does a setattr of a namespace, which is changed by what
 * happens in it.
 *
 * ASYNC_DIO is declined: with it the kernel notes that a file has changed before it has.
 *
 * ATOMIC_O_TRUNC: the truncation of open(O_TRUNC) is staged like any write,
 * so it has to come with the open. HANDLE_KILLPRIV is declined: then the kernel
 * works out by itself which set-id bits a chown(2) or truncate(2) clears, as
 * for a local file system, and sends them as a new mode. It does not for
 * write(2) to a direct file and for open(O_TRUNC); the store does.
 *
 * RELEASE is a background request for the kernel. No more than max_background
 * of these are under way and the rest wait, while later requests overtake
 * them. For `: > k` it is RELEASE that commits, so the bound is as high as it
 * can be. */

#include "fs/ops.h"

#include "fs/announcer.h"
#include "fs/control.h"
#include "fs/error.h"
#include "fs/session.h"

#include <errno.h>

#define MAX_WRITE (1u << 20)
#define MAX_BACKGROUND 65535u
#define REMEMBERED 86400.0 /* s; as good as for ever */

static void on_init(void *userdata, struct fuse_conn_info *conn)
{
	const unsigned declined = FUSE_CAP_SPLICE_READ | FUSE_CAP_SPLICE_WRITE |
		FUSE_CAP_SPLICE_MOVE | FUSE_CAP_WRITEBACK_CACHE | FUSE_CAP_READDIRPLUS |
		FUSE_CAP_READDIRPLUS_AUTO | FUSE_CAP_HANDLE_KILLPRIV | FUSE_CAP_IOCTL_DIR |
		FUSE_CAP_CACHE_SYMLINKS | FUSE_CAP_ASYNC_DIO;
	const unsigned wanted = FUSE_CAP_ATOMIC_O_TRUNC | FUSE_CAP_PARALLEL_DIROPS |
		FUSE_CAP_POSIX_LOCKS | FUSE_CAP_FLOCK_LOCKS;

	(void)userdata;
	conn->want &= ~declined;
	conn->want |= conn->capable & wanted;
	if (conn->max_write > MAX_WRITE) {
		conn->max_write = MAX_WRITE;
	}
	conn->max_background = MAX_BACKGROUND;
	conn->congestion_threshold = MAX_BACKGROUND;
	conn->time_gran = 1;
}

static void on_statfs(fuse_req_t req, fuse_ino_t ino)
{
	struct statvfs st;
	int r = store_statfs(store_of(req), &st);

	(void)ino;
	if (r) {
		ops_reply_error(req, r);
	} else {
		fuse_reply_statfs(req, &st);
	}
}

const struct fuse_lowlevel_ops ops_table = {
	.init = on_init,
	.lookup = on_lookup,
	.forget = on_forget,
	.forget_multi = on_forget_multi,
	.getattr = on_getattr,
	.setattr = on_setattr,
	.readlink = on_readlink,
	.mknod = on_mknod,
	.mkdir = on_mkdir,
	.unlink = on_unlink,
	.rmdir = on_rmdir,
	.symlink = on_symlink,
	.rename = on_rename,
	.link = on_link,
	.open = on_open,
	.create = on_create,
	.read = on_read,
	.write = on_write,
	.flush = on_flush,
	.release = on_release,
	.fsync = on_fsync,
	.poll = on_poll,
	.fallocate = on_fallocate,
	.getlk = on_getlk,
	.setlk = on_setlk,
	.flock = on_flock,
	.opendir = on_opendir,
	.readdir = on_readdir,
	.releasedir = on_releasedir,
	.fsyncdir = on_fsyncdir,
	.statfs = on_statfs,
	.setxattr = on_setxattr,
	.getxattr = on_getxattr,
	.listxattr = on_listxattr,
	.removexattr = on_removexattr,
};

/* --- shared ------------------------------------------------------------ */

struct store_caller ops_caller(fuse_req_t req)
{
	const struct fuse_ctx *ctx = fuse_req_ctx(req);

	return (struct store_caller){
		.uid = ctx->uid,
		.gid = ctx->gid,
		.pid = ctx->pid,
		.request = session_request(frontend_of(req)->session),
	};
}

bool ops_by_announcer(fuse_req_t req)
{
	return announcer_is(frontend_of(req)->announcer, fuse_req_ctx(req)->pid);
}

void ops_reply_error(fuse_req_t req, int rc)
{
	fuse_reply_err(req, error_number(rc));
}

void ops_reply_walk_error(fuse_req_t req, int rc)
{
	fuse_reply_err(req, error_number_of_walk(rc));
}

/* For how long the kernel may remember a name, in seconds; and attributes. */
static double lifetime(fuse_req_t req, bool lasts)
{
	return lasts && announcer_works(frontend_of(req)->announcer) ? REMEMBERED : 0;
}

static double attr_lifetime(fuse_req_t req, bool lasts)
{
	return announcer_needs_permission() ? 0 : lifetime(req, lasts);
}

/* A reply gets through, or the connection has ended: once we have read a
 * request the kernel waits for its answer, whatever signals the caller gets. So
 * what a reply hands out (a reference, a handle) need never be taken back. */
void ops_reply_entry(fuse_req_t req, const struct stat *st, bool lasts)
{
	const struct fuse_entry_param e = {
		.ino = st->st_ino,
		.attr = *st,
		.entry_timeout = lifetime(req, lasts),
		.attr_timeout = attr_lifetime(req, lasts),
	};

	fuse_reply_entry(req, &e);
}

void ops_reply_attr(fuse_req_t req, const struct stat *st, bool lasts)
{
	fuse_reply_attr(req, st, attr_lifetime(req, lasts));
}

/* A name that was made. */
static void reply_made(fuse_req_t req, const struct stat *st, bool lasts)
{
	const struct fuse_entry_param e = {
		.ino = st->st_ino,
		.attr = *st,
		.entry_timeout = lifetime(req, lasts),
	};

	fuse_reply_entry(req, &e);
}

static void entry_done(void *arg, int rc, const struct store_result *result)
{
	if (rc) {
		ops_reply_error(arg, rc);
	} else {
		reply_made(arg, &result->stat, result->lasts);
	}
}

static void status_done(void *arg, int rc, const struct store_result *result)
{
	(void)result;
	ops_reply_error(arg, rc);
}

static void attr_done(void *arg, int rc, const struct store_result *result)
{
	if (rc) {
		ops_reply_error(arg, rc);
	} else {
		ops_reply_attr(arg, &result->stat, result->lasts && !S_ISDIR(result->stat.st_mode));
	}
}

struct store_reply ops_then_entry(fuse_req_t req)
{
	return (struct store_reply){.done = entry_done, .arg = req};
}

struct store_reply ops_then_status(fuse_req_t req)
{
	return (struct store_reply){.done = status_done, .arg = req};
}

struct store_reply ops_then_attr(fuse_req_t req)
{
	return (struct store_reply){.done = attr_done, .arg = req};
}

bool ops_refuse_making(fuse_req_t req, fuse_ino_t parent, const char *name)
{
	struct stat st;

	if (!control_claims(parent, name)) {
		return false;
	}
	fuse_reply_err(req,
		control_lookup(frontend_of(req)->control, parent, name, &st) == 0 ? EEXIST : EPERM);
	return true;
}

bool ops_refuse_removing(fuse_req_t req, fuse_ino_t parent, const char *name)
{
	if (!control_claims(parent, name)) {
		return false;
	}
	fuse_reply_err(req, EPERM);
	return true;
}

bool ops_refuse_changing(fuse_req_t req, fuse_ino_t ino)
{
	if (!control_owns(ino)) {
		return false;
	}
	fuse_reply_err(req, EPERM);
	return true;
}
