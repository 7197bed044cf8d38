/* SPDX-License-Identifier: MIT
 * Copyright (c) 2026 The cubbyfs authors */

/* cubby ls: lists keys and namespaces, by name. */

#include "cli/command.h"

#include "base/cleanup.h"
#include "base/printable.h"
#include "cli/json.h"
#include "cli/key.h"

#include <errno.h>
#include <stdio.h>
#include <sys/stat.h>
#include <time.h>

struct listing {
	bool attributes; /* -l */
	bool json;
	bool recursive;
	char end;   /* of a name */
	bool plain; /* for a terminal: nothing that could control it */
};

/* Names in a namespace, owned. */
struct names {
	char **list;
	size_t count, capacity;
};

static void names_finish(struct names *n)
{
	for (size_t i = 0; i < n->count; i++) {
		free(n->list[i]);
	}
	free(n->list);
}

static int names_add(struct names *n, const char *name)
{
	if (n->count == n->capacity) {
		size_t capacity = n->capacity ? n->capacity * 2 : 64;
		char **list = realloc(n->list, capacity * sizeof(*list));

		if (!list) {
			return -ENOMEM;
		}
		n->list = list;
		n->capacity = capacity;
	}
	n->list[n->count] = strdup(name);
	if (!n->list[n->count]) {
		return -ENOMEM;
	}
	n->count++;
	return 0;
}

static int compare_names(const void *a, const void *b)
{
	return strcmp(*(char *const *)a, *(char *const *)b);
}

static int names_read(struct names *n, const char *path)
{
	_cleanup_dir_ DIR *directory = opendir(path);
	struct dirent *entry;

	if (!directory) {
		return -errno;
	}
	while (errno = 0, (entry = readdir(directory))) {
		if (strcmp(entry->d_name, ".") != 0 && strcmp(entry->d_name, "..") != 0 &&
			names_add(n, entry->d_name)) {
			return -ENOMEM;
		}
	}
	if (errno) {
		return -errno;
	}
	if (n->count) {
		qsort(n->list, n->count, sizeof(*n->list), compare_names);
	}
	return 0;
}

/* What an entry has besides its stat; empty strings where it has none. */
struct attributes {
	char revision[KEY_ATTRIBUTE_SIZE], version[KEY_ATTRIBUTE_SIZE], ttl[KEY_ATTRIBUTE_SIZE];
};

/* 0, or a negative errno where the whole is not to be had. */
static int attributes_read(struct attributes *a, const char *path, mode_t mode)
{
	int rc;

	*a = (struct attributes){0};
	if (!S_ISREG(mode) && !S_ISDIR(mode)) {
		return 0; /* the kernel lets nothing else have user attributes */
	}
	rc = key_attribute(-1, path, "revision", a->revision);
	if (rc == -ENODATA) {
		return -ENOTSUP;
	}
	if (rc == 0 && S_ISREG(mode)) {
		key_attribute(-1, path, "version", a->version);
		key_attribute(-1, path, "ttl", a->ttl);
	}
	return rc == -EACCES ? 0 : rc;
}

static void print_name(const struct listing *l, const char *name, mode_t mode)
{
	while (*name) {
		size_t size = l->plain ? printable_size(name) : 1;

		if (size == 0) {
			putchar('?');
		}
		fwrite(name, 1, size, stdout);
		name += size ? size : 1;
	}
	if (S_ISDIR(mode) && l->end == '\n') {
		putchar('/');
	}
	putchar(l->end);
}

static void print_attributes(const struct attributes *a, const struct stat *st)
{
	char modified[32];
	struct tm tm;

	localtime_r(&st->st_mtime, &tm);
	strftime(modified, sizeof(modified), "%Y-%m-%d %H:%M:%S", &tm);
	printf("%10s %12s ", *a->revision ? a->revision : "-", *a->ttl ? a->ttl : "-");
	if (S_ISREG(st->st_mode)) {
		printf("%9llu ", (unsigned long long)st->st_size);
	} else {
		printf("%9s ", "-");
	}
	printf("%s  ", modified);
}

