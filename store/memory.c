/* SPDX-License-Identifier: MIT
 * Copyright (c) 2026 The cubbyfs authors */

/* The backend that keeps nothing: every append is as durable as it will ever
 * be when it returns. */
#include "base/cleanup.h"
#include "store/backend.h"

#include <errno.h>
#include <stdlib.h>

struct memory {
	struct backend base;
	bool read_only;
	struct backend_usage usage;
};

static int memory_open(struct backend **out, const char *location,
	const struct backend_config *config, char **error)
{
	struct memory *m;

	if (location[0] != 0) {
		if (error && asprintf(error, "memory: takes no path, but got %s", location) < 0) {
			*error = NULL;
		}
		return -EINVAL;
	}
	m = calloc(1, sizeof(*m));
	if (!m) {
		return -ENOMEM;
	}
	m->base.ops = &backend_memory;
	m->read_only = config->read_only;
	*out = &m->base;
	return 0;
}

static int memory_replay(struct backend *b, backend_replay_fn *fn, void *arg, uint64_t *next_ino,
	int64_t *last_at, uint64_t *last_revision)
{
	(void)b;
	(void)fn;
	(void)arg;
	*next_ino = 0;
	*last_at = 0;
	*last_revision = 0;
	return 0;
}

static void memory_append(
	struct backend *b, const struct transition *t, backend_done *done, void *arg)
{
	struct memory *m = container_of(b, struct memory, base);

	(void)t;
	m->usage.appends += !m->read_only;
	done(arg, m->read_only ? -EROFS : 0);
}

static void memory_sync(struct backend *b, backend_done *done, void *arg)
{
	(void)b;
	done(arg, 0);
}

static int memory_poll_fd(struct backend *b)
{
	(void)b;
	return -1;
}

static void memory_dispatch(struct backend *b)
{
	(void)b;
}

static void memory_usage(struct backend *b, struct backend_usage *out)
{
	*out = container_of(b, struct memory, base)->usage;
}

static int memory_close(struct backend *b)
{
	free(container_of(b, struct memory, base));
	return 0;
}

const struct backend_ops backend_memory = {
	.name = "memory",
	.open = memory_open,
	.replay = memory_replay,
	.append = memory_append,
	.sync = memory_sync,
	.poll_fd = memory_poll_fd,
	.dispatch = memory_dispatch,
	.usage = memory_usage,
	.close = memory_close,
};
