/* SPDX-License-Identifier: MIT
 * Copyright (c) 2026 The cubbyfs authors */

#include "base/cleanup.h"
#include "fs/control.h"
#include "fs/ops.h"

#include <errno.h>

/* The value, or with size 0 how large it is. */
static void reply_value(fuse_req_t req, const struct buffer *value, size_t size)
{
	if (size == 0) {
		fuse_reply_xattr(req, value->size);
	} else if (size < value->size) {
		fuse_reply_err(req, ERANGE);
	} else {
		fuse_reply_buf(req, value->data, value->size);
	}
}

/* setxattr(2) cannot return EAGAIN: the kernel's __vfs_setxattr_noperm takes it
 * for "no such handler" and says EOPNOTSUPP. A revision that has moved on is
 * EBUSY here, which nothing else says. */
static void setxattr_done(void *arg, int rc, const struct store_result *result)
{
	(void)result;
	if (rc == STORE_CONFLICT) {
		fuse_reply_err(arg, EBUSY);
	} else {
		ops_reply_error(arg, rc);
	}
}

void on_setxattr(fuse_req_t req, fuse_ino_t ino, const char *name, const char *value, size_t size,
	int flags)
{
	struct store_caller caller = ops_caller(req);

	if (ops_refuse_changing(req, ino) || resent_status(req)) {
		return;
	}
	store_setxattr(store_of(req), &caller, ino, name, bytes_of(value, size), flags,
		(struct store_reply){.done = setxattr_done, .arg = req});
}

void on_removexattr(fuse_req_t req, fuse_ino_t ino, const char *name)
{
	struct store_caller caller = ops_caller(req);

	if (ops_refuse_changing(req, ino) || resent_status(req)) {
		return;
	}
	store_removexattr(store_of(req), &caller, ino, name, ops_then_status(req));
}

void on_getxattr(fuse_req_t req, fuse_ino_t ino, const char *name, size_t size)
{
	struct store_caller caller = ops_caller(req);
	_cleanup_buffer_ struct buffer value = {.size = 0};
	int r = STORE_NO_ATTRIBUTE;

	if (!control_owns(ino)) {
		r = store_getxattr(store_of(req), &caller, ino, name, &value);
	}
	if (r) {
		ops_reply_error(req, r);
	} else {
		reply_value(req, &value, size);
	}
}

void on_listxattr(fuse_req_t req, fuse_ino_t ino, size_t size)
{
	struct store_caller caller = ops_caller(req);
	_cleanup_buffer_ struct buffer names = {.size = 0};
	int r = 0;

	if (!control_owns(ino)) {
		r = store_listxattr(store_of(req), &caller, ino, &names);
	}
	if (r) {
		ops_reply_error(req, r);
	} else {
		reply_value(req, &names, size);
	}
}
