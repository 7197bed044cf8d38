/* SPDX-License-Identifier: MIT
 * Copyright (c) 2026 The cubbyfs authors */

#include "store/disk.h"

#include "base/cleanup.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

/* Without O_NONBLOCK a fifo in a file's place would wait for a writer. */
static int posix_open(struct disk *d, const char *path, int flags, mode_t mode)
{
	struct stat st;
	int fd, r;

	(void)d;
	do {
		fd = open(path, flags | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK | O_NOCTTY, mode);
	} while (fd < 0 && errno == EINTR);
	if (fd < 0) {
		return -errno;
	}
	r = fstat(fd, &st) < 0    ? -errno
	    : S_ISREG(st.st_mode) ? 0
	    : S_ISDIR(st.st_mode) ? -EISDIR
				  : -ENXIO;
	if (r < 0) {
		close(fd);
		return r;
	}
	return fd;
}

static void posix_close(struct disk *d, int fd)
{
	(void)d;
	close(fd);
}

static ssize_t posix_write(struct disk *d, int fd, const void *data, size_t size, off_t offset)
{
	ssize_t n;

	(void)d;
	do {
		n = pwrite(fd, data, size, offset);
	} while (n < 0 && errno == EINTR);
	return n < 0 ? -errno : n;
}

static ssize_t posix_read(struct disk *d, int fd, void *data, size_t size, off_t offset)
{
	ssize_t n;

	(void)d;
	do {
		n = pread(fd, data, size, offset);
	} while (n < 0 && errno == EINTR);
	return n < 0 ? -errno : n;
}

static off_t posix_size(struct disk *d, int fd)
{
	struct stat st;

	(void)d;
	return fstat(fd, &st) < 0 ? -errno : st.st_size;
}

static int posix_truncate(struct disk *d, int fd, off_t size)
{
	int r;

	(void)d;
	do {
		r = ftruncate(fd, size);
	} while (r < 0 && errno == EINTR);
	return r < 0 ? -errno : 0;
}

static int posix_reserve(struct disk *d, int fd, off_t offset, off_t size)
{
	int r;

	(void)d;
	do {
		r = fallocate(fd, FALLOC_FL_KEEP_SIZE, offset, size);
	} while (r < 0 && errno == EINTR);
	return r < 0 ? -errno : 0;
}

static int posix_sync(struct disk *d, int fd)
{
	(void)d;
	return fdatasync(fd) < 0 ? -errno : 0;
}

static int posix_sync_directory(struct disk *d, const char *path)
{
	_cleanup_fd_ int fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);

	(void)d;
	if (fd < 0 || fsync(fd) < 0) {
		return -errno;
	}
	return 0;
}

static int posix_rename(struct disk *d, const char *from, const char *to)
{
	(void)d;
	return rename(from, to) < 0 ? -errno : 0;
}

static int posix_unlink(struct disk *d, const char *path)
{
	(void)d;
	return unlink(path) < 0 ? -errno : 0;
}

static int posix_mkdir(struct disk *d, const char *path, mode_t mode)
{
	(void)d;
	return mkdir(path, mode) < 0 && errno != EEXIST ? -errno : 0;
}

static int posix_list(struct disk *d, const char *path, disk_list_fn *fn, void *arg)
{
	_cleanup_dir_ DIR *dir = opendir(path);
	struct dirent *entry;
	int r;

	(void)d;
	if (!dir) {
		return -errno;
	}
	for (;;) {
		errno = 0;
		entry = readdir(dir);
		if (!entry) {
			return -errno;
		}
		if (strcmp(entry->d_name, ".") == 0 || strcmp(entry->d_name, "..") == 0) {
			continue;
		}
		r = fn(arg, entry->d_name);
		if (r != 0) {
			return r;
		}
	}
}

static int posix_lock(struct disk *d, int fd)
{
	(void)d;
	return flock(fd, LOCK_EX | LOCK_NB) < 0 ? -errno : 0;
}

static int posix_space(struct disk *d, const char *path, struct statvfs *out)
{
	(void)d;
	return statvfs(path, out) < 0 ? -errno : 0;
}

static const struct disk_ops posix_ops = {
	.open = posix_open,
	.close = posix_close,
	.write = posix_write,
	.read = posix_read,
	.size = posix_size,
	.truncate = posix_truncate,
	.reserve = posix_reserve,
	.sync = posix_sync,
	.sync_directory = posix_sync_directory,
	.rename = posix_rename,
	.unlink = posix_unlink,
	.mkdir = posix_mkdir,
	.list = posix_list,
	.lock = posix_lock,
	.space = posix_space,
};

struct disk disk_posix = {.ops = &posix_ops};

int disk_write_all(struct disk *d, int fd, const void *data, size_t size, off_t offset)
{
	const char *p = data;
	ssize_t n;

	while (size > 0) {
		n = d->ops->write(d, fd, p, size, offset);
		if (n < 0) {
			return (int)n;
		}
		if (n == 0) {
			return -ENOSPC;
		}
		p += n;
		size -= (size_t)n;
		offset += n;
	}
	return 0;
}
