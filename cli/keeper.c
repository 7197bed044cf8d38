/* SPDX-License-Identifier: MIT
 * Copyright (c) 2026 The cubbyfs authors */

/* A process and no thread, because a thread that is stuck in the kernel keeps its
 * process from ending. It does nothing unasked: while its parent is stopped no
 * lock is kept alive that nobody watches over. */

#include "cli/keeper.h"

#include "base/cleanup.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/syscall.h>

/* Keeps the two descriptors and nothing else: a pipe that stays open here would
 * keep its reader waiting. */
static int drop_descriptors(int fd, const struct lease *l)
{
	int low = fd < l->directory ? fd : l->directory;
	int high = fd < l->directory ? l->directory : fd;
	int null = open("/dev/null", O_RDWR | O_CLOEXEC);

	for (int i = STDIN_FILENO; i <= STDERR_FILENO; i++) {
		/* where cubby was started without these, they may be ours */
		if (i != fd && i != l->directory && (null < 0 || dup2(null, i) < 0)) {
			return -errno;
		}
	}
	/* Linux before 5.9 lacks the call: then the rest stays open until the end */
	if (low > STDERR_FILENO + 1) {
		syscall(SYS_close_range, STDERR_FILENO + 1, low - 1, 0);
	}
	if (low >= STDIN_FILENO && high > low + 1) {
		syscall(SYS_close_range, low > STDERR_FILENO ? low + 1 : STDERR_FILENO + 1,
			high - 1, 0);
	}
	syscall(SYS_close_range, high > STDERR_FILENO ? high + 1 : STDERR_FILENO + 1, ~0U, 0);
	return chdir("/") < 0 ? -errno : 0;
}

static void serve(int fd, struct lease *l)
{
	enum keeper_request request;

	while (recv(fd, &request, sizeof(request), 0) == (ssize_t)sizeof(request)) {
		struct keeper_answer answer = {.request = request};

		answer.rc = request == KEEPER_REFRESH ? lease_refresh(l) : lease_release(l);
		answer.start = l->start;
		answer.ttl = l->ttl;
		if (send(fd, &answer, sizeof(answer), MSG_NOSIGNAL) < 0) {
			return;
		}
	}
}

static _Noreturn void run(int fd, pid_t parent, struct lease *l)
{
	sigset_t all;

	/* what is for the whole process group is not for this one */
	sigfillset(&all);
	sigprocmask(SIG_SETMASK, &all, NULL);
	prctl(PR_SET_PDEATHSIG, SIGKILL);
	if (getppid() == parent && drop_descriptors(fd, l) == 0) {
		serve(fd, l);
	}
	_exit(0);
}

int keeper_init(struct keeper *k, const struct lease *l)
{
	pid_t parent = getpid();
	struct lease copy = *l;
	int fds[2];

	*k = (struct keeper){.fd = -1};
	if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, fds) < 0) {
		return -errno;
	}
	k->pid = fork();
	if (k->pid < 0) {
		int error = errno;

		close(fds[0]);
		close(fds[1]);
		k->pid = 0;
		return -error;
	}
	if (k->pid == 0) {
		close(fds[0]);
		run(fds[1], parent, &copy);
	}
	close(fds[1]);
	k->fd = fds[0];
	return 0;
}

void keeper_finish(struct keeper *k)
{
	if (k->fd >= 0) {
		close(steal_fd(&k->fd));
	}
	if (k->pid > 0) {
		kill(k->pid, SIGKILL);
	}
	k->pid = 0;
}

int keeper_ask(struct keeper *k, enum keeper_request request)
{
	return send(k->fd, &request, sizeof(request), MSG_NOSIGNAL | MSG_DONTWAIT) < 0 ? -errno : 0;
}

int keeper_answer(struct keeper *k, struct keeper_answer *answer)
{
	ssize_t count = recv(k->fd, answer, sizeof(*answer), MSG_DONTWAIT);

	if (count == (ssize_t)sizeof(*answer)) {
		return 0;
	}
	return count < 0 && errno == EAGAIN ? -EAGAIN : -EPIPE;
}
