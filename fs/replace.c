/* SPDX-License-Identifier: MIT
 * Copyright (c) 2026 The cubbyfs authors */

/* Who serves a mount, its .cubby/stats says. They are read by way of the mount, so they
 * come from whoever answers at that time, and may be anything: any directory can have a file
 * of that name, and any user make a mount that calls itself ours. So the process that
 * they name must be one of the user who made the mount: he could have signalled that himself. */
#include "fs/replace.h"

#include "base/cleanup.h"
#include "base/clock.h"
#include "base/log.h"
#include "base/mountinfo.h"

#include <errno.h>
#include <fcntl.h>
#include <json-c/json.h>
#include <poll.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

#define PATIENCE (60 * NSEC_PER_SEC)
#define STATUS_NOT_REPLACED 2

struct served {
	pid_t supervisor, worker;
	char version[64];
};

static pid_t pid_in(struct json_object *o, const char *name)
{
	struct json_object *n = json_object_object_get(o, name);
	int64_t pid = n ? json_object_get_int64(n) : 0;

	return pid > 1 && pid < INT32_MAX ? (pid_t)pid : 0;
}

/* Who has made the mount at `dir`; -ENOENT: there is none of ours. Or a negative errno. */
static int find_owner(const char *dir, uid_t *owner)
{
	struct mountinfo m;
	int r = mountinfo_find(&m, dir);
	const char *word = r == 0 ? strstr(m.super_options, "user_id=") : NULL;

	if (r == 0 && (strcmp(m.type, "fuse.cubbyfs") != 0 || !word)) {
		r = -ENOENT;
	}
	if (r == 0) {
		*owner = (uid_t)strtoul(word + strlen("user_id="), NULL, 10);
	}
	mountinfo_finish(&m);
	return r == MOUNTINFO_NONE ? -ENOENT : r;
}

/* Whether the process, which `pidfd` holds, runs as that user. */
static bool is_run_by(int pidfd, pid_t pid, uid_t owner)
{
	_cleanup_file_ FILE *f = NULL;
	char name[64], line[256];
	unsigned real;
	bool is = false;

	snprintf(name, sizeof(name), "/proc/%ld/status", (long)pid);
	f = fopen(name, "re");
	while (f && fgets(line, sizeof(line), f)) {
		is |= sscanf(line, "Uid: %u", &real) == 1 && real == owner;
	}
	/* It was that process which has been read of, if that is still there. */
	return is && syscall(SYS_pidfd_send_signal, pidfd, 0, NULL, 0) == 0;
}

/* 0 or a negative errno; -EPERM also if it is another user's. */
static int hang_up(pid_t supervisor, uid_t owner)
{
	_cleanup_fd_ int pidfd = (int)syscall(SYS_pidfd_open, supervisor, 0);

	if (pidfd < 0) {
		return -errno;
	}
	if (!is_run_by(pidfd, supervisor, owner)) {
		return -EPERM;
	}
	return syscall(SYS_pidfd_send_signal, pidfd, SIGHUP, NULL, 0) < 0 ? -errno : 0;
}

/* 0 or a negative errno. */
static int look(const char *dir, struct served *out)
{
	_cleanup_free_ char *path = NULL;
	_cleanup_fd_ int fd = -1;
	struct json_object *o;

	if (asprintf(&path, "%s/.cubby/stats", dir) < 0) {
		path = NULL;
		return -ENOMEM;
	}
	fd = open(path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK);
	if (fd < 0) {
		return -errno;
	}
	o = json_object_from_fd(fd);
	if (!o) {
		return -EPROTO;
	}
	out->supervisor = pid_in(o, "supervisor");
	out->worker = pid_in(o, "worker");
	snprintf(out->version, sizeof(out->version), "%s",
		json_object_get_string(json_object_object_get(o, "version")) ?: "unknown");
	json_object_put(o);
	return out->supervisor && out->worker ? 0 : -EPROTO;
}

int replace_worker(const char *dir, const char *version)
{
	int64_t until = clock_elapsed(&clock_system) + PATIENCE;
	struct served before, after;
	uid_t owner = 0;
	int r = find_owner(dir, &owner);

	r = r ? r : look(dir, &before);
	if (r < 0) {
		log_error("%s: %s", dir, r == -ENOENT ? "not a cubbyfs mount" :
				r == -EPROTO ? "who serves it is not known" : strerror(-r));
		return STATUS_NOT_REPLACED;
	}
	r = hang_up(before.supervisor, owner);
	if (r < 0) {
		log_error("process %ld, which is said to hold %s: %s", (long)before.supervisor, dir,
			strerror(-r));
		return STATUS_NOT_REPLACED;
	}
	do {
		poll(NULL, 0, 20);
		r = look(dir, &after);
	} while (r == 0 && after.worker == before.worker && clock_elapsed(&clock_system) < until);
	if (r < 0 || after.worker == before.worker) {
		log_error("%s: %s", dir, r < 0 ? strerror(-r) : "the same process goes on; see the log");
		return STATUS_NOT_REPLACED;
	}
	if (strcmp(after.version, version) != 0) {
		log_error("%s is served by version %s; see the log", dir, after.version);
		return STATUS_NOT_REPLACED;
	}
	printf("%s: process %ld (%s) has taken over from %ld (%s)\n", dir, (long)after.worker,
		after.version, (long)before.worker, before.version);
	return 0;
}
