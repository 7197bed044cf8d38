/* SPDX-License-Identifier: MIT
 * Copyright (c) 2026 The cubbyfs authors */

/* cubby lock: takes a lock, waits for it if need be, and runs a command under it.
 *
 * Who waits sleeps until inotify tells that the name has gone. The watch is there
 * before the try that is followed by sleep, so no release falls in between. */

#include "cli/command.h"

#include "base/cleanup.h"
#include "cli/duration.h"
#include "cli/guard.h"
#include "cli/lease.h"
#include "cli/lock_status.h"

#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <sys/inotify.h>
#include <time.h>

/* A daemon that has died and a mount that was taken away raise no event, and on
 * a mount that has become read-only an expiry raises none: so it is tried again without one,
 * seldom enough to cost nothing. Often where there can be no watch at all: for want of
 * inotify instances, or of the right to read the directory. */
#define RECHECK_INTERVAL (5 * NSEC_PER_SEC)
#define BLIND_INTERVAL (NSEC_PER_SEC / 2)

#define GONE (IN_DELETE | IN_MOVED_FROM)
#define GONE_WITH_IT (IN_DELETE_SELF | IN_MOVE_SELF | IN_UNMOUNT | IN_IGNORED | IN_Q_OVERFLOW)

#define DEFAULT_KILL_AFTER (5 * NSEC_PER_SEC)

struct lock {
	const char *path;
	char **argv;     /* the command, or an empty list */
	const char *ttl; /* decimal seconds; NULL: the namespace's */
	int64_t wait;    /* ns; -1: for ever */
	int64_t kill_after;
	int conflict; /* the exit code if it is not to be had in time */
	bool status, json;

	struct lease lease;
	struct guard_signals signals;
	int inotify; /* -1: not yet, or not possible */
	bool watched;
	bool warned;
	int64_t end; /* of waiting, by lease_now */
};

/* --- waiting ---------------------------------------------------------------------- */

static void watch(struct lock *l)
{
	l->watched = true;
	l->inotify = inotify_init1(IN_CLOEXEC | IN_NONBLOCK);
	if (l->inotify >= 0 && inotify_add_watch(l->inotify, l->lease.directory_link,
				       GONE | IN_DELETE_SELF | IN_MOVE_SELF) < 0) {
		close(steal_fd(&l->inotify));
	}
}

/* Reads what there is: whether the name may be free now. */
static bool read_events(const struct lock *l)
{
	char events[4096] __attribute__((aligned(__alignof__(struct inotify_event))));
	bool found = false;
	ssize_t size;

	while ((size = read(l->inotify, events, sizeof(events))) > 0) {
		for (const char *p = events; p < events + size;) {
			const struct inotify_event *e = (const struct inotify_event *)p;

			if (e->mask & GONE_WITH_IT ||
				(e->len && strcmp(e->name, l->lease.name) == 0)) {
				found = true;
			}
			p += sizeof(*e) + e->len;
		}
	}
	return found;
}

/* Sleeps until the name may be free. Signals end the program meanwhile: it holds nothing. */
static void wait_for_change(const struct lock *l)
{
	int64_t interval = l->inotify < 0 ? BLIND_INTERVAL : RECHECK_INTERVAL;
	int64_t end = lease_now() + interval;

	end = end < l->end ? end : l->end;
	for (;;) {
		struct pollfd fd = {.fd = l->inotify, .events = POLLIN};
		int64_t left = end - lease_now();
		struct timespec timeout = {
			.tv_sec = left / NSEC_PER_SEC, .tv_nsec = left % NSEC_PER_SEC};

		if (left <= 0) {
			return;
		}
		if (ppoll(&fd, 1, &timeout, &l->signals.mask) > 0 && read_events(l)) {
			return;
		}
	}
}

/* What is there may be no lock, and then no time will take it away. 0, or the
 * outcome if there can be no locks here at all. */
static int look_at_holder(struct lock *l)
{
	if (l->warned || !lease_is_no_lock(&l->lease)) {
		return 0;
	}
	if (!lease_may_be_lock(&l->lease)) {
		return LEASE_NO_LOCK;
	}
	l->warned = true;
	command_fail(0, l->path, "what is there is no lock, and does not expire; waiting for it");
	return 0;
}

/* 0, an outcome, or a negative errno. */
static int acquire(struct lock *l)
{
	for (;;) {
		int rc = lease_take(&l->lease, l->ttl);

		if (rc != LEASE_TAKEN) {
			return rc;
		}
		rc = look_at_holder(l);
		if (rc) {
			return rc;
		}
		if (lease_now() >= l->end) {
			return LEASE_TAKEN;
		}
		if (l->watched) {
			wait_for_change(l);
		} else {
			watch(l); /* and try once more */
		}
	}
}

/* --- the whole -------------------------------------------------------------------- */

static int fail_open(const char *path, int rc)
{
	switch (rc) {
	case -ENOENT:
		return command_fail(EX_CANTCREAT, path, "there is no such namespace");
	case -EINVAL:
		return command_fail(EX_DATAERR, path, "no name for a lock");
	default:
		return command_fail_errno(path, rc);
	}
}

static int fail_acquire(const struct lock *l, int rc)
{
	switch (rc) {
	case LEASE_TAKEN:
		/* as flock(1): -n is a question, and the exit code answers it */
		return l->wait == 0 ? l->conflict
				    : command_fail(l->conflict, l->path, "still held");
	case LEASE_LOST:
		return command_fail(GUARD_LOST, l->path, "the lock was lost while it was taken");
	case LEASE_NO_LOCK:
		return lease_explain_no_lock(&l->lease);
	case -EINVAL:
		return command_fail(EX_DATAERR, l->path, "not a valid ttl");
	case -ENOENT:
		return command_fail(EX_CANTCREAT, l->path, "its namespace is gone");
	default:
		return command_fail_errno(l->path, rc);
	}
}

