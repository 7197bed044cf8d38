/* SPDX-License-Identifier: MIT
 * Copyright (c) 2026 The cubbyfs authors */

/* The contract of a durable log.
 *
 * A backend keeps transitions in order and gives them back. It knows nothing
 * of what they mean. It is driven by one thread, the loop's, and calls back
 * only on that thread: from within the call itself, or from dispatch. What
 * may block (a disk's sync, a network) it does on threads of its own.
 *
 * One append is under way at a time: the store waits for its completion
 * before the next. On a shared log transitions of others arrive in between,
 * through `foreign`. */
#pragma once

#include "base/bytes.h"
#include "base/clock.h"
#include "store/disk.h"
#include "store/transition.h"

#include <stdbool.h>
#include <stdint.h>

struct backend;
struct backend_log;

/* A completion. `status`: 0, BACKEND_CONFLICT, or a negative errno. */
typedef void backend_done(void *arg, int status);

/* Called for each transition, oldest first. A negative return ends the
 * replay and is what it returns. */
typedef int backend_replay_fn(void *arg, const struct transition *t);

enum backend_outcome {
	/* Somebody else's transition came first: all of them up to now have
	 * been delivered; decide again. */
	BACKEND_CONFLICT = 1,
	/* snapshot_put: enough is waiting to be written; come back later. */
	BACKEND_BUSY = 2,
};

struct backend_config {
	struct disk *disk; /* NULL: the operating system's, as far as the store's directory */
	const struct clock *clock;
	uint64_t segment_size; /* bytes after which a new segment is begun; 0: default (64 MiB) */
	/* Opens for reading only: no lock taken, nothing repaired or written. */
	bool read_only;
	/* Syncs wait for the caller's sync_run, and no thread is made for them. */
	bool lends_thread;
	/* How long to wait for a holder of the store that is ending, ns. */
	int64_t lock_wait;
	/* A transition of another machine; already in the log. */
	void (*foreign)(void *arg, const struct transition *t);
	/* Replay: a transition that comes a little later, unless there is something wrong with
	 * it; once from further away, and once when it is near. A hint, to fetch from memory what
	 * it needs. May be NULL. */
	void (*soon)(void *arg, const struct transition *t, bool near);
	/* Replay is at byte `done` of `total`. May be NULL. */
	void (*progress)(void *arg, uint64_t done, uint64_t total);
	/* Replay has read a snapshot, of which usage tells; what follows has come since.
	 * May be NULL. */
	void (*snapshot)(void *arg);
	void *arg;
	/* Where replay leaves a sentence on why it fails, as open does (owned by the
	 * caller of both). May be NULL. */
	char **error;
};

/* What a log tells of itself. */
struct backend_usage {
	uint64_t bytes; /* what it takes up */
	uint64_t snapshot_bytes; /* what the last snapshot takes up of it; 0: unknown */
	uint64_t segments;
	uint64_t appends, syncs; /* since open */
	uint64_t compactions;
	uint64_t damaged_lines, damaged_bytes; /* found at replay and kept aside */
	uint64_t torn_bytes; /* cut off the end at replay */
	uint64_t missing_revisions; /* gaps in the log at replay */
	int failed; /* negative errno of the failure that made it read-only, or 0 */
	struct statvfs space; /* of the medium; all 0 where there is none */
};

struct backend_ops {
	const char *name; /* "journal", "memory", … */

	/* Opens, makes it where there is none, and takes the lock that keeps a
	 * second daemon out. 0 or a negative errno; then *error, if set, is a
	 * sentence for people (owned by the caller), naming file and remedy.
	 * Nothing is called before open, or after close. */
	int (*open)(struct backend **out, const char *location, const struct backend_config *config,
		char **error);

	/* Everything, once, after open and before the first append. Snapshot
	 * lines come as transitions of one CHANGE_PUT with HAS_HISTORY, in any
	 * order (a child may come before its namespace), and the rest in order of
	 * revision. Damage is kept aside, counted and logged, and ends nothing;
	 * an end that was torn is cut. *next_ino: at least what the log has
	 * promised not to use again (0 where it knows of none). *last_at: the
	 * newest time that the log has seen (transitions' `at`, snapshots'). */
	int (*replay)(struct backend *b, backend_replay_fn *fn, void *arg, uint64_t *next_ino,
		int64_t *last_at, uint64_t *last_revision);

	/* Adds t, whose revision is the one after the last. When `done` is called
	 * with 0, a crash of this process does not lose it (nor, on a shared log,
	 * that of this machine). -ENOSPC, -ENOMEM, -EFBIG (t makes too long a
	 * line), -EINVAL (its revision is not after the last): the log is as
	 * before and later appends may work. Any other error: the log has failed
	 * for good, and says so (-EROFS) to every later append. */
	void (*append)(struct backend *b, const struct transition *t, backend_done *done, void *arg);

	/* `done` when all appended before this call survives a power cut. Many
	 * calls share one sync of the disk. A failed sync fails the log; but for
	 * -ENOMEM, with which it has not begun. */
	void (*sync)(struct backend *b, backend_done *done, void *arg);

	/* With config.lends_thread: whether a sync waits for a thread; and doing it, which takes as
	 * long as the disk does. By one thread at a time, while another may call anything but
	 * close; dispatch has something to do then. NULL: never. */
	bool (*sync_due)(struct backend *b);
	void (*sync_run)(struct backend *b);

	/* Readable when dispatch has something to do (but not that); -1 where that never is. */
	int (*poll_fd)(struct backend *b);
	void (*dispatch)(struct backend *b);

	/* Compaction. NULL where the engine does that itself. The store writes
	 * its state as of `revision` while appends go on: begin, then a put for
	 * each node, then end. From begin on, appended transitions belong to
	 * what comes after the snapshot. A crash at any point leaves either the
	 * old log or the snapshot and what came after. `urgent`: accept even if
	 * much is waiting (BACKEND_BUSY otherwise). At `done` with 0 the older
	 * log is gone. */
	int (*snapshot_begin)(struct backend *b, uint64_t revision, uint64_t next_ino);
	int (*snapshot_put)(struct backend *b, const struct transition *t, bool urgent);
	void (*snapshot_end)(struct backend *b, backend_done *done, void *arg);
	/* Instead of end; never fails. */
	void (*snapshot_abort)(struct backend *b);

	void (*usage)(struct backend *b, struct backend_usage *out);

	/* The log as text, one record a line: what .cubby/journal shows. A
	 * reader holds what it began with even if a compaction takes it away.
	 * NULL slots: there is no such thing. */
	int (*log_open)(struct backend *b, struct backend_log **out);
	/* The first revision that the log has by itself: 1, or the one after
	 * what the snapshot it begins with stands for. */
	uint64_t (*log_first)(struct backend_log *log);
	/* Bytes so far; grows with the log. */
	uint64_t (*log_size)(struct backend_log *log);
	/* A count, 0 at the end, or a negative errno. */
	ssize_t (*log_read)(struct backend_log *log, void *data, size_t size, uint64_t offset);
	void (*log_close)(struct backend_log *log);

	/* Syncs what can be synced, ends its threads, lets go of the lock.
	 * Outstanding completions are called first. 0, or the errno of a last
	 * sync that failed: what was not synced before may be lost. */
	int (*close)(struct backend *b);
};

struct backend {
	const struct backend_ops *ops;
};

extern const struct backend_ops backend_journal;
extern const struct backend_ops backend_memory;

/* The backend that a STORE names (design 1.1), and what to give its open as
 * location. NULL if the scheme is unknown or not built in. */
const struct backend_ops *backend_find(const char *store, const char **location);
