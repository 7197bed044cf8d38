/* SPDX-License-Identifier: MIT
 * Copyright (c) 2026 The cubbyfs authors */

/* cubby del: deletes keys, and namespaces with all that is in them. What is
 * gone by itself meanwhile, because its TTL ran out, is no error. */

#include "cli/command.h"

#include "base/cleanup.h"
#include "cli/key.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>

static int delete_tree(int at, const char *name, const char *path);

static int delete_contents(int fd, const char *path)
{
	_cleanup_dir_ DIR *directory = fdopendir(fd);
	struct dirent *entry;

	if (!directory) {
		int error = errno;

		close(fd);
		return command_fail_errno(path, error);
	}
	while (errno = 0, (entry = readdir(directory))) {
		_cleanup_buffer_ struct buffer inner = {0};
		int code;

		if (strcmp(entry->d_name, ".") == 0 || strcmp(entry->d_name, "..") == 0) {
			continue;
		}
		if (buffer_printf(&inner, "%s/%s", path, entry->d_name)) {
			return command_fail_errno(path, ENOMEM);
		}
		buffer_append(&inner, "", 1);
		code = delete_tree(dirfd(directory), entry->d_name, inner.data);
		if (code) {
			return code;
		}
	}
	return errno ? command_fail_errno(path, errno) : 0;
}

static int delete_tree(int at, const char *name, const char *path)
{
	int fd, code;

	if (unlinkat(at, name, 0) == 0 || errno == ENOENT) {
		return 0;
	}
	if (errno != EISDIR) {
		return command_fail_errno(path, errno);
	}
	fd = openat(at, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	if (fd < 0) {
		return errno == ENOENT ? 0 : command_fail_errno(path, errno);
	}
	code = delete_contents(fd, path);
	if (code) {
		return code;
	}
	if (unlinkat(at, name, AT_REMOVEDIR) < 0 && errno != ENOENT) {
		return command_fail_errno(path, errno);
	}
	return 0;
}

static int delete_path(const char *path, bool recursive)
{
	int rc = key_in_store(path);

	if (rc && rc != -ENOENT) {
		return command_fail_errno(path, rc);
	}
	if (unlink(path) == 0) {
		return 0;
	}
	if (errno != EISDIR) {
		return command_fail_errno(path, errno);
	}
	if (!recursive) {
		return command_fail(
			EX_DATAERR, path, "is a namespace; -r deletes it with all that is in it");
	}
	return delete_tree(AT_FDCWD, path, path);
}

static int run(const struct command *c, int argc, char **argv)
{
	bool recursive = false;
	int code = 0;

	while (command_option(c, argc, argv) != -1) {
		recursive = true;
	}
	command_arguments(c, argc, 1, argc);
	for (int i = optind; i < argc; i++) {
		int failed = delete_path(argv[i], recursive);

		code = code ? code : failed;
	}
	return code;
}

static const struct option words[] = {
	{"recursive", no_argument, NULL, 'r'},
	COMMAND_WORDS_END,
};

const struct command command_del = {
	.name = "del",
	.arguments = "[-r] PATH...",
	.summary = "delete keys",
	.options = "  -r, --recursive      namespaces too, with all that is in them\n",
	.letters = "hr",
	.words = words,
	.run = run,
};
