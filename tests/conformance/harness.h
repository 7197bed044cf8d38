/* SPDX-License-Identifier: MIT
 * Copyright (c) 2026 The cubbyfs authors */

/* A store to test: on any backend, with clocks that are set, and with calls
 * that wait for their answer.
 *
 * The wrappers act for bench.who, give the references that answers hand out
 * back at once (handles keep what they need), and put what they read into
 * bench.text, NUL-terminated, until the next call. A thread's process is its
 * number without the last digit: 101 and 102 are threads of 100. */
#pragma once

#include "late.h"
#include "store/store.h"

#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include <cmocka.h>

#define ROOT_INO 1
#define SECOND NSEC_PER_SEC

struct test_clock {
	struct clock base;
	int64_t wall, elapsed;
	int64_t step; /* that every look takes */
	bool wall_read;
};

enum bench_kind {
	BENCH_MEMORY,
	BENCH_JOURNAL,
	BENCH_LATE,
};

struct bench {
	struct store *s;
	struct store_config config;
	struct test_clock clock;
	enum bench_kind kind;
	char *directory; /* of the journal */
	char *location;
	const struct store_caller *who;
	/* Of the last call. */
	struct store_result result;
	struct stat st;
	bool lasts;
	char *text;
	size_t size;
};

extern const struct store_caller ROOT, ALICE, ALICE_THREAD, ALICE_OTHER, BOB;

/* --- as a whole ---------------------------------------------------------- */

/* Does not open it yet: config may be changed. */
void bench_init(struct bench *b, enum bench_kind kind);
void bench_open(struct bench *b);
/* As store_open. */
int bench_try_open(struct bench *b);
void bench_close(struct bench *b);
void bench_reopen(struct bench *b);
void bench_finish(struct bench *b);
/* What it is kept by outlives it. */
bool bench_is_durable(const struct bench *b);

/* Both clocks. */
void bench_advance(struct bench *b, int64_t ns);
/* Waits until no completion is outstanding. */
void bench_settle(struct bench *b);
/* Ticks until nothing is due. */
void bench_sweep(struct bench *b);
/* A tick in which the clock runs so fast that compaction takes one step. */
int64_t bench_slow_tick(struct bench *b);
int bench_compact(struct bench *b);

/* All that can be seen through store.h, as text, sorted by name. Free it. */
char *bench_dump(struct bench *b);
/* Fails the test, and shows where they differ, if dumps do. */
void bench_same(const char *before, const char *after);
/* Of the whole store. */
uint64_t bench_revision(struct bench *b);
/* A number in the stats; `group` NULL or an object's name. */
uint64_t bench_stat(struct bench *b, const char *group, const char *name);
/* Counts anew what the store and users hold, and fails where the store's own count differs. */
void bench_recount(struct bench *b);
/* Checks that reopening and compacting change nothing, where it is durable. */
void bench_check_durable(struct bench *b);

/* --- calls: what the store's reply says ------------------------------------ */

struct answer {
	bool done;
	int rc;
	struct store_result result;
};

void answer_take(void *arg, int rc, const struct store_result *result);
#define ANSWER(a) ((struct store_reply){.done = answer_take, .arg = (a)})
int answer_wait(struct bench *b, struct answer *a);

int bench_mknod(struct bench *b, uint64_t parent, const char *name, mode_t mode, dev_t rdev);
int bench_mkdir(struct bench *b, uint64_t parent, const char *name);
int bench_symlink(struct bench *b, uint64_t parent, const char *name, const char *target);
int bench_link(struct bench *b, uint64_t ino, uint64_t parent, const char *name);
int bench_unlink(struct bench *b, uint64_t parent, const char *name);
int bench_rmdir(struct bench *b, uint64_t parent, const char *name);
int bench_rename(struct bench *b, uint64_t parent, const char *name, uint64_t to_parent,
	const char *to_name, unsigned flags);
int bench_setattr(
	struct bench *b, uint64_t ino, uint64_t handle, const struct stat *attr, unsigned which);
int bench_truncate(struct bench *b, uint64_t ino, off_t size);
int bench_create(struct bench *b, uint64_t parent, const char *name, int flags, uint64_t *handle);
int bench_open_key(struct bench *b, uint64_t ino, int flags, uint64_t *handle);
int bench_write(struct bench *b, uint64_t handle, const char *text, uint64_t offset);
int bench_write_bytes(
	struct bench *b, uint64_t handle, struct bytes data, uint64_t offset, int flags);
int bench_append(struct bench *b, uint64_t handle, const char *text);
int bench_flush(struct bench *b, uint64_t handle);
int bench_fsync(struct bench *b, uint64_t handle);
void bench_release(struct bench *b, uint64_t handle);
/* flush, then release; what flush said. */
int bench_close_key(struct bench *b, uint64_t handle);
int bench_setxattr(struct bench *b, uint64_t ino, const char *name, const char *value);
int bench_setxattr_flags(
	struct bench *b, uint64_t ino, const char *name, const char *value, int flags);
int bench_removexattr(struct bench *b, uint64_t ino, const char *name);
int bench_getxattr(struct bench *b, uint64_t ino, const char *name);
int bench_lookup(struct bench *b, uint64_t parent, const char *name);
int bench_getattr(struct bench *b, uint64_t ino);
int bench_read(struct bench *b, uint64_t handle, uint64_t offset, size_t size);

/* --- shorthand --------------------------------------------------------------- */

/* 0 if there is no such name. */
uint64_t bench_ino(struct bench *b, uint64_t parent, const char *name);
/* What `echo -n value > name` does; close's answer. */
int bench_set(struct bench *b, uint64_t parent, const char *name, const char *value);
int bench_set_bytes(struct bench *b, uint64_t parent, const char *name, struct bytes value);
/* NULL if it is not there; else bench.text. */
const char *bench_get(struct bench *b, uint64_t parent, const char *name);
const char *bench_xattr(struct bench *b, uint64_t ino, const char *name);
/* A namespace that must work. */
uint64_t bench_namespace(struct bench *b, uint64_t parent, const char *name);
/* Names in a namespace, sorted, each followed by a space. */
const char *bench_list(struct bench *b, uint64_t ino);

/* --- randomness ----------------------------------------------------------------- */

uint32_t test_random(uint64_t *state);
