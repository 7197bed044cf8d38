/* SPDX-License-Identifier: MIT
 * Copyright (c) 2026 The cubbyfs authors */

/* cubby stats: what .cubby/stats says of the mount that a path is on. The
 * mount's root is looked up in mountinfo by device number: going up until the
 * device changes would end too early where a part of the mount is bound. */

#include "cli/command.h"

#include "base/cleanup.h"
#include "cli/json.h"
#include "cli/key.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>

/* mountinfo writes space, tab, newline and backslash as \ooo. */
static void unescape(char *text)
{
	char *out = text;

	for (char *p = text; *p; out++) {
		unsigned code;

		if (sscanf(p, "\\%3o", &code) == 1) {
			*out = (char)code;
			p += 4;
		} else {
			*out = *p++;
		}
	}
	*out = '\0';
}

/* Opens .cubby/stats at `root` if the file system seen there is `device`. */
static int open_at(const char *root, dev_t device)
{
	_cleanup_buffer_ struct buffer path = {0};
	struct stat st;
	int fd;

	if (stat(root, &st) < 0) {
		return -errno;
	}
	if (st.st_dev != device) {
		return -ENOENT;
	}
	if (buffer_printf(&path, "%s/.cubby/stats", root) || buffer_append(&path, "", 1)) {
		return -ENOMEM;
	}
	fd = open(path.data, O_RDONLY | O_CLOEXEC);
	return fd < 0 ? -errno : fd;
}

/* A descriptor or a negative errno; -ENOTSUP if no mount has it. */
static int open_stats(dev_t device)
{
	_cleanup_file_ FILE *mounts = fopen("/proc/self/mountinfo", "re");
	_cleanup_free_ char *line = NULL;
	size_t size = 0;
	int best = -ENOTSUP;

	if (!mounts) {
		return -errno;
	}
	while (getline(&line, &size, mounts) > 0) {
		unsigned major_number, minor_number;
		int at = 0, end = 0, rc;

		/* ID PARENT MAJOR:MINOR ROOT MOUNTPOINT ... */
		if (sscanf(line, "%*u %*u %u:%u / %n%*s%n", &major_number, &minor_number, &at,
			    &end) < 2 ||
			end <= at || makedev(major_number, minor_number) != device) {
			continue;
		}
		line[end] = '\0';
		unescape(line + at);
		rc = open_at(line + at, device);
		if (rc >= 0) {
			return rc;
		}
		if (rc != -ENOENT) {
			best = rc;
		}
	}
	return best;
}

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
	fd = open_stats(st.st_dev);
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
