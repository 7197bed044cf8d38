/* SPDX-License-Identifier: MIT
 * Copyright (c) 2026 The cubbyfs authors */

#include "bench/side.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/inotify.h>
#include <sys/stat.h>
#include <sys/vfs.h>
#include <sys/xattr.h>
#include <unistd.h>

#define FUSE_MAGIC 0x65735546

struct files {
	int fd;
	char *path;
	bool durable;
	bool virtual_attributes; /* a FUSE file system, which may count by itself */
	int inotify;
	int key_watch, directory_watch;
	size_t at, end; /* in what was read of inotify */
	char events[4096] __attribute__((aligned(8)));
};

static void files_close(void *self)
{
	struct files *f = self;

	if (!f) {
		return;
	}
	if (f->fd >= 0) {
		close(f->fd);
	}
	if (f->inotify >= 0) {
		close(f->inotify);
	}
	free(f->path);
	free(f);
}

static int files_open(void **self, const char *where, enum durability durability)
{
	struct files *f = calloc(1, sizeof(*f));
	struct statfs st;
	int r;

	if (!f) {
		return -ENOMEM;
	}
	f->inotify = -1;
	f->durable = durability == DURABILITY_DISK;
	f->path = strdup(where);
	f->fd = open(where, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (f->fd < 0 || !f->path || fstatfs(f->fd, &st) < 0) {
		r = errno ? -errno : -ENOMEM;
		files_close(f);
		return r;
	}
	f->virtual_attributes = st.f_type == FUSE_MAGIC;
	*self = f;
	return 0;
}

/* Closes in any case: the commit's errno is close's. */
static int write_and_close(int fd, const void *value, size_t size, bool sync, int r)
{
	ssize_t n;

	if (r == 0) {
		n = write(fd, value, size);
		r = n < 0 ? -errno : (size_t)n < size ? -EIO : 0;
	}
	if (r == 0 && sync && fsync(fd) < 0) {
		r = -errno;
	}
	if (close(fd) < 0 && r == 0) {
		r = -errno;
	}
	return r;
}

static int put(struct files *f, const char *key, int flags, const void *value, size_t size)
{
	int fd = openat(f->fd, key, O_WRONLY | O_CREAT | flags, 0644);

	return fd < 0 ? -errno : write_and_close(fd, value, size, f->durable, 0);
}

static int files_set(void *self, const char *key, const void *value, size_t size)
{
	return put(self, key, O_TRUNC, value, size);
}

static int files_create(void *self, const char *key, const void *value, size_t size)
{
	return put(self, key, O_EXCL, value, size);
}

static int renamed_set(void *self, const char *key, const void *value, size_t size)
{
	struct files *f = self;
	char name[KEY_NAME_SIZE + 32];
	int r;

	snprintf(name, sizeof(name), ".%s.%d", key, (int)getpid());
	r = put(f, name, O_EXCL, value, size);
	if (r == 0 && renameat(f->fd, name, f->fd, key) < 0) {
		r = -errno;
	}
	return r;
}

static int files_get(void *self, const char *key, void *value, size_t size, size_t *got)
{
	struct files *f = self;
	int fd = openat(f->fd, key, O_RDONLY);
	ssize_t n;
	int r;

	if (fd < 0) {
		return -errno;
	}
	n = read(fd, value, size);
	r = n < 0 ? -errno : 0;
	*got = n < 0 ? 0 : (size_t)n;
	close(fd);
	return r;
}

static int files_stat(void *self, const char *key)
{
	struct files *f = self;
	struct stat st;

	return fstatat(f->fd, key, &st, AT_SYMLINK_NOFOLLOW) < 0 ? -errno : 0;
}

static int files_remove(void *self, const char *key)
{
	struct files *f = self;

	return unlinkat(f->fd, key, 0) < 0 ? -errno : 0;
}

/* What a careful script does on a file system that has no counters. */
static int increment_under_lock(struct files *f, const char *key)
{
	int fd = openat(f->fd, key, O_RDWR);
	char text[32];
	ssize_t n;
	int r = 0;

	if (fd < 0) {
		return -errno;
	}
	if (flock(fd, LOCK_EX) < 0 || (n = pread(fd, text, sizeof(text) - 1, 0)) < 0) {
		r = -errno;
	} else {
		text[n] = '\0';
		n = snprintf(text, sizeof(text), "%lld", strtoll(text, NULL, 10) + 1);
		if (pwrite(fd, text, (size_t)n, 0) != n || ftruncate(fd, n) < 0) {
			r = -EIO;
		}
	}
	close(fd);
	return r;
}

static int files_increment(void *self, const char *key)
{
	struct files *f = self;
	char path[4096];

	if (!f->virtual_attributes) {
		return increment_under_lock(f, key);
	}
	snprintf(path, sizeof(path), "%s/%s", f->path, key);
	return setxattr(path, "user.cubby.increment", "1", 1, 0) < 0 ? -errno : 0;
}

static int files_list(void *self, bool attributes, size_t *count)
{
	struct files *f = self;
	struct dirent *entry;
	struct stat st;
	DIR *d;
	int r = 0;

	*count = 0;
	d = opendir(f->path);
	if (!d) {
		return -errno;
	}
	while (errno = 0, r == 0 && (entry = readdir(d))) {
		if (entry->d_name[0] == '.') {
			continue;
		}
		if (attributes && fstatat(f->fd, entry->d_name, &st, AT_SYMLINK_NOFOLLOW) < 0) {
			r = -errno;
		}
		++*count;
	}
	r = r ? r : -errno;
	closedir(d);
	return r;
}

static int files_set_expiring(
	void *self, const char *key, const void *value, size_t size, double seconds)
{
	struct files *f = self;
	char text[32];
	int fd, length, r = 0;

	fd = openat(f->fd, key, O_WRONLY | O_CREAT | O_TRUNC, 0644);
	if (fd < 0) {
		return -errno;
	}
	length = snprintf(text, sizeof(text), "%.9f", seconds);
	if (fsetxattr(fd, "user.cubby.ttl", text, (size_t)length, 0) < 0) {
		r = -errno;
	}
	return write_and_close(fd, value, size, f->durable, r);
}

static int files_watch(void *self, const char *key)
{
	struct files *f = self;
	char path[4096];

	f->inotify = inotify_init1(IN_CLOEXEC);
	if (f->inotify < 0) {
		return -errno;
	}
	f->key_watch = -1;
	if (key) {
		snprintf(path, sizeof(path), "%s/%s", f->path, key);
		f->key_watch = inotify_add_watch(f->inotify, path, IN_CLOSE_WRITE);
	} else {
		f->directory_watch = inotify_add_watch(f->inotify, f->path, IN_DELETE);
	}
	return (key ? f->key_watch : f->directory_watch) < 0 ? -errno : 0;
}

static int files_wait(void *self, enum side_event wanted)
{
	struct files *f = self;
	const struct inotify_event *e;
	uint32_t mask = wanted == SIDE_KEY_SET ? IN_CLOSE_WRITE : IN_DELETE;
	ssize_t n;

	for (;;) {
		if (f->at == f->end) {
			n = read(f->inotify, f->events, sizeof(f->events));
			if (n < 0) {
				return -errno;
			}
			f->at = 0;
			f->end = (size_t)n;
		}
		e = (const struct inotify_event *)(const void *)(f->events + f->at);
		f->at += sizeof(*e) + e->len;
		if (e->mask & IN_Q_OVERFLOW) {
			return -EOVERFLOW;
		}
		if (e->mask & mask) {
			return 0;
		}
	}
}

const struct side side_files = {
	.name = "files",
	.open = files_open,
	.close = files_close,
	.set = files_set,
	.get = files_get,
	.stat = files_stat,
	.create = files_create,
	.remove = files_remove,
	.increment = files_increment,
	.list = files_list,
	.set_expiring = files_set_expiring,
	.watch = files_watch,
	.wait = files_wait,
};

const struct side side_renamed_files = {
	.name = "renamed-files",
	.open = files_open,
	.close = files_close,
	.set = renamed_set,
	.get = files_get,
};
