/* SPDX-License-Identifier: MIT
 * Copyright (c) 2026 The cubbyfs authors */

#include "late.h"

#include "base/cleanup.h"

#include <errno.h>
#include <sys/eventfd.h>

#define WAITING_MAX 1024

struct waiting {
	const struct transition *append; /* NULL: a sync */
	backend_done *done;
	void *arg;
};

struct late_backend {
	struct backend base;
	struct backend *inner;
	struct backend_config config;
	int event_fd;
	int failed;
	struct waiting waiting[WAITING_MAX];
	size_t n_waiting;
};

struct late late;

static struct late_backend *open_one;
static const struct change *interference;
static size_t n_interference;

static struct late_backend *self(struct backend *b)
{
	return container_of(b, struct late_backend, base);
}

void late_reset(void)
{
	late = (struct late){0};
	interference = NULL;
	n_interference = 0;
}

void late_interfere(const struct change *changes, size_t n)
{
	interference = changes;
	n_interference = n;
}

bool late_waits(void)
{
	return open_one && open_one->n_waiting > 0;
}

static int late_open(struct backend **out, const char *location,
	const struct backend_config *config, char **error)
{
	struct late_backend *l = calloc(1, sizeof(*l));
	int rc;

	(void)location;
	if (!l) {
		return -ENOMEM;
	}
	rc = backend_memory.open(&l->inner, "", config, error);
	if (rc) {
		free(l);
		return rc;
	}
	l->base.ops = &backend_late;
	l->config = *config;
	l->event_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	open_one = l;
	late.revision = 0;
	*out = &l->base;
	return 0;
}

static int late_replay(struct backend *b, backend_replay_fn *fn, void *arg, uint64_t *next_ino,
	int64_t *last_at, uint64_t *last_revision)
{
	return backend_memory.replay(self(b)->inner, fn, arg, next_ino, last_at, last_revision);
}

/* Another machine's transition, in the place of t. */
static void come_first(struct late_backend *l, const struct transition *t)
{
	const struct change touch = {.type = CHANGE_PUT, .ino = INO_ROOT};
	struct transition other = {
		.revision = t->revision,
		.at = t->at,
		.changes = interference ? interference : &touch,
		.n_changes = interference ? n_interference : 1,
	};

	late.conflicts++;
	late.revision = t->revision;
	interference = NULL;
	l->config.foreign(l->config.arg, &other);
}

static void complete_append(struct late_backend *l, struct waiting w)
{
	int status = 0;

	if (l->failed) {
		w.done(w.arg, -EROFS);
		return;
	}
	if (w.append->revision != late.revision + 1) {
		w.done(w.arg, -EINVAL);
		return;
	}
	late.appends++;
	if (interference || (late.noise && late.appends % late.noise == 0)) {
		come_first(l, w.append);
		w.done(w.arg, BACKEND_CONFLICT);
		return;
	}
	if (late.pass > 0) {
		late.pass--;
	} else if (late.fail > 0) {
		late.fail--;
		status = late.append_status;
	}
	if (status == 0) {
		late.revision = w.append->revision;
	} else if (status != -ENOSPC) {
		l->failed = status;
	}
	w.done(w.arg, status);
}

static void complete(struct late_backend *l, struct waiting w)
{
	if (w.append) {
		complete_append(l, w);
		return;
	}
	late.syncs++;
	if (late.sync_status) {
		l->failed = late.sync_status;
	}
	w.done(w.arg, l->failed ? -EIO : 0);
}

static void wait_for(struct late_backend *l, struct waiting w)
{
	const uint64_t one = 1;

	if (late.at_once) {
		complete(l, w);
		return;
	}
	if (l->n_waiting == WAITING_MAX || write(l->event_fd, &one, sizeof(one)) != sizeof(one)) {
		abort();
	}
	l->waiting[l->n_waiting++] = w;
}

static void late_append(
	struct backend *b, const struct transition *t, backend_done *done, void *arg)
{
	wait_for(self(b), (struct waiting){.append = t, .done = done, .arg = arg});
}

static void late_sync(struct backend *b, backend_done *done, void *arg)
{
	wait_for(self(b), (struct waiting){.done = done, .arg = arg});
}

static int late_poll_fd(struct backend *b)
{
	return self(b)->event_fd;
}

/* One at a time, so that the tests see every state in between. */
static void late_dispatch(struct backend *b)
{
	struct late_backend *l = self(b);
	struct waiting w;
	uint64_t count;

	if (l->n_waiting == 0) {
		return;
	}
	w = l->waiting[0];
	memmove(l->waiting, l->waiting + 1, --l->n_waiting * sizeof(w));
	if (l->n_waiting == 0 && read(l->event_fd, &count, sizeof(count)) < 0) {
		abort();
	}
	complete(l, w);
}

static void late_usage(struct backend *b, struct backend_usage *out)
{
	backend_memory.usage(self(b)->inner, out);
}

static int late_close(struct backend *b)
{
	struct late_backend *l = self(b);
	int rc = l->failed;

	while (l->n_waiting > 0) {
		late_dispatch(b);
	}
	backend_memory.close(l->inner);
	close(l->event_fd);
	open_one = NULL;
	free(l);
	return rc;
}

const struct backend_ops backend_late = {
	.name = "late",
	.open = late_open,
	.replay = late_replay,
	.append = late_append,
	.sync = late_sync,
	.poll_fd = late_poll_fd,
	.dispatch = late_dispatch,
	.usage = late_usage,
	.close = late_close,
};
