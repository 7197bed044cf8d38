/* SPDX-License-Identifier: MIT
 * Copyright (c) 2026 The cubbyfs authors */

/* cubby set: sets a key, with its TTL and its action, as one change.
 *
 * What the handle has written is staged, and so is what fsetxattr(2) sets
 * then; close commits both. A condition is one more fsetxattr: user.cubby.cas
 * with nothing but a revision commits what is staged if the key still has
 * that revision (0: is not there), and nothing otherwise.
 *
 * Half a value must never be committed, and close commits whatever there is.
 * So all input is read before the key is opened, signals wait until it is
 * closed, and when something fails in between, a condition that cannot hold
 * makes the handle forget what it has. */

#include "cli/command.h"

#include "base/cleanup.h"
#include "cli/duration.h"
#include "cli/key.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <signal.h>

/* Far from any revision that a store can get to. */
#define NO_REVISION "9223372036854775807"

struct setting {
	const char *path;
	struct bytes value;
	const char *ttl;      /* decimal seconds; NULL: none */
	const char *action;   /* NULL: none */
	const char *revision; /* NULL: no condition */
	bool absent;          /* revision is "0" */
};

static int write_all(int fd, struct bytes value)
{
	while (value.size) {
		ssize_t count = write(fd, value.data, value.size);

		if (count < 0 && errno == EINTR) {
			continue;
		}
		if (count <= 0) {
			return count < 0 ? -errno : -EIO;
		}
		value = bytes_of(value.data + count, value.size - (size_t)count);
	}
	return 0;
}

static int stage(int fd, const struct setting *s, const char **what)
{
	int rc = write_all(fd, s->value);

	if (rc == 0 && s->ttl) {
		*what = "ttl";
		rc = key_set_attribute(fd, NULL, "ttl", bytes_of_string(s->ttl));
	}
	if (rc == 0 && s->action) {
		*what = "action";
		rc = key_set_attribute(fd, NULL, "action", bytes_of_string(s->action));
	}
	return rc;
}

/* Takes fd, in every case. */
static int commit(int fd, const struct setting *s)
{
	int rc = 0;

	if (s->revision) {
		rc = key_set_attribute(fd, NULL, "cas", bytes_of_string(s->revision));
	} else if (s->value.size == 0 && fsync(fd) < 0) {
		/* a close that has no bytes to commit would leave it to the
		 * last one, which has nobody to tell */
		rc = -errno;
	}
	if (close(fd) < 0 && rc == 0) {
		rc = -errno;
	}
	return rc;
}

static int fail_commit(const struct setting *s, int rc)
{
	if (!s->revision || rc != -EBUSY) {
		return command_fail_errno(s->path, rc);
	}
	if (s->absent) {
		return command_fail(EX_TEMPFAIL, s->path, "it is there already");
	}
	return command_fail(EX_TEMPFAIL, s->path, "its revision is no longer %s", s->revision);
}

static int set(const struct setting *s)
{
	bool may_create = !s->revision || s->absent;
	const char *what = NULL;
	int fd, rc;

	fd = open(s->path, O_WRONLY | O_TRUNC | O_CLOEXEC | (may_create ? O_CREAT : 0), 0666);
	if (fd < 0) {
		if (errno == ENOENT && may_create) {
			return command_fail(
				EX_CANTCREAT, s->path, "there is no such namespace; -p makes it");
		}
		return command_fail_errno(s->path, errno);
	}
	rc = stage(fd, s, &what);
	if (rc) {
		key_set_attribute(fd, NULL, "cas", bytes_of_string(NO_REVISION));
		close(fd);
		if (what && rc == -EINVAL) {
			return command_fail(EX_DATAERR, s->path, "not a valid %s", what);
		}
		return command_fail_errno(s->path, rc);
	}
	rc = commit(fd, s);
	return rc ? fail_commit(s, rc) : 0;
}

