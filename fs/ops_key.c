/* SPDX-License-Identifier: MIT
 * Copyright (c) 2026 The cubbyfs authors */

#include "base/cleanup.h"
#include "fs/control.h"
#include "fs/events.h"
#include "fs/mapping.h"
#include "fs/ops.h"
#include "fs/session.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/fuse.h>
#include <poll.h>
#include <stdlib.h>

/* A reader's close has nothing to commit, and the kernel need not tell, unless it
 * ends record locks. Those that come later through this handle end with it. */
void describe_open(struct store *s, struct fuse_file_info *fi, uint64_t ino, uint64_t handle)
{
	fi->fh = handle;
	fi->direct_io = 1;
	fi->keep_cache = 0;
	fi->noflush = (fi->flags & O_ACCMODE) == O_RDONLY && !(fi->flags & O_TRUNC) &&
		!store_has_records(s, ino);
}

/* A stream has no position: else a read(2) that waits would keep others who share the
 * descriptor from anything else. libfuse 3.14 does not know the flag. */
static void open_events(fuse_req_t req)
{
	struct fuse_open_out out = {.open_flags = FOPEN_DIRECT_IO | FOPEN_STREAM};
	uint64_t handle;
	int r = events_open(frontend_of(req)->events, &handle);

	if (r) {
		ops_reply_error(req, r);
		return;
	}
	out.fh = handle;
	fuse_reply_buf(req, (const char *)&out, sizeof(out));
}

void on_open(fuse_req_t req, fuse_ino_t ino, struct fuse_file_info *fi)
{
	struct store_caller caller = ops_caller(req);
	struct frontend *fe = frontend_of(req);
	uint64_t handle;
	int r;

	if (announced_open(req, ino, fi) || resent_open(req, fi)) {
		return;
	}
	if (ino == CONTROL_EVENTS) {
		open_events(req);
		return;
	}
	if (control_owns(ino)) {
		r = control_open(fe->control, ino, fi->flags, &handle);
	} else {
		r = store_open_key(fe->store, &caller, ino, fi->flags, &handle);
	}
	if (r) {
		ops_reply_walk_error(req, r);
		return;
	}
	describe_open(fe->store, fi, ino, handle);
	fuse_reply_open(req, fi);
}

/* A create under way. */
struct creation {
	fuse_req_t req;
	struct fuse_file_info fi;
};

static void created(void *arg, int rc, const struct store_result *result)
{
	_cleanup_free_ struct creation *c = arg;
	struct fuse_entry_param e;

	if (rc) {
		ops_reply_error(c->req, rc);
		return;
	}
	e = (struct fuse_entry_param){.ino = result->stat.st_ino, .attr = result->stat};
	describe_open(store_of(c->req), &c->fi, e.ino, result->handle);
	fuse_reply_create(c->req, &e, &c->fi);
}

void on_create(fuse_req_t req, fuse_ino_t parent, const char *name, mode_t mode,
	struct fuse_file_info *fi)
{
	struct store_caller caller = ops_caller(req);
	struct creation *c;

	if (announced_making(req, parent, name, fi) || ops_refuse_making(req, parent, name) ||
		resent_create(req, parent, name, fi)) {
		return;
	}
	c = malloc(sizeof(*c));
	if (!c) {
		fuse_reply_err(req, ENOMEM);
		return;
	}
	*c = (struct creation){.req = req, .fi = *fi};
	store_create(store_of(req), &caller, parent, name, mode, fi->flags,
		(struct store_reply){.done = created, .arg = c});
}

/* A page fault in a mapping that can write: what is there now, so that a
 * page that is written back holds nothing old. (One pass of read(2) sees one
 * value; it comes with a lock owner, which the kernel makes of its files.) */
static void renew_for_mapping(struct store *s, const struct store_caller *caller,
	const struct fuse_file_info *fi)
{
	struct bytes none;

	if (fi->lock_owner == 0 && (fi->flags & O_ACCMODE) == O_RDWR) {
		store_read(s, caller, fi->fh, 0, 0, &none);
	}
}

