/* SPDX-License-Identifier: MIT
 * Copyright (c) 2026 The cubbyfs authors */

/* Cookies: names in the order of their making, found again from any cookie
 * that ever was, however many have come and gone. Against a plain list. */
#include "harness.h"

#include "store/tree.h"

#include <stdlib.h>

#define NAMES 2000
#define COOKIES 40000

static struct tree tree;
static struct node *dir;
static struct entry *by_cookie[COOKIES + 1]; /* NULL: gone */
static uint64_t last_cookie;

static void add(unsigned number)
{
	char name[16];
	struct node *n = node_create(tree.next_ino, S_IFREG | 0600);
	struct entry *e;
	int size = snprintf(name, sizeof(name), "n%u", number);

	assert_non_null(n);
	tree_add_node(&tree, n);
	assert_int_equal(tree_reserve(dir, 1), 0);
	e = entry_create(bytes_of(name, (size_t)size));
	tree_attach(&tree, dir, e, n);
	assert_true(entry_cookie(e) > last_cookie);
	assert_true(entry_cookie(e) <= COOKIES);
	last_cookie = entry_cookie(e);
	by_cookie[entry_cookie(e)] = e;
}

static void drop(struct entry *e)
{
	struct node *n = entry_node(e);

	by_cookie[entry_cookie(e)] = NULL;
	tree_detach(&tree, e);
	tree_collect(&tree, n);
}

static void check_from(uint64_t cookie)
{
	struct entry *expected = NULL;

	for (uint64_t c = cookie + 1; c <= last_cookie && !expected; c++) {
		expected = by_cookie[c];
	}
	assert_ptr_equal(tree_next(dir, cookie), expected);
}

static void cookies(void **state)
{
	uint64_t random = 17;
	size_t live = 0;

	(void)state;
	assert_int_equal(tree_init(&tree, 0, 0, 0755, 0), 0);
	dir = tree.root;
	assert_null(tree_next(dir, 0));
	for (unsigned step = 0; step < 60000 && last_cookie < COOKIES; step++) {
		/* Grows, then all but goes, and grows again. */
		bool grows = live < 10 || (step / 5000 % 2 == 0 && live < NAMES);

		if (test_random(&random) % 10 < (grows ? 7u : 3u)) {
			add(step);
			live++;
		} else if (live > 0) {
			struct entry *e = tree_next(dir, test_random(&random) % last_cookie);

			drop(e ? e : tree_next(dir, 0));
			live--;
		}
		assert_int_equal(node_directory(dir)->n_live, live);
		/* Room is not lost to names that have gone. */
		assert_true(directory_size(node_directory(dir)) <= 2 * live + 61);
		check_from(test_random(&random) % (last_cookie + 2));
	}
	for (uint64_t cookie = 0; cookie <= last_cookie; cookie++) {
		check_from(cookie);
	}
	while (live > 0) {
		drop(tree_next(dir, 0));
		live--;
	}
	assert_null(tree_next(dir, 0));
	assert_true(tree_is_empty(&tree, dir, 0));
	assert_int_equal(tree.n_keys, 0);
	assert_int_equal(tree.live_bytes, 0);
	tree_finish(&tree);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(cookies),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
