/* SPDX-License-Identifier: MIT
 * Copyright (c) 2026 The cubbyfs authors */

/* A pidfd (pidfd_open(2)) is readable once its process has ended. There is one for each
 * process that holds locks to be kept alive, however many, and all are in one epoll
 * instance. They are the daemon's descriptors, and who makes locks need not be its friend: so there
 * are only so many, and for a user no more than a quarter of those. The rest of the
 * holders the store looks after itself (STORE_ALIVE). */
#include "fs/holder.h"

#include "base/cleanup.h"
#include "base/log.h"
#include "base/table.h"
#include "fs/process.h"

#include <errno.h>
#include <fcntl.h>
#include <json-c/json.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <sys/utsname.h>
#include <unistd.h>

#define BATCH 64

/* A process that holds locks. */
struct process {
	struct table_link by_pid;
	pid_t pid;
	uint64_t started;
	uid_t uid;
	int fd;
	struct watch *watches; /* never none */
};

/* A lock that it holds. */
struct watch {
	struct table_link by_token;
	uint64_t token;
	struct process *process;
	struct watch *next; /* of the process */
};

struct holders {
	struct store *store;
	int epoll;
	struct table processes; /* by pid */
	struct table watches;	/* by token */
	size_t limit;		/* of processes */
	bool warned;
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

/* An eighth of the descriptors that we may have. */
static size_t limit_of_processes(void)
{
	struct rlimit files;

	return getrlimit(RLIMIT_NOFILE, &files) == 0 && files.rlim_cur < 65536 ?
		files.rlim_cur / 8 : 8192;
}

int holders_create(struct holders **out)
{
	struct holders *h = calloc(1, sizeof(*h));
	struct utsname name;
	int r;

	if (!h) {
		return -ENOMEM;
	}
	h->epoll = epoll_create1(EPOLL_CLOEXEC);
	r = h->epoll < 0 ? -errno : table_init(&h->processes);
	r = r ? r : table_init(&h->watches);
	if (r) {
		holders_destroy(h);
		return r;
	}
	h->limit = limit_of_processes();
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
	if (!h) {
		return;
	}
	/* The store has let go of all that it had watched. */
	table_finish(&h->processes);
	table_finish(&h->watches);
	if (h->epoll >= 0) {
		close(h->epoll);
	}
	free(h);
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

static struct json_object *field_of(struct json_object *o, const char *name, json_type type)
{
	struct json_object *field = NULL;

	json_object_object_get_ex(o, name, &field);
	return json_object_is_type(field, type) ? field : NULL;
}

/* The process that a line of ours names, if it is of this boot. Anything may be in it:
 * it comes out of the journal. */
static bool read_holder(const struct holders *h, struct bytes holder, struct process *out)
{
	_cleanup_free_ char *text = strndup(holder.size ? holder.data : "", holder.size);
	struct json_object *o = text ? json_tokener_parse(text) : NULL;
	struct json_object *boot = NULL, *at = NULL, *pid = NULL, *uid = NULL;
	int64_t number = 0;

	if (json_object_is_type(o, json_type_object)) {
		boot = field_of(o, "boot", json_type_string);
		at = field_of(o, "started", json_type_int);
		pid = field_of(o, "pid", json_type_int);
		uid = field_of(o, "uid", json_type_int);
	}
	if (boot && at && pid && uid && *h->boot &&
		strcmp(json_object_get_string(boot), h->boot) == 0) {
		number = json_object_get_int64(pid);
		out->started = json_object_get_uint64(at);
		out->uid = (uid_t)json_object_get_int64(uid);
	}
	json_object_put(o);
	out->pid = number > 0 && number <= INT32_MAX ? (pid_t)number : 0;
	return out->pid > 0 && out->started > 0;
}

static struct process *find_process(const struct holders *h, const struct process *like)
{
	struct table_link *l = table_first(&h->processes, hash_number((uint64_t)like->pid));

	for (; l; l = table_next(l)) {
		struct process *p = container_of(l, struct process, by_pid);

		if (p->pid == like->pid && p->started == like->started) {
			return p;
		}
	}
	return NULL;
}

/* Whether one more process of this user may be watched. */
static bool has_room(const struct holders *h, uid_t uid)
{
	size_t count = 0;

	if (h->processes.n_items < h->limit / 4) {
		return true;
	}
	for (size_t i = 0; i < h->processes.n_buckets; i++) {
		for (struct table_link *l = table_bucket(&h->processes, i); l; l = l->next) {
			count += container_of(l, struct process, by_pid)->uid == uid;
		}
	}
	return h->processes.n_items < h->limit && (uid == 0 || count < h->limit / 4);
}

/* NULL: it can't be watched. */
static struct process *add_process(struct holders *h, const struct process *like, int fd)
{
	struct epoll_event event = {.events = EPOLLIN};
	struct process *p = malloc(sizeof(*p));

	if (!p) {
		return NULL;
	}
	*p = *like;
	p->fd = fd;
	p->watches = NULL;
	event.data.ptr = p;
	if (epoll_ctl(h->epoll, EPOLL_CTL_ADD, fd, &event) < 0) {
		free(p);
		return NULL;
	}
	table_insert(&h->processes, &p->by_pid, hash_number((uint64_t)p->pid));
	return p;
}

static void drop_process(struct holders *h, struct process *p)
{
	table_remove(&h->processes, &p->by_pid);
	close(p->fd);
	free(p);
}

static enum store_watch unwatched(struct holders *h)
{
	if (!h->warned) {
		h->warned = true;
		log_warning("many processes hold locks that are kept alive; the end of some is "
			    "noticed up to a second late");
	}
	return STORE_ALIVE;
}

enum store_watch holders_watch(struct holders *h, struct bytes holder, uint64_t token)
{
	struct process like, *p;
	struct watch *w;
	int fd;

	if (!read_holder(h, holder, &like) || started(like.pid) != like.started) {
		return STORE_ENDED;
	}
	p = find_process(h, &like);
	if (!p) {
		if (!has_room(h, like.uid)) {
			return unwatched(h);
		}
		fd = (int)syscall(SYS_pidfd_open, like.pid, 0);
		if (fd < 0) {
			return errno == ESRCH ? STORE_ENDED : unwatched(h);
		}
		/* Asked again now that it is pinned: the number may be another's. */
		if (started(like.pid) != like.started) {
			close(fd);
			return STORE_ENDED;
		}
		p = add_process(h, &like, fd);
		if (!p) {
			close(fd);
			return unwatched(h);
		}
	}
	w = malloc(sizeof(*w));
	if (!w) {
		if (!p->watches) {
			drop_process(h, p);
		}
		return unwatched(h);
	}
	*w = (struct watch){.token = token, .process = p, .next = p->watches};
	p->watches = w;
	table_insert(&h->watches, &w->by_token, hash_number(token));
	return STORE_WATCHED;
}

void holders_unwatch(struct holders *h, uint64_t token)
{
	struct table_link *l = table_first(&h->watches, hash_number(token));
	struct watch *w = NULL, **at;

	for (; l && !w; l = table_next(l)) {
		w = container_of(l, struct watch, by_token);
		w = w->token == token ? w : NULL;
	}
	if (!w) {
		return;
	}
	for (at = &w->process->watches; *at != w; at = &(*at)->next) {
	}
	*at = w->next;
	table_remove(&h->watches, &w->by_token);
	if (!w->process->watches) {
		drop_process(h, w->process);
	}
	free(w);
}

int holders_poll_fd(const struct holders *h)
{
	return h->epoll;
}

void holders_dispatch(struct holders *h)
{
	struct epoll_event event;

	/* One at a time: what is told may let go of others. */
	for (int i = 0; i < BATCH && epoll_wait(h->epoll, &event, 1, 0) == 1; i++) {
		struct process *p = event.data.ptr;
		size_t before = h->watches.n_items;
		uint64_t token = p->watches->token;

		store_holder_ended(h->store, token);
		if (h->watches.n_items == before) {
			holders_unwatch(h, token); /* not the store's any more */
		}
	}
}
