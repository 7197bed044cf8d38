/* SPDX-License-Identifier: MIT
 * Copyright (c) 2026 The cubbyfs authors */

/* Every error at every call that the store makes to its disk, in a workload in
 * which everything happens (design 1.7):
 *
 * - no step fails otherwise than with the error of its commit, and then the old
 *   value stands (workload.c looks);
 * - after EIO the store is read-only, and says EROFS; no sync succeeds any more;
 * - after ENOSPC it goes on;
 * - opened anew on a good disk it is as its users were told; and if power is
 *   lost too, it has what was acknowledged as synced, and is a state that was.
 *
 * A failed sync loses what it was to write, without ever saying so again, as
 * Linux does. */
#include "workload.h"

#include "base/cleanup.h"
#include "base/log.h"

#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#if defined(__SANITIZE_THREAD__)
#define STRIDE 23 /* the threads that it is for do the same in each run */
#elif defined(__SANITIZE_ADDRESS__)
#define STRIDE 9
#else
#define STRIDE 1
#endif
#define STEPS 70
#define SEEDS 2

static uint64_t runs, hits, seed = 1, seeds = SEEDS;
static unsigned stride = STRIDE;

struct fault {
	enum fault_call call;
	int error;
	bool partly;
	const char *name;
};

static const struct fault faults[] = {
	{FAULT_WRITE, -EIO, false, "write EIO"},
	{FAULT_WRITE, -EIO, true, "write EIO, half done"},
	{FAULT_WRITE, -ENOSPC, false, "write ENOSPC"},
	{FAULT_WRITE, -ENOSPC, true, "write ENOSPC, half done"},
	{FAULT_WRITE, -EDQUOT, true, "write EDQUOT, half done"},
	{FAULT_SYNC, -EIO, false, "sync EIO"},
	{FAULT_SYNC, -ENOSPC, false, "sync ENOSPC"},
	{FAULT_SYNC_DIRECTORY, -EIO, false, "sync of the directory EIO"},
	{FAULT_OPEN, -EIO, false, "open EIO"},
	{FAULT_OPEN, -ENOSPC, false, "open ENOSPC"},
	{FAULT_OPEN, -EMFILE, false, "open EMFILE"},
	{FAULT_RENAME, -EIO, false, "rename EIO"},
	{FAULT_RENAME, -ENOSPC, false, "rename ENOSPC"},
	{FAULT_UNLINK, -EIO, false, "unlink EIO"},
	{FAULT_TRUNCATE, -EIO, false, "truncate EIO"},
	{FAULT_RESERVE, -EIO, false, "fallocate EIO"},
	{FAULT_RESERVE, -ENOSPC, false, "fallocate ENOSPC"},
	{FAULT_RESERVE, -EOPNOTSUPP, false, "fallocate EOPNOTSUPP"},
};

/* Opens what is left on a good disk. */
static void look(struct workload *w, struct fault_disk *disk, uint64_t least, const char *where)
{
	uint64_t revision;
	struct bench b;

	workload_bench(w, &b, disk);
	bench_open(&b);
	if (bench_revision(&b) < least) {
		fail_msg("%s: lost: it is at revision %" PRIu64 " of %" PRIu64, where,
			bench_revision(&b), least);
	}
	revision = workload_compare(w, &b, where);
	assert_int_equal(bench_stat(&b, "damage", "damaged_lines"), 0);
	assert_int_equal(bench_stat(&b, "damage", "missing_revisions"), 0);
	/* It is good for use. */
	assert_int_equal(bench_set(&b, ROOT_INO, "usable", "again"), 0);
	assert_int_equal(bench_fsync(&b, 0), 0);
	assert_int_equal(bench_revision(&b), revision + 1);
	bench_close(&b);
	free(b.text);
	fault_disk_restart(disk);
}

