/* SPDX-License-Identifier: MIT
 * Copyright (c) 2026 The cubbyfs authors */

/* cubby incr, update, cas: changes that depend on the value that stands. Each
 * is one setxattr(2), so the daemon does it and nobody comes in between. */

#include "cli/command.h"

#include "base/cleanup.h"
#include "cli/json.h"
#include "cli/key.h"

#include <ctype.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>

/* An attribute is no larger, whatever the file system. */
#define ATTRIBUTE_MAX 65536
#define TRIES 100

static int check_key(const char *path)
{
	int rc = key_writable(path);

	return rc ? command_fail_errno(path, rc) : 0;
}

/* --- incr ----------------------------------------------------------------- */

static void check_integer(const struct command *c, const char *text)
{
	const char *digits = text + (*text == '-' || *text == '+');

	if (!*digits || digits[strspn(digits, "0123456789")]) {
		command_misused(c, "'%s' is no integer", text);
	}
}

/* A counter that is not there is made, empty, which counts as 0. Somebody may
 * delete it again before it is incremented: a few tries, not for ever, for a
 * dangling symlink is there and not there. */
static int increment(const char *path, struct bytes by)
{
	int rc = key_set_attribute(-1, path, "increment", by);

	for (int i = 0; i < TRIES && rc == -ENOENT; i++) {
		int fd = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0666);

		if (fd >= 0) {
			close(fd);
		} else if (errno == ENOENT) {
			return command_fail(EX_CANTCREAT, path, "there is no such namespace");
		} else if (errno != EEXIST) {
			return command_fail_errno(path, errno);
		}
		rc = key_set_attribute(-1, path, "increment", by);
	}
	switch (rc) {
	case 0:
		return 0;
	case -EINVAL:
		return command_fail(EX_DATAERR, path, "its value is no integer");
	case -ERANGE:
		return command_fail(EX_DATAERR, path, "the sum is out of 64 bits");
	default:
		return command_fail_errno(path, rc);
	}
}

static int print_counter(const char *path)
{
	_cleanup_fd_ int fd = open(path, O_RDONLY | O_CLOEXEC);
	_cleanup_buffer_ struct buffer value = {0};
	int rc;

	if (fd < 0) {
		return command_fail_errno(path, errno);
	}
	rc = key_read(fd, &value);
	if (rc) {
		return command_fail_errno(path, rc);
	}
	while (value.size && isspace((unsigned char)value.data[value.size - 1])) {
		value.size--;
	}
	fwrite(value.data, 1, value.size, stdout);
	putchar('\n');
	return 0;
}

static int run_incr(const struct command *c, int argc, char **argv)
{
	const char *path, *by = command_take_negative(&argc, argv);
	bool print = false;
	int rc;

	while (command_option(c, argc, argv) != -1) {
		print = true;
	}
	command_arguments(c, argc, 1, by ? 1 : 2);
	path = argv[optind];
	if (!by) {
		by = optind + 1 < argc ? argv[optind + 1] : "1";
	}
	check_integer(c, by);
	by += *by == '+';
	rc = key_writable(path);
	if (rc && rc != -ENOENT) {
		return command_fail_errno(path, rc);
	}
	rc = increment(path, bytes_of_string(by));
	return rc == 0 && print ? print_counter(path) : rc;
}

static const struct option incr_words[] = {
	{"print", no_argument, NULL, 'p'},
	COMMAND_WORDS_END,
};

const struct command command_incr = {
	.name = "incr",
	.arguments = "[-p] PATH [N]",
	.summary = "add N (1) to a counter, which is made if it is not there",
	.options =
		"  -p, --print          print the value after; others may have added meanwhile\n",
	.letters = "hp",
	.words = incr_words,
	.run = run_incr,
};

/* --- update ---------------------------------------------------------------- */

