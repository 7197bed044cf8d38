/* SPDX-License-Identifier: MIT
 * Copyright (c) 2026 The cubbyfs authors */

/* Logs that cannot be written. Each case runs on the late backend, which fails
 * on demand, and where a disk can make it happen, on the journal too. */
#include "harness.h"

#include "../unit/fault_disk.h"
#include "base/cleanup.h"
#include "base/log.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

struct faulty {
	struct bench b;
	struct fault_disk *disk;
};

static void faulty_init(struct faulty *f, enum bench_kind kind)
{
	bench_init(&f->b, kind);
	f->disk = NULL;
	late.noise = 0;
	if (kind == BENCH_JOURNAL) {
		f->disk = fault_disk_create();
		f->b.config.disk = fault_disk_of(f->disk);
		f->b.config.location = "/store";
		/* Not in the background, where the tests would not see it. */
		f->b.config.commit = 0;
	}
	bench_open(&f->b);
}

static void faulty_finish(struct faulty *f)
{
	bench_finish(&f->b);
	if (f->disk) {
		fault_disk_destroy(f->disk);
	}
}

/* The next so many writes fail. */
static void fail_writes(struct faulty *f, int error, unsigned times)
{
	late.append_status = error;
	late.fail = times;
	if (f->disk) {
		fault_disk_fail(f->disk, FAULT_WRITE, 1, times - 1, error, true);
	}
}

static bool is_read_only(struct bench *b)
{
	return bench_stat(b, NULL, "read_only") != 0;
}

#define ON_EACH(name)                                                                              \
	static void name##_late(void **state)                                                      \
	{                                                                                          \
		(void)state;                                                                       \
		name(BENCH_LATE);                                                                  \
	}                                                                                          \
	static void name##_journal(void **state)                                                   \
	{                                                                                          \
		(void)state;                                                                       \
		name(BENCH_JOURNAL);                                                               \
	}

/* --- no space ---------------------------------------------------------------- */

static void no_space(enum bench_kind kind)
{
	struct faulty f;
	struct bench *b = &f.b;
	uint64_t h, ino, revision;

	faulty_init(&f, kind);
	assert_int_equal(bench_set(b, ROOT_INO, "k", "old"), 0);
	ino = bench_ino(b, ROOT_INO, "k");
	revision = bench_revision(b);

	/* The commit says so, the old value stands. */
	bench_open_key(b, ino, O_WRONLY | O_TRUNC, &h);
	assert_int_equal(bench_write(b, h, "new", 0), 0);
	fail_writes(&f, -ENOSPC, 1);
	assert_int_equal(bench_flush(b, h), -ENOSPC);
	assert_string_equal(bench_get(b, ROOT_INO, "k"), "old");
	assert_int_equal(bench_revision(b), revision);
	assert_false(is_read_only(b));
	/* What close has said is not taken back when the last descriptor goes. */
	bench_release(b, h);
	assert_string_equal(bench_get(b, ROOT_INO, "k"), "old");
	assert_int_equal(bench_revision(b), revision);

	/* Nor is a key made. */
	bench_create(b, ROOT_INO, "n", O_WRONLY, &h);
	bench_write(b, h, "new", 0);
	fail_writes(&f, -ENOSPC, 1);
	assert_int_equal(bench_close_key(b, h), -ENOSPC);
	assert_string_equal(bench_list(b, ROOT_INO), "k ");

	/* All the others. */
	fail_writes(&f, -ENOSPC, 8);
	assert_int_equal(bench_mkdir(b, ROOT_INO, "d"), -ENOSPC);
	assert_int_equal(bench_rename(b, ROOT_INO, "k", ROOT_INO, "l", 0), -ENOSPC);
	assert_int_equal(bench_link(b, ino, ROOT_INO, "l"), -ENOSPC);
	assert_int_equal(bench_unlink(b, ROOT_INO, "k"), -ENOSPC);
	assert_int_equal(bench_setxattr(b, ino, "user.a", "b"), -ENOSPC);
	assert_int_equal(bench_truncate(b, ino, 0), -ENOSPC);
	assert_int_equal(bench_create(b, ROOT_INO, "e", O_WRONLY | O_EXCL, &h), -ENOSPC);
	bench_open_key(b, ino, O_WRONLY | O_APPEND, &h);
	assert_int_equal(bench_append(b, h, "er"), -ENOSPC);
	bench_close_key(b, h);
	assert_string_equal(bench_list(b, ROOT_INO), "k ");
	assert_string_equal(bench_get(b, ROOT_INO, "k"), "old");
	assert_int_equal(bench_revision(b), revision);

	/* And then it works again. */
	assert_int_equal(bench_set(b, ROOT_INO, "k", "newer"), 0);
	assert_int_equal(bench_revision(b), revision + 1);
	assert_string_equal(bench_get(b, ROOT_INO, "k"), "newer");
	assert_int_equal(bench_set(b, ROOT_INO, "n", "made"), 0);
	bench_check_durable(b);
	if (bench_is_durable(b)) {
		assert_int_equal(bench_stat(b, "damage", "damaged_lines"), 0);
		assert_int_equal(bench_stat(b, "damage", "missing_revisions"), 0);
	}
	faulty_finish(&f);
}

