/* SPDX-License-Identifier: MIT
 * Copyright (c) 2026 The cubbyfs authors */

/* A file system that does nothing: what FUSE itself costs, and nobody can go below.
 *
 * Names are SIZE-NUMBER, files of SIZE bytes that are always there; new-NUMBER, which are
 * there once they were made; and counter. Whatever is written is taken and dropped; every
 * call is answered at once. It promises what the store does: without -t nothing is cached,
 * neither names nor attributes nor data, and each open, write and close of a writer arrives.
 * With -t names and attributes are cached for so long, as they may be where nothing but the
 * kernel changes them; data never are. */

#define FUSE_USE_VERSION 312
#include <fuse_lowlevel.h>

#include <errno.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define MAX_SIZE (1u << 20)
#define NEW 1u /* instead of a size: sizes are above */
#define NAMES 1000000

static double timeout;
static char data[MAX_SIZE];
static bool made[NAMES];

/* A number says which size and which name. */
static fuse_ino_t number_of(uint32_t kind, unsigned long n)
{
	return (fuse_ino_t)kind << 32 | (n + 2);
}

static size_t size_of(fuse_ino_t ino)
{
	size_t kind = ino >> 32;

	return kind == NEW ? 100 : kind;
}

static bool parse(const char *name, fuse_ino_t *ino)
{
	const char *dash = strchr(name, '-');
	unsigned long kind, n;

	if (strcmp(name, "counter") == 0 || strcmp(name, "watched") == 0) {
		*ino = number_of(2, 0);
		return true;
	}
	if (!dash) {
		return false;
	}
	kind = strncmp(name, "new-", 4) == 0 ? NEW : strtoul(name, NULL, 10);
	n = strtoul(dash + 1, NULL, 10);
	*ino = number_of((uint32_t)kind, n);
	return kind > 0 && kind <= MAX_SIZE && n < NAMES;
}

static bool is_there(fuse_ino_t ino)
{
	return ino >> 32 != NEW || made[(uint32_t)ino - 2];
}

static struct stat attributes(fuse_ino_t ino)
{
	struct stat st = {
		.st_ino = ino,
		.st_mode = ino == FUSE_ROOT_ID ? S_IFDIR | 0755 : S_IFREG | 0644,
		.st_nlink = 1,
		.st_size = ino == FUSE_ROOT_ID ? 0 : (off_t)size_of(ino),
	};

	return st;
}

static struct fuse_entry_param entry(fuse_ino_t ino)
{
	struct fuse_entry_param e = {
		.ino = ino,
		.attr = attributes(ino),
		.attr_timeout = timeout,
		.entry_timeout = timeout,
	};

	return e;
}

static void do_init(void *arg, struct fuse_conn_info *conn)
{
	(void)arg;
	conn->want |= conn->capable & FUSE_CAP_ATOMIC_O_TRUNC;
	conn->max_write = MAX_SIZE;
}

static void do_lookup(fuse_req_t req, fuse_ino_t parent, const char *name)
{
	struct fuse_entry_param e;
	fuse_ino_t ino;

	(void)parent;
	if (!parse(name, &ino) || !is_there(ino)) {
		fuse_reply_err(req, ENOENT);
		return;
	}
	e = entry(ino);
	fuse_reply_entry(req, &e);
}

static void do_getattr(fuse_req_t req, fuse_ino_t ino, struct fuse_file_info *fi)
{
	struct stat st = attributes(ino);

	(void)fi;
	fuse_reply_attr(req, &st, timeout);
}

static void do_setattr(
	fuse_req_t req, fuse_ino_t ino, struct stat *attr, int to_set, struct fuse_file_info *fi)
{
	(void)attr;
	(void)to_set;
	do_getattr(req, ino, fi);
}

static void set_flags(struct fuse_file_info *fi)
{
	fi->direct_io = 1;
	fi->noflush = (fi->flags & O_ACCMODE) == O_RDONLY;
}

