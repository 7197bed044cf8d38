/* SPDX-License-Identifier: MIT
 * Copyright (c) 2026 The cubbyfs authors */

/* The operations that the kernel asks for: decode, call the store, reply.
 *
 * ops.c has the table, the setting up of the connection and what all share;
 * ops_node.c names and attributes, ops_key.c open keys, ops_directory.c the
 * reading of namespaces, ops_xattr.c extended attributes, ops_lock.c advisory
 * locks, ops_announced.c the daemon's own calls, ops_resent.c what another worker has
 * done and not answered. */
#pragma once

#ifndef FUSE_USE_VERSION
#define FUSE_USE_VERSION 314
#endif

#include "store/store.h"

#include <fuse_lowlevel.h>
#include <stdbool.h>

struct announcer;
struct control;
struct events;
struct mapping;
struct session;

/* What the operations work on; libfuse's userdata. All borrowed. */
struct frontend {
	struct keep *keep;
	struct store *store;
	struct control *control;
	struct events *events;
	struct announcer *announcer;
	struct session *session; /* set by session_create, for its handshake */
	struct mapping *mapping;
};

extern const struct fuse_lowlevel_ops ops_table;

/* --- shared by the ops_*.c ----------------------------------------------- */

static inline struct frontend *frontend_of(fuse_req_t req)
{
	return fuse_req_userdata(req);
}

static inline struct store *store_of(fuse_req_t req)
{
	return frontend_of(req)->store;
}

struct store_caller ops_caller(fuse_req_t req);

/* Whether it is the announcer who asks, whose changes have been made already. */
bool ops_by_announcer(fuse_req_t req);

/* Answers that need nothing but the request. `done` functions take it as
 * their argument: the store calls each once, so nothing has to be kept. */
void ops_reply_error(fuse_req_t req, int rc);
/* See error_number_of_walk. */
void ops_reply_walk_error(fuse_req_t req, int rc);
/* `lasts`: the kernel may remember it, as store_lookup says. */
void ops_reply_entry(fuse_req_t req, const struct stat *st, bool lasts);
void ops_reply_attr(fuse_req_t req, const struct stat *st, bool lasts);

struct store_reply ops_then_entry(fuse_req_t req);
struct store_reply ops_then_status(fuse_req_t req);
struct store_reply ops_then_attr(fuse_req_t req);

/* Refuses to make (EEXIST), or to change or remove (EPERM) what belongs to
 * the control directory. True if it has replied. */
bool ops_refuse_making(fuse_req_t req, fuse_ino_t parent, const char *name);
bool ops_refuse_removing(fuse_req_t req, fuse_ino_t parent, const char *name);
bool ops_refuse_changing(fuse_req_t req, fuse_ino_t ino);

/* ops_announced.c: if the request is the announcer's, answer it. */
bool announced_lookup(fuse_req_t req, fuse_ino_t parent, const char *name);
bool announced_attr(fuse_req_t req, fuse_ino_t ino);
bool announced_touch(fuse_req_t req, fuse_ino_t ino);
bool announced_removal(fuse_req_t req, fuse_ino_t parent, const char *name);
/* `fi`: the making of a key that is to be open; else NULL. */
bool announced_making(fuse_req_t req, fuse_ino_t parent, const char *name,
	struct fuse_file_info *fi);
bool announced_open(fuse_req_t req, fuse_ino_t ino, struct fuse_file_info *fi);
bool announced_close(fuse_req_t req, const struct fuse_file_info *fi);

/* ops_resent.c: if the request has been carried out by a worker before us, which did not
 * come to answer it, answer it. */
bool resent_status(fuse_req_t req);
bool resent_entry(fuse_req_t req, fuse_ino_t parent, const char *name);
bool resent_attr(fuse_req_t req, fuse_ino_t ino);
bool resent_write(fuse_req_t req, size_t size);
bool resent_open(fuse_req_t req, struct fuse_file_info *fi);
bool resent_create(fuse_req_t req, fuse_ino_t parent, const char *name, struct fuse_file_info *fi);

