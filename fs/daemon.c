/* SPDX-License-Identifier: MIT
 * Copyright (c) 2026 The cubbyfs authors */

/* The fork comes first of all, so that no thread and no lock is ever on the
 * wrong side of it; replay, its progress and every error message happen in the
 * child, which still has the terminal. setsid(2) waits for the mount: see
 * session.c on autofs. */

#include "fs/daemon.h"

#include "base/cleanup.h"
#include "base/log.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

/* Where the child ended in a way that says nothing. */
#define STATUS_NOT_STARTED 2

/* Until the child writes its byte, or ends. */
static void __attribute__((noreturn)) wait_for_child(pid_t child, int fd)
{
	int status = 0;
	ssize_t n;
	char byte;

	do {
		n = read(fd, &byte, 1);
	} while (n < 0 && errno == EINTR);
	if (n == 1) {
		_exit(0);
	}
	while (waitpid(child, &status, 0) < 0 && errno == EINTR) {
	}
	if (WIFEXITED(status)) {
		_exit(WEXITSTATUS(status) ? WEXITSTATUS(status) : STATUS_NOT_STARTED);
	}
	log_error("the daemon was ended by signal %d", WTERMSIG(status));
	_exit(STATUS_NOT_STARTED);
}

int daemon_init(struct daemon *d, bool foreground)
{
	int fds[2], r;
	pid_t child;

	d->pipe = -1;
	if (foreground) {
		return 0;
	}
	/* What our caller left open (a lock, a pipe's end) is not ours to keep. */
	close_range(STDERR_FILENO + 1, ~0u, 0);
	if (pipe2(fds, O_CLOEXEC) < 0) {
		return -errno;
	}
	fflush(NULL);
	child = fork();
	if (child < 0) {
		r = -errno;
		close(fds[0]);
		close(fds[1]);
		return r;
	}
	if (child > 0) {
		close(fds[1]);
		wait_for_child(child, fds[0]);
	}
	close(fds[0]);
	d->pipe = fds[1];
	return 0;
}

void daemon_detach(void)
{
	int null;

	setsid();
	if (chdir("/") < 0) {
		log_warning("cannot change to /: %m");
	}
	log_to_syslog();
	null = open("/dev/null", O_RDWR | O_CLOEXEC);
	if (null >= 0) {
		dup2(null, STDIN_FILENO);
		dup2(null, STDOUT_FILENO);
		dup2(null, STDERR_FILENO);
		if (null > STDERR_FILENO) {
			close(null);
		}
	}
}

/* The protocol of sd_notify(3): a datagram to a socket that is named. */
static void tell_systemd(void)
{
	const char *path = getenv("NOTIFY_SOCKET");
	struct sockaddr_un address = {.sun_family = AF_UNIX};
	_cleanup_fd_ int fd = -1;
	char text[64];
	size_t size = path ? strlen(path) : 0;
	int n;

	if (size < 2 || size >= sizeof(address.sun_path) || (*path != '/' && *path != '@')) {
		return;
	}
	memcpy(address.sun_path, path, size);
	if (*path == '@') {
		address.sun_path[0] = 0;
	}
	fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	n = snprintf(text, sizeof(text), "READY=1\nMAINPID=%ld", (long)getpid());
	if (fd < 0 || sendto(fd, text, (size_t)n, MSG_NOSIGNAL, (const struct sockaddr *)&address,
			      (socklen_t)(offsetof(struct sockaddr_un, sun_path) + size)) < 0) {
		log_warning("cannot tell systemd at %s: %m", path);
	}
	unsetenv("NOTIFY_SOCKET");
}

void daemon_ready(struct daemon *d)
{
	tell_systemd();
	if (d->pipe < 0) {
		return;
	}
	daemon_detach();
	if (write(d->pipe, "", 1) < 0) {
		log_warning("the process that started this one is gone");
	}
	close(d->pipe);
	d->pipe = -1;
}
