/* SPDX-License-Identifier: MIT
 * Copyright (c) 2026 The cubbyfs authors */

#include "fs/location.h"

#include "base/cleanup.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

bool location_is_url(const char *store)
{
	size_t n = strspn(store, "abcdefghijklmnopqrstuvwxyz0123456789+");

	return n > 1 && store[n] == ':';
}

/* The end of `path` without slashes that follow a name. */
static size_t trimmed(const char *path)
{
	size_t size = strlen(path);

	while (size > 1 && path[size - 1] == '/') {
		size--;
	}
	return size;
}

/* realpath(3), but the last name may be missing, and if more is, the path is
 * only made absolute. It uses readlink(2), which triggers no automount. */
static char *absolute(const char *given)
{
	_cleanup_free_ char *path = strndup(given, trimmed(given));
	_cleanup_free_ char *above = NULL;
	_cleanup_free_ char *cwd = NULL;
	char *result, *slash;

	if (!path) {
		return NULL;
	}
	result = realpath(path, NULL);
	if (result) {
		return result;
	}
	slash = strrchr(path, '/');
	above = slash ? strndup(path, slash == path ? 1 : (size_t)(slash - path)) : strdup(".");
	cwd = above ? realpath(above, NULL) : NULL;
	if (cwd) {
		return asprintf(&result, "%s/%s", strcmp(cwd, "/") == 0 ? "" : cwd,
			       slash ? slash + 1 : path) < 0
			? NULL
			: result;
	}
	if (*path == '/') {
		return steal_pointer(&path);
	}
	cwd = getcwd(NULL, 0);
	return asprintf(&result, "%s/%s", cwd ? cwd : "", path) < 0 ? NULL : result;
}

char *location_of_store(const char *store)
{
	static const char sqlite[] = "sqlite:";
	_cleanup_free_ char *path = NULL;
	char *result;

	if (!location_is_url(store)) {
		return absolute(store);
	}
	if (strncmp(store, sqlite, strlen(sqlite)) != 0) {
		return strdup(store);
	}
	path = absolute(store + strlen(sqlite));
	return path && asprintf(&result, "%s%s", sqlite, path) >= 0 ? result : NULL;
}

char *location_of_mount(const char *dir)
{
	return absolute(dir);
}

bool location_is_in(const char *path, const char *dir)
{
	size_t n = strlen(dir);

	if (strcmp(dir, "/") == 0) {
		return *path == '/';
	}
	return strncmp(path, dir, n) == 0 && (path[n] == 0 || path[n] == '/');
}