/* 0 or the exit code; the mount can only say EINVAL, this can say where. */
static int check_json(const char *path, struct bytes text)
{
	struct json_tokener *tokener;
	struct json_object *object;
	enum json_tokener_error error;
	size_t end;

	if (text.size > ATTRIBUTE_MAX) {
		return command_fail(
			EX_DATAERR, path, "an update can have 64 KiB, not %zu bytes", text.size);
	}
	tokener = json_tokener_new();
	if (!tokener) {
		return command_fail_errno(path, ENOMEM);
	}
	json_tokener_set_flags(tokener, JSON_TOKENER_STRICT | JSON_TOKENER_VALIDATE_UTF8);
	object = json_tokener_parse_ex(tokener, text.data ? text.data : "", (int)text.size);
	error = json_tokener_get_error(tokener);
	end = json_tokener_get_parse_end(tokener);
	json_tokener_free(tokener);
	if (!json_object_is_type(object, json_type_array)) {
		bool valid = error == json_tokener_success;

		json_object_put(object);
		if (valid) {
			return command_fail(EX_DATAERR, path, "an update is a JSON array");
		}
		return command_fail(EX_DATAERR, path, "the update is no JSON: %s at byte %zu",
			error == json_tokener_continue ? "it ends too early"
						       : json_tokener_error_desc(error),
			end);
	}
	json_object_put(object);
	return 0;
}

static int run_update(const struct command *c, int argc, char **argv)
{
	_cleanup_buffer_ struct buffer input = {0};
	struct bytes update;
	const char *path;
	int rc;

	while (command_option(c, argc, argv) != -1) {
	}
	command_arguments(c, argc, 2, 2);
	path = argv[optind];
	update = bytes_of_string(argv[optind + 1]);
	if (bytes_equal(update, bytes_of_string("-"))) {
		rc = key_read(STDIN_FILENO, &input);
		if (rc) {
			return command_fail_errno("standard input", rc);
		}
		update = buffer_bytes(&input);
	}
	rc = check_json(path, update);
	if (rc) {
		return rc;
	}
	rc = check_key(path);
	if (rc) {
		return rc;
	}
	rc = key_set_attribute(-1, path, "update", update);
	if (rc == -EINVAL) {
		return command_fail(EX_DATAERR, path,
			"the update is not valid, or does not fit the value that is there");
	}
	return rc ? command_fail_errno(path, rc) : 0;
}

static const struct option plain_words[] = {
	COMMAND_WORDS_END,
};

const struct command command_update = {
	.name = "update",
	.arguments = "PATH JSON | -",
	.summary = "change parts of a JSON value, all or none",
	.notes =
		"JSON is an array of {\"type\":T, \"path\":P, ...}: T is set, merge, append (with\n"
		"\"value\"), increment, decrement (with \"by\") or remove; P a field's name, an\n"
		"array of names, or absent for the whole value. -: read from standard input.\n",
	.letters = "h",
	.words = plain_words,
	.run = run_update,
};

/* --- cas --------------------------------------------------------------------- */

static int run_cas(const struct command *c, int argc, char **argv)
{
	_cleanup_buffer_ struct buffer text = {0};
	const char *path;
	uint64_t revision;
	int rc;

	while (command_option(c, argc, argv) != -1) {
	}
	command_arguments(c, argc, 3, 3);
	path = argv[optind];
	revision = command_revision(c, argv[optind + 1]);
	rc = check_key(path);
	if (rc) {
		return rc;
	}
	if (buffer_printf(&text, "%" PRIu64 ":%s", revision, argv[optind + 2])) {
		return command_fail_errno(path, ENOMEM);
	}
	if (text.size > ATTRIBUTE_MAX) {
		return command_fail(EX_DATAERR, path,
			"too large for cas; 'cubby set --if-revision' takes any value");
	}
	rc = key_set_attribute(-1, path, "cas", buffer_bytes(&text));
	if (rc == -EBUSY) {
		return command_fail(
			EX_TEMPFAIL, path, "its revision is no longer %" PRIu64, revision);
	}
	return rc ? command_fail_errno(path, rc) : 0;
}

const struct command command_cas = {
	.name = "cas",
	.arguments = "PATH REVISION VALUE",
	.summary = "set a key if its revision still is REVISION",
	.letters = "+h", /* VALUE may begin with a dash */
	.words = plain_words,
	.run = run_cas,
};
