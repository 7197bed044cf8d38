/* SPDX-License-Identifier: MIT
 * Copyright (c) 2026 The cubbyfs authors */

/* A worker is this program once more, with its end of a pair of sockets and the keep
 * (base/keep.h) as descriptors. It opens the store and asks for the mount, which is made for
 * the first one; the others get /dev/fuse as it is. While there is no worker, calls wait
 * in the kernel.
 *
 * How we know that a worker has died: its end of the sockets closes. The process itself may
 * still be there, since a thread of it may wait for an answer on its own mount (the
 * announcer's), which only the next worker can give. That thread has its own table of
 * descriptors, so the sockets, /dev/fuse and the lock of the store are free. It is reaped
 * when it has gone.
 *
 * Which deaths count. A worker that dies over and over does so because of what it finds in
 * the store, or of a request that it is sent each time. So after so many within so many
 * seconds we give up: the mount is taken away, and calls fail rather than wait for
 * ever. Somebody's kill -9 says nothing of that kind; but if it comes many times in a row
 * before the worker has come to answer, the memory that this takes may not be there.
 *
 * A replacement (SIGHUP, cubbyfs --replace) is a worker made from the file that our own
 * program was started from, which may be a newer one by now. If that one does not come to
 * answer, or takes far longer than the last one did, the next is made from the program that we
 * know.
 *
 * If we die, the worker is killed (PR_SET_PDEATHSIG), and the mount is dead, as that of any
 * FUSE daemon: so there is little here that could go wrong. */
#include "fs/supervisor.h"

#include "base/cleanup.h"
#include "base/clock.h"
#include "base/keep.h"
#include "base/log.h"
#include "base/mountinfo.h"
#include "fs/clone.h"
#include "fs/daemon.h"
#include "fs/link.h"
#include "fs/mount.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

extern char **environ;

#define MAX_DEATHS 5
#define DEATHS_WITHIN (10 * NSEC_PER_SEC)
#define MAX_KILLED 20
#define MAX_PAUSE (2 * NSEC_PER_SEC)
#define FIRST_PAUSE (50 * NSEC_PER_MSEC)
/* For a new program to come to answer: so long, or so many times what the last one took. */
#define PATIENCE (30 * NSEC_PER_SEC)
#define PATIENCE_TIMES 10
/* For a worker to come to answer that is to end then. */
#define END_PATIENCE (60 * NSEC_PER_SEC)
#define STATUS_FAILED 2

struct state {
	const struct supervisor *s;
	int signals, keep;
	int program;		/* what workers are made from */
	char path[PATH_MAX];	/* where it was */
	struct mount *mount;	/* NULL: not yet, or no more */
	dev_t device;		/* of it, when it was made */
	int socket;		/* to the worker; -1: there is none */
	pid_t worker;
	bool ready;		/* it answers */
	bool was_ready;		/* one has */
	bool ending;		/* the mount has been taken away */
	bool replacing;		/* the next one is made from the file at `path` */
	int candidate;		/* what the worker is made from, if that is not `program`; or -1 */
	int64_t deaths[MAX_DEATHS]; /* the last ones that count */
	unsigned n_deaths;
	unsigned n_killed; /* in a row, before they came to answer */
	int64_t started_at;	/* when the worker was */
	int64_t took;		/* the last one, to come to answer */
	int64_t kill_at;	/* when there is no more patience with it; 0: there is */
	int64_t restart_at;	/* when to start the next; 0: not to */
	int status;		/* to exit with; -1: to go on */
};

/* --- the worker -------------------------------------------------------------- */

/* In the child. */
static void __attribute__((noreturn)) become_worker(const struct state *st, int program, int socket)
{
	sigset_t none;
	int a = fcntl(socket, F_DUPFD, 16), b = fcntl(st->keep, F_DUPFD, 16);
	int c = fcntl(program, F_DUPFD_CLOEXEC, 16);

	prctl(PR_SET_PDEATHSIG, SIGKILL);
	if (a < 0 || b < 0 || c < 0 || dup2(a, LINK_FD) < 0 || dup2(b, LINK_KEEP_FD) < 0) {
		_exit(STATUS_FAILED);
	}
	close(a);
	close(b);
	sigemptyset(&none);
	sigprocmask(SIG_SETMASK, &none, NULL);
	syscall(SYS_execveat, c, "", st->s->worker_argv, environ, AT_EMPTY_PATH);
	log_error("cannot start a worker: %m");
	_exit(STATUS_FAILED);
}

