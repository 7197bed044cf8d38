/* SPDX-License-Identifier: MIT
 * Copyright (c) 2026 The cubbyfs authors */

/* Mounting takes CAP_SYS_ADMIN, or fusermount3, which is set-user-ID; the daemon has
 * neither, once it reads what others wrote. So it forks this process before, and talks
 * to it through a pair of sockets: a request is a byte, an answer a struct answer, with a
 * descriptor. The process learns that the daemon has ended from the socket, even if it was
 * killed; until then it holds nothing open of the mount. (With auto_unmount,
 * fusermount3 waits for the end of whom it mounted for: of this process.)
 *
 * libfuse opens /dev/fuse and calls mount(2), or fusermount3 for a user; what goes
 * wrong there it (or fusermount3) prints to stderr in lines of its own. While it
 * does, stderr is a file in memory, and the last line of it becomes the reason in the
 * one line that the daemon prints.
 *
 * The mount point may be an autofs trigger that waits for this very mount: until the daemon
 * says that it answers, the process stays in the process group that it was started in, or
 * its own way there would wait too (session.c). Then, once it has made the private view, it
 * leaves the terminal and its session. */
#include "fs/mounter.h"

#include "base/cleanup.h"
#include "base/log.h"
#include "fs/clone.h"
#include "fs/passing.h"

#define FUSE_USE_VERSION 314

#include <errno.h>
#include <fcntl.h>
#include <fuse_lowlevel.h>
#include <limits.h>
#include <spawn.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/wait.h>

#define MOUNT 'm'
#define CLONE 'c'
#define DETACH 'd'

extern char **environ;

struct mounter {
	int socket;
	pid_t process;
	char *dir;      /* for messages */
	bool detaching; /* an answer is owed */
};

struct answer {
	int status; /* 0 or a negative errno */
	char reason[512];
};

/* --- the process ----------------------------------------------------------- */

struct job {
	int socket;
	struct fuse_session *fuse;
	const char *dir;
	unsigned long flags;
};

/* The last line in a file, as libfuse and fusermount3 write them, without the
 * names that they put before it. */
static void last_line(int fd, char *out, size_t size)
{
	static const char *const names[] = {"cubbyfs: ", "fuse: ", "fusermount3: "};
	char text[4096];
	ssize_t n = pread(fd, text, sizeof(text) - 1, 0);
	char *line;

	text[n > 0 ? n : 0] = 0;
	for (n = (ssize_t)strlen(text); n > 0 && text[n - 1] == '\n'; n--) {
		text[n - 1] = 0;
	}
	line = strrchr(text, '\n');
	line = line ? line + 1 : text;
	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
		if (strncmp(line, names[i], strlen(names[i])) == 0) {
			line += strlen(names[i]);
		}
	}
	snprintf(out, size, "%s", line);
}

/* What libfuse has written goes away with stderr: the daemon's words are enough. */
static int mount_quietly(const struct job *j, struct answer *a)
{
	_cleanup_fd_ int words = memfd_create("cubbyfs-mount", MFD_CLOEXEC);
	int r;

	if (words < 0 || dup2(words, STDERR_FILENO) < 0) {
		r = -errno;
		snprintf(a->reason, sizeof(a->reason), "%s", strerror(-r));
		return r;
	}
	r = fuse_session_mount(j->fuse, j->dir);
	last_line(words, a->reason, sizeof(a->reason));
	return r < 0 ? -EIO : 0;
}

static int detach(const struct job *j)
{
	char *const args[] = {"fusermount3", "-u", "-q", "-z", "--", (char *)j->dir, NULL};
	pid_t child;
	int r;

	if (geteuid() == 0) {
		return umount2(j->dir, MNT_DETACH | UMOUNT_NOFOLLOW) < 0 && errno != EINVAL ? -errno
											    : 0;
	}
	r = posix_spawnp(&child, args[0], NULL, NULL, args, environ);
	if (r == 0) {
		waitpid(child, NULL, 0); /* that it is quiet is wanted: it may be unmounted */
	}
	return -r;
}

/* The standard ones may be pipes whose end somebody waits for. */
static void drop_standard_files(void)
{
	int null = open("/dev/null", O_RDWR | O_CLOEXEC);

	for (int fd = STDIN_FILENO; null >= 0 && fd <= STDERR_FILENO; fd++) {
		dup2(null, fd);
	}
	if (null > STDERR_FILENO) {
		close(null);
	}
}

