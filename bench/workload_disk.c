/* SPDX-License-Identifier: MIT
 * Copyright (c) 2026 The cubbyfs authors */

/* What it costs to bring t->size bytes to the disk, whoever does it. */

#include "bench/workload.h"

#include "base/cleanup.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>

#define ROOM (16u << 20)

struct disk_call {
	const struct task *task;
	int directory, fd;
	char *value;
	off_t at;
};

static int write_here(struct disk_call *d)
{
	ssize_t n = pwrite(d->fd, d->value, d->task->size, d->at);

	if (n != (ssize_t)d->task->size) {
		return n < 0 ? -errno : -EIO;
	}
	d->at += n;
	return fdatasync(d->fd) < 0 ? -errno : 0;
}

/* As zeros that are on the disk: nothing is left to allocate, nor to note. */
static int write_room(struct disk_call *d)
{
	char zeros[4096] = {0};

	for (off_t at = 0; at < (off_t)ROOM; at += (off_t)sizeof(zeros)) {
		if (pwrite(d->fd, zeros, sizeof(zeros), at) != (ssize_t)sizeof(zeros)) {
			return errno ? -errno : -EIO;
		}
	}
	return fsync(d->fd) < 0 ? -errno : 0;
}

static int replace(struct disk_call *d)
{
	_cleanup_fd_ int fd =
		openat(d->directory, "disk.tmp", O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
	ssize_t n;

	if (fd < 0) {
		return -errno;
	}
	n = write(fd, d->value, d->task->size);
	if (n != (ssize_t)d->task->size) {
		return n < 0 ? -errno : -EIO;
	}
	if (fsync(fd) < 0 || renameat(d->directory, "disk.tmp", d->directory, "disk") < 0) {
		return -errno;
	}
	return 0;
}

static int run_disk(const struct task *t, struct report *r)
{
	const char *mode = t->mode ? t->mode : "";
	bool replaces = strcmp(mode, "rename") == 0, prepared = strcmp(mode, "preallocated") == 0;
	_cleanup_free_ char *value = task_value(t);
	_cleanup_fd_ int directory = open(t->where, O_RDONLY | O_DIRECTORY | O_CLOEXEC), fd = -1;
	struct disk_call d = {.task = t, .directory = directory, .value = value};
	size_t warm_up = task_warm_up(t);
	int64_t end, half, start, ns;
	int rc = 0;

	if (!value || directory < 0) {
		return value ? -errno : -ENOMEM;
	}
	if (!replaces && !prepared && strcmp(mode, "append") != 0) {
		return -EINVAL;
	}
	d.fd = fd = openat(directory, "disk", O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
	if (fd < 0) {
		return -errno;
	}
	rc = prepared ? write_room(&d) : 0;
	end = now_ns() + (int64_t)(t->seconds * 1e9);
	half = end - (int64_t)(t->seconds * 0.5e9);
	while (rc == 0 && r->counted < t->calls && (r->counted < 3 || now_ns() < end)) {
		if (prepared && d.at + (off_t)t->size > (off_t)ROOM) {
			break;
		}
		start = now_ns();
		rc = replaces ? replace(&d) : write_here(&d);
		ns = now_ns() - start;
		if (rc == 0 && (r->calls++ >= warm_up || start > half)) {
			samples_add(&r->samples, ns);
			r->counted++;
			r->wall += ns;
		}
	}
	unlinkat(directory, "disk", 0);
	return rc;
}

const struct workload workloads_disk[] = {
	{"disk", run_disk},
	{NULL, NULL},
};