static int64_t patience(const struct state *st)
{
	const char *given = getenv("CUBBYFS_TEST_PATIENCE"); /* seconds; for the tests */
	int64_t least = given ? atoi(given) * NSEC_PER_SEC : PATIENCE;

	return st->took * PATIENCE_TIMES > least ? st->took * PATIENCE_TIMES : least;
}

static void start_worker(struct state *st)
{
	int pair[2], program = st->program;
	pid_t parent = getpid();

	st->restart_at = 0;
	st->ready = false;
	if (st->replacing) {
		st->replacing = false;
		st->candidate = open(st->path, O_PATH | O_CLOEXEC);
		if (st->candidate < 0) {
			log_error("%s: %m; going on with the program that was there", st->path);
		} else {
			program = st->candidate;
		}
	}
	st->started_at = clock_elapsed(&clock_system);
	if (!st->ending) { /* else it has what is left */
		st->kill_at = st->candidate < 0 ? 0 : st->started_at + patience(st);
	}
	if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair) < 0) {
		log_error("cannot start a worker: %m");
		st->status = STATUS_FAILED;
		return;
	}
	fflush(NULL);
	st->worker = fork();
	if (st->worker == 0) {
		if (getppid() != parent) {
			_exit(STATUS_FAILED);
		}
		become_worker(st, program, pair[1]);
	}
	close(pair[1]);
	st->socket = pair[0];
	if (st->worker < 0) {
		log_error("cannot start a worker: %m");
		st->status = STATUS_FAILED;
	}
}

/* --- the end of a worker -------------------------------------------------------- */

/* Notes a death. Returns whether there were too many. */
static bool too_many_deaths(struct state *st, int64_t now)
{
	memmove(st->deaths + 1, st->deaths, sizeof(st->deaths) - sizeof(st->deaths[0]));
	st->deaths[0] = now;
	if (st->n_deaths < MAX_DEATHS) {
		st->n_deaths++;
	}
	return st->n_deaths == MAX_DEATHS && now - st->deaths[MAX_DEATHS - 1] < DEATHS_WITHIN;
}

/* How it has ended; false: its last thread has not, or it was reaped before. */
static bool reap(struct state *st, int *how)
{
	bool is_reaped = st->worker > 0 && waitpid(st->worker, how, WNOHANG) == st->worker;

	if (is_reaped) {
		st->worker = -1;
	}
	return is_reaped;
}

static void describe(char *out, size_t size, bool is_known, int how)
{
	if (is_known && WIFSIGNALED(how)) {
		snprintf(out, size, "was ended by signal %d", WTERMSIG(how));
	} else if (is_known && WIFEXITED(how)) {
		snprintf(out, size, "ended with status %d", WEXITSTATUS(how));
	} else {
		snprintf(out, size, "is gone");
	}
}

/* The first comes back at once. */
static int64_t pause_after(unsigned n)
{
	int64_t pause = n < 2 ? 0 : n < 16 ? FIRST_PAUSE << (n - 2) : MAX_PAUSE;

	return pause < MAX_PAUSE ? pause : MAX_PAUSE;
}

static void give_up(struct state *st, const char *why)
{
	log_error("%s; unmounting %s", why, st->s->dir);
	st->status = STATUS_FAILED;
}

/* The worker has gone, and is missed. is_known: how. */
static void lose_worker(struct state *st, bool is_known, int how)
{
	int64_t now = clock_elapsed(&clock_system);
	int64_t pause = 0;
	char text[64];
	bool is_killed = !is_known || (WIFSIGNALED(how) && WTERMSIG(how) == SIGKILL);

	describe(text, sizeof(text), is_known, how);
	if (st->candidate >= 0) {
		log_error("the new worker %s; going on with the program that was there", text);
		close(st->candidate);
		st->candidate = -1;
	} else if (!st->mount) {
		log_error("the daemon %s", text);
		st->status = STATUS_FAILED;
		return;
	} else if (!st->s->can_restart) {
		give_up(st, "the worker is gone, and the store with it");
		return;
	} else if (is_killed) {
		st->n_killed = st->ready ? 0 : st->n_killed + 1;
		if (st->n_killed == MAX_KILLED) {
			log_error("the worker %s", text);
			give_up(st, "workers are killed before they come to answer");
			return;
		}
		log_warning("the worker %s; starting another", text);
		pause = pause_after(st->n_killed);
	} else if (too_many_deaths(st, now)) {
		log_error("the worker %s", text);
		give_up(st, "workers die one after the other");
		return;
	} else {
		log_warning("the worker %s; starting another", text);
		pause = pause_after(st->n_deaths);
	}
	st->restart_at = now + pause;
}

