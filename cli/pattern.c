/* SPDX-License-Identifier: MIT
 * Copyright (c) 2026 The cubbyfs authors */

#include "cli/pattern.h"

#include "base/cleanup.h"
#include "cli/key.h"

#include <errno.h>
#include <stdbool.h>
#include <sys/stat.h>

#define WILDCARDS "*?[\\"

static bool is_directory(const char *path)
{
	struct stat st;

	return stat(path, &st) == 0 && S_ISDIR(st.st_mode);
}

static bool has_wildcard(const char *text, size_t length)
{
	return strcspn(text, WILDCARDS) < length;
}

/* dir/. is in the namespace dir */
static bool is_in_store(const char *directory)
{
	_cleanup_buffer_ struct buffer child = {0};

	return buffer_printf(&child, "%s/.", directory) == 0 && buffer_append(&child, "", 1) == 0 &&
	       key_in_store(child.data) == 0;
}

int pattern_split(const char *base, const char *pattern, char **directory, char **rest)
{
	_cleanup_buffer_ struct buffer path = {0};
	const char *word = pattern;
	int rc;

	if (base && *base) {
		rc = buffer_printf(&path, "%s", base);
	} else {
		rc = buffer_append_string(&path, *pattern == '/' ? "/" : ".");
	}
	if (rc || buffer_append(&path, "", 1)) {
		return -ENOMEM;
	}
	for (word += strspn(word, "/"); *word;) {
		size_t length = strcspn(word, "/"), before = path.size - 1;

		if (has_wildcard(word, length) && is_in_store(path.data)) {
			break;
		}
		path.size--;
		if (buffer_printf(&path, "%s%.*s", path.data[before - 1] == '/' ? "" : "/",
			    (int)length, word) ||
			buffer_append(&path, "", 1)) {
			return -ENOMEM;
		}
		if (!is_directory(path.data)) {
			path.data[before] = '\0';
			break;
		}
		word += length;
		word += strspn(word, "/");
	}
	*rest = strdup(word);
	*directory = steal_pointer(&path.data);
	return *rest ? 0 : -ENOMEM;
}

int pattern_join(const char *inside, const char *rest, char **out)
{
	_cleanup_buffer_ struct buffer pattern = {0};
	int rc = 0;

	*out = NULL;
	for (const char *p = inside; *p && rc == 0; p++) {
		if (strchr(WILDCARDS, *p)) {
			rc = buffer_append_string(&pattern, "\\");
		}
		if (rc == 0) {
			rc = buffer_append(&pattern, p, 1);
		}
	}
	if (rc == 0 && *inside) {
		rc = buffer_append_string(&pattern, "/");
	}
	if (rc == 0) {
		rc = buffer_append_string(&pattern, *rest || !*inside ? rest : "**");
	}
	if (rc || (pattern.size && buffer_append(&pattern, "", 1))) {
		return -ENOMEM;
	}
	*out = steal_pointer(&pattern.data);
	return 0;
}
