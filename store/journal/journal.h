/* SPDX-License-Identifier: MIT
 * Copyright (c) 2026 The cubbyfs authors */

/* The journal backend, as its own parts see it: journal.c opens, appends and
 * rotates; replay.c reads; sync.c makes durable; compact.c writes snapshots;
 * reader.c shows the log to readers. FORMAT.md specifies the files.
 *
 * All of it belongs to the loop's thread, but for what struct syncer and
 * struct compaction guard with their mutexes. */
#pragma once

#include "base/bytes.h"
#include "store/backend.h"
#include "store/journal/segment.h"
#include "store/journal/sync.h"

#define JOURNAL_SEGMENT_SIZE (UINT64_C(64) << 20)
/* Space behind the end of the last log that only removals may use, so that a full
 * medium can be emptied; and how much is taken beyond that at a time. */
#define JOURNAL_RESERVE (UINT64_C(32) << 10)
#define JOURNAL_AHEAD (UINT64_C(128) << 10)
/* How much is written ahead at a time, see write_ahead. */
#define JOURNAL_ZEROS (UINT64_C(64) << 10)

struct compaction;

struct journal {
	struct backend base;
	struct disk *disk;
	struct disk_directory *own; /* which that is; NULL: the caller's */
	const struct clock *clock;
	struct backend_config config;
	char *directory; /* absolute */
	int lock_fd;
	int event_fd; /* the threads write to it when they have something */
	bool replayed;
	int failed; /* the errno that made it read-only */

	struct segment_list segments; /* what there is, by base */
	/* The log that appends go to, the last of segments; NULL: the next
	 * append begins one. */
	struct segment_file *active;
	uint64_t end;      /* of active */
	uint64_t written;  /* up to there active is written: what is past `end` are zeros */
	uint64_t reserved; /* up to there the medium has space for active; 0: unknown */
	bool no_reserve;   /* it cannot say so */
	uint64_t rounds;   /* of the syncer, at the last append */
	unsigned durable;  /* how many appends were synced one by one of late */

	uint64_t last_revision;
	uint64_t said_synced; /* by a line, or the file `synced` */
	uint64_t next_ino;
	int64_t last_at;
	struct buffer line; /* kept from append to append */

	struct syncer syncer;
	struct compaction *compaction; /* NULL: none under way */
	struct backend_log *logs;      /* open readers */
	struct backend_usage usage;    /* the counters */
};

/* For headers: the wall clock, but never before what the log knows of. */
static inline int64_t journal_time(const struct journal *j)
{
	int64_t now = clock_wall(j->clock);

	return now > j->last_at ? now : j->last_at;
}

static inline struct journal *journal_of(struct backend *b)
{
	return (struct journal *)b;
}

/* The log cannot be trusted from here on: says so once, and remembers. */
void journal_fail(struct journal *j, int error, const char *what);

/* Wakes the loop; from any thread. */
void journal_notify(int event_fd);

/* A new log for the revision after the last one. 0 or a negative errno; then
 * the old one goes on. */
int journal_begin_segment(struct journal *j);

/* Writes the first line of a log; *size is how long it is. */
int journal_write_header(struct journal *j, int fd, uint64_t base, uint64_t *size);

/* replay.c */
int journal_replay(struct backend *b, backend_replay_fn *fn, void *arg, uint64_t *next_ino,
	int64_t *last_at, uint64_t *last_revision);

/* compact.c */
int journal_snapshot_begin(struct backend *b, uint64_t revision, uint64_t next_ino);
int journal_snapshot_put(struct backend *b, const struct transition *t, bool urgent);
void journal_snapshot_end(struct backend *b, backend_done *done, void *arg);
void journal_snapshot_abort(struct backend *b);
/* Takes note of a compaction that is done. */
void journal_compaction_collect(struct journal *j);
/* Lets one that is being finished finish, ends any other. */
void journal_compaction_close(struct journal *j);

/* reader.c */
int journal_log_open(struct backend *b, struct backend_log **out);
uint64_t journal_log_first(struct backend_log *log);
uint64_t journal_log_size(struct backend_log *log);
ssize_t journal_log_read(struct backend_log *log, void *data, size_t size, uint64_t offset);
void journal_log_close(struct backend_log *log);
/* The active log is about to be left, and a new one has begun. */
void journal_logs_seal(struct journal *j);
void journal_logs_attach(struct journal *j);
