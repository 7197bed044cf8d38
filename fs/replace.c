/* SPDX-License-Identifier: MIT
 * Copyright (c) 2026 The cubbyfs authors */

/* Who serves a mount, its .cubby/stats says. They are read by way of the mount, so they
 * come from whoever answers at that time. */
#include "fs/replace.h"

#include "base/cleanup.h"
#include "base/clock.h"
#include "base/log.h"

#include <errno.h>
#include <fcntl.h>
#include <json-c/json.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
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
	fd = open(path, O_RDONLY | O_CLOEXEC);
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
	int r = look(dir, &before);

	if (r < 0) {
		log_error("%s: %s", dir, r == -ENOENT ? "not a cubbyfs mount" :
				r == -EPROTO ? "who serves it is not known" : strerror(-r));
		return STATUS_NOT_REPLACED;
	}
	if (kill(before.supervisor, SIGHUP) < 0) {
		log_error("process %ld, which holds %s: %m", (long)before.supervisor, dir);
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