static int mount_it(const struct job *j, struct answer *a, int *fd)
{
	int r = mount_quietly(j, a);

	if (r < 0) {
		return r;
	}
	if (j->flags && mount(NULL, j->dir, NULL, MS_REMOUNT | MS_BIND | j->flags, NULL) < 0) {
		r = -errno;
		snprintf(a->reason, sizeof(a->reason), "option nosymfollow: %s", strerror(-r));
		detach(j);
		return r;
	}
	*fd = fuse_session_fd(j->fuse);
	return 0;
}

static void answer(const struct job *j, char request)
{
	struct answer a = {.status = -EINVAL};
	int fd = -1;

	switch (request) {
	case MOUNT:
		a.status = mount_it(j, &a, &fd);
		drop_standard_files();
		break;
	case CLONE:
		fd = clone_mount(j->dir);
		a.status = fd < 0 ? fd : 0;
		setsid();
		break;
	case DETACH:
		a.status = detach(j);
		break;
	}
	passing_send(j->socket, &a, sizeof(a), fd);
	if (fd >= 0) {
		close(fd); /* what is held open here would live as long as we do */
	}
}

static void __attribute__((noreturn)) serve(struct job j)
{
	char request;

	prctl(PR_SET_NAME, "cubbyfs-mounter");
	if (chdir("/") < 0) {
		_exit(1); /* it would keep where we were started busy */
	}
	/* Whoever waits for the end of something that the daemon has open need not wait
	 * for ours. */
	if (j.socket != STDERR_FILENO + 1) {
		dup3(j.socket, STDERR_FILENO + 1, O_CLOEXEC);
		j.socket = STDERR_FILENO + 1;
	}
	close_range(STDERR_FILENO + 2, UINT_MAX, 0);
	while (recv(j.socket, &request, 1, 0) == 1) {
		answer(&j, request);
	}
	_exit(0);
}

/* --- the daemon's side ------------------------------------------------------- */

int mounter_create(
	struct mounter **out, struct fuse_session *fuse, const char *dir, unsigned long flags)
{
	struct mounter *m = calloc(1, sizeof(*m));
	int pair[2], r;

	if (!m) {
		return -ENOMEM;
	}
	m->dir = strdup(dir);
	if (!m->dir || socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair) < 0) {
		r = m->dir ? -errno : -ENOMEM;
		free(m->dir);
		free(m);
		return r;
	}
	fflush(NULL);
	m->process = fork();
	if (m->process == 0) {
		serve((struct job){pair[1], fuse, m->dir, flags});
	}
	r = m->process < 0 ? -errno : 0;
	close(pair[1]);
	m->socket = pair[0];
	if (r < 0) {
		mounter_destroy(m);
		return r;
	}
	*out = m;
	return 0;
}

static int ask(struct mounter *m, char request, struct answer *a, int *fd)
{
	int r = passing_send(m->socket, &request, 1, -1);

	*fd = -1;
	r = r < 0 ? r : passing_receive(m->socket, a, sizeof(*a), fd);
	if (r < 0) {
		snprintf(a->reason, sizeof(a->reason), "the process that mounts has ended");
		return r;
	}
	a->reason[sizeof(a->reason) - 1] = 0;
	return a->status < 0 || *fd >= 0 ? a->status : -EPROTO;
}

int mounter_mount(struct mounter *m, char *reason, size_t size)
{
	struct answer a = {0};
	int fd, r = ask(m, MOUNT, &a, &fd);

	snprintf(reason, size, "%s", a.reason);
	return r < 0 ? r : fd;
}

int mounter_clone(struct mounter *m)
{
	struct answer a = {0};
	int fd, r = ask(m, CLONE, &a, &fd);

	return r < 0 ? r : fd;
}

void mounter_detach(struct mounter *m)
{
	const char request = DETACH;
	int r = passing_send(m->socket, &request, 1, -1);

	if (r < 0) {
		log_warning("cannot unmount %s: the process that mounts has ended", m->dir);
	}
	m->detaching = r == 0;
}

void mounter_destroy(struct mounter *m)
{
	struct answer a = {0};
	int fd, r;

	if (!m) {
		return;
	}
	shutdown(m->socket, SHUT_WR); /* it does what it was asked to, and ends */
	if (m->detaching) {
		r = passing_receive(m->socket, &a, sizeof(a), &fd);
		r = r < 0 ? r : a.status;
		if (r < 0) {
			log_warning("cannot unmount %s: %s", m->dir, strerror(-r));
		}
	}
	if (m->process > 0) {
		waitpid(m->process, NULL, 0);
	}
	close(m->socket);
	free(m->dir);
	free(m);
}