/* It says that it has ended, which it is about to do. */
static void let_go(struct state *st, int status)
{
	int how = 0;
	bool is_known = st->worker > 0 && waitpid(st->worker, &how, 0) == st->worker;

	st->worker = -1;
	if (!st->ready && st->was_ready) {
		lose_worker(st, is_known, how); /* it has not come to answer */
	} else {
		st->status = status;
	}
}

/* It has gone without a word. */
static void miss_worker(struct state *st)
{
	bool is_known;
	int how = 0;

	/* The end of a process closes its descriptors a moment before it can be reaped. */
	for (int i = 0; !(is_known = reap(st, &how)) && i < 20; i++) {
		poll(NULL, 0, 1);
	}
	lose_worker(st, is_known, how);
}

/* --- what happens ---------------------------------------------------------------- */

/* It is made anew for each worker: as long as one is open somewhere, the connection does not
 * end with the mount. */
static void give_view(struct state *st)
{
	struct mountinfo m;
	int fd = -ENOENT;

	if (mountinfo_find(&m, st->s->dir) == 0 && (st->device == 0 || m.device == st->device)) {
		st->device = m.device;
		fd = clone_mount(st->s->dir);
	}
	mountinfo_finish(&m);
	link_send(st->socket, LINK_VIEW, fd < 0 ? (unsigned char)-fd : 0, fd);
	if (fd >= 0) {
		close(fd);
	}
}

static void give_mount(struct state *st)
{
	int r = 0;

	if (!st->mount && !st->ending) {
		r = mount_create(&st->mount, st->s->options, st->s->store, st->s->dir);
	}
	if (r == 0 && st->mount) {
		link_send(st->socket, LINK_MOUNTED, 0, mount_fd(st->mount));
		give_view(st);
	} else {
		link_send(st->socket, LINK_FAILED, 0, -1);
	}
}

static void on_ready(struct state *st)
{
	st->ready = true;
	st->kill_at = 0;
	st->took = clock_elapsed(&clock_system) - st->started_at;
	if (st->candidate >= 0) {
		close(st->program);
		st->program = st->candidate;
		st->candidate = -1;
		log_info("replaced: process %ld answers now", (long)st->worker);
	}
	if (!st->was_ready) {
		st->was_ready = true;
		daemon_ready(st->s->daemon);
	}
	if (st->ending) {
		link_send(st->socket, LINK_END, 0, -1);
	}
}

static void on_message(struct state *st)
{
	unsigned char byte = 0;

	switch (link_receive(st->socket, &byte, NULL)) {
	case LINK_OPENED:
		give_mount(st);
		break;
	case LINK_READY:
		on_ready(st);
		break;
	case LINK_ENDED:
		let_go(st, byte);
		close(st->socket);
		st->socket = -1;
		break;
	default:
		close(st->socket);
		st->socket = -1;
		if (st->replacing) {
			st->restart_at = 1; /* as it was told */
		} else {
			miss_worker(st);
		}
		st->ready = false;
		break;
	}
}

static void end(struct state *st, const struct signalfd_siginfo *info)
{
	log_info("signal %u from process %u: unmounting", info->ssi_signo, info->ssi_pid);
	if (!st->mount) {
		st->status = STATUS_FAILED;
		log_error("ended by a signal");
		return;
	}
	mount_detach(st->mount);
	st->ending = true;
	if (st->ready) { /* else it is told when it is */
		link_send(st->socket, LINK_END, 0, -1);
	} else {
		st->kill_at = clock_elapsed(&clock_system) +
			(getenv("CUBBYFS_TEST_PATIENCE") ? patience(st) : END_PATIENCE);
	}
}