ON_EACH(no_space)

/* --- failures for good ---------------------------------------------------------- */

static void check_read_only(struct bench *b, uint64_t ino)
{
	uint64_t h;

	assert_true(is_read_only(b));
	assert_int_equal(bench_mkdir(b, ROOT_INO, "d"), -EROFS);
	assert_int_equal(bench_unlink(b, ROOT_INO, "k"), -EROFS);
	assert_int_equal(bench_rename(b, ROOT_INO, "k", ROOT_INO, "l", 0), -EROFS);
	assert_int_equal(bench_link(b, ino, ROOT_INO, "l"), -EROFS);
	assert_int_equal(bench_symlink(b, ROOT_INO, "l", "k"), -EROFS);
	assert_int_equal(bench_setxattr(b, ino, "user.a", "b"), -EROFS);
	assert_int_equal(bench_setxattr(b, ino, "user.cubby.ttl", "1"), -EROFS);
	assert_int_equal(bench_removexattr(b, ino, "user.x"), -EROFS);
	assert_int_equal(bench_truncate(b, ino, 0), -EROFS);
	assert_int_equal(bench_create(b, ROOT_INO, "e", O_WRONLY, &h), -EROFS);
	assert_int_equal(bench_create(b, ROOT_INO, "e", O_WRONLY | O_EXCL, &h), -EROFS);
	assert_int_equal(bench_open_key(b, ino, O_WRONLY, &h), -EROFS);
	assert_int_equal(bench_open_key(b, ino, O_RDONLY | O_TRUNC, &h), -EROFS);
	assert_int_equal(bench_fsync(b, 0), -EIO);
	/* Reads go on. */
	assert_string_equal(bench_get(b, ROOT_INO, "k"), "old");
	assert_string_equal(bench_xattr(b, ino, "user.x"), "y");
	assert_string_equal(bench_list(b, ROOT_INO), "k ");
}

static void write_error(enum bench_kind kind)
{
	struct faulty f;
	struct bench *b = &f.b;
	uint64_t h, other, ino;

	faulty_init(&f, kind);
	bench_set(b, ROOT_INO, "k", "old");
	ino = bench_ino(b, ROOT_INO, "k");
	bench_setxattr(b, ino, "user.x", "y");
	b->who = &BOB;
	bench_open_key(b, ino, O_WRONLY, &other);
	bench_write(b, other, "bob's", 0);
	b->who = &ALICE;
	bench_open_key(b, ino, O_WRONLY, &h);
	bench_write(b, h, "new", 0);
	fail_writes(&f, -EIO, 1);
	assert_int_equal(bench_flush(b, h), -EIO);
	assert_int_equal(bench_write(b, h, "new", 0), -EROFS);
	bench_release(b, h);
	check_read_only(b, ino);
	/* What was staged before is not lost in silence. */
	b->who = &BOB;
	assert_int_equal(bench_write(b, other, "more", 0), -EROFS);
	assert_int_equal(bench_close_key(b, other), -EROFS);
	b->who = &ALICE;
	check_read_only(b, ino);
	store_close(b->s);
	b->s = NULL;
	late_reset();
	if (bench_is_durable(b)) {
		fault_disk_restart(f.disk);
		bench_open(b);
		assert_string_equal(bench_get(b, ROOT_INO, "k"), "old");
		assert_int_equal(bench_set(b, ROOT_INO, "k", "works"), 0);
	}
	faulty_finish(&f);
}

ON_EACH(write_error)

