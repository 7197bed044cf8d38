/* SPDX-License-Identifier: MIT
 * Copyright (c) 2026 The cubbyfs authors */

/* A disk in memory that fails on demand.
 *
 * It keeps for each file what was written and what was synced, and for each
 * directory which names were made and which of them were synced, so it can
 * lose power. Calls that change something are counted; from a chosen one on
 * none has any effect, as if the process had been killed there. */
#pragma once

#include "store/disk.h"

#include <stdbool.h>
#include <stdint.h>

struct fault_disk;

enum fault_call {
	FAULT_OPEN,   /* with O_CREAT */
	FAULT_REOPEN, /* for writing, what is there */
	FAULT_WRITE,
	FAULT_READ,
	FAULT_TRUNCATE,
	FAULT_RESERVE,
	FAULT_SYNC,
	FAULT_SYNC_DIRECTORY,
	FAULT_RENAME,
	FAULT_UNLINK,
	FAULT_CALLS,
};

struct fault_disk *fault_disk_create(void);
void fault_disk_destroy(struct fault_disk *d);
/* All that is on it, without its faults and open files. */
struct fault_disk *fault_disk_clone(struct fault_disk *d);
struct disk *fault_disk_of(struct fault_disk *d);

/* The nth call of that kind from now on (1: the next) gives `error`, and so do
 * `more` after it. A write that fails writes half of its bytes if `partly`. */
void fault_disk_fail(struct fault_disk *d, enum fault_call call, unsigned nth, unsigned more,
	int error, bool partly);
/* How many calls gave an error that was asked for. */
uint64_t fault_disk_failed(struct fault_disk *d);
/* Writes take at most so many bytes in one go. */
void fault_disk_short_writes(struct fault_disk *d, size_t size);
/* A failed sync leaves what it was to write to the next one, as if it had not been
 * called. Otherwise it is lost, as on Linux, and no later sync says so. */
void fault_disk_forgive(struct fault_disk *d);
/* A sync takes so long after it has seen what to write. */
void fault_disk_slow_syncs(struct fault_disk *d, unsigned microseconds);
/* Room for so many more bytes; UINT64_MAX: any number. */
void fault_disk_room(struct fault_disk *d, uint64_t bytes);

/* Changing calls so far. */
uint64_t fault_disk_changes(struct fault_disk *d);
/* The nth changing call from now on, and all after, do nothing and fail. */
void fault_disk_kill(struct fault_disk *d, uint64_t nth);
bool fault_disk_killed(struct fault_disk *d);

/* The machine lost power. Of what was not synced: */
enum fault_cut {
	FAULT_CUT_ALL,     /* nothing is there */
	FAULT_CUT_NOTHING, /* all is there */
	/* Some is: each sector of 512 bytes and each size as after some of the
	 * writes to it, of the changes to the names the first, or any. */
	FAULT_CUT_SOME,
};
void fault_disk_cut(struct fault_disk *d, enum fault_cut cut, unsigned seed);
/* FAULT_CUT_SOME. */
void fault_disk_cut_power(struct fault_disk *d, unsigned seed);

/* While it records, it keeps a copy of itself as of each changing call, for
 * power to be cut there; with the number that was set last. */
void fault_disk_record(struct fault_disk *d, bool on);
void fault_disk_tag(struct fault_disk *d, uint64_t tag);
/* The oldest copy, which is the caller's then; NULL if there are no more. */
struct fault_disk *fault_disk_take(struct fault_disk *d, uint64_t *tag);
/* A copy as it is now, with what is not synced; none of its faults and open files. */
struct fault_disk *fault_disk_copy(struct fault_disk *d);

/* A new process: no files are open, no faults are set. */
void fault_disk_restart(struct fault_disk *d);

/* Whether the calling thread is at work in one of these. */
bool fault_disk_is_busy(void);

/* A file's bytes, borrowed until the next change; NULL if there is none. */
const char *fault_disk_data(struct fault_disk *d, const char *path, size_t *size);
void fault_disk_set_data(struct fault_disk *d, const char *path, const void *data, size_t size);
/* The paths of all files, sorted; n of them. Free each and the array. */
char **fault_disk_files(struct fault_disk *d, size_t *n);