/* Those whose last thread has taken its time. */
static void reap_late(struct state *st)
{
	siginfo_t info = {.si_pid = 0};

	while (waitid(P_ALL, 0, &info, WEXITED | WNOHANG | WNOWAIT) == 0 && info.si_pid != 0) {
		if (info.si_pid == st->worker && st->socket >= 0) {
			return; /* it is reaped where its socket closes */
		}
		waitpid(info.si_pid, NULL, 0);
		if (info.si_pid == st->worker) {
			st->worker = -1;
		}
		if (info.si_status != SIGKILL && info.si_code != CLD_EXITED &&
			too_many_deaths(st, clock_elapsed(&clock_system))) {
			give_up(st, "workers die one after the other");
		}
		info.si_pid = 0;
	}
}

static void on_signal(struct state *st)
{
	struct signalfd_siginfo info;

	if (read(st->signals, &info, sizeof(info)) != sizeof(info)) {
		return;
	}
	switch (info.ssi_signo) {
	case SIGCHLD:
		reap_late(st);
		break;
	case SIGHUP:
		if (st->ready && st->s->can_restart && !st->ending && !st->replacing) {
			st->replacing = true;
			link_send(st->socket, LINK_HAND_OVER, 0, -1);
		}
		break;
	default:
		end(st, &info);
		break;
	}
}

/* --- the loop ------------------------------------------------------------------------ */

/* It does not come to answer. */
static void lose_patience(struct state *st)
{
	st->kill_at = 0;
	if (st->ending) {
		give_up(st, "the worker does not answer");
		return;
	}
	log_error("the new worker does not answer");
	if (st->worker > 0) {
		kill(st->worker, SIGKILL);
	}
}

static bool is_due(int64_t at)
{
	return at && at <= clock_elapsed(&clock_system);
}

static int timeout(const struct state *st)
{
	int64_t at = st->restart_at && (!st->kill_at || st->restart_at < st->kill_at) ?
		st->restart_at : st->kill_at;
	int64_t wait = at - clock_elapsed(&clock_system);

	if (at == 0) {
		return -1;
	}
	return wait < 0 ? 0 : (int)(wait / NSEC_PER_MSEC) + 1;
}

static void turn(struct state *st)
{
	struct pollfd fds[2] = {
		{.fd = st->socket, .events = POLLIN},
		{.fd = st->signals, .events = POLLIN},
	};

	if (poll(fds, 2, timeout(st)) < 0) {
		return;
	}
	if (fds[0].revents) {
		on_message(st);
	}
	if (fds[1].revents && st->status < 0) {
		on_signal(st);
	}
	if (st->status < 0 && is_due(st->kill_at)) {
		lose_patience(st);
	}
	if (st->status < 0 && is_due(st->restart_at)) {
		start_worker(st);
	}
}

/* Journal and keep are as large as the store needs: who set a limit meant some program's
 * output. (The keep is a file with a hole of 4 TiB.) */
static void lift_file_size(void)
{
	struct rlimit limit = {RLIM_INFINITY, RLIM_INFINITY};

	if (setrlimit(RLIMIT_FSIZE, &limit) < 0 && getrlimit(RLIMIT_FSIZE, &limit) == 0) {
		limit.rlim_cur = limit.rlim_max;
		setrlimit(RLIMIT_FSIZE, &limit);
	}
}

static int begin(struct state *st)
{
	ssize_t n = readlink("/proc/self/exe", st->path, sizeof(st->path) - 1);
	sigset_t set;

	lift_file_size();
	sigemptyset(&set);
	sigaddset(&set, SIGTERM);
	sigaddset(&set, SIGINT);
	sigaddset(&set, SIGHUP);
	sigaddset(&set, SIGCHLD);
	sigprocmask(SIG_BLOCK, &set, NULL);
	signal(SIGPIPE, SIG_IGN);
	st->path[n > 0 ? n : 0] = 0;
	st->signals = signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK);
	st->program = open("/proc/self/exe", O_PATH | O_CLOEXEC);
	st->keep = keep_create_file();
	if (n < 0 || st->signals < 0 || st->program < 0 || st->keep < 0) {
		log_error("cannot start: %s", st->keep < 0 ? strerror(-st->keep) : strerror(errno));
		return -1;
	}
	return 0;
}

int supervisor_run(const struct supervisor *s)
{
	struct state st = {.s = s, .socket = -1, .worker = -1, .candidate = -1, .status = -1};

	if (begin(&st) < 0) {
		return STATUS_FAILED;
	}
	start_worker(&st);
	while (st.status < 0) {
		turn(&st);
	}
	if (st.worker > 0) {
		kill(st.worker, SIGKILL);
	}
	mount_destroy(st.mount);
	return st.status;
}
