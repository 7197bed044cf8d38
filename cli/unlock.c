/* SPDX-License-Identifier: MIT
 * Copyright (c) 2026 The cubbyfs authors */

/* cubby unlock: releases a lock, whose token is given, or in the environment, or
 * the present holder's. It never removes the lock of whoever comes after that. */

#include "cli/command.h"

#include "base/cleanup.h"
#include "cli/lease.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <sys/stat.h>

static int not_held(const struct lease *l)
{
	return command_fail(EX_NOINPUT, l->path, "not held");
}

/* Whether a path is another way to say this name. */
static bool is_same(const struct lease *l, const char *path)
{
	struct lease other;
	struct stat a, b;
	bool same;

	same = lease_open(&other, path) == 0 && strcmp(l->name, other.name) == 0 &&
	       fstat(l->directory, &a) == 0 && fstat(other.directory, &b) == 0 &&
	       a.st_dev == b.st_dev && a.st_ino == b.st_ino;
	lease_finish(&other);
	return same;
}

/* Whose it is if nobody says: 0 or the exit code. */
static int find_token(struct lease *l)
{
	const char *token = getenv("CUBBY_LOCK_TOKEN"), *path = getenv("CUBBY_LOCK_PATH");
	struct stat st;
	int rc;

	if (token && path && is_same(l, path)) {
		snprintf(l->token, sizeof(l->token), "%s", token);
		return 0;
	}
	if (fstatat(l->directory, l->name, &st, AT_SYMLINK_NOFOLLOW) < 0) {
		return errno == ENOENT ? not_held(l) : command_fail_errno(l->path, errno);
	}
	if (!S_ISREG(st.st_mode) && !S_ISDIR(st.st_mode)) {
		return command_fail(EX_DATAERR, l->path,
			"this kind of file has no token; rm(1) releases it, whoever holds it");
	}
	rc = lease_attribute(l, "token", l->token);
	if (rc == -ENODATA && lease_is_no_lock(l)) {
		return command_fail(EX_NOINPUT, l->path, "not held: what is there is no lock");
	}
	if (rc == -ENODATA || rc == -ENOENT) {
		return not_held(l);
	}
	return rc ? command_fail_errno(l->path, rc) : 0;
}

static int unlock(struct lease *l)
{
	int rc = *l->token ? 0 : find_token(l);

	if (rc) {
		return rc;
	}
	rc = lease_release(l);
	if (rc == LEASE_LOST) {
		/* gone, or another's? */
		struct stat st;

		if (fstatat(l->directory, l->name, &st, AT_SYMLINK_NOFOLLOW) < 0 &&
			errno == ENOENT) {
			return not_held(l);
		}
		return command_fail(EX_TEMPFAIL, l->path, "not yours any more");
	}
	return rc ? command_fail_errno(l->path, rc) : 0;
}

static int run(const struct command *c, int argc, char **argv)
{
	struct lease l;
	uint64_t token = 0;
	bool has_token = false;
	int rc;

	while (command_option(c, argc, argv) != -1) {
		token = command_revision(c, optarg);
		has_token = true;
	}
	command_arguments(c, argc, 1, 1);
	rc = lease_open(&l, argv[optind]);
	if (rc == 0 && has_token) {
		snprintf(l.token, sizeof(l.token), "%" PRIu64, token);
	}
	rc = rc ? command_fail_errno(argv[optind], rc) : unlock(&l);
	lease_finish(&l);
	return rc;
}

static const struct option words[] = {
	{"token", required_argument, NULL, 't'},
	COMMAND_WORDS_END,
};

const struct command command_unlock = {
	.name = "unlock",
	.arguments = "[--token N] PATH",
	.summary = "release a lock",
	.options = "      --token N        only if N holds it\n",
	.notes = "Without --token: the lock of this 'cubby lock', and if there is none,\n"
		 "the present holder's, by force.\n",
	.letters = "h",
	.words = words,
	.run = run,
};
