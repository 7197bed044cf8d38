/* SPDX-License-Identifier: MIT
 * Copyright (c) 2026 The cubbyfs authors */

/* cubby watch: the lines of .cubby/events that match, printed or given to a
 * command. The mount does the matching by path; what is here is the mount's
 * way out and back, the condition, and the commands.
 *
 * An open stream keeps a mount busy, as any open file does. A mount that goes away
 * all the same (umount -l, a daemon that was killed) is noticed by its stream,
 * or, where the stream lives on unseen, by the table of mounts. The stream is closed
 * then, and opened again as soon as there is a mount at that place that has one. */

#include "cli/command.h"

#include "base/cleanup.h"
#include "base/clock.h"
#include "base/mountinfo.h"
#include "cli/condition.h"
#include "cli/control.h"
#include "cli/duration.h"
#include "cli/json.h"
#include "cli/key.h"
#include "cli/pattern.h"
#include "cli/stream.h"
#include "cli/trigger.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <poll.h>
#include <stdio.h>
#include <time.h>

/* As timeout(1) has it. */
#define EXIT_TIMEOUT 124
#define MAX_JOBS 1024
#define RETRY_INTERVAL NSEC_PER_SEC

struct watch {
	const char *directory; /* --dir */
	const char *program;   /* --if */
	const char *command;   /* --exec */
	uint64_t jobs;
	bool once;
	int64_t timeout; /* -1: none */

	char *point;
	char *pattern; /* NULL: everything */
	struct stream stream;
	struct condition *condition;
	struct trigger trigger;
	int mounts; /* /proc/self/mountinfo, for poll */
	int mount_id;
	bool away;
	uint64_t asked_again; /* the first revision of the last loss */
	bool matched;
};

static int64_t now(void)
{
	return clock_elapsed(&clock_system);
}

/* --- the mount -------------------------------------------------------------- */

static int read_revision(const char *point, uint64_t *revision)
{
	_cleanup_fd_ int fd = control_open(point, "stats", O_RDONLY);
	_cleanup_buffer_ struct buffer text = {0};
	struct json_object *stats;
	int rc = fd < 0 ? fd : key_read(fd, &text);

	if (rc == 0) {
		rc = buffer_append(&text, "", 1);
	}
	if (rc) {
		return rc;
	}
	stats = json_tokener_parse(text.data);
	rc = stats ? 0 : -EPROTO;
	*revision = json_object_get_uint64(json_object_object_get(stats, "revision"));
	json_object_put(stats);
	return rc;
}

/* 0 or a negative errno. The revision is read first: what comes after it is
 * either in this stream or found from there when the stream has broken. */
static int try_connect(struct watch *w)
{
	uint64_t revision;
	int rc = read_revision(w->point, &revision);
	int fd;

	if (rc) {
		return rc;
	}
	fd = control_open(w->point, "events", O_RDWR | O_NONBLOCK);
	if (fd < 0) {
		return fd;
	}
	w->mount_id = control_mount_id(fd);
	rc = stream_connect(&w->stream, fd, w->pattern);
	if (rc == 0 && !w->stream.has_revision) {
		stream_seek(&w->stream, revision);
	}
	return rc;
}

static void go_away(struct watch *w)
{
	stream_disconnect(&w->stream);
	if (!w->away) {
		command_fail(0, w->point, "the mount is gone; waiting for it");
	}
	w->away = true;
}

static void come_back(struct watch *w)
{
	int rc = try_connect(w);

	if (rc == 0) {
		w->away = false;
		command_fail(0, w->point, "the mount is back");
	}
}

static void check_mount(struct watch *w)
{
	struct mountinfo m;

	if (mountinfo_of_id(&m, w->mount_id) == MOUNTINFO_NONE) {
		go_away(w);
	}
	mountinfo_finish(&m);
}

/* --- the events --------------------------------------------------------------- */

static int print(struct bytes text)
{
	fwrite(text.data, 1, text.size, stdout);
	putchar('\n');
	return fflush(stdout) == 0 && !ferror(stdout) ? 0 : EX_IOERR;
}

/* What a slow reader has missed may still be in the log: it is asked for once.
 * 0 or the exit code. */
static int handle_loss(struct watch *w, const struct stream_line *line)
{
	bool is_past = line->from < line->first;

	if (is_past && w->asked_again != line->from) {
		w->asked_again = line->from;
		if (try_connect(w)) {
			go_away(w);
		}
		return 0;
	}
	if (is_past) {
		command_fail(0, w->point, "events are lost: revisions %" PRIu64 " to %" PRIu64,
			line->from, line->first - 1);
	} else {
		command_fail(0, w->point,
			"its last revision is %" PRIu64 ", not %" PRIu64 ": going on from there",
			line->first - 1, line->from - 1);
	}
	stream_seek(&w->stream, line->first - 1);
	return w->command ? 0 : print(line->text);
}

