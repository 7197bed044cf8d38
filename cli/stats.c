/* SPDX-License-Identifier: MIT
 * Copyright (c) 2026 The cubbyfs authors */

/* cubby stats: what .cubby/stats says of the mount that a path is on. */

#include "cli/command.h"

#include "base/cleanup.h"
#include "cli/control.h"
#include "cli/json.h"
#include "cli/key.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/stat.h>

/* A line for each number or text; the names of what is nested with dots. */
static void print_flat(struct json_object *object, const char *prefix)
{
	json_object_object_foreach(object, name, value)
	{
		_cleanup_buffer_ struct buffer full = {0};

		if (buffer_printf(&full, "%s%s", prefix, name) || buffer_append(&full, ".", 2)) {
			return;
		}
		if (json_object_is_type(value, json_type_object)) {
			print_flat(value, full.data);
			continue;
		}
		full.data[full.size - 2] = '\0';
		printf("%-28s %s\n", full.data, value ? json_object_get_string(value) : "-");
	}
}

static int print_stats(const char *path, int fd, bool raw)
{
	_cleanup_buffer_ struct buffer text = {0};
	struct json_object *object;
	int rc = key_read(fd, &text);

	if (rc || buffer_append(&text, "", 1)) {
		return command_fail_errno(path, rc ? rc : -ENOMEM);
	}
	if (raw) {
		fwrite(text.data, 1, text.size - 1, stdout);
		return 0;
	}
	object = json_tokener_parse(text.data);
	if (!json_object_is_type(object, json_type_object)) {
		json_object_put(object);
		return command_fail(EX_PROTOCOL, path, ".cubby/stats has no JSON object");
	}
	print_flat(object, "");
	json_object_put(object);
	return 0;
}

static int run(const struct command *c, int argc, char **argv)
{
	_cleanup_free_ char *point = NULL;
	_cleanup_fd_ int fd = -1;
	const char *path;
	bool raw = false;
	struct stat st;

	while (command_option(c, argc, argv) != -1) {
		raw = true;
	}
	command_arguments(c, argc, 0, 1);
	path = optind < argc ? argv[optind] : ".";
	if (stat(path, &st) < 0) {
		return command_fail_errno(path, errno);
	}
	fd = control_find_point(st.st_dev, &point);
	if (fd == 0) {
		fd = control_open(point, "stats", O_RDONLY);
	}
	if (fd == -ENOENT) {
		fd = -ENOTSUP; /* a file system, but none of ours */
	}
	return fd < 0 ? command_fail_errno(path, fd) : print_stats(path, fd, raw);
}

static const struct option words[] = {
	{"json", no_argument, NULL, 'j'},
	COMMAND_WORDS_END,
};

const struct command command_stats = {
	.name = "stats",
	.arguments = "[--json] [PATH]",
	.summary = "print the counters of the mount that PATH (.) is on",
	.options = "      --json           as .cubby/stats has them\n",
	.letters = "h",
	.words = words,
	.run = run,
};