static void print_json_entry(const char *name, const struct attributes *a, const struct stat *st)
{
	struct json_object *object = json_object_new_object();

	json_add_bytes(object, "name", bytes_of_string(name));
	json_add_string(object, "type", key_type_name(st->st_mode));
	json_object_object_add(
		object, "size", S_ISREG(st->st_mode) ? json_object_new_int64(st->st_size) : NULL);
	json_add_number(object, "revision", a->revision);
	json_add_number(object, "version", a->version);
	json_add_number(object, "ttl", a->ttl);
	json_print(object);
}

/* 0 or an exit code. An entry that went away meanwhile is left out. */
static int print_entry(const struct listing *l, const char *path, const char *name, struct stat *st)
{
	struct attributes a;

	if (lstat(path, st) < 0) {
		st->st_mode = 0;
		return errno == ENOENT ? 0 : command_fail_errno(path, errno);
	}
	if (l->attributes || l->json) {
		int rc = attributes_read(&a, path, st->st_mode);

		if (rc) {
			return rc == -ENOENT ? 0 : command_fail_errno(path, rc);
		}
		if (l->json) {
			print_json_entry(name, &a, st);
			return 0;
		}
		print_attributes(&a, st);
	}
	print_name(l, name, st->st_mode);
	return 0;
}

static int print_namespace(const struct listing *l, const char *path, const char *prefix);

static int print_entries(
	const struct listing *l, const struct names *n, const char *path, const char *prefix)
{
	int code = 0;

	for (size_t i = 0; i < n->count; i++) {
		_cleanup_buffer_ struct buffer full = {0}, shown = {0};
		struct stat st;
		int failed;

		if (buffer_printf(&full, "%s/%s", path, n->list[i]) ||
			buffer_append(&full, "", 1) ||
			buffer_printf(&shown, "%s%s", prefix, n->list[i]) ||
			buffer_append(&shown, "/", 2)) {
			return command_fail_errno(path, ENOMEM);
		}
		shown.data[shown.size - 2] = '\0';
		failed = print_entry(l, full.data, shown.data, &st);
		if (l->recursive && S_ISDIR(st.st_mode)) {
			int inner;

			shown.data[shown.size - 2] = '/';
			inner = print_namespace(l, full.data, shown.data);
			failed = failed ? failed : inner;
		}
		code = code ? code : failed;
	}
	return code;
}

static int print_namespace(const struct listing *l, const char *path, const char *prefix)
{
	struct names n = {0};
	int code, rc = names_read(&n, path);

	if (rc == 0) {
		code = print_entries(l, &n, path, prefix);
	} else if (rc == -ENOENT && *prefix) {
		code = 0;
	} else {
		code = command_fail_errno(path, rc);
	}
	names_finish(&n);
	return code;
}

static int run(const struct command *c, int argc, char **argv)
{
	struct listing l = {.end = '\n', .plain = isatty(STDOUT_FILENO)};
	const char *path = ".";
	struct stat st;
	int letter;

	while ((letter = command_option(c, argc, argv)) != -1) {
		switch (letter) {
		case 'l':
			l.attributes = true;
			break;
		case 'j':
			l.json = true;
			break;
		case 'R':
			l.recursive = true;
			break;
		default:
			l.end = '\0';
			l.plain = false;
		}
	}
	command_arguments(c, argc, 0, 1);
	if (l.json && (l.attributes || !l.end)) {
		command_misused(c, "--json excludes -l and -0");
	}
	if (optind < argc) {
		path = argv[optind];
	}
	if (stat(path, &st) < 0 && lstat(path, &st) < 0) {
		return command_fail_errno(path, errno);
	}
	return S_ISDIR(st.st_mode) ? print_namespace(&l, path, "")
				   : print_entry(&l, path, path, &st);
}

static const struct option words[] = {
	{"long", no_argument, NULL, 'l'},
	{"recursive", no_argument, NULL, 'R'},
	{"null", no_argument, NULL, '0'},
	{"json", no_argument, NULL, 'j'},
	COMMAND_WORDS_END,
};

const struct command command_ls = {
	.name = "ls",
	.arguments = "[-lR0] [--json] [PATH]",
	.summary = "list keys and namespaces",
	.options = "  -l, --long           with revision, seconds left, size and time of change\n"
		   "  -R, --recursive      and what is in the namespaces, and so on\n"
		   "  -0, --null           end each name with a NUL, for xargs -0\n"
		   "      --json           an object a line\n",
	.letters = "hlR0",
	.words = words,
	.run = run,
};
