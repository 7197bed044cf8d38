/* SPDX-License-Identifier: MIT
 * Copyright (c) 2026 The cubbyfs authors */

/* The journal on a disk that is full, fails, or loses power, at any call. */
#include "base/bytes.h"
#include "base/log.h"
#include "journal_fixture.h"
#include "stride.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#define SEEDS 4

static void fill(struct fixture *f, unsigned n)
{
	char value[32];

	for (unsigned i = 0; i < n; i++) {
		snprintf(value, sizeof(value), "value %u", i);
		assert_int_equal(fixture_put(f, i % FIXTURE_KEYS, value), 0);
	}
}

/* Opens anew and finds what it had, and no more damage. */
static void reopen(struct fixture *f)
{
	struct fixture_state state = {0};
	uint64_t revision = f->revision;
	struct backend_usage u = fixture_usage(f);

	fixture_state_copy(&state, &f->state);
	fixture_restart(f);
	fixture_open(f);
	assert_true(fixture_state_equal(&state, &f->state));
	assert_int_equal(f->revision, revision);
	assert_int_equal(fixture_usage(f).damaged_lines, u.damaged_lines);
	assert_int_equal(fixture_usage(f).missing_revisions, u.missing_revisions);
	fixture_state_finish(&state);
}

static void full_disk(void **state)
{
	struct fixture f;

	(void)state;
	fixture_init(&f);
	f.config.segment_size = 1000;
	fixture_open(&f);
	fill(&f, 20);
	for (uint64_t room = 0; room < 400; room += 7) {
		uint64_t revision = f.revision;
		unsigned fit = 0;
		int r;

		fault_disk_room(f.disk, room);
		while ((r = fixture_put(&f, 1, "until it is full")) == 0) {
			fit++;
		}
		assert_int_equal(r, -ENOSPC);
		assert_int_equal(fixture_put(&f, 2, "until it is full"), -ENOSPC);
		assert_int_equal(f.revision, revision + fit);
		assert_int_equal(fixture_usage(&f).failed, 0);
		fault_disk_room(f.disk, UINT64_MAX);
		assert_int_equal(fixture_put(&f, 3, "again"), 0);
		assert_int_equal(fixture_sync(&f), 0);
		reopen(&f);
		assert_int_equal(fixture_usage(&f).torn_bytes, 0);
	}
	fixture_finish(&f);
}

static void full_from_the_start(void **state)
{
	struct fixture f;
	char *error;
	int r;

	(void)state;
	for (uint64_t room = 0; room < 300; room += 11) {
		fixture_init(&f);
		fault_disk_room(f.disk, room);
		r = fixture_try_open(&f, &error);
		if (r == 0) {
			assert_int_equal(fixture_put(&f, 1,
						 "a value that takes some room, as it "
						 "is rather long and goes on and on "
						 "and on and on and on and on and on"),
				-ENOSPC);
		} else {
			assert_int_equal(r, -ENOSPC);
			assert_non_null(error);
		}
		free(error);
		fixture_restart(&f);
		fixture_open(&f);
		assert_int_equal(fixture_put(&f, 1, "x"), 0);
		reopen(&f);
		fixture_finish(&f);
	}
}

/* The first write of an append fails otherwise. */
static void failing_write(void **state)
{
	struct fixture f;

	(void)state;
	for (int partly = 0; partly < 2; partly++) {
		fixture_init(&f);
		fixture_open(&f);
		fill(&f, 10);
		assert_int_equal(fixture_sync(&f), 0);
		fault_disk_fail(f.disk, FAULT_WRITE, 1, 0, -EIO, partly);
		assert_int_equal(fixture_put(&f, 1, "lost"), -EIO);
		assert_int_equal(fixture_put(&f, 1, "refused"), -EROFS);
		assert_int_equal(fixture_usage(&f).failed, -EIO);
		assert_int_equal(fixture_sync(&f), -EIO);
		assert_int_equal(fixture_compact(&f, NULL), -EROFS);
		reopen(&f);
		assert_int_equal(fixture_put(&f, 1, "again"), 0);
		reopen(&f);
		fixture_finish(&f);
	}
}

