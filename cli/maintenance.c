/* SPDX-License-Identifier: MIT
 * Copyright (c) 2026 The cubbyfs authors */

/* cubby check, compact: a store's directory itself, not what is mounted. */

#include "cli/command.h"

#include "base/cleanup.h"
#include "base/log.h"
#include "base/progress.h"
#include "cli/json.h"
#include "store/journal/check.h"
#include "store/store.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <limits.h>
#include <poll.h>
#include <stdio.h>
#include <sys/stat.h>

/* 0 and the directory that STORE names, absolute and owned by the caller, or an exit
 * code. A directory is never made here, and one that holds nothing is no store. */
static int find_directory(const char *store, char **directory)
{
	const char *location;
	const struct backend_ops *ops = backend_find(store, &location);
	_cleanup_dir_ DIR *opened = NULL;
	struct dirent *entry;

	if (!ops) {
		return command_fail(EX_UNAVAILABLE, store, "no such kind of store is built in");
	}
	if (ops != &backend_journal) {
		return command_fail(EX_UNAVAILABLE, store,
			"only a store in a directory can be checked or compacted");
	}
	*directory = realpath(location, NULL);
	opened = *directory ? opendir(*directory) : NULL;
	if (!opened) {
		return command_fail_errno(store, errno);
	}
	while ((entry = readdir(opened))) {
		if (strcmp(entry->d_name, ".") != 0 && strcmp(entry->d_name, "..") != 0 &&
			strcmp(entry->d_name, "lost+found") != 0) {
			return 0;
		}
	}
	return command_fail(EX_NOINPUT, store, "there is no store in it");
}

static int fail_sentence(const char *store, int rc, const char *error)
{
	/* not a directory of ours, or one of a later version */
	bool alien = rc > 0 || rc == -ENOTEMPTY || rc == -EPROTONOSUPPORT;
	int code = alien ? EX_DATAERR : command_exit_code(rc);

	if (!error) {
		return rc < 0 ? command_fail_errno(store, rc)
			      : command_fail(code, store, "is no store that this version knows");
	}
	fprintf(stderr, "cubby: %s\n", error);
	return code;
}

static void draw(void *arg, uint64_t done, uint64_t total)
{
	progress_update(arg, done, total);
}

/* --- check ----------------------------------------------------------------- */

struct checking {
	struct progress progress;
	struct json_object *problems; /* owned; NULL: they are printed */
};

static void draw_checking(void *arg, uint64_t done, uint64_t total)
{
	struct checking *k = arg;

	progress_update(&k->progress, done, total);
}

static void report(void *arg, const struct check_problem *p)
{
	struct checking *k = arg;
	struct json_object *object;

	if (!k->problems) {
		progress_finish(&k->progress);
		printf("%s:%" PRIu64 ": %s (offset %" PRIu64 ", %" PRIu64 " bytes); %s\n", p->file,
			p->line, p->what, p->offset, p->size, p->remedy);
		return;
	}
	object = json_object_new_object();
	json_add_bytes(object, "file", bytes_of_string(p->file));
	json_object_object_add(object, "line", json_object_new_uint64(p->line));
	json_object_object_add(object, "offset", json_object_new_uint64(p->offset));
	json_object_object_add(object, "size", json_object_new_uint64(p->size));
	json_add_string(object, "what", p->what);
	json_add_string(object, "remedy", p->remedy);
	json_object_array_add(k->problems, object);
}

static void print_check(const char *store, const struct check_summary *s)
{
	printf("%s: %" PRIu64 " files, %" PRIu64 " lines, %" PRIu64 " bytes, revision %" PRIu64
	       ": %" PRIu64 " %s\n",
		store, s->files, s->lines, s->bytes, s->last_revision, s->problems,
		s->problems == 1 ? "problem" : "problems");
	if (s->kept_aside) {
		printf("%s/damaged has %" PRIu64 " %s of what earlier mounts could not read; "
		       "look at it, then remove it\n",
			store, s->kept_aside, s->kept_aside == 1 ? "file" : "files");
	}
}

static void print_check_json(
	const char *store, const struct check_summary *s, struct json_object *problems)
{
	struct json_object *object = json_object_new_object();
	bool clean = s->problems == 0 && s->kept_aside == 0;

	json_add_bytes(object, "store", bytes_of_string(store));
	json_object_object_add(object, "clean", json_object_new_boolean(clean));
	json_object_object_add(object, "files", json_object_new_uint64(s->files));
	json_object_object_add(object, "lines", json_object_new_uint64(s->lines));
	json_object_object_add(object, "bytes", json_object_new_uint64(s->bytes));
	json_object_object_add(object, "last_revision", json_object_new_uint64(s->last_revision));
	json_object_object_add(object, "kept_aside", json_object_new_uint64(s->kept_aside));
	json_object_object_add(object, "problems", problems);
	json_print(object);
}