/* ops_node.c */
void on_lookup(fuse_req_t req, fuse_ino_t parent, const char *name);
void on_forget(fuse_req_t req, fuse_ino_t ino, uint64_t count);
void on_forget_multi(fuse_req_t req, size_t count, struct fuse_forget_data *forgets);
void on_getattr(fuse_req_t req, fuse_ino_t ino, struct fuse_file_info *fi);
void on_setattr(fuse_req_t req, fuse_ino_t ino, struct stat *attr, int to_set,
	struct fuse_file_info *fi);
void on_readlink(fuse_req_t req, fuse_ino_t ino);
void on_mknod(fuse_req_t req, fuse_ino_t parent, const char *name, mode_t mode, dev_t rdev);
void on_mkdir(fuse_req_t req, fuse_ino_t parent, const char *name, mode_t mode);
void on_unlink(fuse_req_t req, fuse_ino_t parent, const char *name);
void on_rmdir(fuse_req_t req, fuse_ino_t parent, const char *name);
void on_symlink(fuse_req_t req, const char *target, fuse_ino_t parent, const char *name);
void on_rename(fuse_req_t req, fuse_ino_t parent, const char *name, fuse_ino_t to_parent,
	const char *to_name, unsigned flags);
void on_link(fuse_req_t req, fuse_ino_t ino, fuse_ino_t parent, const char *name);

/* ops_key.c */
/* Says in *fi how the kernel is to treat an open key. */
void describe_open(struct store *s, struct fuse_file_info *fi, uint64_t ino, uint64_t handle);
void on_open(fuse_req_t req, fuse_ino_t ino, struct fuse_file_info *fi);
void on_create(fuse_req_t req, fuse_ino_t parent, const char *name, mode_t mode,
	struct fuse_file_info *fi);
void on_read(fuse_req_t req, fuse_ino_t ino, size_t size, off_t offset, struct fuse_file_info *fi);
void on_write(fuse_req_t req, fuse_ino_t ino, const char *data, size_t size, off_t offset,
	struct fuse_file_info *fi);
void on_flush(fuse_req_t req, fuse_ino_t ino, struct fuse_file_info *fi);
void on_release(fuse_req_t req, fuse_ino_t ino, struct fuse_file_info *fi);
void on_fsync(fuse_req_t req, fuse_ino_t ino, int datasync, struct fuse_file_info *fi);
void on_poll(fuse_req_t req, fuse_ino_t ino, struct fuse_file_info *fi, struct fuse_pollhandle *ph);
void on_fallocate(fuse_req_t req, fuse_ino_t ino, int mode, off_t offset, off_t length,
	struct fuse_file_info *fi);

/* ops_lock.c */
void on_getlk(fuse_req_t req, fuse_ino_t ino, struct fuse_file_info *fi, struct flock *lock);
void on_setlk(fuse_req_t req, fuse_ino_t ino, struct fuse_file_info *fi, struct flock *lock,
	int sleep);
void on_flock(fuse_req_t req, fuse_ino_t ino, struct fuse_file_info *fi, int op);
/* The answer to a close(2) by `owner`: what he has locked on the node goes first. */
struct store_reply ops_then_unlock(fuse_req_t req, fuse_ino_t ino, uint64_t owner);

/* ops_directory.c */
void on_opendir(fuse_req_t req, fuse_ino_t ino, struct fuse_file_info *fi);
void on_readdir(fuse_req_t req, fuse_ino_t ino, size_t size, off_t offset,
	struct fuse_file_info *fi);
void on_releasedir(fuse_req_t req, fuse_ino_t ino, struct fuse_file_info *fi);
void on_fsyncdir(fuse_req_t req, fuse_ino_t ino, int datasync, struct fuse_file_info *fi);

/* ops_xattr.c */
void on_setxattr(fuse_req_t req, fuse_ino_t ino, const char *name, const char *value, size_t size,
	int flags);
void on_getxattr(fuse_req_t req, fuse_ino_t ino, const char *name, size_t size);
void on_listxattr(fuse_req_t req, fuse_ino_t ino, size_t size);
void on_removexattr(fuse_req_t req, fuse_ino_t ino, const char *name);
