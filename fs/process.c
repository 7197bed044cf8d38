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

pid_t process_of_thread(pid_t tid)
{
	char path[64], text[1024];
	_cleanup_fd_ int fd = -1;
	const char *line;
	ssize_t size;
	long tgid;

	if (tid <= 0) {
		return tid;
	}
	if (syscall(SYS_tgkill, tid, tid, 0) == 0 || errno != ESRCH) {
		return tid;
	}
	snprintf(path, sizeof(path), "/proc/%ld/status", (long)tid);
	fd = open(path, O_RDONLY | O_CLOEXEC);
	if (fd < 0) {
		return tid;
	}
	size = read(fd, text, sizeof(text) - 1);
	if (size <= 0) {
		return tid;
	}
	text[size] = 0;
	line = strstr(text, "\nTgid:"); /* a newline in the name is escaped */
	tgid = line ? strtol(line + 6, NULL, 10) : 0;
	return tgid > 0 ? (pid_t)tgid : tid;
}
