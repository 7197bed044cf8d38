/* SPDX-License-Identifier: MIT
 * Copyright (c) 2026 The cubbyfs authors */

#include "cli/key.h"

#include "base/cleanup.h"
#include "store/store.h"

#include <errno.h>
#include <libgen.h>
#include <linux/magic.h>
#include <stdio.h>
#include <sys/stat.h>
#include <sys/vfs.h>
#include <sys/xattr.h>

#ifndef FUSE_SUPER_MAGIC
#define FUSE_SUPER_MAGIC 0x65735546
#endif

#define READ_SIZE (128 * 1024)

/* Every key and every namespace has a revision, and what is no cubbyfs has
 * none. That it may not be read is no reason to refuse what may be allowed. */
static int has_revision(const char *path)
{
	struct statfs fs;

	if (statfs(path, &fs) < 0) {
		return -errno;
	}
	if (fs.f_type != FUSE_SUPER_MAGIC) {
		return -ENOTSUP;
	}
	if (getxattr(path, "user.cubby.revision", NULL, 0) < 0 && errno != EACCES) {
		return errno == ENODATA ? -ENOTSUP : -errno;
	}
	return 0;
}

int key_in_store(const char *path)
{
	_cleanup_free_ char *copy = strdup(path);

	return copy ? has_revision(dirname(copy)) : -ENOMEM;
}

int key_writable(const char *path)
{
	struct stat st;

	if (stat(path, &st) < 0) {
		return key_in_store(path);
	}
	if (!S_ISREG(st.st_mode)) {
		return S_ISDIR(st.st_mode) ? -EISDIR : -EINVAL;
	}
	return has_revision(path);
}

int key_attribute(int fd, const char *path, const char *name, char out[KEY_ATTRIBUTE_SIZE])
{
	char full[64];
	ssize_t size;

	snprintf(full, sizeof(full), "user.cubby.%s", name);
	size = fd >= 0 ? fgetxattr(fd, full, out, KEY_ATTRIBUTE_SIZE - 1)
		       : getxattr(path, full, out, KEY_ATTRIBUTE_SIZE - 1);
	out[size < 0 ? 0 : size] = '\0';
	return size < 0 ? -errno : 0;
}

int key_set_attribute(int fd, const char *path, const char *name, struct bytes value)
{
	char full[64];
	int rc;

	snprintf(full, sizeof(full), "user.cubby.%s", name);
	rc = fd >= 0 ? fsetxattr(fd, full, value.data, value.size, 0)
		     : setxattr(path, full, value.data, value.size, 0);
	return rc < 0 ? -errno : 0;
}

int key_read(int fd, struct buffer *out)
{
	out->size = 0;
	for (;;) {
		ssize_t count;
		int rc = buffer_reserve(out, out->size + READ_SIZE);

		if (rc) {
			return rc;
		}
		count = read(fd, out->data + out->size, out->capacity - out->size);
		if (count == 0) {
			return 0;
		}
		if (count > 0) {
			out->size += (size_t)count;
		} else if (errno != EINTR) {
			return -errno;
		}
		if (out->size > STORE_MAX_VALUE_LIMIT) {
			return -EFBIG;
		}
	}
}

int key_make_parents(const char *path)
{
	_cleanup_free_ char *copy = strdup(path);

	if (!copy) {
		return -ENOMEM;
	}
	for (char *slash = copy; (slash = strchr(slash, '/')); *slash++ = '/') {
		*slash = '\0';
		if (*copy && mkdir(copy, 0777) < 0 && errno != EEXIST) {
			int error = errno;
			struct stat st;

			/* a read-only or forbidden place may well have it already */
			if (stat(copy, &st) < 0) {
				return -error;
			}
		}
	}
	return 0;
}

const char *key_type_name(mode_t mode)
{
	switch (mode & S_IFMT) {
	case S_IFDIR:
		return "namespace";
	case S_IFREG:
		return "key";
	case S_IFLNK:
		return "symlink";
	case S_IFIFO:
		return "fifo";
	case S_IFSOCK:
		return "socket";
	default:
		return "device";
	}
}
