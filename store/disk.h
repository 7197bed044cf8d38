/* SPDX-License-Identifier: MIT
 * Copyright (c) 2026 The cubbyfs authors */

/* The I/O seam: every byte that a backend reads from or writes to a file
 * system goes through one of these, POSIX in the product, a disk that tears,
 * fills up and fails in the tests.
 *
 * All calls return 0 or a count on success and a negative errno on failure.
 * A disk may be used from several threads at once, on different descriptors. */
#pragma once

#include <errno.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/statvfs.h>
#include <sys/types.h>

struct disk;

typedef int disk_list_fn(void *arg, const char *name);

struct disk_ops {
	/* open(2) of a regular file, always with O_CLOEXEC | O_NOFOLLOW. A descriptor or
	 * -errno: -ELOOP if it is a symbolic link, -EISDIR if it is a directory, -ENXIO if
	 * it is anything else. A file that is made has this mode, whatever the umask. */
	int (*open)(struct disk *d, const char *path, int flags, mode_t mode);
	void (*close)(struct disk *d, int fd);

	/* pwrite(2)/pread(2), EINTR retried; may be short. */
	ssize_t (*write)(struct disk *d, int fd, const void *data, size_t size, off_t offset);
	ssize_t (*read)(struct disk *d, int fd, void *data, size_t size, off_t offset);

	/* The size of the file. */
	off_t (*size)(struct disk *d, int fd);
	int (*truncate)(struct disk *d, int fd, off_t size);

	/* Holds space for `size` bytes of the file from `offset` on; its size stays
	 * as it is. -ENOSPC, or -EOPNOTSUPP where that cannot be done. */
	int (*reserve)(struct disk *d, int fd, off_t offset, off_t size);

	/* fdatasync(2). After a failure nothing written since the last success
	 * may be trusted, and asking again proves nothing. */
	int (*sync)(struct disk *d, int fd);
	/* Makes creations, renames and unlinks in a directory durable. */
	int (*sync_directory)(struct disk *d, const char *path);

	int (*rename)(struct disk *d, const char *from, const char *to);
	int (*unlink)(struct disk *d, const char *path);
	/* 0 also where it is there already; -ENOTDIR if that is no directory. */
	int (*mkdir)(struct disk *d, const char *path, mode_t mode);
	/* Names in a directory without "." and "..", in no order; a non-zero
	 * return of fn ends the walk and is returned. */
	int (*list)(struct disk *d, const char *path, disk_list_fn *fn, void *arg);

	/* An exclusive flock(2) that goes with the descriptor: 0 or -EWOULDBLOCK. */
	int (*lock)(struct disk *d, int fd);
	int (*space)(struct disk *d, const char *path, struct statvfs *out);
};

struct disk {
	const struct disk_ops *ops;
};

/* Whether a file could not be opened since it is not there, or is no file. */
static inline bool disk_is_no_file(int error)
{
	return error == -ENOENT || error == -ELOOP || error == -EISDIR || error == -ENXIO;
}

/* Makes a file, in place of whatever has its name: that is removed, and what it
 * leads to is not touched. A descriptor or -errno. */
int disk_make(struct disk *d, const char *path, int flags);

/* Writes all of it at `offset`: 0 or the first error (a short write that makes
 * no progress is -ENOSPC). */
int disk_write_all(struct disk *d, int fd, const void *data, size_t size, off_t offset);
