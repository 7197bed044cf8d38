/* SPDX-License-Identifier: MIT
 * Copyright (c) 2026 The cubbyfs authors */
/*
 * mount(8) calls the helper for a remount too, with the words of the fstab line or of the mount
 * table before the user's own. So words such as max_value=64M arrive that nobody wants
 * to change: they are compared with the command line of the daemon that runs the mount.
 *
 * What never arrives are words that are the default, such as exec: mount(8) leaves them out, and so
 * `remount,exec` is a list without noexec. As for every file system, then, what is not listed is
 * off. Two exceptions. Flags that cubbyfs sets by itself, nosuid and nodev, are in no fstab
 * line, so they stay; only a list that is made from the mount table (user_id= betrays it) has them
 * if they are meant. And the access times stay as they are, as the kernel itself does it.
 *
 * Read-only is two things, the mount point's flag and the file system's. A remount that leaves the
 * file system's as it is goes to the mount point alone (MS_BIND), so that it
 * neither fails because a file is open for writing nor touches other mounts of the same store.
 */
#include "mount-helper/remount.h"

#include "base/cleanup.h"
#include "base/log.h"
#include "mount-helper/status.h"

#include <ctype.h>
#include <dirent.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/mount.h>

static bool is_from_mount_table(const struct options *want)
{
	for (size_t i = 0; i < want->count; i++) {
		if (strncmp(want->pass[i], "user_id=", strlen("user_id=")) == 0) {
			return true;
		}
	}
	return false;
}

/* The flags that stay on without being listed. */
static unsigned long kept(const struct mountinfo *now, const struct options *want)
{
	unsigned long off = MS_NOEXEC | MS_NOSYMFOLLOW;
	unsigned long on = 0;

	if (is_from_mount_table(want)) {
		off |= MS_NOSUID | MS_NODEV | MS_NODIRATIME;
		if (now->flags & MS_NOATIME) {
			off |= MS_NOATIME;
			on |= MS_RELATIME;
		}
	}
	return (now->flags & ~off) | on;
}

unsigned long remount_flags(const struct mountinfo *now, const struct options *want)
{
	unsigned long flags = (kept(now, want) & ~want->clear) | want->set;
	bool asked = (want->set | want->clear) & MS_RDONLY;

	if (!(flags & (MS_NOATIME | MS_RELATIME))) {
		flags |= MS_STRICTATIME;
	} else {
		flags &= ~(unsigned long)MS_STRICTATIME;
	}
	if (want->bind || !asked || !((flags ^ now->super_flags) & MS_RDONLY)) {
		return MS_REMOUNT | MS_BIND | flags;
	}
	return MS_REMOUNT | flags | (now->super_flags & ~(unsigned long)MS_RDONLY);
}

static bool has_word(const char *list, const char *word)
{
	size_t length = strlen(word);

	for (const char *p = strstr(list, word); p; p = strstr(p + 1, word)) {
		if ((p == list || p[-1] == ',') && (!p[length] || p[length] == ',')) {
			return true;
		}
	}
	return false;
}

static bool holds(const struct mountinfo *now, const struct options *started, const char *word)
{
	const char *subtype = strchr(now->type, '.');

	if (options_is_kernel_flag(word) || has_word(now->super_options, word) ||
		options_has(started, word)) {
		return true;
	}
	if (strcmp(word, "async") == 0) {
		return !(now->super_flags & MS_SYNCHRONOUS) && !options_has(started, "sync");
	}
	if (strncmp(word, "fsname=", 7) == 0) {
		return strcmp(word + 7, now->source) == 0;
	}
	if (strncmp(word, "subtype=", 8) == 0) {
		return subtype && strcmp(word + 8, subtype + 1) == 0;
	}
	return strcmp(word, "sloppy") == 0;
}

bool remount_refuses(const struct mountinfo *now, const struct options *started,
	const struct options *want, const char **word)
{
	for (size_t i = 0; i < want->count; i++) {
		if (!holds(now, started, want->pass[i])) {
			*word = want->pass[i];
			return true;
		}
	}
	return false;
}

