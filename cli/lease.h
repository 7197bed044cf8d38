/* SPDX-License-Identifier: MIT
 * Copyright (c) 2026 The cubbyfs authors */

/* A lock of a live mount, held as any program can hold one: a name made
 * exclusively in a lock namespace, and a token that says whose it is.
 *
 * The name is addressed from its directory, which is held open: renames above
 * it and chdir(2) change nothing. Whatever touches the lock once it is taken
 * names the token, so that a lock that was lost is never another holder's that
 * is refreshed or removed.
 *
 * Errors are negative errnos. */
#pragma once

#include "base/clock.h"
#include "cli/key.h"

#include <stdbool.h>
#include <stdint.h>

enum lease_outcome {
	LEASE_TAKEN = 1,  /* something is there under this name */
	LEASE_LOST = 2,   /* the token does not hold the name any more */
	LEASE_NO_LOCK = 3 /* what was made is no lock, and has been removed again */
};

struct lease {
	const char *path;     /* borrowed: as it was given, for messages */
	int directory;        /* owned, O_PATH; -1: none */
	char *parent, *name;  /* the path's last name, and what is before it */
	char *link;           /* through /proc: what setxattr(2) takes for directory and name */
	char *directory_link; /* the same for the directory */

	char token[KEY_ATTRIBUTE_SIZE];
	int64_t start; /* when the last refresh that succeeded began, by lease_now */
	int64_t ttl;   /* ns, counted from then */
};

/* Goes on while the machine sleeps, as the lock's own clock does. */
static inline int64_t lease_now(void)
{
	return clock_elapsed(&clock_system);
}

/* From then on the lock may be somebody else's. */
static inline int64_t lease_end(const struct lease *l)
{
	int64_t end;

	return __builtin_add_overflow(l->start, l->ttl, &end) ? INT64_MAX : end;
}

/* Finds the directory; the name need not be there. -ENOTSUP: that is not on a
 * cubbyfs mount. */
int lease_open(struct lease *l, const char *path);
void lease_finish(struct lease *l);

/* One try to take it, with that TTL (decimal seconds; NULL: the namespace's). */
int lease_take(struct lease *l, const char *ttl);

/* Starts the TTL anew. 0, LEASE_LOST, or a fault, which leaves it open whether it
 * is lost. May block for as long as the daemon hangs, as all here may. */
int lease_refresh(struct lease *l);

/* Removes the lock. 0, LEASE_LOST, or a fault. */
int lease_release(struct lease *l);

/* Reads user.cubby.ATTRIBUTE of the name itself, never of what a symlink
 * points at: 0 or a negative errno, and then *out is empty. */
int lease_attribute(const struct lease *l, const char *attribute, char out[KEY_ATTRIBUTE_SIZE]);

/* The same for one that may be longer; `out` has `size` bytes. */
int lease_long_attribute(const struct lease *l, const char *attribute, char *out, size_t size);

/* Whether an ordinary key or namespace has the name now. A lock that is removed
 * just while its token is read has none either, and is not taken for one. */
bool lease_is_no_lock(const struct lease *l);

/* Whether an exclusive creation of the name takes a lock, as far as the directory's
 * attributes tell. */
bool lease_may_be_lock(const struct lease *l);

/* Says why it is no lock, and what makes it one; returns the exit code. */
int lease_explain_no_lock(const struct lease *l);
