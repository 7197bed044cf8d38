/* SPDX-License-Identifier: MIT
 * Copyright (c) 2026 The cubbyfs authors */

/* Group commit: a thread makes what was appended durable, for all who wait for it at once. The
 * method is told at the top of sync.c.
 *
 * Only that thread blocks: one of its own, or one that is lent (syncer_run). All other functions
 * are the loop's. */
#pragma once

#include "store/backend.h"
#include "store/journal/segment.h"

#include <pthread.h>

struct sync_waiter {
	uint64_t sequence;
	backend_done *done;
	void *arg;
};

struct syncer {
	struct disk *disk;
	const char *directory; /* borrowed */
	int event_fd;          /* -1: there is no thread of its own */
	pthread_t thread;
	bool running;

	pthread_mutex_t mutex;
	pthread_cond_t wake;
	/* Under the mutex. Appends are counted; these are three of them. */
	uint64_t written;                           /* the last one */
	uint64_t wanted;                            /* the last one that is to be synced */
	uint64_t synced;                            /* the last one that is */
	uint64_t written_revision, synced_revision; /* of the log, likewise */
	/* What it takes to sync `written`: references, oldest first. */
	struct segment_file **dirty;
	size_t n_dirty, dirty_capacity;
	size_t n_syncing; /* the first of them, in the thread's hands */
	bool directory_dirty;
	bool busy; /* a round is under way */
	uint64_t rounds;
	int error; /* for good */
	bool stop;

	/* The loop's alone: waiters[head .. tail), by sequence. */
	struct sync_waiter *waiters;
	size_t head, tail, waiters_capacity;
};

/* With an event_fd its own thread starts, which notifies that. 0 or a negative errno. */
int syncer_init(struct syncer *s, struct disk *disk, const char *directory, int event_fd);

/* Without a thread of its own: whether there is something to sync and nobody at it; one round.
 * The latter blocks, and may be called by any thread. */
bool syncer_due(struct syncer *s);
void syncer_run(struct syncer *s);

/* Syncs what is left, ends the thread. 0 or the error of the syncer. The
 * waiters are collected after this, then the rest is let go of. */
int syncer_stop(struct syncer *s);
void syncer_finish(struct syncer *s);

/* Makes sure that the next syncer_note has the memory it needs. 0 or -ENOMEM. */
int syncer_reserve(struct syncer *s);
/* `f` was written to: the log goes up to `revision` now. Takes a reference of
 * its own. */
void syncer_note(struct syncer *s, struct segment_file *f, uint64_t revision);
/* A file was made in the directory. */
void syncer_note_directory(struct syncer *s);

/* Calls `done` at once if there is nothing to do, or from syncer_collect. */
void syncer_request(struct syncer *s, backend_done *done, void *arg);
/* All up to that revision is on the disk already. */
void syncer_begin_at(struct syncer *s, uint64_t revision);
/* Syncs without anybody waiting. */
void syncer_kick(struct syncer *s);

/* The error, if the thread met one. */
int syncer_error(struct syncer *s);
uint64_t syncer_rounds(struct syncer *s);
/* The last revision noted of which all is on the disk; 0 before the first sync. */
uint64_t syncer_revision(struct syncer *s);

/* Calls those whose appends are durable, or all, with -EIO, after an error. */
void syncer_collect(struct syncer *s);