void on_read(fuse_req_t req, fuse_ino_t ino, size_t size, off_t offset, struct fuse_file_info *fi)
{
	struct store_caller caller = ops_caller(req);
	struct frontend *fe = frontend_of(req);
	struct bytes data = {.size = 0};
	int r;

	if (ino == CONTROL_EVENTS) {
		events_read(fe->events, fi->fh, req, size, fi->flags);
		return;
	}
	if (control_owns(ino)) {
		r = control_read(fe->control, fi->fh, (uint64_t)offset, size, &data);
	} else {
		renew_for_mapping(fe->store, &caller, fi);
		r = store_read(fe->store, &caller, fi->fh, (uint64_t)offset, size, &data);
	}
	if (r) {
		ops_reply_error(req, r);
	} else {
		fuse_reply_buf(req, data.data, data.size);
	}
}

static void written(void *arg, int rc, const struct store_result *result)
{
	if (rc) {
		ops_reply_error(arg, rc);
	} else {
		fuse_reply_write(arg, result->size);
	}
}

/* What is written back from a mapping goes to its place, whatever O_APPEND
 * says of the handle that the kernel has chosen for it. */
void on_write(fuse_req_t req, fuse_ino_t ino, const char *data, size_t size, off_t offset,
	struct fuse_file_info *fi)
{
	struct store_caller caller = ops_caller(req);
	int flags = fi->writepage ? fi->flags & ~O_APPEND : fi->flags;

	if (ino == CONTROL_EVENTS) {
		int r = events_write(frontend_of(req)->events, fi->fh, bytes_of(data, size));

		written(req, r, &(struct store_result){.size = size});
		return;
	}
	if (control_owns(ino)) {
		fuse_reply_err(req, EBADF);
		return;
	}
	if (resent_write(req, size)) {
		return;
	}
	if (fi->writepage) {
		/* Of these the kernel only forgets the times. */
		session_forget_attributes(frontend_of(req)->session, ino);
		mapping_note(frontend_of(req)->mapping, ino, fi->fh);
	}
	store_write(store_of(req), &caller, fi->fh, bytes_of(data, size), (uint64_t)offset, flags,
		(struct store_reply){.done = written, .arg = req});
}

void on_flush(fuse_req_t req, fuse_ino_t ino, struct fuse_file_info *fi)
{
	struct store_reply reply;

	if (announced_close(req, fi)) {
		return;
	}
	reply = ops_then_unlock(req, ino, fi->lock_owner);
	if (control_owns(ino)) {
		reply.done(reply.arg, 0, NULL);
		return;
	}
	mapping_commit(frontend_of(req)->mapping, req, ino, fi->fh, store_flush, reply);
}

void on_release(fuse_req_t req, fuse_ino_t ino, struct fuse_file_info *fi)
{
	struct frontend *fe = frontend_of(req);

	if (announced_close(req, fi)) {
		return;
	}
	if (ino == CONTROL_EVENTS) {
		events_release(fe->events, fi->fh);
	} else if (control_owns(ino)) {
		control_release(fe->control, fi->fh);
	} else {
		mapping_forget(fe->mapping, fi->fh);
		store_release(fe->store, fi->fh);
	}
	if (control_owns(ino)) {
		store_drop_locks(fe->store, ino, fi->fh);
	}
	fuse_reply_err(req, 0);
}

void on_fsync(fuse_req_t req, fuse_ino_t ino, int datasync, struct fuse_file_info *fi)
{
	(void)datasync;
	if (control_owns(ino)) {
		fuse_reply_err(req, 0);
		return;
	}
	mapping_commit(frontend_of(req)->mapping, req, ino, fi->fh, store_fsync,
		ops_then_status(req));
}

/* Keys are always ready, as any file. */
void on_poll(fuse_req_t req, fuse_ino_t ino, struct fuse_file_info *fi, struct fuse_pollhandle *ph)
{
	const struct frontend *fe = frontend_of(req);

	if (ino == CONTROL_EVENTS) {
		fuse_reply_poll(req, events_poll(fe->events, fi->fh, ph, session_poll_handle(fe->session)));
		return;
	}
	if (ph) {
		fuse_pollhandle_destroy(ph);
	}
	fuse_reply_poll(req, POLLIN | POLLRDNORM | POLLOUT | POLLWRNORM);
}

void on_fallocate(fuse_req_t req, fuse_ino_t ino, int mode, off_t offset, off_t length,
	struct fuse_file_info *fi)
{
	struct store_caller caller = ops_caller(req);

	if (control_owns(ino)) {
		fuse_reply_err(req, EBADF);
		return;
	}
	if (mode != 0) {
		fuse_reply_err(req, EOPNOTSUPP);
		return;
	}
	ops_reply_error(
		req, store_allocate(store_of(req), &caller, fi->fh, (uint64_t)(offset + length)));
}
