/* SPDX-License-Identifier: MIT
 * Copyright (c) 2026 The cubbyfs authors */

/* Several operations under way at once, and other machines' in between. */
#include "cases.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

/* Answers come in the order of the calls, and each call sees what those
 * before it did. */
static void many_under_way(struct bench *b)
{
	enum { N = 300 };
	static struct answer answers[N];
	uint64_t ino;

	memset(answers, 0, sizeof(answers));
	bench_set(b, ROOT_INO, "n", "0");
	ino = bench_ino(b, ROOT_INO, "n");
	for (int i = 0; i < N; i++) {
		store_setxattr(b->s, b->who, ino, "user.cubby.increment", bytes_of("1", 1), 0,
			ANSWER(&answers[i]));
	}
	for (int i = N - 1; i >= 0; i--) {
		assert_int_equal(answer_wait(b, &answers[i]), 0);
	}
	assert_string_equal(bench_get(b, ROOT_INO, "n"), "300");
}

static void one_wins_the_name(struct bench *b)
{
	struct answer answers[8] = {0};
	unsigned won = 0;

	for (int i = 0; i < 8; i++) {
		store_create(b->s, i % 2 ? &ALICE : &BOB, ROOT_INO, "k", 0600, O_WRONLY | O_EXCL,
			ANSWER(&answers[i]));
	}
	for (int i = 0; i < 8; i++) {
		int rc = answer_wait(b, &answers[i]);

		assert_true(rc == 0 || rc == STORE_EXISTS);
		if (rc == 0) {
			won++;
			store_forget(b->s, answers[i].result.ino, 1);
			bench_close_key(b, answers[i].result.handle);
		}
	}
	assert_int_equal(won, 1);
}

static void cas_never_loses(struct bench *b)
{
	struct answer answers[10] = {0};
	unsigned won = 0;
	uint64_t ino;
	char text[40];

	late.noise = 0;
	bench_set(b, ROOT_INO, "k", "v");
	ino = bench_ino(b, ROOT_INO, "k");
	snprintf(text, sizeof(text), "%s:w", bench_xattr(b, ino, "user.cubby.revision"));
	for (int i = 0; i < 10; i++) {
		store_setxattr(b->s, b->who, ino, "user.cubby.cas", bytes_of_string(text), 0,
			ANSWER(&answers[i]));
	}
	for (int i = 0; i < 10; i++) {
		int rc = answer_wait(b, &answers[i]);

		assert_true(rc == 0 || rc == STORE_CONFLICT);
		won += rc == 0;
	}
	assert_int_equal(won, 1);
}

/* A number that is promised to a node under way goes to no other. */
static void numbers_are_not_shared(struct bench *b)
{
	struct answer dir = {0}, excl = {0}, node = {0};
	uint64_t pending, h;

	store_mknod(b->s, b->who, ROOT_INO, "d", S_IFDIR | 0755, 0, ANSWER(&dir));
	assert_int_equal(bench_create(b, ROOT_INO, "k", O_WRONLY, &h), 0);
	pending = b->result.ino;
	store_create(b->s, b->who, ROOT_INO, "e", 0600, O_WRONLY | O_EXCL, ANSWER(&excl));
	store_mknod(b->s, b->who, ROOT_INO, "n", S_IFREG | 0600, 0, ANSWER(&node));
	assert_int_equal(answer_wait(b, &dir), 0);
	assert_int_equal(answer_wait(b, &excl), 0);
	assert_int_equal(answer_wait(b, &node), 0);
	bench_write(b, h, "v", 0);
	assert_int_equal(bench_close_key(b, h), 0);
	assert_int_equal(bench_ino(b, ROOT_INO, "k"), pending);
	assert_int_equal(bench_ino(b, ROOT_INO, "d"), dir.result.ino);
	assert_int_equal(bench_ino(b, ROOT_INO, "e"), excl.result.ino);
	assert_int_equal(bench_ino(b, ROOT_INO, "n"), node.result.ino);
	assert_int_not_equal(pending, dir.result.ino);
	assert_int_not_equal(pending, excl.result.ino);
	assert_int_not_equal(pending, node.result.ino);
	assert_int_not_equal(dir.result.ino, node.result.ino);
	store_forget(b->s, dir.result.ino, 1);
	store_forget(b->s, excl.result.ino, 1);
	store_forget(b->s, node.result.ino, 1);
	bench_close_key(b, excl.result.handle);
}