static void do_open(fuse_req_t req, fuse_ino_t ino, struct fuse_file_info *fi)
{
	(void)ino;
	set_flags(fi);
	fuse_reply_open(req, fi);
}

static void do_create(
	fuse_req_t req, fuse_ino_t parent, const char *name, mode_t mode, struct fuse_file_info *fi)
{
	struct fuse_entry_param e;
	fuse_ino_t ino;

	(void)parent;
	(void)mode;
	if (!parse(name, &ino)) {
		fuse_reply_err(req, EINVAL);
		return;
	}
	if (ino >> 32 == NEW) {
		made[(uint32_t)ino - 2] = true;
	}
	e = entry(ino);
	set_flags(fi);
	fuse_reply_create(req, &e, fi);
}

static void do_read(
	fuse_req_t req, fuse_ino_t ino, size_t size, off_t offset, struct fuse_file_info *fi)
{
	size_t end = size_of(ino), at = (size_t)offset < end ? (size_t)offset : end;

	(void)fi;
	fuse_reply_buf(req, data + at, size < end - at ? size : end - at);
}

static void do_write(fuse_req_t req, fuse_ino_t ino, const char *bytes, size_t size, off_t offset,
	struct fuse_file_info *fi)
{
	(void)ino;
	(void)bytes;
	(void)offset;
	(void)fi;
	fuse_reply_write(req, size);
}

static void do_flush(fuse_req_t req, fuse_ino_t ino, struct fuse_file_info *fi)
{
	(void)ino;
	(void)fi;
	fuse_reply_err(req, 0);
}

static void do_fsync(fuse_req_t req, fuse_ino_t ino, int datasync, struct fuse_file_info *fi)
{
	(void)datasync;
	do_flush(req, ino, fi);
}

static void do_unlink(fuse_req_t req, fuse_ino_t parent, const char *name)
{
	fuse_ino_t ino;

	(void)parent;
	if (!parse(name, &ino) || ino >> 32 != NEW || !is_there(ino)) {
		fuse_reply_err(req, ENOENT);
		return;
	}
	made[(uint32_t)ino - 2] = false;
	fuse_reply_err(req, 0);
}

/* Only a value is set so: asked for one, the kernel is told that there are none, and never
 * asks again. */
static void do_setxattr(
	fuse_req_t req, fuse_ino_t ino, const char *name, const char *value, size_t size, int flags)
{
	(void)ino;
	(void)name;
	(void)value;
	(void)size;
	(void)flags;
	fuse_reply_err(req, 0);
}

static const struct fuse_lowlevel_ops ops = {
	.init = do_init,
	.lookup = do_lookup,
	.getattr = do_getattr,
	.setattr = do_setattr,
	.open = do_open,
	.create = do_create,
	.read = do_read,
	.write = do_write,
	.flush = do_flush,
	.release = do_flush,
	.fsync = do_fsync,
	.unlink = do_unlink,
	.setxattr = do_setxattr,
};

int main(int argc, char **argv)
{
	char *words[] = {argv[0], "-o", "fsname=floor,allow_other,default_permissions", NULL};
	struct fuse_args args = FUSE_ARGS_INIT(getuid() == 0 ? 3 : 1, words);
	struct fuse_session *session;
	int option, r = 1;

	while ((option = getopt(argc, argv, "t:")) != -1) {
		if (option != 't') {
			return 2;
		}
		timeout = strtod(optarg, NULL);
	}
	if (argc - optind != 1) {
		fputs("usage: floor [-t SECONDS] DIR\n", stderr);
		return 2;
	}
	memset(data, 'a', sizeof(data));
	session = fuse_session_new(&args, &ops, sizeof(ops), NULL);
	if (!session) {
		return 1;
	}
	if (fuse_set_signal_handlers(session) == 0 &&
		fuse_session_mount(session, argv[optind]) == 0) {
		r = fuse_session_loop(session) < 0;
		fuse_session_unmount(session);
	}
	fuse_remove_signal_handlers(session);
	fuse_session_destroy(session);
	return r;
}
