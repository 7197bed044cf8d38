/* SPDX-License-Identifier: MIT
 * Copyright (c) 2026 The cubbyfs authors */

/* A workload that uses all a store can do, on a journal whose disk is in memory:
 * what power cuts, errors of the disk and failing allocations are tried on. The
 * same seed does the same. */
#pragma once

#include "harness.h"

#include "../unit/fault_disk.h"

#define WORKLOAD_REVISIONS 4000

struct workload {
	struct bench b;
	struct fault_disk *disk;
	struct store_listener listener;
	unsigned room; /* for removals by expiry */
	uint64_t random;
	struct answer compaction;
	bool compacting;
	uint64_t compacting_from; /* the revision when it was asked for */

	/* All up to this was acknowledged as being on the disk. */
	uint64_t acknowledged;
	uint64_t revision;
	char *dumps[WORKLOAD_REVISIONS]; /* the state as of each revision */
	/* The first fault (negative) that a step was told of, the last one, and the
	 * last one of a compaction. */
	int fault, last_fault, compaction_fault;
};

/* Opens a new store. */
void workload_init(struct workload *w, uint64_t seed);
/* Does not open it yet. */
void workload_prepare(struct workload *w, uint64_t seed);
int workload_open(struct workload *w);
/* Whatever has become of it. */
void workload_finish(struct workload *w);

/* One step, at random; each revision's state is kept. */
void workload_step(struct workload *w);
/* fsync(2) of all; what it says. */
int workload_sync(struct workload *w);
/* Lets a compaction come to its end. */
void workload_settle(struct workload *w);

/* A bench on another disk, at the same time; not open. */
void workload_bench(struct workload *w, struct bench *b, struct fault_disk *disk);
/* The state without regard to what has expired, at one time for all. */
char *workload_dump(struct bench *b);
/* A state that is one of the workload's: its revision. */
uint64_t workload_compare(struct workload *w, struct bench *b, const char *where);