/* Adds the -o words of one command line if it is cubbyfs on this mount point. */
static int add_if_daemon(struct options *started, const char *point, const char *text, size_t size)
{
	const char *end = text + size;
	const char *base = strrchr(text, '/');
	bool ours = false;
	int r = 0;

	if (strcmp(base ? base + 1 : text, "cubbyfs") != 0) {
		return 0;
	}
	for (const char *arg = text; arg < end; arg += strlen(arg) + 1) {
		ours = ours || strcmp(arg, point) == 0;
	}
	for (const char *arg = text; ours && r == 0 && arg < end; arg += strlen(arg) + 1) {
		if (strncmp(arg, "-o", 2) != 0) {
			continue;
		}
		if (arg[2]) {
			r = options_add(started, arg + 2);
		} else if (arg + 3 < end) {
			arg += 3;
			r = options_add(started, arg);
		}
	}
	return r < 0 ? r : 0;
}

/* The words that the mount's daemon was started with; none if it isn't found. */
static int find_started(struct options *started, const char *point)
{
	_cleanup_dir_ DIR *proc = opendir("/proc");
	struct dirent *entry;

	if (!proc) {
		return -errno;
	}
	while ((entry = readdir(proc))) {
		_cleanup_file_ FILE *f = NULL;
		char path[300], text[32768];
		size_t size;
		int r;

		if (!isdigit((unsigned char)entry->d_name[0])) {
			continue;
		}
		snprintf(path, sizeof(path), "/proc/%s/cmdline", entry->d_name);
		f = fopen(path, "re");
		if (!f) {
			continue;
		}
		size = fread(text, 1, sizeof(text) - 1, f);
		text[size] = '\0';
		r = add_if_daemon(started, point, text, size);
		if (r < 0) {
			return r;
		}
	}
	return 0;
}

static int explain(const char *directory, int error)
{
	switch (error) {
	case EPERM:
		log_error("%s: only root can remount", directory);
		return STATUS_USAGE;
	case EBUSY:
		log_error("%s: busy: a file in it is open for writing", directory);
		return STATUS_MOUNT_FAILED;
	default:
		log_error("%s: remount: %s", directory, strerror(error));
		return STATUS_MOUNT_FAILED;
	}
}

static int remount_known(
	const char *directory, const struct mountinfo *now, const struct options *want, bool fake)
{
	struct options started;
	const char *word;
	bool refused;
	int r;

	options_init(&started);
	r = find_started(&started, now->point);
	if (r < 0) {
		log_error("/proc: %s", strerror(-r));
		options_finish(&started);
		return STATUS_SYSTEM;
	}
	refused = remount_refuses(now, &started, want, &word);
	options_finish(&started);
	if (refused) {
		log_error("%s: %s cannot be changed by a remount: unmount, then mount with it",
			directory, word);
		return STATUS_USAGE;
	}
	if (!fake && mount(now->source, directory, NULL, remount_flags(now, want), NULL) < 0) {
		return explain(directory, errno);
	}
	return STATUS_OK;
}

int remount(const char *directory, const struct options *want, bool fake)
{
	struct mountinfo now;
	int r = mountinfo_find(&now, directory);

	if (r < 0) {
		log_error("%s: %s", directory, strerror(-r));
		return STATUS_MOUNT_FAILED;
	}
	if (r == MOUNTINFO_NONE) {
		log_error("%s: nothing is mounted there", directory);
		return STATUS_MOUNT_FAILED;
	}
	if (strcmp(now.type, "fuse.cubbyfs") != 0) {
		log_error("%s: the mount there is %s, not cubbyfs", directory, now.type);
		r = STATUS_MOUNT_FAILED;
	} else {
		r = remount_known(directory, &now, want, fake);
	}
	mountinfo_finish(&now);
	return r;
}