static int set_undisturbed(const struct setting *s)
{
	sigset_t all, before;
	int code;

	sigfillset(&all);
	sigprocmask(SIG_BLOCK, &all, &before);
	code = set(s);
	sigprocmask(SIG_SETMASK, &before, NULL);
	return code;
}

static int read_input(const char *file, struct buffer *out)
{
	int fd = file ? open(file, O_RDONLY | O_CLOEXEC) : STDIN_FILENO;
	int rc;

	if (fd < 0) {
		return command_fail_errno(file, errno);
	}
	rc = key_read(fd, out);
	if (file) {
		close(fd);
	}
	return rc ? command_fail_errno(file ? file : "standard input", rc) : 0;
}

enum {
	WORD_ABSENT = 256,
	WORD_ACTION,
	WORD_FILE,
	WORD_REVISION,
	WORD_TTL,
};

static int run(const struct command *c, int argc, char **argv)
{
	_cleanup_buffer_ struct buffer input = {0};
	struct setting s = {0};
	const char *file = NULL, *value = command_take_negative(&argc, argv);
	bool parents = false;
	char ttl[DURATION_TEXT_SIZE], revision[24];
	int letter, rc;

	while ((letter = command_option(c, argc, argv)) != -1) {
		switch (letter) {
		case WORD_ABSENT:
			s.absent = true;
			break;
		case WORD_ACTION:
			s.action = optarg;
			break;
		case WORD_FILE:
			file = optarg;
			break;
		case WORD_REVISION:
			snprintf(revision, sizeof(revision), "%" PRIu64,
				command_revision(c, optarg));
			s.revision = revision;
			break;
		case WORD_TTL:
			command_duration(c, optarg, ttl);
			s.ttl = ttl;
			break;
		default:
			parents = true;
		}
	}
	if (s.absent && s.revision) {
		command_misused(c, "--if-absent and --if-revision exclude each other");
	}
	if (s.absent) {
		s.revision = "0";
	} else if (s.revision && strcmp(s.revision, "0") == 0) {
		s.absent = true;
	}
	command_arguments(c, argc, 1, value || file ? 1 : 2);
	s.path = argv[optind];
	if (!value && !file) {
		if (optind + 1 == argc) {
			command_misused(c, "what to? A VALUE, - for standard input, or --file");
		}
		value = argv[optind + 1];
	}
	if (value && file) {
		command_misused(c, "a VALUE and --file exclude each other");
	}
	s.value = value ? bytes_of_string(value) : bytes_of(NULL, 0);
	if (file || strcmp(value, "-") == 0) {
		rc = read_input(file, &input);
		if (rc) {
			return rc;
		}
		s.value = buffer_bytes(&input);
	}
	if (parents) {
		rc = key_make_parents(s.path);
		if (rc) {
			return command_fail_errno(s.path, rc);
		}
	}
	rc = key_writable(s.path);
	if (rc && rc != -ENOENT) {
		return command_fail_errno(s.path, rc);
	}
	return set_undisturbed(&s);
}

static const struct option words[] = {
	{"ttl", required_argument, NULL, WORD_TTL},
	{"action", required_argument, NULL, WORD_ACTION},
	{"if-absent", no_argument, NULL, WORD_ABSENT},
	{"if-revision", required_argument, NULL, WORD_REVISION},
	{"file", required_argument, NULL, WORD_FILE},
	{"parents", no_argument, NULL, 'p'},
	COMMAND_WORDS_END,
};

const struct command command_set = {
	.name = "set",
	.arguments = "[OPTIONS] PATH VALUE | - | --file FILE",
	.summary = "set a key, with a TTL and on a condition if wanted",
	.options = "      --ttl DURATION   it expires after that: seconds, or 10m, 2h, 1d, 1h30m\n"
		   "      --action TEXT    why, recorded with the change\n"
		   "      --if-absent      only if there is no such key\n"
		   "      --if-revision R  only if the key's revision is R (0: there is none)\n"
		   "      --file FILE      the value is what FILE has\n"
		   "  -p, --parents        make the namespaces that it is to be in\n",
	.letters = "hp",
	.words = words,
	.run = run,
};
