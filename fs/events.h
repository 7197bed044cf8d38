/* SPDX-License-Identifier: MIT
 * Copyright (c) 2026 The cubbyfs authors */

/* `.cubby/events`: each open is a stream of the changes from then on, as JSON
 * lines. The format is event.h's and is told to users in cubbyfs(5).
 *
 * All calls are the loop's. Requests that have to wait are kept and answered later;
 * none waits any more after events_end. Handles are numbers of its own. */
#pragma once

#include "store/store.h"

#include <stdbool.h>
#include <stdint.h>

struct events;
struct fuse_pollhandle;
struct fuse_req;
struct keep;
struct session;

/* Both are borrowed and must outlive it; streams that another process had open go on. 0 or
 * -ENOMEM. */
int events_create(struct events **out, struct store *store, struct keep *keep);
/* Those who polled when another process was to tell them are told to ask again. */
void events_wake(struct events *ev, struct session *session);
/* After the loop has ended. NULL is fine. */
void events_destroy(struct events *ev);

/* A stream. 0, -EMFILE if there are too many, or -ENOMEM. */
int events_open(struct events *ev, uint64_t *handle);
void events_release(struct events *ev, uint64_t handle);

/* Answers the request, now or later. `flags` as open(2)'s: O_NONBLOCK. */
void events_read(struct events *ev, uint64_t handle, struct fuse_req *req, size_t size, int flags);

/* The filter line, before anything was read. 0, STORE_INVALID if it is none, -EBUSY
 * if it comes too late, -ENOBUFS if too many streams read from the log already, or
 * -ENOMEM; the stream is then as it was. */
int events_write(struct events *ev, uint64_t handle, struct bytes line);

/* What poll(2) is to be told; `ph` (owned from here on) may be NULL, else it is
 * notified when that changes. `number` is the kernel's for the same. */
unsigned events_poll(
	struct events *ev, uint64_t handle, struct fuse_pollhandle *ph, uint64_t number);

/* Answers who waits for what has come, and goes on with what is read from the log, for
 * about a millisecond. Returns ns until it wants to be called again, 0 for at once,
 * -1 for never. */
int64_t events_tick(struct events *ev);

/* The mount has been taken away: streams that are open are at their end, so that who
 * waits there looks for it again and does not keep the store busy. */
void events_hang_up(struct events *ev);

/* The daemon is ending: so are streams that are opened from now on. */
void events_end(struct events *ev);