/* The key's first commit is under way when it is removed, renamed, closed. */
static void pending_under_way(struct bench *b)
{
	struct answer flush = {0}, other = {0};
	uint64_t h;

	bench_create(b, ROOT_INO, "k", O_WRONLY, &h);
	bench_write(b, h, "v", 0);
	store_flush(b->s, b->who, h, ANSWER(&flush));
	store_unlink(b->s, b->who, ROOT_INO, "k", ANSWER(&other));
	store_release(b->s, h);
	assert_int_equal(answer_wait(b, &flush), 0);
	assert_int_equal(answer_wait(b, &other), 0);
	bench_settle(b);
	assert_null(bench_get(b, ROOT_INO, "k"));
	assert_string_equal(bench_list(b, ROOT_INO), "");

	flush = other = (struct answer){0};
	bench_create(b, ROOT_INO, "k", O_WRONLY, &h);
	bench_write(b, h, "v", 0);
	store_flush(b->s, b->who, h, ANSWER(&flush));
	store_rename(b->s, b->who, ROOT_INO, "k", ROOT_INO, "l", 0, ANSWER(&other));
	store_release(b->s, h);
	assert_int_equal(answer_wait(b, &flush), 0);
	assert_int_equal(answer_wait(b, &other), 0);
	assert_string_equal(bench_get(b, ROOT_INO, "l"), "v");
	assert_null(bench_get(b, ROOT_INO, "k"));

	/* Closed at once by two makers. */
	{
		uint64_t two;

		bench_create(b, ROOT_INO, "m", O_WRONLY, &h);
		b->who = &ALICE_OTHER;
		bench_create(b, ROOT_INO, "m", O_WRONLY, &two);
		b->who = &ALICE;
		bench_write(b, h, "1", 0);
		bench_write(b, two, "2", 0);
		store_release(b->s, h);
		store_release(b->s, two);
		bench_settle(b);
		assert_string_equal(bench_get(b, ROOT_INO, "m"), "2");
	}
}

static void written_again_under_way(struct bench *b)
{
	struct answer first = {0}, second = {0};
	uint64_t h;

	bench_set(b, ROOT_INO, "k", "0000");
	bench_open_key(b, bench_ino(b, ROOT_INO, "k"), O_RDWR, &h);
	bench_write(b, h, "11", 0);
	store_flush(b->s, b->who, h, ANSWER(&first));
	/* Its process reads what it has written, whether or not that is in the
	 * log already. */
	assert_int_equal(bench_write(b, h, "22", 2), 0);
	store_flush(b->s, b->who, h, ANSWER(&second));
	assert_int_equal(answer_wait(b, &first), 0);
	assert_int_equal(answer_wait(b, &second), 0);
	assert_string_equal(bench_get(b, ROOT_INO, "k"), "1122");
	bench_release(b, h);
}

static void closed_under_way(struct bench *b)
{
	struct answer answers[5] = {0};

	bench_set(b, ROOT_INO, "k", "1");
	for (int i = 0; i < 5; i++) {
		store_setxattr(b->s, b->who, bench_ino(b, ROOT_INO, "k"), "user.cubby.increment",
			bytes_of("1", 1), 0, ANSWER(&answers[i]));
	}
	bench_close(b);
	for (int i = 0; i < 5; i++) {
		assert_true(answers[i].done);
	}
	bench_open(b);
}

/* --- other machines -------------------------------------------------------------- */

static void foreign_takes_the_name(struct bench *b)
{
	struct change other = {
		.type = CHANGE_PUT,
		.fields = HAS_MODE | HAS_OWNER | HAS_VALUE,
		.ino = 5000000,
		.place = {ROOT_INO, bytes_of_string("k")},
		.mode = S_IFREG | 0666,
		.uid = 1,
		.value = bytes_of_string("theirs"),
	};
	uint64_t h;

	if (b->kind != BENCH_LATE) {
		return;
	}
	late.noise = 0;
	late_interfere(&other, 1);
	assert_int_equal(bench_mkdir(b, ROOT_INO, "k"), STORE_EXISTS);
	assert_int_equal(late.conflicts, 1);
	assert_string_equal(bench_get(b, ROOT_INO, "k"), "theirs");
	/* The same with a key that is being made: it becomes theirs' value. */
	other.ino++;
	other.place.path = bytes_of_string("p");
	bench_create(b, ROOT_INO, "p", O_WRONLY, &h);
	bench_write(b, h, "ours", 0);
	late_interfere(&other, 1);
	assert_int_equal(bench_close_key(b, h), 0);
	assert_string_equal(bench_get(b, ROOT_INO, "p"), "ours");
	assert_int_equal(bench_ino(b, ROOT_INO, "p"), other.ino);
	other.ino++;
	other.place.path = bytes_of_string("x");
	late_interfere(&other, 1);
	assert_int_equal(bench_create(b, ROOT_INO, "x", O_WRONLY | O_EXCL, &h), STORE_EXISTS);
}

