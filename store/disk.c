/* SPDX-License-Identifier: MIT
 * Copyright (c) 2026 The cubbyfs authors */

#include "store/disk.h"

#include <fcntl.h>

int disk_make(struct disk *d, const char *path, int flags)
{
	int fd = d->ops->open(d, path, flags | O_CREAT | O_EXCL, 0600);
	int r;

	if (fd != -EEXIST) {
		return fd;
	}
	r = d->ops->unlink(d, path);
	return r < 0 ? r : d->ops->open(d, path, flags | O_CREAT | O_EXCL, 0600);
}

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
