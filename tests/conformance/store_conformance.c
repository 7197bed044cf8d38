/* SPDX-License-Identifier: MIT
 * Copyright (c) 2026 The cubbyfs authors */

/* store_conformance BACKEND: the suite that every backend passes. */
#include "cases.h"

#include "base/log.h"

#include <stdlib.h>
#include <string.h>

static const struct test_case *const lists[] = {
	value_cases,
	staging_cases,
	name_cases,
	ttl_cases,
	attribute_cases,
	limit_cases,
	lock_cases,
	order_cases,
	advisory_cases,
};

#define N_LISTS (sizeof(lists) / sizeof(lists[0]))

static enum bench_kind kind;
static struct bench bench;

static void finish(void)
{
	if (bench.config.location) {
		bench_finish(&bench);
	}
}

static void run(void **state)
{
	const struct test_case *c = *state;

	finish(); /* what a case that failed has left */
	bench_init(&bench, kind);
	bench_open(&bench);
	c->run(&bench);
	bench.who = &ALICE;
	assert_int_equal(bench_stat(&bench, NULL, "open_handles"), 0);
	assert_int_equal(bench_stat(&bench, NULL, "staged_bytes"), 0);
	assert_int_equal(bench_stat(&bench, "damage", "unresolved_changes"), 0);
	bench_check_durable(&bench);
	bench_close(&bench);
	finish();
}

int main(int argc, char **argv)
{
	static const char *const kinds[] = {"memory", "journal", "late"};
	struct CMUnitTest *tests = NULL;
	size_t n = 0;
	int failed;

	kind = BENCH_LATE + 1;
	for (unsigned i = 0; argc > 1 && i < sizeof(kinds) / sizeof(kinds[0]); i++) {
		if (strcmp(argv[1], kinds[i]) == 0) {
			kind = i;
		}
	}
	if (kind > BENCH_LATE) {
		fprintf(stderr, "usage: store_conformance memory|journal|late [CASE]\n");
		return 2;
	}
	if (argc > 2) {
		cmocka_set_test_filter(argv[2]);
	}
	log_init("store_conformance", LOG_CRIT);
	for (size_t i = 0; i < N_LISTS; i++) {
		for (const struct test_case *c = lists[i]; c->name; c++) {
			tests = realloc(tests, (n + 1) * sizeof(*tests));
			tests[n++] = (struct CMUnitTest){
				.name = c->name, .test_func = run, .initial_state = (void *)c};
		}
	}
	failed = _cmocka_run_group_tests(argv[1], tests, n, NULL, NULL);
	finish();
	free(tests);
	return failed;
}