static void sync_error(enum bench_kind kind)
{
	struct faulty f;
	struct bench *b = &f.b;
	uint64_t h, ino;

	faulty_init(&f, kind);
	bench_set(b, ROOT_INO, "k", "old");
	ino = bench_ino(b, ROOT_INO, "k");
	bench_setxattr(b, ino, "user.x", "y");
	bench_open_key(b, ino, O_RDONLY, &h);
	assert_int_equal(bench_fsync(b, h), 0);
	bench_setxattr(b, ino, "user.x", "y");
	late.sync_status = -EIO;
	if (f.disk) {
		fault_disk_fail(f.disk, FAULT_SYNC, 1, 0, -EIO, false);
	}
	assert_int_equal(bench_fsync(b, h), -EIO);
	/* Asking again proves nothing. */
	assert_int_equal(bench_fsync(b, h), -EIO);
	bench_release(b, h);
	check_read_only(b, ino);
	assert_int_not_equal(store_close(b->s), 0);
	b->s = NULL;
	late_reset();
	faulty_finish(&f);
}

ON_EACH(sync_error)

/* A commit that is to be durable (fsync of staged bytes, -o sync): the value is
 * in the log, but nobody may rely on it. */
static void sync_error_of_a_commit(enum bench_kind kind)
{
	struct faulty f;
	struct bench *b = &f.b;
	uint64_t h;

	faulty_init(&f, kind);
	bench_set(b, ROOT_INO, "k", "old");
	b->config.sync = true;
	bench_reopen(b);
	assert_int_equal(bench_set(b, ROOT_INO, "k", "older"), 0);
	bench_open_key(b, bench_ino(b, ROOT_INO, "k"), O_WRONLY | O_TRUNC, &h);
	if (!h) {
		bench_create(b, ROOT_INO, "k", O_WRONLY, &h);
	}
	bench_write(b, h, "new", 0);
	late.sync_status = -EIO;
	if (f.disk) {
		fault_disk_fail(f.disk, FAULT_SYNC, 1, 0, -EIO, false);
	}
	assert_int_equal(bench_flush(b, h), -EIO);
	bench_release(b, h);
	assert_true(is_read_only(b));
	assert_int_equal(bench_mkdir(b, ROOT_INO, "d"), -EROFS);
	store_close(b->s);
	b->s = NULL;
	late_reset();
	faulty_finish(&f);
}

ON_EACH(sync_error_of_a_commit)

/* The sync that the clock asks for. */
static void background_sync_error(void **state)
{
	struct faulty f;
	struct bench *b = &f.b;

	(void)state;
	faulty_init(&f, BENCH_LATE);
	bench_set(b, ROOT_INO, "k", "old");
	assert_int_equal(late.syncs, 0);
	assert_in_range(store_tick(b->s), 1, SECOND);
	bench_advance(b, SECOND);
	late.sync_status = -EIO;
	store_tick(b->s);
	bench_settle(b);
	assert_int_equal(late.syncs, 1);
	assert_true(is_read_only(b));
	assert_int_equal(bench_set(b, ROOT_INO, "l", "x"), -EROFS);
	store_close(b->s);
	b->s = NULL;
	faulty_finish(&f);
}

/* --- expiry -------------------------------------------------------------------------- */

static void expiry_without_space(enum bench_kind kind)
{
	struct faulty f;
	struct bench *b = &f.b;
	uint64_t ino;
	int64_t next;

	faulty_init(&f, kind);
	bench_set(b, ROOT_INO, "k", "v");
	ino = bench_ino(b, ROOT_INO, "k");
	bench_setxattr(b, ino, "user.cubby.ttl", "5");
	bench_advance(b, 5 * SECOND);
	fail_writes(&f, -ENOSPC, 100);
	store_tick(b->s);
	bench_settle(b);
	/* Gone for readers all the same, and it does not spin. */
	assert_null(bench_get(b, ROOT_INO, "k"));
	assert_string_equal(bench_list(b, ROOT_INO), "");
	assert_int_equal(bench_stat(b, NULL, "expired"), 0);
	next = store_tick(b->s);
	bench_settle(b);
	assert_in_range(next, SECOND / 10, 2 * SECOND);
	late.fail = 0;
	if (f.disk) {
		fault_disk_fail(f.disk, FAULT_WRITE, 0, 0, 0, false);
	}
	bench_advance(b, 2 * SECOND);
	bench_sweep(b);
	assert_int_equal(bench_stat(b, NULL, "expired"), 1);
	assert_int_equal(bench_stat(b, NULL, "keys"), 0);
	faulty_finish(&f);
}

