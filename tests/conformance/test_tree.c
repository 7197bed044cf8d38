/* SPDX-License-Identifier: MIT
 * Copyright (c) 2026 The cubbyfs authors */

/* Names in a namespace, and cookies: a name has the same one however many others come and go,
 * and in any other tree; from each that ever was what comes after it is found. Against a plain
 * list. */
#include "harness.h"

#include "base/hash.h"
#include "store/tree.h"

#include <stdlib.h>

#define NAMES 3000

struct name {
	struct entry *entry; /* NULL: it is not there */
	uint64_t cookie;     /* 0: it never was */
};

static struct name names[NAMES];
static struct tree tree;
static struct node *dir;

static struct bytes text_of(unsigned i)
{
	static char text[16];
	int size = snprintf(text, sizeof(text), "n%u", i);

	return bytes_of(text, (size_t)size);
}

static struct entry *attach(struct tree *t, struct node *parent, struct bytes name)
{
	struct node *n = node_create(t->next_ino, S_IFREG | 0600);
	struct entry *e = entry_create(name);

	assert_non_null(n);
	assert_non_null(e);
	tree_add_node(t, n);
	assert_int_equal(tree_reserve(parent), 0);
	tree_attach(t, parent, e, n);
	return e;
}

static void detach(struct tree *t, struct entry *e)
{
	struct node *n = entry_node(e);

	tree_detach(t, e);
	tree_collect(t, n);
}

static void add(unsigned i)
{
	struct entry *e = attach(&tree, dir, text_of(i));

	assert_true(names[i].cookie == 0 || names[i].cookie == directory_cookie(e));
	names[i] = (struct name){e, directory_cookie(e)};
}

static void drop(unsigned i)
{
	detach(&tree, names[i].entry);
	names[i].entry = NULL;
}

static void check_from(uint64_t cookie)
{
	const struct name *expected = NULL;

	for (unsigned i = 0; i < NAMES; i++) {
		if (names[i].entry && names[i].cookie > cookie &&
			(!expected || names[i].cookie < expected->cookie)) {
			expected = &names[i];
		}
	}
	assert_ptr_equal(tree_next(dir, cookie), expected ? expected->entry : NULL);
}

static void check_all(size_t live)
{
	uint64_t last = 0;
	size_t n = 0;

	for (const struct entry *e = tree_next(dir, 0); e; e = tree_following(e)) {
		assert_true(directory_cookie(e) > last);
		last = directory_cookie(e);
		n++;
	}
	assert_int_equal(n, live);
	assert_int_equal(directory_size(node_directory(dir)), live);
	for (unsigned i = 0; i < NAMES; i++) {
		assert_ptr_equal(tree_entry(dir, text_of(i)), names[i].entry);
		check_from(names[i].cookie);
	}
}

/* Grows, then all but goes, and grows again; now and then room is made ahead. */
static void cookies(void **state)
{
	uint64_t random = 17;
	size_t live = 0;

	(void)state;
	assert_int_equal(tree_init(&tree, 0, 0, 0755, 0), 0);
	dir = tree.root;
	assert_null(tree_next(dir, 0));
	assert_null(tree_entry(dir, text_of(0)));
	for (unsigned step = 0; step < 60000; step++) {
		unsigned i = (unsigned)(test_random(&random) % NAMES);
		unsigned phase = step / 10000;
		bool add_it = test_random(&random) % 10 < (phase % 2 == 0 ? 9u : 1u);

		tree.growth = phase == 2 ? 3 : 1;
		if (add_it && !names[i].entry) {
			add(i);
			live++;
		} else if (!add_it && names[i].entry) {
			drop(i);
			live--;
		}
		/* Room is not lost to names that have gone. */
		assert_true(phase == 2 || phase == 3 ||
			    node_directory(dir)->names.n_buckets <= 2 * live + 1);
		check_from(names[i].cookie);
		if (step % 5000 == 4999) {
			check_all(live);
		}
	}
	for (unsigned i = 0; i < NAMES; i++) {
		if (names[i].entry) {
			drop(i);
		}
	}
	assert_null(tree_next(dir, 0));
	assert_null(tree_next(dir, UINT64_MAX));
	assert_true(tree_is_empty(&tree, dir, 0));
	assert_int_equal(tree.n_keys, 0);
	assert_int_equal(tree.live_bytes, 0);
	tree_finish(&tree);
}

/* Two names that have one place under the key of zeros (found by a search of 2^29 steps or so).
 * Where a listing is broken off between them the first is listed twice, and none is lost. */
static void twins(void **state)
{
	const char *const texts[] = {"GpWbE8BAwj1", "wsg0PnHGvr3"};
	struct entry *first, *second, *e;
	size_t n = 0;

	(void)state;
	assert_int_equal(tree_init(&tree, 0, 0, 0755, 0), 0);
	dir = tree.root;
	for (unsigned i = 0; i < 100; i++) {
		attach(&tree, dir, text_of(i));
	}
	attach(&tree, dir, bytes_of_string(texts[0]));
	attach(&tree, dir, bytes_of_string(texts[1]));
	for (e = tree_next(dir, 0); e && e->name_size != 11; e = tree_following(e)) {
		n++;
	}
	first = e;
	second = tree_following(e);
	assert_int_equal(directory_cookie(first), directory_cookie(second) - 1);
	assert_ptr_equal(tree_next(dir, directory_cookie(first)), first);
	assert_ptr_equal(tree_next(dir, directory_cookie(second)), tree_following(second));
	for (e = second; e; e = tree_following(e)) {
		n++;
	}
	assert_int_equal(n, 101);
	assert_ptr_equal(tree_entry(dir, entry_name(second)), second);
	detach(&tree, first);
	assert_ptr_equal(tree_next(dir, directory_cookie(second) - 1), second);
	while ((e = tree_next(dir, 0))) {
		detach(&tree, e);
	}
	tree_finish(&tree);
}

/* What comes first is found at once, however many have gone from before it. */
static void from_the_start(void **state)
{
	struct entry *e;

	(void)state;
	assert_int_equal(tree_init(&tree, 0, 0, 0755, 0), 0);
	dir = tree.root;
	for (unsigned i = 0; i < 200000; i++) {
		attach(&tree, dir, text_of(i));
	}
	while ((e = tree_next(dir, 0))) {
		detach(&tree, e);
	}
	assert_int_equal(directory_size(node_directory(dir)), 0);
	assert_int_equal(node_directory(dir)->names.n_buckets, 1);
	tree_finish(&tree);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(cookies),
		cmocka_unit_test(twins),
		cmocka_unit_test(from_the_start),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