/* 0 or the exit code. */
static int deliver(struct watch *w, const struct stream_line *line)
{
	int rc;

	if (line->lost) {
		return handle_loss(w, line);
	}
	if (w->condition && !condition_holds(w->condition, line->text)) {
		return 0;
	}
	w->matched = true;
	if (!w->command) {
		return print(line->text);
	}
	rc = trigger_start(&w->trigger, line->object, line->text, w->point);
	if (rc) {
		return command_fail_errno(w->command, rc);
	}
	return 0;
}

static bool is_busy(const struct watch *w)
{
	return w->command && trigger_is_full(&w->trigger);
}

static bool is_done(const struct watch *w)
{
	return w->once && w->matched;
}

/* Gives out the lines that are there. 0 or the exit code. */
static int deliver_all(struct watch *w)
{
	while (!is_busy(w) && !is_done(w)) {
		struct stream_line line;
		int rc = stream_next(&w->stream, &line);

		if (rc == STREAM_EMPTY) {
			return 0;
		}
		if (rc) {
			return command_fail(rc == -EPROTO ? EX_PROTOCOL : EX_OSERR, w->point,
				"its .cubby/events makes no sense: %.80s", line.text.data);
		}
		rc = deliver(w, &line);
		if (rc) {
			return rc;
		}
	}
	return 0;
}

/* --- the loop ---------------------------------------------------------------- */

/* Nobody reads any more: the end that a write would have met. */
static int reader_gone(void)
{
	raise(SIGPIPE);
	return EX_IOERR; /* it is ignored */
}

/* Waits until there is something to do, at most until `end` (-1: for ever). */
static int wait_and_read(struct watch *w, int64_t end)
{
	struct pollfd fds[] = {
		{.fd = w->away || is_busy(w) ? -1 : w->stream.fd, .events = POLLIN},
		{.fd = w->mounts, .events = POLLPRI},
		{.fd = w->command ? -1 : STDOUT_FILENO},
	};
	struct timespec left = {0};
	bool forever = end < 0 && !w->away;

	if (!forever) {
		int64_t wait = end < 0 ? RETRY_INTERVAL : end - now();

		if (w->away && wait > RETRY_INTERVAL) {
			wait = RETRY_INTERVAL;
		}
		wait = wait < 0 ? 0 : wait;
		left.tv_sec = wait / NSEC_PER_SEC;
		left.tv_nsec = wait % NSEC_PER_SEC;
	}
	if (ppoll(fds, 3, forever ? NULL : &left, w->command ? &w->trigger.signals : NULL) < 0) {
		return errno == EINTR ? 0 : command_fail_errno("poll", errno);
	}
	if (fds[2].revents & POLLERR) {
		return reader_gone();
	}
	if (fds[0].revents) {
		int rc = stream_fill(&w->stream);

		if (rc == STREAM_ENDED || rc < 0) {
			go_away(w);
			return 0;
		}
	}
	if (w->away) {
		come_back(w);
	} else if (fds[1].revents) {
		check_mount(w);
	}
	return 0;
}

/* The exit code. */
static int follow(struct watch *w)
{
	int64_t end = w->timeout < 0 ? -1 : now() + w->timeout;

	for (;;) {
		int rc = deliver_all(w);

		if (rc || is_done(w)) {
			return rc;
		}
		if (end >= 0 && now() >= end) {
			return w->matched ? 0 : EXIT_TIMEOUT;
		}
		rc = wait_and_read(w, end);
		if (rc) {
			return rc;
		}
		if (w->command) {
			trigger_reap(&w->trigger);
		}
	}
}

/* --- the command ---------------------------------------------------------------- */

static int find_mount(struct watch *w, const char *pattern)
{
	_cleanup_free_ char *directory = NULL, *rest = NULL;
	struct control_place place;
	int rc = pattern_split(w->directory, pattern, &directory, &rest);

	if (rc) {
		return command_fail_errno(pattern, rc);
	}
	rc = control_find(directory, &place);
	if (rc) {
		return command_fail_errno(directory, rc);
	}
	w->point = steal_pointer(&place.point);
	rc = pattern_join(place.inside, rest, &w->pattern);
	control_place_finish(&place);
	return rc ? command_fail_errno(pattern, rc) : 0;
}