static int run_check(const struct command *c, int argc, char **argv)
{
	_cleanup_free_ char *error = NULL;
	struct checking k = {0};
	struct check_callbacks callbacks = {
		.problem = report, .progress = draw_checking, .arg = &k};
	struct check_summary summary = {0};
	_cleanup_free_ char *directory = NULL;
	const char *store;
	bool json = false;
	int rc;

	while (command_option(c, argc, argv) != -1) {
		json = true;
	}
	command_arguments(c, argc, 1, 1);
	store = argv[optind];
	rc = find_directory(store, &directory);
	if (rc) {
		return rc;
	}
	if (json) {
		k.problems = json_object_new_array();
	}
	progress_init(&k.progress, "checking");
	rc = journal_check(NULL, directory, &callbacks, &summary, &error);
	progress_finish(&k.progress);
	if (rc) {
		json_object_put(k.problems);
		return fail_sentence(store, rc, error);
	}
	if (json) {
		print_check_json(store, &summary, k.problems);
	} else {
		print_check(store, &summary);
	}
	return summary.problems || summary.kept_aside ? 1 : 0;
}

static const struct option words[] = {
	{"json", no_argument, NULL, 'j'},
	COMMAND_WORDS_END,
};

const struct command command_check = {
	.name = "check",
	.arguments = "[--json] STORE",
	.summary = "read a store from end to end and tell what is damaged",
	.options = "      --json           one object, with the problems in it\n",
	.notes = "Exits with 0 if all is well, 1 if it is not. Changes nothing; STORE may be "
		 "mounted.\n",
	.letters = "h",
	.words = words,
	.run = run_check,
};

/* --- compact --------------------------------------------------------------- */

struct compacting {
	bool done;
	int rc;
};

static void compacted(void *arg, int rc, const struct store_result *result)
{
	struct compacting *k = arg;

	(void)result;
	k->done = true;
	k->rc = rc;
}

/* Bytes of the files in a store; what damaged/ has is not the log's. */
static int measure(const char *directory, uint64_t *bytes)
{
	_cleanup_dir_ DIR *opened = opendir(directory);
	struct dirent *entry;

	*bytes = 0;
	if (!opened) {
		return -errno;
	}
	while ((entry = readdir(opened))) {
		struct stat st;

		if (fstatat(dirfd(opened), entry->d_name, &st, AT_SYMLINK_NOFOLLOW) == 0 &&
			S_ISREG(st.st_mode)) {
			*bytes += (uint64_t)st.st_size;
		}
	}
	return 0;
}

/* `wait` as store_tick has it. */
static int wait_for_work(struct store *s, int64_t wait)
{
	struct pollfd p = {.fd = store_poll_fd(s), .events = POLLIN};
	int64_t milliseconds = wait < 0 ? -1 : (wait + NSEC_PER_MSEC - 1) / NSEC_PER_MSEC;

	if (milliseconds > INT_MAX) {
		milliseconds = INT_MAX;
	}
	return poll(&p, 1, (int)milliseconds) < 0 && errno != EINTR ? -errno : 0;
}

/* The store's loop, for as long as it takes. */
static int compact(struct store *s)
{
	struct compacting k = {0};
	int64_t wait;

	store_compact(s, (struct store_reply){.done = compacted, .arg = &k});
	for (wait = store_tick(s); !k.done; wait = store_tick(s)) {
		int rc = wait_for_work(s, wait);

		if (rc) {
			return rc;
		}
		store_dispatch(s);
	}
	return k.rc;
}

static int open_and_compact(const char *store, const char *directory)
{
	_cleanup_free_ char *error = NULL;
	struct store_config config;
	struct progress progress;
	struct store *s;
	int rc, closed;

	store_config_init(&config);
	config.location = directory;
	config.progress = draw;
	config.arg = &progress;
	progress_init(&progress, "reading");
	rc = store_open(&s, &config, &error);
	progress_finish(&progress);
	if (rc) {
		return fail_sentence(store, rc, error);
	}
	rc = compact(s);
	closed = store_close(s);
	rc = rc ? rc : closed;
	return rc ? command_fail_errno(store, rc) : 0;
}

static int run_compact(const struct command *c, int argc, char **argv)
{
	_cleanup_free_ char *directory = NULL;
	const char *store;
	uint64_t before, after;
	bool json = false;
	int rc;

	while (command_option(c, argc, argv) != -1) {
		json = true;
	}
	command_arguments(c, argc, 1, 1);
	store = argv[optind];
	log_init("cubby", LOG_WARNING);
	rc = find_directory(store, &directory);
	if (rc) {
		return rc;
	}
	rc = measure(directory, &before);
	if (rc) {
		return command_fail_errno(store, rc);
	}
	rc = open_and_compact(store, directory);
	if (rc) {
		return rc;
	}
	rc = measure(directory, &after);
	if (rc) {
		return command_fail_errno(store, rc);
	}
	if (json) {
		struct json_object *object = json_object_new_object();

		json_add_bytes(object, "store", bytes_of_string(store));
		json_object_object_add(object, "before", json_object_new_uint64(before));
		json_object_object_add(object, "after", json_object_new_uint64(after));
		json_print(object);
	} else {
		printf("%s: %" PRIu64 " bytes before, %" PRIu64 " after\n", store, before, after);
	}
	return 0;
}

const struct command command_compact = {
	.name = "compact",
	.arguments = "[--json] STORE",
	.summary = "rewrite an unmounted store as short as it can be",
	.options = "      --json           an object with the bytes before and after\n",
	.letters = "h",
	.words = words,
	.run = run_compact,
};
