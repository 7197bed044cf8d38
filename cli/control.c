/* SPDX-License-Identifier: MIT
 * Copyright (c) 2026 The cubbyfs authors */

/* The mount is looked up in mountinfo by device number: going up until the
 * device changes would end too early where a part of the mount is bound. */

#include "cli/control.h"

#include "base/cleanup.h"
#include "base/mountinfo.h"
#include "cli/key.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdbool.h>
#include <stdio.h>
#include <sys/stat.h>

/* Whether the root of that file system is what one sees at `point`: another
 * mount may hide it. */
static bool is_seen(const char *point, dev_t device)
{
	struct stat st;

	return stat(point, &st) == 0 && st.st_dev == device;
}

int control_find_point(dev_t device, char **point)
{
	_cleanup_file_ FILE *mounts = fopen("/proc/self/mountinfo", "re");
	_cleanup_free_ char *line = NULL;
	size_t size = 0;

	*point = NULL;
	if (!mounts) {
		return -errno;
	}
	while (getline(&line, &size, mounts) > 0) {
		struct mountinfo m;
		int rc = mountinfo_parse(&m, line);

		if (rc < 0) {
			return rc;
		}
		if (rc == 0 && m.device == device && strcmp(m.root, "/") == 0 &&
			is_seen(m.point, device)) {
			*point = steal_pointer(&m.point);
		}
		mountinfo_finish(&m);
		if (*point) {
			return 0;
		}
	}
	return -ENOTSUP;
}

int control_mount_id(int fd)
{
	_cleanup_file_ FILE *info = NULL;
	char name[64], line[256];
	int id = -1;

	snprintf(name, sizeof(name), "/proc/self/fdinfo/%d", fd);
	info = fopen(name, "re");
	while (info && id < 0 && fgets(line, sizeof(line), info)) {
		if (sscanf(line, "mnt_id: %d", &id) != 1) {
			id = -1;
		}
	}
	return id;
}

/* The path of fd's directory, seen from the root of its file system. */
static int path_inside(int fd, char **inside)
{
	_cleanup_buffer_ struct buffer whole = {0};
	char name[64], path[PATH_MAX];
	const char *below, *part;
	struct mountinfo m;
	ssize_t length;
	int rc;

	snprintf(name, sizeof(name), "/proc/self/fd/%d", fd);
	length = readlink(name, path, sizeof(path) - 1);
	if (length < 0) {
		return -errno;
	}
	path[length] = '\0';
	rc = mountinfo_of_id(&m, control_mount_id(fd));
	if (rc) {
		return rc < 0 ? rc : -ENOTSUP;
	}
	/* "/" is a prefix of all, and the one that ends in a slash */
	part = strcmp(m.root, "/") == 0 ? "" : m.root;
	below = strcmp(m.point, "/") == 0 ? path : path + strlen(m.point);
	rc = strncmp(path, m.point, strlen(m.point)) != 0 ? -ENOENT : 0;
	if (rc == 0) {
		rc = buffer_printf(&whole, "%s%s", part, below);
	}
	mountinfo_finish(&m);
	if (rc) {
		return rc;
	}
	while (whole.size && whole.data[whole.size - 1] == '/') {
		whole.size--;
	}
	*inside = strndup(whole.size ? whole.data + 1 : "", whole.size ? whole.size - 1 : 0);
	return *inside ? 0 : -ENOMEM;
}

int control_find(const char *directory, struct control_place *place)
{
	_cleanup_fd_ int fd = open(directory, O_PATH | O_DIRECTORY | O_CLOEXEC);
	_cleanup_buffer_ struct buffer child = {0};
	struct stat st;
	int rc;

	*place = (struct control_place){0};
	if (fd < 0 || fstat(fd, &st) < 0) {
		return -errno;
	}
	rc = buffer_printf(&child, "%s/.", directory);
	if (rc == 0) {
		rc = buffer_append(&child, "", 1);
	}
	if (rc == 0) {
		rc = key_in_store(child.data);
	}
	if (rc == 0) {
		rc = control_find_point(st.st_dev, &place->point);
	}
	if (rc == 0) {
		rc = path_inside(fd, &place->inside);
	}
	if (rc) {
		control_place_finish(place);
	}
	return rc;
}

void control_place_finish(struct control_place *place)
{
	free(place->point);
	free(place->inside);
	*place = (struct control_place){0};
}

int control_open(const char *point, const char *name, int flags)
{
	_cleanup_buffer_ struct buffer path = {0};
	int fd;

	if (buffer_printf(&path, "%s/.cubby/%s", point, name) || buffer_append(&path, "", 1)) {
		return -ENOMEM;
	}
	fd = open(path.data, flags | O_CLOEXEC);
	return fd < 0 ? -errno : fd;
}