/* It is full, and what was half written cannot be taken back. */
static void failing_truncation(void **state)
{
	struct fixture f;

	(void)state;
	fixture_init(&f);
	fixture_open(&f);
	fill(&f, 10);
	fault_disk_fail(f.disk, FAULT_WRITE, 1, 0, -ENOSPC, true);
	fault_disk_fail(f.disk, FAULT_TRUNCATE, 1, 0, -EIO, false);
	assert_int_equal(fixture_put(&f, 1, "lost"), -EIO);
	assert_int_equal(fixture_put(&f, 1, "refused"), -EROFS);
	reopen(&f);
	assert_true(fixture_usage(&f).torn_bytes > 0);
	fixture_finish(&f);
}

/* A new file cannot be begun: the old one goes on. */
static void failing_rotation(void **state)
{
	struct fixture f;

	(void)state;
	fixture_init(&f);
	f.config.segment_size = 500;
	fixture_open(&f);
	fill(&f, 1);
	fault_disk_fail(f.disk, FAULT_OPEN, 1, 100, -EMFILE, false);
	fill(&f, 20);
	assert_int_equal(fixture_count(&f, ".log"), 1);
	fault_disk_fail(f.disk, FAULT_OPEN, 0, 0, 0, false);
	fill(&f, 20);
	assert_true(fixture_count(&f, ".log") > 3);
	reopen(&f);
	fixture_finish(&f);
}

struct counter {
	unsigned called, failed;
};

static void count(void *arg, int status)
{
	struct counter *c = arg;

	c->called++;
	c->failed += status == -EIO;
}

static void failing_sync(void **state)
{
	struct fixture f;
	struct counter c = {0};
	uint64_t syncs;

	(void)state;
	fixture_init(&f);
	fixture_open(&f);
	fill(&f, 1);
	assert_int_equal(fixture_sync(&f), 0);
	fault_disk_fail(f.disk, FAULT_SYNC, 1, 0, -EIO, false);
	for (int i = 0; i < 10; i++) {
		assert_int_equal(fixture_put(&f, 1, "x"), 0);
		f.b->ops->sync(f.b, count, &c);
	}
	assert_int_equal(fixture_sync(&f), -EIO);
	f.b->ops->dispatch(f.b);
	assert_int_equal(c.called, 10);
	assert_int_equal(c.failed, 10);
	/* The next one would work; but it proves nothing. */
	syncs = fixture_usage(&f).syncs;
	assert_int_equal(fixture_sync(&f), -EIO);
	assert_int_equal(fixture_put(&f, 1, "x"), -EROFS);
	assert_int_equal(fixture_usage(&f).syncs, syncs);
	assert_int_equal(fixture_usage(&f).failed, -EIO);
	assert_int_equal(fixture_close(&f), -EIO);
	fault_disk_restart(f.disk);
	fixture_open(&f);
	fill(&f, 1);
	assert_int_equal(fixture_close(&f), 0);
	fixture_finish(&f);
}

static void failing_compaction(void **state)
{
	static const struct {
		enum fault_call call;
		int error;
	} faults[] = {{FAULT_OPEN, -ENOSPC}, {FAULT_WRITE, -ENOSPC}, {FAULT_WRITE, -EIO},
		{FAULT_RENAME, -EIO}, {FAULT_UNLINK, -EIO}};

	(void)state;
	for (size_t i = 0; i < sizeof(faults) / sizeof(faults[0]); i++) {
		struct fixture f;
		int r;

		fixture_init(&f);
		f.config.segment_size = 800;
		fixture_open(&f);
		fill(&f, 100);
		assert_int_equal(fixture_sync(&f), 0);
		/* The first is of the log that begins; that the rotation fails is
		 * the other test's. */
		fault_disk_fail(f.disk, faults[i].call,
			faults[i].call == FAULT_RENAME || faults[i].call == FAULT_UNLINK ? 1 : 2,
			faults[i].call == FAULT_UNLINK ? 1000 : 0, faults[i].error, true);
		r = fixture_compact(&f, NULL);
		assert_int_equal(r, faults[i].call == FAULT_UNLINK ? 0 : faults[i].error);
		assert_int_equal(fixture_usage(&f).failed, 0);
		fill(&f, 5);
		reopen(&f);
		assert_int_equal(fixture_count(&f, ".tmp"), 0);
		assert_int_equal(fixture_compact(&f, NULL), 0);
		reopen(&f);
		assert_int_equal(fixture_count(&f, ".snap"), 1);
		fixture_finish(&f);
	}
}

