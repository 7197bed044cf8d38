/* SPDX-License-Identifier: MIT
 * Copyright (c) 2026 The cubbyfs authors */

/* FUSE names the thread that asks; whose bytes are committed by a close is a
 * matter of processes. Nearly all requests come from a process's first thread,
 * whose id is the process's, and tgkill(2) with signal 0 tells that in one
 * system call: it looks for thread `tid` in group `tid`. Only for the others
 * /proc is read. A process that is exiting closes its files while it still has
 * both. */

#include "fs/process.h"

#include "base/cleanup.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

/* Reads /proc/TID/status, the beginning of it. */
static bool read_status(pid_t tid, char *text, size_t size)
{
	_cleanup_fd_ int fd = -1;
	char path[64];
	ssize_t n;

	snprintf(path, sizeof(path), "/proc/%ld/status", (long)tid);
	fd = open(path, O_RDONLY | O_CLOEXEC);
	n = fd < 0 ? -1 : read(fd, text, size - 1);
	if (n <= 0) {
		return false;
	}
	text[n] = 0;
	return true;
}

pid_t process_of_thread(pid_t tid)
{
	char text[1024];
	const char *line;
	long tgid;

	if (tid <= 0) {
		return tid;
	}
	if (syscall(SYS_tgkill, tid, tid, 0) == 0 || errno != ESRCH) {
		return tid;
	}
	if (!read_status(tid, text, sizeof(text))) {
		return tid;
	}
	line = strstr(text, "\nTgid:"); /* a newline in the name is escaped */
	tgid = line ? strtol(line + 6, NULL, 10) : 0;
	return tgid > 0 ? (pid_t)tgid : tid;
}

bool process_in_group(pid_t tid, gid_t gid)
{
	char text[16384];
	const char *at;
	char *end;

	at = read_status(tid, text, sizeof(text)) ? strstr(text, "\nGroups:") : NULL;
	if (!at) {
		return false;
	}
	for (at += strlen("\nGroups:"); *at != '\n'; at = end) {
		unsigned long group;

		at += strspn(at, " \t");
		group = strtoul(at, &end, 10);
		if (end == at) {
			break;
		}
		if (group == gid) {
			return true;
		}
	}
	return false;
}
