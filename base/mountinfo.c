/* SPDX-License-Identifier: MIT
 * Copyright (c) 2026 The cubbyfs authors */
/*
 * Several mounts can lie at one path. Which is on top is not a matter of the order of lines: the
 * kernel is asked, by a descriptor that stands for the place only (O_PATH), whose fdinfo names the
 * mount. Opening one neither sends a request to a FUSE daemon nor sets off an automount.
 */
#include "base/mountinfo.h"

#include "base/cleanup.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/sysmacros.h>

#ifndef MS_NOSYMFOLLOW
#define MS_NOSYMFOLLOW 256
#endif
#ifndef MS_LAZYTIME
#define MS_LAZYTIME (1 << 25)
#endif

static const struct {
	const char *name;
	unsigned long flag;
} names[] = {
	{"ro", MS_RDONLY},
	{"nosuid", MS_NOSUID},
	{"nodev", MS_NODEV},
	{"noexec", MS_NOEXEC},
	{"noatime", MS_NOATIME},
	{"nodiratime", MS_NODIRATIME},
	{"relatime", MS_RELATIME},
	{"nosymfollow", MS_NOSYMFOLLOW},
	{"sync", MS_SYNCHRONOUS},
	{"dirsync", MS_DIRSYNC},
	{"lazytime", MS_LAZYTIME},
};

static unsigned long flags_of(const char *list)
{
	unsigned long flags = 0;

	for (const char *p = list; *p;) {
		size_t length = strcspn(p, ",");

		for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
			if (strlen(names[i].name) == length &&
				strncmp(p, names[i].name, length) == 0) {
				flags |= names[i].flag;
			}
		}
		p += length;
		p += *p == ',';
	}
	return flags;
}

static bool is_octal(char c)
{
	return c >= '0' && c <= '7';
}

/* The kernel writes space, tab, newline and backslash as \ooo. */
static char *unescape(const char *text, size_t length)
{
	char *plain = malloc(length + 1);
	char *out = plain;

	if (!plain) {
		return NULL;
	}
	for (size_t i = 0; i < length; i++) {
		if (text[i] == '\\' && i + 3 < length && is_octal(text[i + 1]) &&
			is_octal(text[i + 2]) && is_octal(text[i + 3])) {
			*out++ = (char)((text[i + 1] - '0') * 64 + (text[i + 2] - '0') * 8 +
					(text[i + 3] - '0'));
			i += 3;
		} else {
			*out++ = text[i];
		}
	}
	*out = '\0';
	return plain;
}

/* The next field of a line, or NULL; *rest moves past it. */
static char *next_field(const char **rest, bool *none)
{
	const char *start = *rest + strspn(*rest, " ");
	size_t length = strcspn(start, " \n");

	*rest = start + length;
	if (length == 0) {
		*none = true;
		return NULL;
	}
	return unescape(start, length);
}

int mountinfo_parse(struct mountinfo *m, const char *line)
{
	/* id parent major:minor root point options [tag ...] - type source super-options */
	_cleanup_free_ char *options = NULL;
	const char *tail = strstr(line, " - ");
	const char *rest = line;
	unsigned device_major, device_minor;
	bool none = false;

	*m = (struct mountinfo){0};
	if (!tail || sscanf(line, "%d %*d %u:%u", &m->id, &device_major, &device_minor) != 3) {
		return MOUNTINFO_NONE;
	}
	m->device = makedev(device_major, device_minor);
	for (int i = 0; i < 3; i++) {
		rest += strspn(rest, " ");
		rest += strcspn(rest, " \n");
	}
	if (rest >= tail) {
		return MOUNTINFO_NONE;
	}
	m->root = next_field(&rest, &none);
	m->point = next_field(&rest, &none);
	options = next_field(&rest, &none);
	if (rest > tail) {
		none = true;
	}
	tail += strlen(" - ");
	m->type = next_field(&tail, &none);
	m->source = next_field(&tail, &none);
	m->super_options = next_field(&tail, &none);
	if (none || !m->root || !m->point || !options || !m->type || !m->source ||
		!m->super_options) {
		mountinfo_finish(m);
		return none ? MOUNTINFO_NONE : -ENOMEM;
	}
	m->flags = flags_of(options);
	if (!(m->flags & (MS_NOATIME | MS_RELATIME))) {
		m->flags |= MS_STRICTATIME; /* shown as the absence of both */
	}
	m->super_flags = flags_of(m->super_options);
	return 0;
}

/* The mount that a directory is on, and the directory's path with no links in it. */
static int locate(const char *directory, int *id, char *path, size_t size)
{
	_cleanup_fd_ int fd = open(directory, O_PATH | O_CLOEXEC);
	_cleanup_file_ FILE *f = NULL;
	char name[64], line[256];
	ssize_t length;

	if (fd < 0) {
		return -errno;
	}
	snprintf(name, sizeof(name), "/proc/self/fd/%d", fd);
	length = readlink(name, path, size - 1);
	if (length < 0) {
		return -errno;
	}
	path[length] = '\0';
	snprintf(name, sizeof(name), "/proc/self/fdinfo/%d", fd);
	f = fopen(name, "re");
	if (!f) {
		return -errno;
	}
	while (fgets(line, sizeof(line), f)) {
		if (sscanf(line, "mnt_id: %d", id) == 1) {
			return 0;
		}
	}
	return -EIO;
}

/* The mount of that id, or one of that device if it is 0; with `point`, only if it is there. */
static int find(struct mountinfo *m, int id, dev_t device, const char *point)
{
	_cleanup_file_ FILE *f = fopen("/proc/self/mountinfo", "re");
	_cleanup_free_ char *line = NULL;
	size_t size = 0;
	int r;

	if (!f) {
		return -errno;
	}
	while (getline(&line, &size, f) >= 0) {
		r = mountinfo_parse(m, line);
		if (r < 0) {
			return r;
		}
		if (r == 0) {
			if ((id ? m->id == id : m->device == device) &&
				(!point || strcmp(m->point, point) == 0)) {
				return 0;
			}
			mountinfo_finish(m);
		}
	}
	return ferror(f) ? -EIO : MOUNTINFO_NONE;
}

int mountinfo_find(struct mountinfo *m, const char *directory)
{
	char path[PATH_MAX];
	int id = 0, r;

	*m = (struct mountinfo){0};
	r = locate(directory, &id, path, sizeof(path));
	return r < 0 ? r : find(m, id, 0, path);
}

int mountinfo_of_id(struct mountinfo *m, int id)
{
	*m = (struct mountinfo){0};
	return find(m, id, 0, NULL);
}

int mountinfo_of_device(struct mountinfo *m, dev_t device)
{
	*m = (struct mountinfo){0};
	return find(m, 0, device, NULL);
}

void mountinfo_finish(struct mountinfo *m)
{
	free(m->root);
	free(m->point);
	free(m->type);
	free(m->source);
	free(m->super_options);
	*m = (struct mountinfo){0};
}
