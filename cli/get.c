/* SPDX-License-Identifier: MIT
 * Copyright (c) 2026 The cubbyfs authors */

/* cubby get: reads keys.
 *
 * One pass over a file from its beginning is one value; the kernel is not
 * asked to help. For --json value and attributes must belong together though,
 * and no call reads both. So: revision, all the rest, revision. If the two
 * differ, somebody was faster, and it is done again. */

#include "cli/command.h"

#include "base/cleanup.h"
#include "cli/json.h"
#include "cli/key.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>

#define TRIES 1000

static const char *const numbers[] = {"version", "ttl"};
static const char *const texts[] = {"expires", "created", "modified", "action"};

/* 0, -EAGAIN if the key changed meanwhile, or another negative errno. */
static int read_together(int fd, struct buffer *value, struct json_object *object)
{
	char before[KEY_ATTRIBUTE_SIZE], after[KEY_ATTRIBUTE_SIZE], text[KEY_ATTRIBUTE_SIZE];
	int rc = key_attribute(fd, NULL, "revision", before);

	if (rc) {
		return rc == -ENODATA ? -ENOTSUP : rc;
	}
	rc = key_read(fd, value);
	if (rc) {
		return rc;
	}
	json_add_bytes(object, "value", buffer_bytes(value));
	json_add_number(object, "revision", before);
	for (size_t i = 0; i < sizeof(numbers) / sizeof(numbers[0]); i++) {
		rc = key_attribute(fd, NULL, numbers[i], text);
		if (rc && rc != -ENODATA) {
			return rc;
		}
		json_add_number(object, numbers[i], rc ? NULL : text);
	}
	for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++) {
		rc = key_attribute(fd, NULL, texts[i], text);
		if (rc && rc != -ENODATA) {
			return rc;
		}
		json_add_string(object, texts[i], rc ? NULL : text);
	}
	rc = key_attribute(fd, NULL, "revision", after);
	if (rc) {
		return rc;
	}
	return strcmp(before, after) == 0 ? 0 : -EAGAIN;
}

static int read_once(const char *path, struct buffer *value, struct json_object *object)
{
	_cleanup_fd_ int fd = open(path, O_RDONLY | O_CLOEXEC);
	int rc;

	if (fd < 0) {
		return -errno;
	}
	rc = read_together(fd, value, object);
	/* gone since it was opened; another may be in its place */
	return rc == -ENOENT || rc == -ESTALE ? -EAGAIN : rc;
}

static int print_json(const char *path)
{
	_cleanup_buffer_ struct buffer value = {0};
	int rc = -EAGAIN;

	for (int i = 0; i < TRIES && rc == -EAGAIN; i++) {
		struct json_object *object = json_object_new_object();

		json_add_bytes(object, "path", bytes_of_string(path));
		rc = read_once(path, &value, object);
		if (rc) {
			json_object_put(object);
		} else {
			json_print(object);
		}
	}
	if (rc == -EAGAIN) {
		return command_fail(EX_TEMPFAIL, path, "it changes faster than it can be read");
	}
	return rc ? command_fail_errno(path, rc) : 0;
}

static int print_value(const char *path, bool newline)
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
	fwrite(value.data, 1, value.size, stdout);
	if (newline && (value.size == 0 || value.data[value.size - 1] != '\n')) {
		putchar('\n');
	}
	return 0;
}

static int run(const struct command *c, int argc, char **argv)
{
	bool json = false, newline = true;
	int letter, code = 0;

	while ((letter = command_option(c, argc, argv)) != -1) {
		if (letter == 'j') {
			json = true;
		} else {
			newline = false;
		}
	}
	command_arguments(c, argc, 1, argc);
	for (int i = optind; i < argc; i++) {
		int failed = json ? print_json(argv[i]) : print_value(argv[i], newline);

		code = code ? code : failed;
	}
	return code;
}

static const struct option words[] = {
	{"json", no_argument, NULL, 'j'},
	{"no-newline", no_argument, NULL, 'n'},
	COMMAND_WORDS_END,
};

const struct command command_get = {
	.name = "get",
	.arguments = "[-n | --json] PATH...",
	.summary = "print values",
	.options = "  -n, --no-newline     exactly the value: no newline after one that has none\n"
		   "      --json           value and attributes, an object a line\n",
	.letters = "hn",
	.words = words,
	.run = run,
};
