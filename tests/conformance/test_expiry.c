/* SPDX-License-Identifier: MIT
 * Copyright (c) 2026 The cubbyfs authors */

/* The heap of deadlines, against a list that is searched through. */
#include "harness.h"

#include "store/expiry.h"
#include "store/node.h"

#include <stdlib.h>

#define ENTRIES 500

struct deadlines {
	struct expiry x;
	struct entry *entries[ENTRIES];
	int64_t at[ENTRIES]; /* -1: none */
	int64_t ttl[ENTRIES];
	size_t n;
};

static void check(struct deadlines *d)
{
	const struct deadline *first = expiry_first(&d->x);
	int64_t soonest = INT64_MAX;

	assert_int_equal(d->x.size, d->n);
	for (int i = 0; i < ENTRIES; i++) {
		const struct deadline *got = expiry_get(&d->x, d->entries[i]);

		assert_true((got != NULL) == (d->at[i] >= 0));
		if (got) {
			assert_int_equal(got->at, d->at[i]);
			assert_int_equal(got->ttl, d->ttl[i]);
			assert_ptr_equal(got->entry, d->entries[i]);
			soonest = d->at[i] < soonest ? d->at[i] : soonest;
		}
	}
	assert_true((first != NULL) == (d->n > 0));
	if (first) {
		assert_int_equal(first->at, soonest);
	}
}

static void against_a_model(void **state)
{
	static struct deadlines d;
	uint64_t random = 5;

	(void)state;
	assert_int_equal(expiry_init(&d.x), 0);
	for (int i = 0; i < ENTRIES; i++) {
		d.entries[i] = entry_create(bytes_of("e", 1));
		d.at[i] = -1;
	}
	for (int step = 0; step < 60000; step++) {
		unsigned i = test_random(&random) % ENTRIES;
		/* Now it grows, now it shrinks; and many are alike. */
		bool grows = step / 3000 % 2 == 0;

		if (test_random(&random) % 10 < (grows ? 7u : 2u)) {
			d.n += d.at[i] < 0;
			d.at[i] = test_random(&random) % 300;
			d.ttl[i] = step;
			assert_int_equal(expiry_reserve(&d.x, 1), 0);
			expiry_set(&d.x, d.entries[i], d.at[i], d.ttl[i]);
		} else if (step % 3) {
			d.n -= d.at[i] >= 0;
			d.at[i] = -1;
			expiry_clear(&d.x, d.entries[i]);
			expiry_clear(&d.x, d.entries[i]);
		} else if (d.n > 0) {
			struct entry *e = expiry_first(&d.x)->entry;

			for (int k = 0; k < ENTRIES; k++) {
				if (d.entries[k] == e) {
					d.at[k] = -1;
				}
			}
			d.n--;
			expiry_clear(&d.x, e);
		}
		if (step % 50 == 0) {
			check(&d);
		}
	}
	expiry_shift(&d.x, -1000);
	for (int i = 0; i < ENTRIES; i++) {
		d.at[i] += d.at[i] >= 0 ? 1000 : 0;
	}
	check(&d);
	/* Out in order. */
	for (int64_t last = 0; d.n > 0; d.n--) {
		const struct deadline *first = expiry_first(&d.x);

		assert_true(first->at >= last);
		last = first->at;
		expiry_clear(&d.x, first->entry);
	}
	assert_null(expiry_first(&d.x));
	expiry_finish(&d.x);
	for (int i = 0; i < ENTRIES; i++) {
		entry_destroy(d.entries[i]);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(against_a_model),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
