/* SPDX-License-Identifier: MIT
 * Copyright (c) 2026 The cubbyfs authors */

/* One loop waits for the keeper's answers, for signals, and for the clock, and
 * nothing in it can hang: it is the clock that says when the lock is lost, not
 * whoever fails to answer.
 *
 * The lock is refreshed at a third of its TTL. After a fault (the store is full,
 * the daemon is away) this is tried again soon, until the TTL, counted from the
 * start of the last refresh that succeeded, has passed. A token that holds
 * no more is the end at once.
 *
 * A signal that the terminal sends reaches the command by itself, which is in the
 * same process group; what kill(1) sends is for this process alone, and passed on. */

#include "cli/guard.h"

#include "base/cleanup.h"
#include "cli/command.h"
#include "cli/keeper.h"
#include "cli/offspring.h"

#include <errno.h>
#include <poll.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/signalfd.h>
#include <sys/timerfd.h>
#include <sys/wait.h>

#define EXIT_CANNOT_RUN 126
#define EXIT_NOT_FOUND 127

/* Between two tries to refresh, after a fault; at most, and as a part of the TTL. */
#define RETRY_INTERVAL (500 * NSEC_PER_MSEC)
#define RETRY_PART 20
/* How long an answer to the release is waited for: by then the command's status is known. */
#define RELEASE_PATIENCE (5 * NSEC_PER_SEC)
/* How long processes that got SIGKILL may take to go, and how often it is sent. */
#define KILL_PATIENCE (10 * NSEC_PER_SEC)
#define KILL_INTERVAL (100 * NSEC_PER_MSEC)

static const int passed_on[] = {SIGTERM, SIGINT, SIGHUP, SIGQUIT, SIGUSR1, SIGUSR2};

#define N_PASSED_ON (sizeof(passed_on) / sizeof(passed_on[0]))

struct guard {
	struct lease *lease;
	const struct guard_signals *before;
	char **argv;
	struct keeper keeper;
	int signals; /* signalfd */
	int timer;   /* timerfd, on the lock's clock */

	pid_t pid;
	bool ended;
	int status; /* as from waitpid */

	bool asked; /* the keeper has something to do */
	int64_t refresh_at;
	int fault; /* what came of the last refresh: a negative errno or 0 */
	bool released;
	int release; /* what came of it */

	bool lost;
	bool ending; /* the command and its descendants have been told to end */
	int64_t kill_after, kill_at, give_up_at;
};

/* --- signals ------------------------------------------------------------------- */

static void add_passed_on(sigset_t *set)
{
	for (size_t i = 0; i < N_PASSED_ON; i++) {
		sigaddset(set, passed_on[i]);
	}
}

void guard_block_signals(struct guard_signals *before)
{
	struct sigaction action = {.sa_handler = SIG_DFL};
	sigset_t set;

	/* nobody can wait for children where it is ignored */
	sigaction(SIGCHLD, &action, &before->on_child);
	sigemptyset(&set);
	add_passed_on(&set);
	sigaddset(&set, SIGCHLD);
	sigaddset(&set, SIGPIPE); /* a reader that is gone must not end the watch */
	sigprocmask(SIG_BLOCK, &set, &before->mask);
}

bool guard_is_interrupted(void)
{
	sigset_t pending;

	sigpending(&pending);
	for (size_t i = 0; i < N_PASSED_ON; i++) {
		struct sigaction action;

		if (sigismember(&pending, passed_on[i]) == 1 &&
			sigaction(passed_on[i], NULL, &action) == 0 &&
			action.sa_handler != SIG_IGN) {
			return true;
		}
	}
	return false;
}

static void pass_on(const struct guard *g, const struct signalfd_siginfo *info)
{
	bool from_terminal = info->ssi_code == SI_KERNEL && getpgid(g->pid) == getpgrp();

	if (!g->ended && !from_terminal) {
		kill(g->pid, (int)info->ssi_signo);
	}
}

/* --- the command ------------------------------------------------------------------ */

static void set_environment(const struct lease *l)
{
	_cleanup_free_ char *directory = realpath(l->directory_link, NULL);
	_cleanup_buffer_ struct buffer path = {0};

	unsetenv("CUBBY_LOCK_PATH");
	setenv("CUBBY_LOCK_TOKEN", l->token, 1);
	if (directory && buffer_printf(&path, "%s/%s", strcmp(directory, "/") == 0 ? "" : directory,
				 l->name) == 0) {
		setenv("CUBBY_LOCK_PATH", path.data, 1);
	}
}

