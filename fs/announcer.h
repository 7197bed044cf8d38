/* SPDX-License-Identifier: MIT
 * Copyright (c) 2026 The cubbyfs authors */

/* Raises the inotify events of changes that no local program's system call has
 * made: a thread that carries them out on the mount once more, for the kernel
 * to see, while the request handlers answer it without applying anything.
 *
 * All functions but announcer_create's thread are called on the loop's thread. */
#pragma once

#include "store/store.h"

#include <stdbool.h>
#include <sys/types.h>

struct announcer;

/* What the loop must know of a request that may be the announcer's. */
enum announcer_answer {
	/* Not the announcer's, or an ordinary step on its way: as for anybody. */
	ANNOUNCER_ORDINARY,
	/* The node that `ino` names, with the attributes given. */
	ANNOUNCER_NODE,
	/* There is no such name. */
	ANNOUNCER_NOTHING,
};

struct keep;

/* Begins to listen to the store. What another process has left in the keep is announced, too.
 * Both are borrowed. 0 or a negative errno. */
int announcer_create(struct announcer **out, struct store *store, struct keep *keep);

/* The mount answers: from now on events are raised there. `dir` is borrowed for
 * good. `view` is a private view of the mount (clone.h), which it takes over, or why there
 * is none, a negative errno: then, logged, there will be no announcements; that is no
 * failure. */
void announcer_start(struct announcer *a, const char *dir, int view);

/* Readable (POLLPRI | POLLERR) when the table of mounts has changed, then
 * announcer_look is to be called; -1 if it was not started. */
int announcer_mounts_fd(const struct announcer *a);

/* Lets go of the mount if it has been unmounted. Returns whether it has. */
bool announcer_look(struct announcer *a);

/* Readable when announcer_dispatch has something to do. */
int announcer_poll_fd(const struct announcer *a);
void announcer_dispatch(struct announcer *a);

/* Lets go what has been held back for long enough. Returns ns until it wants to be called again,
 * -1 for never. */
int64_t announcer_tick(struct announcer *a);

/* The session has ended, and the store is about to: the thread is told to end.
 * Waits for nothing. NULL is fine. */
void announcer_stop(struct announcer *a);

/* Waits for the thread, which must have been stopped. NULL is fine. */
void announcer_destroy(struct announcer *a);

/* --- taking over ------------------------------------------------------------ */

/* Whether a thread was the announcer of a process before us. */
bool announcer_was(const struct announcer *a, pid_t thread);
/* A request of such a thread was sent once more: so it had not been answered. */
void announcer_resent(struct announcer *a, uint64_t request);
/* None is sent once more from now on: what was answered has been announced. */
void announcer_settle(struct announcer *a);

/* --- for the request handlers --------------------------------------------- */

/* Whether it raises events, so that the kernel may remember what it is told. */
bool announcer_works(const struct announcer *a);

/* Whether a request is the announcer's own. */
bool announcer_is(const struct announcer *a, pid_t thread);

/* Its lookup of `name` in `parent`. */
enum announcer_answer announcer_lookup(struct announcer *a, uint64_t parent, const char *name,
	struct stat *st);

/* It has removed what it was told to remove: 0, or what to answer, an errno. `request` is the
 * number of that request. */
int announcer_removed(struct announcer *a, uint64_t parent, const char *name, uint64_t request);

/* It opens or touches this node: 0, or what to answer, an errno. */
int announcer_touched(struct announcer *a, uint64_t ino);

/* Its making of `name` in `parent`: 0 and the node that is there, or
 * STORE_NOT_FOUND. */
int announcer_made(struct announcer *a, uint64_t parent, const char *name, uint64_t request,
	struct stat *st);

/* The attributes of what it is to remove, or has on its way there, as they were. False: it is
 * nothing of that kind. */
bool announcer_stat(struct announcer *a, uint64_t ino, struct stat *st);

/* The handle of whatever it opens; nothing is ever read or written by it. */
#define ANNOUNCER_HANDLE UINT64_MAX

/* Whether it is bound by permissions, as a user's daemon is; root's is not. Then it is told others
 * (announcer_permit), so that attributes are not to be remembered. */
bool announcer_needs_permission(void);

/* Adds those that it needs as the owner, who could give himself these. */
void announcer_permit(struct stat *st);
