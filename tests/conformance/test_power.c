/* SPDX-License-Identifier: MIT
 * Copyright (c) 2026 The cubbyfs authors */

/* Power is cut at every call that changes the disk, of a workload in which
 * everything happens; each time in several ways: what was not synced is lost,
 * there, or there in parts. Whatever is left then, the store opens as a state
 * that it has been in, not older than what was acknowledged as synced; check
 * finds no more than a torn end; and to open it once more changes nothing.
 *
 * test_power SEED [STEPS] does one seed. CUBBY_LONG=1 does many. */
#include "workload.h"

#include "base/cleanup.h"
#include "base/log.h"
#include "store/journal/check.h"

#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
#define SEEDS 1
#define STEPS 150
#define SOME_CUTS 1
#else
#define SEEDS 2
#define STEPS 300
#define SOME_CUTS 3
#endif

/* Replay is one thread. What ThreadSanitizer may find is in the workload, which is whole. */
#ifdef __SANITIZE_THREAD__
#define STRIDE 5
#elif defined(__SANITIZE_ADDRESS__)
#define STRIDE 5
#else
#define STRIDE 1
#endif

#define SETS 4 /* after a torn end */

static uint64_t cuts, places, only_seed, n_steps = STEPS;
static unsigned some_cuts = SOME_CUTS, stride = STRIDE;

struct cut {
	struct workload *w;
	char where[200];
	bool before; /* it was opened: a torn end may be reported */
	bool torn;
};

static void take_problem(void *arg, const struct check_problem *p)
{
	struct cut *c = arg;

	if (!c->before ||
		!(strstr(p->what, "is not complete") || strstr(p->what, "not on the disk yet"))) {
		fail_msg("%s: %s, line %" PRIu64 ": %s", c->where, p->file, p->line, p->what);
	}
}

static void check(struct cut *c, struct fault_disk *disk, bool before)
{
	const struct check_callbacks callbacks = {.problem = take_problem, .arg = c};
	struct check_summary summary;
	char *error;
	int rc;

	c->before = before;
	rc = journal_check(fault_disk_of(disk), "/store", &callbacks, &summary, &error);
	free(error);
	assert_int_equal(rc, 0);
}

/* All that is on the disk, as text. */
static char *contents(struct fault_disk *disk)
{
	struct buffer out = {0};
	size_t n, size;
	char **files = fault_disk_files(disk, &n);

	for (size_t i = 0; i < n; i++) {
		const char *data = fault_disk_data(disk, files[i], &size);

		buffer_printf(&out, "--- %s, %zu bytes\n", files[i], size);
		buffer_append(&out, data, size);
		free(files[i]);
	}
	free(files);
	buffer_append(&out, "", 1);
	return out.data;
}

/* Opens, compares, closes. The revision. */
static uint64_t look(struct cut *c, struct fault_disk *disk)
{
	uint64_t revision;
	struct bench b;

	workload_bench(c->w, &b, disk);
	bench_open(&b);
	revision = workload_compare(c->w, &b, c->where);
	assert_int_equal(bench_stat(&b, "damage", "damaged_lines"), 0);
	assert_int_equal(bench_stat(&b, "damage", "missing_revisions"), 0);
	assert_int_equal(bench_stat(&b, "damage", "unresolved_changes"), 0);
	c->torn |= bench_stat(&b, "damage", "torn_bytes") > 0;
	bench_close(&b);
	free(b.text);
	fault_disk_restart(disk);
	return revision;
}

/* The state must be one of what came after it was mended, or that itself. */
static void look_again(struct cut *c, struct fault_disk *disk, char *const *dumps, unsigned synced)
{
	_cleanup_free_ char *dump = NULL;
	struct bench b;
	bool found = false;

	check(c, disk, true);
	workload_bench(c->w, &b, disk);
	bench_open(&b);
	dump = workload_dump(&b);
	for (unsigned i = synced; i <= SETS && !found; i++) {
		found = strcmp(dump, dumps[i]) == 0;
	}
	if (!found) {
		print_error("%s, power cut again, %u synced:\n", c->where, synced);
		bench_same(dumps[synced], dump);
	}
	bench_close(&b);
	free(b.text);
	fault_disk_restart(disk);
	check(c, disk, false);
}

/* What was mended is mended for good: what comes after it is neither lost nor
 * mixed with what was cut off. */