static _Noreturn void become_command(const struct guard *g, pid_t parent)
{
	int error;

	/* without us nobody knows whether the lock still holds */
	prctl(PR_SET_PDEATHSIG, SIGTERM);
	if (getppid() != parent) {
		_exit(GUARD_LOST);
	}
	set_environment(g->lease);
	sigaction(SIGCHLD, &g->before->on_child, NULL);
	sigprocmask(SIG_SETMASK, &g->before->mask, NULL);
	execvp(g->argv[0], g->argv);
	error = errno;
	command_fail(0, g->argv[0], "%s", strerror(error));
	_exit(error == ENOENT ? EXIT_NOT_FOUND : EXIT_CANNOT_RUN);
}

static int start_command(struct guard *g)
{
	pid_t parent = getpid();

	fflush(stdout);
	offspring_adopt();
	g->pid = fork();
	if (g->pid < 0) {
		return -errno;
	}
	if (g->pid == 0) {
		become_command(g, parent);
	}
	return 0;
}

/* Takes note of all that have ended. What is only stopped has not. */
static void reap(struct guard *g)
{
	pid_t pid;
	int status;

	while ((pid = waitpid(-1, &status, WNOHANG)) > 0) {
		if (pid == g->pid) {
			g->ended = true;
			g->status = status;
		} else if (pid == g->keeper.pid) {
			g->keeper.pid = 0; /* the end of its socket says it too */
		}
	}
}

static int exit_code(const struct guard *g)
{
	return WIFSIGNALED(g->status) ? 128 + WTERMSIG(g->status) : WEXITSTATUS(g->status);
}

/* --- the lock is lost ---------------------------------------------------------------- */

static void lose(struct guard *g, const char *reason)
{
	if (g->lost) {
		return;
	}
	g->lost = true;
	command_fail(0, g->lease->path, "the lock is lost: %s%s%s%s", reason, g->fault ? ": " : "",
		g->fault ? strerror(-g->fault) : "", g->ended ? "" : "; ending the command");
	if (g->ended) {
		return; /* what it has left running was not waited for either */
	}
	g->ending = true;
	offspring_signal(g->pid, g->keeper.pid, SIGTERM);
	if (__builtin_add_overflow(lease_now(), g->kill_after, &g->kill_at)) {
		g->kill_at = INT64_MAX;
	}
	if (__builtin_add_overflow(g->kill_at, KILL_PATIENCE, &g->give_up_at)) {
		g->give_up_at = INT64_MAX;
	}
}

/* How many of the command and its descendants are left. */
static int count_left(const struct guard *g)
{
	return offspring_signal(g->ended ? 0 : g->pid, g->keeper.pid, 0);
}

/* Whether all have ended, or nothing more can be done about it. */
static bool have_gone(struct guard *g)
{
	int left = count_left(g);

	if (left == 0) {
		return true;
	}
	if (lease_now() >= g->give_up_at) {
		command_fail(0, g->lease->path, "%d process%s cannot be ended", left,
			left == 1 ? "" : "es");
		return true;
	}
	if (lease_now() >= g->kill_at) {
		offspring_signal(g->ended ? 0 : g->pid, g->keeper.pid, SIGKILL);
		g->kill_at = lease_now() + KILL_INTERVAL;
	}
	return false;
}

/* --- the keeper --------------------------------------------------------------------- */

static int64_t retry_interval(const struct lease *l)
{
	return l->ttl / RETRY_PART < RETRY_INTERVAL ? l->ttl / RETRY_PART : RETRY_INTERVAL;
}

static void take_refresh(struct guard *g, const struct keeper_answer *answer)
{
	struct lease *l = g->lease;

	g->fault = answer->rc < 0 ? answer->rc : 0;
	if (answer->rc == LEASE_LOST) {
		lose(g, "its token holds it no longer");
	} else if (answer->rc) {
		g->refresh_at = lease_now() + retry_interval(l);
	} else {
		l->start = answer->start;
		l->ttl = answer->ttl;
		g->refresh_at = l->start + l->ttl / 3;
	}
}

/* It has ended, by whatever hand: the next request makes another. */
static void drop_keeper(struct guard *g)
{
	keeper_finish(&g->keeper);
	g->asked = false;
	g->refresh_at = lease_now() + retry_interval(g->lease);
}

static int ask_keeper(struct guard *g, enum keeper_request request)
{
	int rc = g->keeper.fd < 0 ? keeper_init(&g->keeper, g->lease) : 0;

	return rc ? rc : keeper_ask(&g->keeper, request);
}

static void take_answers(struct guard *g)
{
	struct keeper_answer answer;
	int rc;

	while ((rc = keeper_answer(&g->keeper, &answer)) == 0) {
		g->asked = false;
		if (answer.request == KEEPER_REFRESH) {
			take_refresh(g, &answer);
		} else {
			g->released = true;
			g->release = answer.rc;
		}
	}
	if (rc == -EPIPE) {
		drop_keeper(g);
	}
}