ON_EACH(expiry_without_space)

static void expiry_while_read_only(enum bench_kind kind)
{
	struct faulty f;
	struct bench *b = &f.b;

	faulty_init(&f, kind);
	bench_set(b, ROOT_INO, "k", "v");
	bench_setxattr(b, bench_ino(b, ROOT_INO, "k"), "user.cubby.ttl", "5");
	fail_writes(&f, -EIO, 1);
	assert_int_equal(bench_mkdir(b, ROOT_INO, "d"), -EIO);
	bench_advance(b, 5 * SECOND);
	assert_true(store_tick(b->s) != 0);
	assert_null(bench_get(b, ROOT_INO, "k"));
	assert_string_equal(bench_list(b, ROOT_INO), "");
	store_close(b->s);
	b->s = NULL;
	late_reset();
	faulty_finish(&f);
}

ON_EACH(expiry_while_read_only)

/* --- compaction -------------------------------------------------------------------------- */

/* A snapshot that cannot be written changes nothing. */
static void compaction_without_space(void **state)
{
	(void)state;
	for (unsigned nth = 1; nth < 12; nth++) {
		struct faulty f;
		char *before, *after;
		int rc;

		faulty_init(&f, BENCH_JOURNAL);
		for (int i = 0; i < 50; i++) {
			bench_set(&f.b, ROOT_INO, (char[]){(char)('a' + i % 20), 0}, "value");
		}
		before = bench_dump(&f.b);
		fault_disk_fail(
			f.disk, nth % 3 ? FAULT_WRITE : FAULT_OPEN, nth / 3 + 1, 0, -ENOSPC, true);
		rc = bench_compact(&f.b);
		assert_true(rc == 0 || rc == -ENOSPC);
		after = bench_dump(&f.b);
		bench_same(before, after);
		free(after);
		fault_disk_fail(f.disk, FAULT_WRITE, 0, 0, 0, false);
		bench_close(&f.b);
		fault_disk_restart(f.disk);
		bench_open(&f.b);
		after = bench_dump(&f.b);
		bench_same(before, after);
		free(after);
		free(before);
		bench_check_durable(&f.b);
		faulty_finish(&f);
	}
}

/* --- a store that is opened for reading only ------------------------------------------------ */

static void opened_read_only(void **state)
{
	struct faulty f;
	struct bench *b = &f.b;
	uint64_t h, ino, changes;
	char *before, *after;

	(void)state;
	faulty_init(&f, BENCH_JOURNAL);
	bench_set(b, ROOT_INO, "k", "v");
	before = bench_dump(b);
	bench_close(b);
	b->config.read_only = true;
	changes = fault_disk_changes(f.disk);
	bench_open(b);
	after = bench_dump(b);
	bench_same(before, after);
	ino = bench_ino(b, ROOT_INO, "k");
	assert_int_equal(bench_mkdir(b, ROOT_INO, "d"), -EROFS);
	assert_int_equal(bench_open_key(b, ino, O_RDWR, &h), -EROFS);
	assert_int_equal(bench_setxattr(b, ino, "user.a", "b"), -EROFS);
	assert_int_equal(bench_compact(b), -EROFS);
	assert_int_equal(bench_fsync(b, 0), 0);
	store_tick(b->s);
	bench_close(b);
	assert_int_equal(fault_disk_changes(f.disk), changes);
	free(before);
	free(after);
	faulty_finish(&f);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(no_space_late),
		cmocka_unit_test(no_space_journal),
		cmocka_unit_test(write_error_late),
		cmocka_unit_test(write_error_journal),
		cmocka_unit_test(sync_error_late),
		cmocka_unit_test(sync_error_journal),
		cmocka_unit_test(sync_error_of_a_commit_late),
		cmocka_unit_test(sync_error_of_a_commit_journal),
		cmocka_unit_test(background_sync_error),
		cmocka_unit_test(expiry_without_space_late),
		cmocka_unit_test(expiry_without_space_journal),
		cmocka_unit_test(expiry_while_read_only_late),
		cmocka_unit_test(expiry_while_read_only_journal),
		cmocka_unit_test(compaction_without_space),
		cmocka_unit_test(opened_read_only),
	};

	log_init("test_faults", LOG_EMERG);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