/* Without a command the lock is the caller's, for its TTL. */
static int hand_over(struct lock *l)
{
	if (puts(l->lease.token) < 0 || fflush(stdout) != 0) {
		lease_release(&l->lease);
		return EX_IOERR; /* main says why */
	}
	return 0;
}

static int lock(struct lock *l)
{
	int rc;

	if (__builtin_add_overflow(lease_now(), l->wait, &l->end) || l->wait < 0) {
		l->end = INT64_MAX;
	}
	guard_block_signals(&l->signals);
	rc = acquire(l);
	if (l->inotify >= 0) {
		close(steal_fd(&l->inotify));
	}
	if (rc) {
		return fail_acquire(l, rc);
	}
	if (guard_is_interrupted()) {
		lease_release(&l->lease);
		sigprocmask(SIG_SETMASK, &l->signals.mask, NULL);
		return EX_TEMPFAIL; /* it has ended the program */
	}
	if (!*l->argv) {
		return hand_over(l);
	}
	return guard_run(&l->lease, l->argv, l->kill_after, &l->signals);
}

/* --- the command -------------------------------------------------------------------- */

static int64_t duration(const struct command *c, const char *text)
{
	int64_t ns = 0;
	int rc = duration_parse(text, &ns);

	if (rc) {
		command_misused(c, "'%s' is %s", text,
			rc == DURATION_TOO_LONG ? "too long a time" : "no duration");
	}
	return ns;
}

static void take_option(
	struct lock *l, const struct command *c, int letter, char ttl[DURATION_TEXT_SIZE])
{
	uint64_t code;

	switch (letter) {
	case 't':
		command_duration(c, optarg, ttl);
		if (duration(c, optarg) == 0) {
			command_misused(c, "a lock needs a ttl above 0");
		}
		l->ttl = ttl;
		break;
	case 'w':
		l->wait = duration(c, optarg);
		break;
	case 'n':
		l->wait = 0;
		break;
	case 'E':
		code = strtoul(optarg, NULL, 10);
		if (!*optarg || optarg[strspn(optarg, "0123456789")] || code > 255) {
			command_misused(c, "'%s' is no exit code", optarg);
		}
		l->conflict = (int)code;
		break;
	case 'k':
		l->kill_after = duration(c, optarg);
		break;
	case 's':
		l->status = true;
		break;
	default:
		l->json = true;
	}
}

/* The options may stand before and after the path; what follows them is the
 * command's, whatever it looks like. */
static void take_arguments(
	struct lock *l, const struct command *c, int argc, char **argv, char *ttl)
{
	bool is_end = false;

	for (int part = 0; part < 2; part++) {
		int letter;

		while (!is_end && (letter = command_option(c, argc, argv)) != -1) {
			take_option(l, c, letter, ttl);
		}
		if (part == 0) {
			command_arguments(c, argc, 1, argc);
			is_end = strcmp(argv[optind - 1], "--") == 0;
			l->path = argv[optind++];
		}
	}
	if (is_end && optind < argc && strcmp(argv[optind], "--") == 0) {
		optind++;
	}
	l->argv = argv + optind;
	if (l->json && !l->status) {
		command_misused(c, "--json is for --status");
	}
	if (l->status && *l->argv) {
		command_misused(c, "--status runs no command");
	}
}

static int run(const struct command *c, int argc, char **argv)
{
	struct lock l = {.wait = -1,
		.kill_after = DEFAULT_KILL_AFTER,
		.conflict = EX_TEMPFAIL,
		.inotify = -1};
	char ttl[DURATION_TEXT_SIZE];
	int rc;

	take_arguments(&l, c, argc, argv, ttl);
	rc = lease_open(&l.lease, l.path);
	if (rc) {
		rc = fail_open(l.path, rc);
	} else if (l.status) {
		rc = lock_status_print(&l.lease, l.json);
	} else {
		rc = lock(&l);
	}
	lease_finish(&l.lease);
	return rc;
}

static const struct option words[] = {
	{"ttl", required_argument, NULL, 't'},
	{"wait", required_argument, NULL, 'w'},
	{"nonblock", no_argument, NULL, 'n'},
	{"conflict-exit-code", required_argument, NULL, 'E'},
	{"kill-after", required_argument, NULL, 'k'},
	{"status", no_argument, NULL, 's'},
	{"json", no_argument, NULL, 'j'},
	COMMAND_WORDS_END,
};

const struct command command_lock = {
	.name = "lock",
	.arguments = "[OPTIONS] PATH [--] [COMMAND [ARGUMENT...]]",
	.summary = "run a command under a lock that expires by itself",
	.options = "  -t, --ttl DURATION   the lock's TTL, if not the namespace's\n"
		   "  -w, --wait DURATION  wait no longer than that\n"
		   "  -n, --nonblock       do not wait\n"
		   "  -E, --conflict-exit-code N\n"
		   "                       the exit code if it is not to be had in time (75)\n"
		   "      --kill-after DURATION\n"
		   "                       SIGKILL so long after SIGTERM if the lock is lost (5)\n"
		   "      --status         say who holds it: 0 if it is held, 1 if it is free\n"
		   "      --json           --status as an object\n",
	.notes = "Without a COMMAND: takes the lock, prints its token, and leaves it to its TTL.\n"
		 "If the lock is lost, COMMAND is ended, and the exit code is 76.\n",
	.letters = "+ht:w:nE:",
	.words = words,
	.run = run,
};
