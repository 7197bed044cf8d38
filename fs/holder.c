/* SPDX-License-Identifier: MIT
 * Copyright (c) 2026 The cubbyfs authors */

/* A pidfd (pidfd_open(2)) is readable once its process has ended. All of them are in
 * one epoll instance, with the token of the lock; when the store closes one, it leaves
 * that by itself. */
#include "fs/holder.h"

#include "base/cleanup.h"
#include "base/log.h"
#include "fs/process.h"

#include <errno.h>
#include <fcntl.h>
#include <json-c/json.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/syscall.h>
#include <sys/utsname.h>
#include <unistd.h>

#define BATCH 64

struct holders {
	struct store *store;
	int epoll;
	char host[65];
	char boot[40];
};

/* The first line of a file, or "". */
static void read_line(const char *path, char *out, size_t size)
{
	_cleanup_fd_ int fd = open(path, O_RDONLY | O_CLOEXEC);
	ssize_t n = fd < 0 ? -1 : read(fd, out, size - 1);

	out[n > 0 ? n : 0] = 0;
	out[strcspn(out, "\n")] = 0;
}

int holders_create(struct holders **out)
{
	struct holders *h = calloc(1, sizeof(*h));
	struct utsname name;

	if (!h) {
		return -ENOMEM;
	}
	h->epoll = epoll_create1(EPOLL_CLOEXEC);
	if (h->epoll < 0) {
		free(h);
		return -errno;
	}
	if (uname(&name) == 0) {
		snprintf(h->host, sizeof(h->host), "%s", name.nodename);
	}
	read_line("/proc/sys/kernel/random/boot_id", h->boot, sizeof(h->boot));
	*out = h;
	return 0;
}

void holders_set_store(struct holders *h, struct store *store)
{
	h->store = store;
}

void holders_destroy(struct holders *h)
{
	if (h) {
		close(h->epoll);
		free(h);
	}
}

/* When a process was started, in clock ticks after the boot; 0 if that is not known. */
static uint64_t started(pid_t pid)
{
	char path[64], text[1024];
	const char *at;

	snprintf(path, sizeof(path), "/proc/%ld/stat", (long)pid);
	read_line(path, text, sizeof(text));
	at = strrchr(text, ')'); /* the name before it may hold anything */
	for (int field = 2; at && field < 22; field++) {
		at = strchr(at + 1, ' ');
	}
	return at ? strtoull(at, NULL, 10) : 0;
}

int holders_describe(const struct holders *h, const struct store_caller *caller,
	struct buffer *out)
{
	struct json_object *o = json_object_new_object();
	pid_t pid = process_of_thread(caller->pid);
	char path[64], command[64];
	const char *text = NULL;
	int rc = -ENOMEM;

	snprintf(path, sizeof(path), "/proc/%ld/comm", (long)pid);
	read_line(path, command, sizeof(command));
	for (char *c = command; *c; c++) {
		*c = *c >= ' ' && *c <= '~' ? *c : '?';
	}
	if (o) {
		json_object_object_add(o, "pid", json_object_new_int64(pid));
		json_object_object_add(o, "uid", json_object_new_int64(caller->uid));
		json_object_object_add(o, "host", json_object_new_string(h->host));
		json_object_object_add(o, "command", json_object_new_string(command));
		json_object_object_add(o, "started", json_object_new_uint64(started(pid)));
		json_object_object_add(o, "boot", json_object_new_string(h->boot));
		text = json_object_to_json_string_ext(o,
			JSON_C_TO_STRING_PLAIN | JSON_C_TO_STRING_NOSLASHESCAPE);
	}
	if (text) {
		rc = buffer_append_string(out, text);
	}
	json_object_put(o);
	return rc;
}

/* The process that a line of ours names, if it is of this machine and this boot. */
static pid_t process_named(const struct holders *h, struct bytes holder, uint64_t *at)
{
	_cleanup_free_ char *text = strndup(holder.data, holder.size);
	struct json_object *o = text ? json_tokener_parse(text) : NULL, *field;
	pid_t pid = 0;

	if (json_object_is_type(o, json_type_object) &&
		json_object_object_get_ex(o, "boot", &field) && *h->boot &&
		strcmp(json_object_get_string(field), h->boot) == 0 &&
		json_object_object_get_ex(o, "started", &field)) {
		*at = json_object_get_uint64(field);
		pid = json_object_object_get_ex(o, "pid", &field) ?
			json_object_get_int(field) : 0;
	}
	json_object_put(o);
	return pid;
}

int holders_watch(struct holders *h, struct bytes holder, uint64_t token)
{
	struct epoll_event event = {.events = EPOLLIN, .data.u64 = token};
	uint64_t at = 0;
	pid_t pid = process_named(h, holder, &at);
	int fd = pid > 0 ? (int)syscall(SYS_pidfd_open, pid, 0) : -1;

	if (fd < 0) {
		return -1;
	}
	/* Asked once it is pinned: the number may be another's by now. */
	if (started(pid) != at || epoll_ctl(h->epoll, EPOLL_CTL_ADD, fd, &event) < 0) {
		close(fd);
		return -1;
	}
	return fd;
}

int holders_poll_fd(const struct holders *h)
{
	return h->epoll;
}

void holders_dispatch(struct holders *h)
{
	struct epoll_event events[BATCH];
	int n = epoll_wait(h->epoll, events, BATCH, 0);

	for (int i = 0; i < n; i++) {
		store_holder_ended(h->store, events[i].data.u64);
	}
}
