/* SPDX-License-Identifier: MIT
 * Copyright (c) 2026 The cubbyfs authors */

/* A journal on a disk in memory, driven the way the store drives it: keys are
 * inode numbers, values are text, and what must be there is kept beside. */
#pragma once

#include "fault_disk.h"
#include "store/backend.h"

#define FIXTURE_KEYS 64
#define FIXTURE_STORE "/store"

struct fixture_state {
	char *values[FIXTURE_KEYS];
};

void fixture_state_finish(struct fixture_state *s);
void fixture_state_copy(struct fixture_state *to, const struct fixture_state *from);
bool fixture_state_equal(const struct fixture_state *a, const struct fixture_state *b);

struct fixture {
	struct fault_disk *disk;
	struct backend_config config;
	struct backend *b;
	/* What replay gave. */
	struct fixture_state state;
	uint64_t revision, next_ino;
	int64_t last_at;
	unsigned replayed;
	bool seen[1024]; /* by revision: its line came */
	/* A state that each replayed transition is checked against: the value
	 * that revision i set. NULL: not checked. */
	char *const *values;
};

/* An empty disk; nothing is open. */
void fixture_init(struct fixture *f);
/* Closes what is open. */
void fixture_finish(struct fixture *f);

/* Opens and replays; fails the test if that fails. */
void fixture_open(struct fixture *f);
/* The same, but gives what failed; *error as open's. */
int fixture_try_open(struct fixture *f, char **error);
int fixture_close(struct fixture *f);
/* Close, whatever comes of it, and a new process. */
void fixture_restart(struct fixture *f);

/* Sets a key; the append's status. On success f->state has it. */
int fixture_put(struct fixture *f, unsigned key, const char *value);
int fixture_remove(struct fixture *f, unsigned key);
/* Waits for a sync. */
int fixture_sync(struct fixture *f);
/* Writes the state as a snapshot; `meanwhile` (may be NULL) is called between
 * its nodes. The status. */
int fixture_compact(struct fixture *f, void (*meanwhile)(struct fixture *f));

struct backend_usage fixture_usage(struct fixture *f);

/* Path of the nth file (0: first) whose name ends in `suffix`; NULL if there
 * is none. Borrowed until the next call. */
const char *fixture_file(struct fixture *f, const char *suffix, unsigned n);
unsigned fixture_count(struct fixture *f, const char *suffix);

/* journal_check's count of problems; `what` (may be NULL): the first one's. */
uint64_t fixture_check(struct fixture *f, char **what);