static void go_on(struct cut *c, struct fault_disk *disk, unsigned seed)
{
	char *dumps[SETS + 1];
	struct fault_disk *at;
	struct bench b;
	uint64_t synced;

	workload_bench(c->w, &b, disk);
	fault_disk_tag(disk, 0);
	fault_disk_record(disk, true);
	bench_open(&b);
	dumps[0] = workload_dump(&b);
	for (unsigned i = 1; i <= SETS; i++) {
		assert_int_equal(bench_set(&b, ROOT_INO, "after", "a value set after that"), 0);
		dumps[i] = workload_dump(&b);
		if (i == 1 + seed % (2 * SETS)) {
			assert_int_equal(bench_fsync(&b, 0), 0);
			fault_disk_tag(disk, i);
		}
	}
	bench_close(&b);
	fault_disk_record(disk, false);
	free(b.text);
	while ((at = fault_disk_take(disk, &synced))) {
		fault_disk_cut(at, FAULT_CUT_SOME, seed++);
		cuts++;
		look_again(c, at, dumps, (unsigned)synced);
		fault_disk_destroy(at);
	}
	for (unsigned i = 0; i <= SETS; i++) {
		free(dumps[i]);
	}
}

static void cut_once(struct workload *w, struct fault_disk *at, uint64_t synced, enum fault_cut how,
	unsigned seed)
{
	struct fault_disk *disk = fault_disk_copy(at);
	_cleanup_free_ char *first = NULL, *second = NULL;
	struct cut c = {.w = w};
	uint64_t revision;

	snprintf(c.where, sizeof(c.where),
		"cut %" PRIu64 " (way %d, seed %u), revisions %" PRIu64 " to %" PRIu64, cuts, how,
		seed, synced, w->revision);
	fault_disk_cut(disk, how, seed);
	cuts++;
	if (synced > 0) {
		check(&c, disk, true);
	}
	revision = look(&c, disk);
	if (revision < synced) {
		fail_msg("%s: lost; it is at revision %" PRIu64, c.where, revision);
	}
	check(&c, disk, false);
	first = contents(disk);
	assert_int_equal(look(&c, disk), revision);
	second = contents(disk);
	bench_same(first, second);
	fault_disk_destroy(disk);
	if (c.torn) {
		disk = fault_disk_copy(at);
		fault_disk_cut(disk, how, seed);
		go_on(&c, disk, seed);
		fault_disk_destroy(disk);
	}
}

static void cut_here(struct workload *w)
{
	struct fault_disk *at;
	uint64_t synced;

	while ((at = fault_disk_take(w->disk, &synced))) {
		if (places++ % stride) {
			fault_disk_destroy(at);
			continue;
		}
		cut_once(w, at, synced, FAULT_CUT_ALL, (unsigned)cuts + 1);
		cut_once(w, at, synced, FAULT_CUT_NOTHING, (unsigned)cuts + 1);
		for (unsigned i = 0; i < some_cuts; i++) {
			cut_once(w, at, synced, FAULT_CUT_SOME, (unsigned)cuts + 1);
		}
		fault_disk_destroy(at);
	}
}

static void run(uint64_t seed)
{
	struct workload w;
	uint64_t before = cuts;

	workload_prepare(&w, seed);
	assert_int_equal(workload_open(&w), 0);
	/* That a store comes to be, or not, is test_journal_faults' part. */
	assert_int_equal(workload_sync(&w), 0);
	fault_disk_record(w.disk, true);
	for (uint64_t i = 0; i < n_steps; i++) {
		workload_step(&w);
		cut_here(&w);
	}
	workload_settle(&w);
	cut_here(&w);
	assert_int_equal(w.fault, 0);
	assert_int_equal(w.compaction_fault, 0);
	assert_int_equal(store_close(w.b.s), 0);
	w.b.s = NULL;
	fault_disk_tag(w.disk, w.revision);
	cut_here(&w);
	fault_disk_record(w.disk, false);
	printf("seed %" PRIu64 ": %" PRIu64 " revisions, %" PRIu64 " cuts\n", seed, w.revision,
		cuts - before);
	fflush(stdout);
	workload_finish(&w);
}

static void power_cuts(void **state)
{
	uint64_t seeds = SEEDS;

	(void)state;
	if (getenv("CUBBY_LONG")) {
		seeds = 10 * SEEDS;
		some_cuts = 3 * SOME_CUTS;
		stride = 1;
	}
	for (uint64_t seed = 1; seed <= seeds; seed++) {
		run(only_seed ? only_seed : seed);
		if (only_seed) {
			break;
		}
	}
	printf("power was cut %" PRIu64 " times\n", cuts);
}

int main(int argc, char **argv)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(power_cuts),
	};

	only_seed = argc > 1 ? strtoull(argv[1], NULL, 10) : 0;
	n_steps = argc > 2 ? strtoull(argv[2], NULL, 10) : n_steps;
	log_init("test_power", LOG_EMERG);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