/* What is appended while a sync is under way is not in it. */
static void slow_syncs(void **state)
{
	struct fixture f;
	struct counter c = {0};

	(void)state;
	fixture_init(&f);
	f.config.segment_size = 800;
	fixture_open(&f);
	fault_disk_slow_syncs(f.disk, 5000);
	for (unsigned i = 0; i < 20; i++) {
		fill(&f, 1);
		f.b->ops->sync(f.b, count, &c);
		usleep(2000);
	}
	assert_int_equal(fixture_sync(&f), 0);
	assert_int_equal(c.called, 20);
	assert_true(fixture_usage(&f).syncs < 20);
	for (unsigned seed = 1; seed < 10; seed++) {
		struct fixture_state before = {0};
		uint64_t revision = f.revision;

		fill(&f, 1);
		f.b->ops->sync(f.b, count, &c);
		usleep(1000);
		fill(&f, 1);
		assert_int_equal(fixture_sync(&f), 0);
		fixture_state_copy(&before, &f.state);
		/* Nothing of what close would sync: the process is gone. */
		fault_disk_kill(f.disk, 1);
		fixture_restart(&f);
		fault_disk_cut_power(f.disk, seed);
		fixture_open(&f);
		assert_int_equal(f.revision, revision + 2);
		assert_true(fixture_state_equal(&before, &f.state));
		fixture_state_finish(&before);
		fault_disk_slow_syncs(f.disk, 5000);
	}
	fixture_finish(&f);
}

/* What a killed daemon had not synced, the next one's sync does. */
static void syncs_what_was_found(void **state)
{
	(void)state;
	for (unsigned seed = 1; seed < 20; seed++) {
		struct fixture f;

		fixture_init(&f);
		f.config.segment_size = 800;
		fixture_open(&f);
		/* From here on nothing reaches the disk by itself. */
		fault_disk_fail(f.disk, FAULT_SYNC, 1, 1000, -EIO, false);
		fault_disk_forgive(f.disk);
		while (fixture_put(&f, 1, "not synced") == 0 && f.revision < 50) {
		}
		fixture_restart(&f);
		fixture_open(&f);
		assert_int_equal(f.revision, 50);
		assert_int_equal(fixture_sync(&f), 0);
		fault_disk_kill(f.disk, 1);
		fixture_restart(&f);
		fault_disk_cut_power(f.disk, seed);
		fixture_open(&f);
		assert_int_equal(f.revision, 50);
		assert_int_equal(fixture_usage(&f).missing_revisions, 0);
		fixture_finish(&f);
	}
}

/* ---- interrupted ---- */

static char *set_values[1024];

static void forget_values(void)
{
	for (size_t i = 0; i < 1024; i++) {
		free(set_values[i]);
		set_values[i] = NULL;
	}
}

/* Appends until it fails; what is synced and what is appended come back. */
static int work(struct fixture *f, unsigned n, uint64_t *synced)
{
	char value[32];
	int r = 0;

	for (unsigned i = 0; i < n && r == 0; i++) {
		uint64_t next = f->revision + 1;

		snprintf(value, sizeof(value), "at %u", (unsigned)next);
		free(set_values[next]);
		set_values[next] = strdup(value);
		r = fixture_put(f, (unsigned)next % 10, value);
		if (r == 0 && i % 3 == 2) {
			r = fixture_sync(f);
			if (r == 0) {
				*synced = f->revision;
			}
		}
	}
	return r;
}

/* After a kill all that was appended is there; after a power cut, all that was
 * synced is, and nothing that never was. */
static void check_after(struct fixture *f, uint64_t appended, uint64_t synced, bool power)
{
	uint64_t least = power ? synced : appended;

	f->values = set_values;
	fixture_open(f);
	if (f->revision < least) {
		print_error("revision %d of %d\n", (int)f->revision, (int)least);
	}
	assert_true(f->revision >= least);
	for (uint64_t key = 0; key < 10; key++) {
		/* Each key's newest value that must be there, or a newer one. */
		uint64_t wanted = 0, found;

		for (uint64_t i = 1; i <= least; i++) {
			wanted = i % 10 == key ? i : wanted;
		}
		if (wanted == 0) {
			continue;
		}
		assert_non_null(f->state.values[key]);
		found = strtoull(f->state.values[key] + 3, NULL, 10);
		assert_true(found >= wanted);
	}
	if (!power) {
		assert_int_equal(fixture_usage(f).damaged_lines, 0);
		assert_int_equal(fixture_usage(f).missing_revisions, 0);
	}
	/* And it goes on. */
	assert_int_equal(work(f, 3, &synced), 0);
	f->values = NULL;
	reopen(f);
}

