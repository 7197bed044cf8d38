/* SPDX-License-Identifier: MIT
 * Copyright (c) 2026 The cubbyfs authors */

/* A shell that runs `{ echo a; echo b >/dev/null; echo c; } > k` saves its
 * standard output with dup(2) and closes it for a moment, and that close looks
 * to us like any other. The value is whole when the process closes the last of
 * its descriptors on it, so at a close we look whether it has another: by
 * statx(2) on each in /proc/PID/fd, told to be content with what the kernel knows, since
 * without that it would be a call to ourselves; and for those on the key by
 * /proc/PID/fdinfo. (The process's list of mounts may be as long as it likes.) The
 * descriptor that is being closed has gone by then, and so have all of a
 * process that is ending.
 *
 * Descriptors are counted, since a process may have the key open twice. */
#include "fs/descriptors.h"

#include "base/cleanup.h"

#include <ctype.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>

/* A number in a line of fdinfo: "mnt_id:\t29". */
static bool number_of(const char *text, const char *name, int base, unsigned long long *out)
{
	const char *line = strstr(text, name);
	char *end;

	if (!line) {
		return false;
	}
	line += strlen(name);
	*out = strtoull(line, &end, base);
	return end != line;
}

static bool is_node(int directory, const char *descriptor, uint64_t ino, dev_t device)
{
	struct statx st;

	return statx(directory, descriptor, AT_STATX_DONT_SYNC | AT_NO_AUTOMOUNT, STATX_INO, &st) == 0 &&
	       st.stx_ino == ino && makedev(st.stx_dev_major, st.stx_dev_minor) == device;
}

static bool is_for_writing(pid_t process, const char *descriptor)
{
	_cleanup_fd_ int fd = -1;
	unsigned long long flags;
	char path[64], text[512];
	ssize_t size;

	snprintf(path, sizeof(path), "/proc/%ld/fdinfo/%.16s", (long)process, descriptor);
	fd = open(path, O_RDONLY | O_CLOEXEC);
	size = fd < 0 ? -1 : read(fd, text, sizeof(text) - 1);
	if (size <= 0) {
		return false;
	}
	text[size] = 0;
	return number_of(text, "flags:", 8, &flags) && (flags & O_ACCMODE) != O_RDONLY;
}

unsigned descriptors_that_write(pid_t process, uint64_t ino, dev_t device)
{
	_cleanup_dir_ DIR *d = NULL;
	struct dirent *entry;
	unsigned count = 0;
	char path[64];

	if (process <= 0) {
		return 0;
	}
	snprintf(path, sizeof(path), "/proc/%ld/fd", (long)process);
	d = opendir(path);
	for (int n = 0; d && n < DESCRIPTORS_LOOKED_AT && (entry = readdir(d)); n++) {
		count += isdigit((unsigned char)entry->d_name[0]) &&
			is_node(dirfd(d), entry->d_name, ino, device) &&
			is_for_writing(process, entry->d_name);
	}
	return count;
}
