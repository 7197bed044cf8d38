/* SPDX-License-Identifier: MIT
 * Copyright (c) 2026 The cubbyfs authors */

/* A shell that runs `{ echo a; echo b >/dev/null; echo c; } > k` saves its
 * standard output with dup(2) and closes it for a moment, and that close looks
 * to us like any other. The value is whole when the process closes the last of
 * its descriptors on it, so at a close we look whether it has another: in
 * /proc/PID/fdinfo, which tells inode number and flags without a call into the
 * file system. Which one it is says statx(2) on /proc/PID/fd, told to be content
 * with what the kernel knows: without that it would be a call to ourselves. (The
 * process's list of mounts would tell as well, and may be as long as it likes.) The
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

static bool is_writer(int directory, const char *descriptor, uint64_t ino)
{
	_cleanup_fd_ int fd = openat(directory, descriptor, O_RDONLY | O_CLOEXEC);
	unsigned long long flags, inode;
	char text[512];
	ssize_t size = fd < 0 ? -1 : read(fd, text, sizeof(text) - 1);

	if (size <= 0) {
		return false;
	}
	text[size] = 0;
	return number_of(text, "ino:", 10, &inode) && inode == ino &&
	       number_of(text, "flags:", 8, &flags) && (flags & O_ACCMODE) != O_RDONLY;
}

static bool is_on(pid_t process, const char *descriptor, dev_t device)
{
	struct statx st;
	char path[64];

	snprintf(path, sizeof(path), "/proc/%ld/fd/%.16s", (long)process, descriptor);
	return statx(AT_FDCWD, path, AT_STATX_DONT_SYNC | AT_NO_AUTOMOUNT, STATX_INO, &st) == 0 &&
	       makedev(st.stx_dev_major, st.stx_dev_minor) == device;
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
	snprintf(path, sizeof(path), "/proc/%ld/fdinfo", (long)process);
	d = opendir(path);
	for (int n = 0; d && n < DESCRIPTORS_LOOKED_AT && (entry = readdir(d)); n++) {
		count += isdigit((unsigned char)entry->d_name[0]) &&
			is_writer(dirfd(d), entry->d_name, ino) &&
			is_on(process, entry->d_name, device);
	}
	return count;
}
