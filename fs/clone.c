/* SPDX-License-Identifier: MIT
 * Copyright (c) 2026 The cubbyfs authors */

/* Cloning a mount takes CAP_SYS_ADMIN; without it, a child process gets it in a user
 * namespace of its own, clones the mount there, and hands the descriptor back. */
#include "fs/clone.h"

#include "base/cleanup.h"
#include "fs/link.h"

#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <sys/mount.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>

static int clone_directly(const char *dir)
{
	int fd = (int)syscall(SYS_open_tree, AT_FDCWD, dir, OPEN_TREE_CLONE | OPEN_TREE_CLOEXEC);

	return fd < 0 ? -errno : fd;
}

/* In a child: only system calls from here on, since other threads' locks were
 * copied as they were. The namespace ends with the child. */
static void clone_in_namespace(int socket, const char *dir, uid_t uid, gid_t gid)
{
	char map[64];
	int fd, length;

	if (syscall(SYS_unshare, CLONE_NEWUSER | CLONE_NEWNS) != 0) {
		_exit(1);
	}
	/* The same numbers: it is only about the right to clone. */
	fd = open("/proc/self/setgroups", O_WRONLY | O_CLOEXEC);
	if (fd >= 0 && write(fd, "deny", 4) != 4) {
		_exit(1);
	}
	length = snprintf(map, sizeof(map), "%u %u 1", (unsigned)uid, (unsigned)uid);
	fd = open("/proc/self/uid_map", O_WRONLY | O_CLOEXEC);
	if (fd < 0 || write(fd, map, (size_t)length) != length) {
		_exit(1);
	}
	length = snprintf(map, sizeof(map), "%u %u 1", (unsigned)gid, (unsigned)gid);
	fd = open("/proc/self/gid_map", O_WRONLY | O_CLOEXEC);
	if (fd < 0 || write(fd, map, (size_t)length) != length) {
		_exit(1);
	}
	fd = clone_directly(dir);
	_exit(fd < 0 || link_send(socket, LINK_VIEW, 0, fd) < 0 ? 1 : 0);
}

static int clone_without_privilege(const char *dir)
{
	const uid_t uid = geteuid();
	const gid_t gid = getegid();
	int pair[2], fd;
	pid_t child;

	if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair) < 0) {
		return -errno;
	}
	child = fork();
	if (child == 0) {
		clone_in_namespace(pair[1], dir, uid, gid);
	}
	close(pair[1]);
	fd = -errno;
	if (child > 0 && (link_receive(pair[0], NULL, &fd) != LINK_VIEW || fd < 0)) {
		fd = -EPERM;
	}
	close(pair[0]);
	if (child > 0) {
		waitpid(child, NULL, 0);
	}
	return fd;
}

int clone_mount(const char *dir)
{
	int fd = clone_directly(dir);

	return fd == -EPERM ? clone_without_privilege(dir) : fd;
}