static void sweep(bool compact)
{
	for (uint64_t nth = 1; nth < 1000; nth += stride_of(3, 5)) {
		bool killed = true;

		for (unsigned seed = 0; seed <= SEEDS && killed; seed++) {
			struct fixture f;
			uint64_t synced = 0, appended;
			char *error;
			int r;

			fixture_init(&f);
			f.config.segment_size = 400;
			f.values = NULL;
			fault_disk_kill(f.disk, nth);
			r = fixture_try_open(&f, &error);
			free(error);
			if (r == 0) {
				r = work(&f, 12, &synced);
			}
			if (r == 0 && compact) {
				r = fixture_compact(&f, NULL);
				if (r == 0) {
					synced = f.revision;
				}
				r = work(&f, 7, &synced);
			}
			appended = f.b ? f.revision : 0;
			killed = fault_disk_killed(f.disk);
			fixture_restart(&f);
			if (seed > 0) {
				fault_disk_cut_power(f.disk, (unsigned)nth * SEEDS + seed);
			}
			check_after(&f, appended, synced, seed > 0);
			fixture_finish(&f);
			forget_values();
		}
		if (!killed) {
			assert_true(nth > 30);
			return;
		}
	}
	fail();
}

static void interrupted_appends(void **state)
{
	(void)state;
	sweep(false);
}

static void interrupted_compactions(void **state)
{
	(void)state;
	sweep(true);
}

/* Interrupted while it mends, at each call, and again. */
static void interrupted_replays(void **state)
{
	struct fixture f;
	uint64_t synced = 0;
	char path[256], *data;
	const char *now;
	size_t size;

	(void)state;
	fixture_init(&f);
	f.config.segment_size = 400;
	fixture_open(&f);
	assert_int_equal(work(&f, 20, &synced), 0);
	fixture_restart(&f);
	/* Torn at the end, damaged in the middle. */
	snprintf(path, sizeof(path), "%s", fixture_file(&f, ".log", fixture_count(&f, ".log") - 1));
	now = fault_disk_data(f.disk, path, &size);
	data = malloc(size);
	memcpy(data, now, size);
	fault_disk_set_data(f.disk, path, data, size - 3);
	free(data);
	snprintf(path, sizeof(path), "%s", fixture_file(&f, ".log", 1));
	now = fault_disk_data(f.disk, path, &size);
	data = malloc(size);
	memcpy(data, now, size);
	data[size / 2] ^= 4;
	fault_disk_set_data(f.disk, path, data, size);
	free(data);
	for (uint64_t nth = 1;; nth++) {
		struct fixture c = {.disk = fault_disk_clone(f.disk), .config = f.config};
		char *error;
		bool killed;

		c.config.disk = fault_disk_of(c.disk);
		fault_disk_kill(c.disk, nth);
		(void)fixture_try_open(&c, &error);
		free(error);
		killed = fault_disk_killed(c.disk);
		fixture_restart(&c);
		fixture_open(&c);
		assert_int_equal(c.replayed, 18);
		assert_int_equal(c.revision, 20);
		assert_int_equal(fixture_usage(&c).damaged_lines, 1);
		assert_int_equal(fixture_usage(&c).missing_revisions, 2);
		assert_int_equal(fixture_put(&c, 1, "more"), 0);
		fixture_finish(&c);
		if (!killed) {
			assert_true(nth > 3);
			break;
		}
	}
	fixture_finish(&f);
	forget_values();
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(full_disk),
		cmocka_unit_test(full_from_the_start),
		cmocka_unit_test(failing_write),
		cmocka_unit_test(failing_truncation),
		cmocka_unit_test(failing_rotation),
		cmocka_unit_test(failing_sync),
		cmocka_unit_test(failing_compaction),
		cmocka_unit_test(slow_syncs),
		cmocka_unit_test(syncs_what_was_found),
		cmocka_unit_test(interrupted_appends),
		cmocka_unit_test(interrupted_compactions),
		cmocka_unit_test(interrupted_replays),
	};

	log_init("test_journal_faults", LOG_EMERG);
	return cmocka_run_group_tests_name("journal faults", tests, NULL, NULL);
}