static void look_at_store(struct workload *w, const char *where)
{
	struct bench *b = &w->b;
	bool read_only = bench_stat(b, NULL, "read_only");
	int rc;

	/* A fault that was told of is one of these. */
	if (w->fault == -EROFS && read_only) {
		w->fault = -EIO; /* of something that nobody waited for */
	}
	if (w->fault != 0 && w->fault != -EIO && w->fault != -ENOSPC && w->fault != -EMFILE) {
		fail_msg("%s: %s", where, strerror(-w->fault));
	}
	if (w->fault == -EIO && !read_only) {
		fail_msg("%s: EIO, but not read-only", where);
	}
	rc = bench_mkdir(b, ROOT_INO, "d1");
	if (read_only) {
		assert_int_equal(rc, -EROFS);
		assert_int_equal(bench_fsync(b, 0), -EIO);
		assert_int_equal(bench_set(b, ROOT_INO, "new", "x"), -EROFS);
		return;
	}
	if (rc == -EIO || (rc == -EROFS && bench_stat(b, NULL, "read_only"))) {
		return; /* a sync has failed only now */
	}
	if (rc == -ENOSPC || rc == -EMFILE) {
		rc = bench_mkdir(b, ROOT_INO, "d1");
	}
	if (rc != 0) {
		fail_msg("%s: and then %s", where, strerror(-rc));
	}
	w->revision++;
	w->dumps[w->revision] = workload_dump(b);
}

/* Closes, and opens in the midst of it all: what the first one could not sync is in the page cache
 * still, and nobody tells the second one. */
static int reopen(struct workload *w)
{
	bool read_only = bench_stat(&w->b, NULL, "read_only");
	int rc;

	workload_settle(w);
	rc = store_close(w->b.s);
	w->b.s = NULL;
	if (rc == 0 && !read_only) {
		w->acknowledged = w->revision;
		fault_disk_tag(w->disk, w->acknowledged);
	}
	rc = workload_open(w);
	if (rc == 0 && read_only) {
		w->fault = 0; /* that one's */
	}
	return rc;
}

static void work(struct workload *w)
{
	int rc = workload_open(w);

	for (unsigned i = 0; i < STEPS && rc == 0; i++) {
		workload_step(w);
		if (i == STEPS / 2) {
			rc = reopen(w);
		}
	}
	if (rc == 0) {
		workload_settle(w);
	} else {
		w->fault = w->fault ? w->fault : rc;
	}
}

/* Whether the fault was met with at all. */
static bool run(const struct fault *f, unsigned nth)
{
	struct workload w;
	struct fault_disk *disk;
	char where[100];
	uint64_t left;
	int rc;

	snprintf(where, sizeof(where), "%s at call %u, seed %" PRIu64, f->name, nth, seed);
	workload_prepare(&w, seed);
	w.b.config.segment_size = 3000;
	fault_disk_fail(w.disk, f->call, nth, 0, f->error, f->partly);
	work(&w);
	runs++;
	if (w.b.s) {
		look_at_store(&w, where);
	}
	left = fault_disk_failed(w.disk);
	disk = fault_disk_copy(w.disk);
	fault_disk_cut(disk, nth % 2 ? FAULT_CUT_SOME : FAULT_CUT_ALL, nth);
	if (w.acknowledged > 0) {
		look(&w, disk, w.acknowledged, where);
	}
	fault_disk_destroy(disk);
	if (w.b.s) {
		rc = store_close(w.b.s);
		w.b.s = NULL;
		if (rc == 0) {
			w.acknowledged = w.revision;
		}
	}
	fault_disk_restart(w.disk);
	disk = fault_disk_copy(w.disk);
	fault_disk_cut(disk, FAULT_CUT_ALL, nth);
	if (w.acknowledged > 0) {
		look(&w, disk, w.acknowledged, where);
	}
	fault_disk_destroy(disk);
	if (w.revision > 0) {
		look(&w, w.disk, w.revision, where);
	}
	workload_finish(&w);
	hits += left > 0;
	return left > 0;
}

static void errors(void **state)
{
	(void)state;
	for (size_t i = 0; i < sizeof(faults) / sizeof(faults[0]); i++) {
		uint64_t before = hits;

		for (seed = 1; seed <= seeds; seed++) {
			unsigned nth = 1;

			while (run(&faults[i], nth)) {
				nth += stride;
			}
		}
		printf("%s: %" PRIu64 "\n", faults[i].name, hits - before);
		fflush(stdout);
		assert_true(hits > before);
	}
	seed = 1;
	printf("%" PRIu64 " errors in %" PRIu64 " runs\n", hits, runs);
}

