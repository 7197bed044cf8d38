/* SPDX-License-Identifier: MIT
 * Copyright (c) 2026 The cubbyfs authors */

/* The kernel writes a mapping's pages back at its own time, and always before
 * it sends the FLUSH of a close(2) or the FSYNC of an msync(2). But it does so
 * through any handle of the key that can write, not the one that was mapped.
 * There they are staged, and that handle's owner may be in no hurry to close
 * it. So a FLUSH or FSYNC first commits the pages that other handles hold.
 *
 * Hardly anything maps keys so: the list is nearly always empty. */

#include "fs/mapping.h"

#include "base/keep.h"
#include "fs/ops.h"

#include <errno.h>
#include <stdlib.h>

struct staged {
	uint64_t ino;
	uint64_t handle;
};

struct mapping {
	struct store *store;
	struct keep *keep;
	struct staged *items;
	size_t size;
	size_t capacity;
};

static void add(struct mapping *m, uint64_t ino, uint64_t handle)
{
	if (m->size == m->capacity) {
		size_t capacity = m->capacity ? 2 * m->capacity : 8;
		struct staged *items = realloc(m->items, capacity * sizeof(*items));

		if (!items) {
			return; /* its own close commits it */
		}
		m->items = items;
		m->capacity = capacity;
	}
	m->items[m->size++] = (struct staged){.ino = ino, .handle = handle};
}

static void restore(void *arg, uint64_t handle, struct bytes b)
{
	uint64_t ino;

	if (b.size == sizeof(ino)) {
		memcpy(&ino, b.data, sizeof(ino));
		add(arg, ino, handle);
	}
}

int mapping_create(struct mapping **out, struct store *store, struct keep *keep)
{
	*out = calloc(1, sizeof(**out));
	if (!*out) {
		return -ENOMEM;
	}
	(*out)->store = store;
	(*out)->keep = keep;
	keep_each(keep, KEEP_MAPPED, restore, *out);
	return 0;
}

void mapping_destroy(struct mapping *m)
{
	if (m) {
		free(m->items);
		free(m);
	}
}

void mapping_note(struct mapping *m, uint64_t ino, uint64_t handle)
{
	for (size_t i = 0; i < m->size; i++) {
		if (m->items[i].handle == handle) {
			return;
		}
	}
	add(m, ino, handle);
	keep_put(m->keep, KEEP_MAPPED, handle, bytes_of(&ino, sizeof(ino)));
}

void mapping_forget(struct mapping *m, uint64_t handle)
{
	for (size_t i = 0; i < m->size; i++) {
		if (m->items[i].handle == handle) {
			m->items[i] = m->items[--m->size];
			keep_drop(m->keep, KEEP_MAPPED, handle);
			return;
		}
	}
}

/* The handle of one that holds pages of `ino`, which is forgotten; 0: none. */
static uint64_t take(struct mapping *m, uint64_t ino, uint64_t except)
{
	for (size_t i = 0; i < m->size; i++) {
		uint64_t handle = m->items[i].handle;

		if (m->items[i].ino == ino && handle != except) {
			mapping_forget(m, handle);
			return handle;
		}
	}
	return 0;
}

/* A request that waits for others' pages. */
struct waiting {
	struct mapping *mapping;
	fuse_req_t req;
	uint64_t ino;
	uint64_t handle;
	mapping_commit_fn *fn;
	struct store_reply reply;
};

static void proceed(struct waiting *w);

static void pages_committed(void *arg, int rc, const struct store_result *result)
{
	struct waiting *w = arg;

	(void)result;
	/* STORE_BAD_HANDLE: it was released meanwhile, and so committed. */
	if (rc && rc != STORE_BAD_HANDLE) {
		w->reply.done(w->reply.arg, rc, NULL);
		free(w);
		return;
	}
	proceed(w);
}

static void proceed(struct waiting *w)
{
	struct store_caller caller = ops_caller(w->req);
	struct store *store = w->mapping->store;
	uint64_t other = take(w->mapping, w->ino, w->handle);

	if (other) {
		store_fsync(store, &caller, other,
			(struct store_reply){.done = pages_committed, .arg = w});
		return;
	}
	w->fn(store, &caller, w->handle, w->reply);
	free(w);
}

void mapping_commit(struct mapping *m, struct fuse_req *req, uint64_t ino, uint64_t handle,
	mapping_commit_fn *fn, struct store_reply reply)
{
	struct store_caller caller = ops_caller(req);
	struct waiting *w;

	if (m->size == 0) {
		fn(m->store, &caller, handle, reply);
		return;
	}
	w = malloc(sizeof(*w));
	if (!w) {
		reply.done(reply.arg, -ENOMEM, NULL);
		return;
	}
	*w = (struct waiting){
		.mapping = m,
		.req = req,
		.ino = ino,
		.handle = handle,
		.fn = fn,
		.reply = reply,
	};
	proceed(w);
}