static void foreign_moves_the_revision(struct bench *b)
{
	struct change other = {
		.type = CHANGE_PUT, .fields = HAS_VALUE, .value = bytes_of_string("10")};
	uint64_t ino, h;
	char text[40];

	if (b->kind != BENCH_LATE) {
		return;
	}
	late.noise = 0;
	bench_set(b, ROOT_INO, "k", "1");
	ino = bench_ino(b, ROOT_INO, "k");
	other.ino = ino;
	other.place = (struct place){ROOT_INO, bytes_of_string("k")};
	snprintf(text, sizeof(text), "%s:w", bench_xattr(b, ino, "user.cubby.revision"));
	late_interfere(&other, 1);
	assert_int_equal(bench_setxattr(b, ino, "user.cubby.cas", text), STORE_CONFLICT);
	assert_string_equal(bench_get(b, ROOT_INO, "k"), "10");
	bench_set(b, ROOT_INO, "k", "1");
	late_interfere(&other, 1);
	assert_int_equal(bench_setxattr(b, ino, "user.cubby.increment", "5"), 0);
	assert_string_equal(bench_get(b, ROOT_INO, "k"), "15");
	bench_open_key(b, ino, O_WRONLY | O_APPEND, &h);
	late_interfere(&other, 1);
	assert_int_equal(bench_append(b, h, "!"), 0);
	assert_string_equal(bench_get(b, ROOT_INO, "k"), "10!");
	bench_close_key(b, h);
}

static void foreign_takes_it_away(struct bench *b)
{
	struct change removed = {.type = CHANGE_REMOVE}, ns = {.type = CHANGE_REMOVE};
	uint64_t ino, h, dir, below;

	if (b->kind != BENCH_LATE) {
		return;
	}
	late.noise = 0;
	bench_set(b, ROOT_INO, "k", "1");
	ino = removed.ino = bench_ino(b, ROOT_INO, "k");
	removed.place = (struct place){ROOT_INO, bytes_of_string("k")};
	bench_open_key(b, ino, O_WRONLY, &h);
	bench_write(b, h, "2", 0);
	late_interfere(&removed, 1);
	assert_int_equal(bench_close_key(b, h), 0);
	assert_null(bench_get(b, ROOT_INO, "k"));
	/* A namespace, with what is in it, while something is made there. */
	dir = ns.ino = bench_namespace(b, ROOT_INO, "d");
	ns.place = (struct place){ROOT_INO, bytes_of_string("d")};
	below = bench_namespace(b, dir, "e");
	bench_set(b, below, "k", "v");
	bench_create(b, below, "p", O_WRONLY, &h);
	bench_write(b, h, "v", 0);
	late_interfere(&ns, 1);
	assert_int_equal(bench_mkdir(b, below, "x"), STORE_NOT_FOUND);
	assert_int_equal(bench_close_key(b, h), STORE_NOT_FOUND);
	assert_string_equal(bench_list(b, ROOT_INO), "");
	assert_int_equal(bench_stat(b, NULL, "keys"), 0);
	assert_int_equal(bench_stat(b, NULL, "namespaces"), 0);
}

static void foreign_refreshes(struct bench *b)
{
	struct change other = {.type = CHANGE_PUT, .fields = HAS_EXPIRES, .ttl = 10 * SECOND};
	uint64_t ino;

	if (b->kind != BENCH_LATE) {
		return;
	}
	late.noise = 0;
	bench_set(b, ROOT_INO, "k", "1");
	ino = other.ino = bench_ino(b, ROOT_INO, "k");
	bench_setxattr(b, ino, "user.cubby.ttl", "1");
	bench_advance(b, SECOND);
	other.place = (struct place){ROOT_INO, bytes_of_string("k")};
	other.expires = b->clock.wall + 10 * SECOND;
	/* It comes before our sweeping it away. */
	late_interfere(&other, 1);
	store_tick(b->s);
	bench_settle(b);
	assert_string_equal(bench_get(b, ROOT_INO, "k"), "1");
	assert_string_equal(bench_xattr(b, ino, "user.cubby.ttl"), "10.000000");
	bench_advance(b, 10 * SECOND);
	bench_sweep(b);
	assert_null(bench_get(b, ROOT_INO, "k"));
}

const struct test_case order_cases[] = {
	{"many_under_way", many_under_way},
	{"one_wins_the_name", one_wins_the_name},
	{"cas_never_loses", cas_never_loses},
	{"numbers_are_not_shared", numbers_are_not_shared},
	{"pending_under_way", pending_under_way},
	{"written_again_under_way", written_again_under_way},
	{"closed_under_way", closed_under_way},
	{"foreign_takes_the_name", foreign_takes_the_name},
	{"foreign_moves_the_revision", foreign_moves_the_revision},
	{"foreign_takes_it_away", foreign_takes_it_away},
	{"foreign_refreshes", foreign_refreshes},
	{NULL, NULL},
};