static void short_writes(void **state)
{
	static const size_t sizes[] = {1, 7, 100, 511};

	(void)state;
	for (size_t i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++) {
		struct workload w;

		workload_prepare(&w, seed);
		fault_disk_short_writes(w.disk, sizes[i]);
		work(&w);
		assert_int_equal(w.fault, 0);
		assert_int_equal(store_close(w.b.s), 0);
		w.b.s = NULL;
		fault_disk_restart(w.disk);
		look(&w, w.disk, w.revision, "short writes");
		workload_finish(&w);
	}
}

/* The disk fills up, is full for a while, and has room again. */
static void full_disk(void **state)
{
	(void)state;
	for (uint64_t room = 0; room < 250000; room += 4999 * stride) {
		struct workload w;
		char where[100];

		snprintf(where, sizeof(where), "room for %" PRIu64 " bytes", room);
		workload_prepare(&w, seed);
		assert_int_equal(workload_open(&w), 0);
		fault_disk_room(w.disk, room);
		for (unsigned i = 0; i < STEPS; i++) {
			workload_step(&w);
		}
		if (w.fault != 0 && w.fault != -ENOSPC) {
			fail_msg("%s: %s", where, strerror(-w.fault));
		}
		assert_int_equal(bench_stat(&w.b, NULL, "read_only"), 0);
		fault_disk_room(w.disk, UINT64_MAX);
		w.fault = 0;
		for (unsigned i = 0; i < STEPS / 4; i++) {
			workload_step(&w);
		}
		assert_int_equal(w.fault, 0);
		workload_settle(&w);
		assert_int_equal(store_close(w.b.s), 0);
		w.b.s = NULL;
		fault_disk_restart(w.disk);
		look(&w, w.disk, w.revision, where);
		workload_finish(&w);
	}
}

/* What is full can be emptied: keys, namespaces, locks; by hand and by TTL. */
static void emptied(void **state)
{
	struct workload w;
	struct bench *b = &w.b;
	uint64_t locks, h;
	char name[20];
	int n = 0;

	(void)state;
	workload_init(&w, seed);
	b->config.segment_size = 0;
	bench_reopen(b);
	locks = bench_namespace(b, ROOT_INO, "locks");
	assert_int_equal(bench_setxattr(b, locks, "user.cubby.lock_ttl", "5"), 0);
	assert_int_equal(bench_create(b, locks, "released", O_WRONLY | O_EXCL, &h), 0);
	bench_close_key(b, h);
	assert_int_equal(bench_create(b, locks, "expires", O_WRONLY | O_EXCL, &h), 0);
	bench_close_key(b, h);
	bench_namespace(b, ROOT_INO, "d");
	fault_disk_room(w.disk, 20000);
	for (;; n++) {
		int rc;

		snprintf(name, sizeof(name), "k%d", n);
		rc = bench_set(b, ROOT_INO, name, "some value");
		if (rc != 0) {
			assert_int_equal(rc, -ENOSPC);
			break;
		}
	}
	assert_true(n > 100);
	/* Nor after it has been opened anew. */
	bench_reopen(b);
	assert_int_equal(bench_set(b, ROOT_INO, name, "some value"), -ENOSPC);
	assert_int_equal(bench_unlink(b, locks, "released"), 0);
	assert_int_equal(bench_rmdir(b, ROOT_INO, "d"), 0);
	bench_advance(b, 10 * SECOND);
	bench_sweep(b);
	assert_int_equal(bench_stat(b, NULL, "expired"), 1);
	for (int i = 0; i < n && i < 100; i++) {
		snprintf(name, sizeof(name), "k%d", i);
		assert_int_equal(bench_unlink(b, ROOT_INO, name), 0);
	}
	assert_int_equal(bench_set(b, ROOT_INO, "k0", "some value"), -ENOSPC);
	assert_int_equal(bench_fsync(b, 0), 0);
	fault_disk_room(w.disk, UINT64_MAX);
	assert_int_equal(bench_set(b, ROOT_INO, "k0", "some value"), 0);
	bench_check_durable(b);
	workload_finish(&w);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(errors),
		cmocka_unit_test(short_writes),
		cmocka_unit_test(full_disk),
		cmocka_unit_test(emptied),
	};

	if (getenv("CUBBY_LONG")) {
		stride = 1;
		seeds = 20;
	}
	log_init("test_errors", LOG_EMERG);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