static int prepare(struct watch *w, const struct command *c, const char *pattern)
{
	int rc = find_mount(w, pattern);

	if (rc) {
		return rc;
	}
	rc = w->program ? condition_create(&w->condition, w->program) : 0;
	if (rc == CONDITION_INVALID) {
		return EX_USAGE;
	}
	if (rc == CONDITION_NOT_BUILT_IN) {
		return command_fail(EX_UNAVAILABLE, c->name,
			"--if needs libjq, which this cubby was built without");
	}
	if (rc == 0 && w->command) {
		rc = trigger_init(&w->trigger, w->command, w->jobs);
	}
	if (rc) {
		return command_fail_errno(c->name, rc);
	}
	/* before the first look, so that no change of mounts is missed */
	w->mounts = open("/proc/self/mountinfo", O_RDONLY | O_CLOEXEC);
	rc = try_connect(w);
	if (rc == -ENOENT) {
		return command_fail(EX_UNAVAILABLE, w->point, "it has no .cubby/events");
	}
	return rc ? command_fail_errno(w->point, rc) : 0;
}

static void finish(struct watch *w)
{
	stream_finish(&w->stream);
	condition_destroy(w->condition);
	trigger_finish(&w->trigger);
	free(w->point);
	free(w->pattern);
	if (w->mounts >= 0) {
		close(w->mounts);
	}
}

static void take_option(struct watch *w, const struct command *c, int letter)
{
	int rc;

	switch (letter) {
	case 's':
		stream_seek(&w->stream, command_revision(c, optarg));
		break;
	case 'i':
		w->program = optarg;
		break;
	case 'e':
		w->command = optarg;
		break;
	case 'j':
		w->jobs = command_revision(c, optarg);
		if (w->jobs < 1 || w->jobs > MAX_JOBS) {
			command_misused(c, "--jobs takes 1 to %d", MAX_JOBS);
		}
		break;
	case '1':
		w->once = true;
		break;
	case 't':
		rc = duration_parse(optarg, &w->timeout);
		if (rc) {
			command_misused(c, "'%s' is %s", optarg,
				rc == DURATION_TOO_LONG ? "too long a time" : "no duration");
		}
		break;
	default:
		w->directory = optarg;
	}
}

static int run(const struct command *c, int argc, char **argv)
{
	struct watch w = {.timeout = -1, .mounts = -1};
	int letter, rc;

	stream_init(&w.stream);
	while ((letter = command_option(c, argc, argv)) != -1) {
		take_option(&w, c, letter);
	}
	command_arguments(c, argc, 0, 1);
	if (w.jobs && !w.command) {
		command_misused(c, "--jobs is for --exec");
	}
	w.jobs = w.jobs ? w.jobs : 1;
	rc = prepare(&w, c, optind < argc ? argv[optind] : "");
	if (rc == 0) {
		rc = follow(&w);
	}
	if (w.trigger.n_running) {
		trigger_wait(&w.trigger);
	}
	if (rc == 0 && w.once) {
		rc = w.trigger.failure;
	}
	finish(&w);
	return rc;
}

static const struct option words[] = {
	{"since", required_argument, NULL, 's'},
	{"if", required_argument, NULL, 'i'},
	{"exec", required_argument, NULL, 'e'},
	{"jobs", required_argument, NULL, 'j'},
	{"once", no_argument, NULL, '1'},
	{"timeout", required_argument, NULL, 't'},
	{"dir", required_argument, NULL, 'd'},
	COMMAND_WORDS_END,
};

const struct command command_watch = {
	.name = "watch",
	.arguments = "[OPTIONS] [PATTERN]",
	.summary = "print each change of what matches, with old and new value",
	.options =
		"      --since R        begin after revision R, not now\n"
		"      --if JQ          only if the jq program JQ says so of the event\n"
		"      --exec CMD       run CMD (by sh) for each, with the event on stdin and in\n"
		"                       $CUBBY_EVENT_TYPE, $CUBBY_PATH, $CUBBY_NEW_VALUE, ...\n"
		"      --jobs N         up to N at a time (1)\n"
		"      --once           end after the first\n"
		"      --timeout D      end after that time: with 124 if there was none\n"
		"      --dir DIR        PATTERN begins at DIR, a directory of the mount\n",
	.notes = "PATTERN is a path into a mount and may have *, ? and [...] in it; a namespace\n"
		 "stands for all that is in it. Default: the current directory.\n",
	.letters = "h",
	.words = words,
	.run = run,
};
