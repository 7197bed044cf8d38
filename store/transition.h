/* SPDX-License-Identifier: MIT
 * Copyright (c) 2026 The cubbyfs authors */

/* A transition: one commit, one revision, one line of the journal.
 *
 * It is plain data. All pointers are borrowed, from whoever made it, until
 * the call that takes it returns (or, for an append, until its completion).
 *
 * A state is what transitions add up to, and any state can be written as a
 * set of CHANGE_PUT of its nodes. Applying is forgiving: a change that refers
 * to what a lost line had made makes it again as far as it can tell (each
 * change names its path for that), and never fails for a missing or existing
 * name. */
#pragma once

#include "base/bytes.h"

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#define INO_ROOT 1
/* Numbers below are the front end's (".cubby" and what is in it). */
#define INO_FIRST 16
/* New numbers are given out below this; a log with a larger one in it does not use them up. */
#define INO_LIMIT (UINT64_C(1) << 62)
/* Of revisions and versions. A store that changes a hundred thousand times a second gets there in
 * 89 years. */
#define REVISION_LIMIT ((UINT64_C(1) << 48) - 1)
#define VERSION_LIMIT REVISION_LIMIT
/* Wall clock times that are reckoned with (not those that users set) are not past the year 2116,
 * and TTLs not much longer than a century: their sums fit. */
#define TIME_LIMIT (INT64_C(1) << 62)
#define DURATION_LIMIT (TIME_LIMIT / 4 * 3)
/* No gap in the revisions is larger: what is so far ahead is damage, and would use them up. */
#define REVISION_GAP_MAX (UINT64_C(1) << 40)

enum change_type {
	/* Node `ino` at `place` is as the fields say; what no field says stays
	 * as it was, or is the default for a new node. The upsert that makes
	 * keys, namespaces, symlinks and devices, sets values, changes
	 * attributes. A PUT with HAS_VALUE counts up the version. */
	CHANGE_PUT,
	/* `value` is added to the end of the value of `ino`. `offset` is where
	 * it was added: if the value is shorter (a line was lost), what is
	 * missing is not made up; if it is longer, it is added all the same. */
	CHANGE_APPEND,
	/* `ino` gets the further name `place`. */
	CHANGE_LINK,
	/* The name `place` goes away; with its last name the node does. A
	 * namespace goes with everything that is left in it. */
	CHANGE_REMOVE,
	/* As CHANGE_REMOVE, because its TTL ran out. */
	CHANGE_EXPIRE,
	/* `place` is now `to`; what was at `to` is removed. */
	CHANGE_RENAME,
	/* `place` and `to` change places. */
	CHANGE_EXCHANGE,
};

/* A name in a namespace. The last component of `path` is the name; the rest is
 * the way to the namespace `parent` as it was then, for people, for events,
 * and for a replay that has lost the parent. No leading slash; the root itself
 * has parent 0 and an empty path. */
struct place {
	uint64_t parent;
	struct bytes path;
};

struct xattr_change {
	struct bytes name;
	struct bytes value;
	bool removed;
};

/* What a CHANGE_PUT says; HAS_EXPIRES and HAS_LOCK also of the new name that a
 * CHANGE_LINK or CHANGE_RENAME makes. */
#define HAS_MODE (1u << 0) /* mode: permission bits and the type (S_IFMT) */
#define HAS_OWNER (1u << 1) /* uid and gid */
#define HAS_VALUE (1u << 2) /* value (a symlink's target too); CHANGE_APPEND has one without */
#define HAS_RDEV (1u << 3)
#define HAS_MTIME (1u << 4) /* else: `at`, if it has a value or is new */
#define HAS_ATIME (1u << 5) /* else: unchanged; `at` for a new node */
#define HAS_AGE (1u << 8) /* else 0 */
#define HAS_EXPIRES (1u << 6) /* expires and ttl; expires 0: it is permanent from now on */
/* The name is taken as a lock; comes with HAS_EXPIRES. A deadline without it leaves
 * a lock what it is, but for expires 0, which makes it an ordinary name. */
#define HAS_LOCK (1u << 9)
/* In snapshots, where a line stands for all that made the node, and for
 * namespaces that no call has made: the root of a new store, what was lost. */
#define HAS_HISTORY (1u << 7) /* version, created, changed, links, action */

/* Who has a name as a lock. */
struct holding {
	uint64_t token;	     /* the revision of the acquisition; 0: of this transition */
	struct bytes holder; /* text for people */
	bool keepalive;	     /* the TTL runs from the end of the holder's process */
};

struct change {
	enum change_type type;
	unsigned fields;
	uint64_t ino;
	struct place place;
	struct place to; /* CHANGE_RENAME, CHANGE_EXCHANGE */
	uint32_t mode;
	uint32_t uid, gid;
	uint64_t rdev;
	struct bytes value;
	uint64_t offset; /* CHANGE_APPEND */
	int64_t mtime, atime; /* wall clock, ns */
	int64_t age;	      /* ns from the last write(2) to the commit */
	int64_t expires;      /* wall clock, ns; the deadline of `place`. 0: none */
	int64_t ttl;          /* ns: what touch(1) starts anew */
	struct holding lock;  /* HAS_LOCK */
	const struct xattr_change *xattrs;
	size_t n_xattrs;
	/* HAS_HISTORY */
	uint64_t version;
	int64_t created, changed; /* birth and ctime, wall clock, ns */
	struct bytes action;
	const struct link *links; /* further names */
	size_t n_links;
};

/* A further name of a node in a snapshot, with its own deadline. */
struct link {
	struct place place;
	int64_t expires, ttl;
	struct holding lock; /* token 0: it is none */
};

/* The newest time that a transition knows of. */
#define transition_time(t) ((t)->lease > (t)->at ? (t)->lease : (t)->at)

struct transition {
	uint64_t revision;
	int64_t at; /* wall clock, ns */
	/* The clock that deadlines go by, where it is ahead of `at` because the wall
	 * clock was set back; else 0. */
	int64_t lease;
	uint32_t by; /* uid of who caused it */
	/* The journal's own: a revision; when the line was written, all up to it was on
	 * the disk. 0: it does not say. */
	uint64_t synced;
	struct bytes action; /* size 0: none */
	const struct change *changes;
	size_t n_changes; /* at least 1 */
};

/* Whether a store can have written it: its numbers are such that reckoning with them
 * overflows nothing. What has come out of a log is not to be applied before. */
bool transition_is_possible(const struct transition *t);