static void refresh_if_due(struct guard *g)
{
	if (!g->asked && lease_now() >= g->refresh_at) {
		if (ask_keeper(g, KEEPER_REFRESH) == 0) {
			g->asked = true;
		} else {
			drop_keeper(g);
		}
	}
}

/* --- the loop ---------------------------------------------------------------------- */

static void set_timer(const struct guard *g, int64_t at)
{
	/* 0 would disarm it */
	int64_t ns = at > 0 ? at : 1;
	struct itimerspec timer = {
		.it_value = {.tv_sec = ns / NSEC_PER_SEC, .tv_nsec = ns % NSEC_PER_SEC}};

	timerfd_settime(g->timer, TFD_TIMER_ABSTIME, &timer, NULL);
}

static void take_signals(struct guard *g)
{
	struct signalfd_siginfo info;

	while (read(g->signals, &info, sizeof(info)) == (ssize_t)sizeof(info)) {
		if (info.ssi_signo != SIGCHLD) {
			pass_on(g, &info);
		}
	}
	reap(g);
}

/* Waits for whatever comes first, until `at`, and takes it in. */
static void wait_until(struct guard *g, int64_t at)
{
	struct pollfd fds[] = {
		{.fd = g->signals, .events = POLLIN},
		{.fd = g->keeper.fd, .events = POLLIN},
		{.fd = g->timer, .events = POLLIN},
	};

	set_timer(g, at);
	if (poll(fds, 3, -1) < 0) {
		return;
	}
	/* the end of the command comes first: the lock was held until then */
	take_signals(g);
	if (fds[1].revents) {
		take_answers(g);
	}
}

static int64_t earlier(int64_t a, int64_t b)
{
	return a < b ? a : b;
}

/* Until the command has ended, or, if the lock is lost, it and its descendants. */
static void watch_command(struct guard *g)
{
	while (!g->ended && !g->lost) {
		refresh_if_due(g);
		wait_until(g, g->asked ? lease_end(g->lease)
				       : earlier(g->refresh_at, lease_end(g->lease)));
		if (!g->ended && lease_now() >= lease_end(g->lease)) {
			lose(g, "it could not be refreshed in time");
		}
	}
	while (g->ending && !have_gone(g)) {
		wait_until(g, earlier(g->kill_at, g->give_up_at));
	}
}

/* Whatever comes of it, the lock was held for as long as the command ran, unless
 * its token holds it no longer now, or nobody can say and its time is over. */
static void release(struct guard *g)
{
	int64_t end = lease_now() + RELEASE_PATIENCE;
	int rc = ask_keeper(g, KEEPER_RELEASE);

	while (rc == 0 && !g->released && !g->lost && lease_now() < end && g->keeper.fd >= 0) {
		wait_until(g, end);
	}
	if (g->lost) {
		return;
	}
	if (g->released && g->release == LEASE_LOST) {
		lose(g, "its token holds it no longer");
	} else if (!g->released && lease_now() >= lease_end(g->lease)) {
		lose(g, "it could not be released in time");
	} else if (rc || !g->released || g->release) {
		command_fail(0, g->lease->path, "not released (%s): it expires by itself",
			rc || g->release ? strerror(abs(rc ? rc : g->release))
					 : "the mount does not answer");
	}
}

/* --- all of it ------------------------------------------------------------------------ */

static int prepare(struct guard *g)
{
	sigset_t set;
	int rc;

	sigemptyset(&set);
	add_passed_on(&set);
	sigaddset(&set, SIGCHLD);
	g->signals = signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK);
	g->timer = timerfd_create(CLOCK_BOOTTIME, TFD_CLOEXEC | TFD_NONBLOCK);
	if (g->signals < 0 || g->timer < 0) {
		return -errno;
	}
	rc = keeper_init(&g->keeper, g->lease);
	return rc ? rc : start_command(g);
}

int guard_run(struct lease *l, char **argv, int64_t kill_after, const struct guard_signals *before)
{
	struct guard g = {.lease = l,
		.before = before,
		.argv = argv,
		.kill_after = kill_after,
		.keeper = {.fd = -1},
		.signals = -1,
		.timer = -1,
		.refresh_at = l->start + l->ttl / 3};
	int code, rc = prepare(&g);

	if (rc) {
		lease_release(l);
		code = command_fail(EX_OSERR, argv[0], "%s", strerror(-rc));
	} else {
		watch_command(&g);
		if (!g.lost) {
			release(&g);
		}
		code = g.lost ? GUARD_LOST : exit_code(&g);
	}
	keeper_finish(&g.keeper);
	if (g.signals >= 0) {
		close(g.signals);
	}
	if (g.timer >= 0) {
		close(g.timer);
	}
	return code;
}
