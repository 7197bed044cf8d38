/* SPDX-License-Identifier: MIT
 * Copyright (c) 2026 The cubbyfs authors */

/* Advisory locks, and what is staged under them. */
#include "cases.h"

#include <string.h>

static struct store_lock lock_of(
	enum store_lock_kind kind, enum store_lock_type type, uint64_t handle, uint64_t owner)
{
	return (struct store_lock){
		.kind = kind, .type = type, .end = UINT64_MAX, .handle = handle, .owner = owner};
}

static int set(struct bench *b, uint64_t ino, struct store_lock l)
{
	struct answer a = {0};

	store_setlk(b->s, b->who, ino, &l, false, ANSWER(&a));
	return answer_wait(b, &a);
}

static int flock_of(struct bench *b, uint64_t ino, enum store_lock_type type, uint64_t handle)
{
	return set(b, ino, lock_of(STORE_LOCK_FLOCK, type, handle, handle));
}

static int record(struct bench *b, uint64_t ino, enum store_lock_type type, uint64_t handle,
	uint64_t start, uint64_t end)
{
	struct store_lock l = lock_of(STORE_LOCK_RECORD, type, handle, (uint64_t)b->who->pid);

	l.start = start;
	l.end = end;
	return set(b, ino, l);
}

static int unlock_owner(struct bench *b, uint64_t ino, uint64_t owner)
{
	struct answer a = {0};

	store_unlock_owner(b->s, b->who, ino, owner, ANSWER(&a));
	return answer_wait(b, &a);
}

static const char *read_at(struct bench *b, uint64_t handle, uint64_t offset)
{
	assert_int_equal(bench_read(b, handle, offset, 100), 0);
	return b->text;
}

static uint64_t open_as(struct bench *b, const struct store_caller *who, uint64_t ino, int flags)
{
	uint64_t h;

	b->who = who;
	assert_int_equal(bench_open_key(b, ino, flags, &h), 0);
	return h;
}

static void unlocking_publishes(struct bench *b)
{
	uint64_t ino, alice, bob;

	bench_set(b, ROOT_INO, "k", "0123456789");
	ino = bench_ino(b, ROOT_INO, "k");
	alice = open_as(b, &ALICE, ino, O_RDWR);
	bob = open_as(b, &BOB, ino, O_RDONLY);
	assert_string_equal(read_at(b, bob, 0), "0123456789");
	b->who = &ALICE;
	assert_int_equal(flock_of(b, ino, STORE_LOCK_EXCLUSIVE, alice), 0);
	assert_int_equal(bench_write(b, alice, "abcde", 5), 0);
	/* Not for who tries, nor for a lock that is not given up. */
	b->who = &BOB;
	assert_int_equal(flock_of(b, ino, STORE_LOCK_SHARED, bob), STORE_LOCKED);
	assert_string_equal(bench_get(b, ROOT_INO, "k"), "0123456789");
	b->who = &ALICE;
	assert_int_equal(flock_of(b, ino, STORE_LOCK_EXCLUSIVE, alice), 0);
	assert_int_equal(record(b, ino, STORE_UNLOCK, alice, 0, UINT64_MAX), 0);
	b->who = &BOB;
	assert_string_equal(bench_get(b, ROOT_INO, "k"), "0123456789");
	/* A downgrade does, and with the lock a reader begins anew in the middle. */
	b->who = &ALICE;
	assert_int_equal(flock_of(b, ino, STORE_LOCK_SHARED, alice), 0);
	b->who = &BOB;
	assert_string_equal(read_at(b, bob, 5), "56789");
	assert_int_equal(flock_of(b, ino, STORE_LOCK_SHARED, bob), 0);
	assert_string_equal(read_at(b, bob, 5), "abcde");
	assert_int_equal(bench_stat(b, NULL, "advisory_locks"), 2);
	/* So does unlocking, and the release drops the rest. */
	b->who = &ALICE;
	assert_int_equal(bench_write(b, alice, "X", 0), 0);
	assert_int_equal(flock_of(b, ino, STORE_UNLOCK, alice), 0);
	b->who = &BOB;
	assert_string_equal(bench_get(b, ROOT_INO, "k"), "X1234abcde");
	bench_release(b, bob);
	b->who = &ALICE;
	assert_int_equal(bench_close_key(b, alice), 0);
	bench_settle(b);
	assert_int_equal(bench_stat(b, NULL, "advisory_locks"), 0);
}

/* What another has written under a lock on other bytes stays. */
static void bytes_are_merged(struct bench *b)
{
	uint64_t ino, alice, bob;

	bench_set(b, ROOT_INO, "k", "aaaabbbb");
	ino = bench_ino(b, ROOT_INO, "k");
	alice = open_as(b, &ALICE, ino, O_RDWR);
	bob = open_as(b, &BOB, ino, O_RDWR);
	b->who = &ALICE;
	assert_int_equal(record(b, ino, STORE_LOCK_EXCLUSIVE, alice, 0, 3), 0);
	assert_int_equal(bench_write(b, alice, "AAA", 0), 0);
	b->who = &BOB;
	assert_int_equal(record(b, ino, STORE_LOCK_EXCLUSIVE, bob, 4, 11), 0);
	assert_int_equal(bench_write(b, bob, "BBBBcccc", 4), 0);
	assert_int_equal(record(b, ino, STORE_UNLOCK, bob, 0, UINT64_MAX), 0);
	b->who = &ALICE;
	assert_int_equal(record(b, ino, STORE_UNLOCK, alice, 0, UINT64_MAX), 0);
	assert_string_equal(bench_get(b, ROOT_INO, "k"), "AAAaBBBBcccc");
	assert_string_equal(read_at(b, alice, 3), "aBBBBcccc");
	/* Without a lock the last close wins, whole. */
	assert_int_equal(bench_write(b, alice, "1", 0), 0);
	b->who = &BOB;
	assert_int_equal(bench_write(b, bob, "2", 1), 0);
	assert_int_equal(bench_close_key(b, bob), 0);
	b->who = &ALICE;
	assert_int_equal(bench_close_key(b, alice), 0);
	assert_string_equal(bench_get(b, ROOT_INO, "k"), "1AAaBBBBcccc");
}

/* Who has written before he locks reads what others have set, and what he has. */
static void what_was_written_before(struct bench *b)
{
	uint64_t ino, alice;

	bench_set(b, ROOT_INO, "k", "aaaabbbb");
	ino = bench_ino(b, ROOT_INO, "k");
	alice = open_as(b, &ALICE, ino, O_RDWR);
	assert_int_equal(bench_write(b, alice, "A", 0), 0);
	b->who = &BOB;
	assert_int_equal(bench_set(b, ROOT_INO, "k", "aaaacccccc"), 0);
	b->who = &ALICE;
	assert_string_equal(read_at(b, alice, 0), "Aaaabbbb");
	assert_int_equal(flock_of(b, ino, STORE_LOCK_EXCLUSIVE, alice), 0);
	assert_string_equal(read_at(b, alice, 0), "Aaaacccccc");
	assert_int_equal(bench_stat(b, NULL, "staged_bytes"), 10);
	assert_int_equal(flock_of(b, ino, STORE_UNLOCK, alice), 0);
	assert_string_equal(bench_get(b, ROOT_INO, "k"), "Aaaacccccc");
	/* One that replaces all does. */
	assert_int_equal(bench_close_key(b, alice), 0);
	alice = open_as(b, &ALICE, ino, O_RDWR | O_TRUNC);
	assert_int_equal(bench_write(b, alice, "B", 0), 0);
	assert_int_equal(flock_of(b, ino, STORE_LOCK_EXCLUSIVE, alice), 0);
	assert_int_equal(flock_of(b, ino, STORE_UNLOCK, alice), 0);
	assert_string_equal(bench_get(b, ROOT_INO, "k"), "B");
	bench_release(b, alice);
}

/* Who waits gets it when what was written is there, not before. */
static void a_close_publishes_first(struct bench *b)
{
	struct store_lock l;
	struct answer waits = {0};
	uint64_t ino, alice, other, bob, ticket;

	bench_set(b, ROOT_INO, "k", "1");
	ino = bench_ino(b, ROOT_INO, "k");
	alice = open_as(b, &ALICE, ino, O_RDWR);
	other = open_as(b, &ALICE, ino, O_RDONLY);
	bob = open_as(b, &BOB, ino, O_RDONLY);
	b->who = &ALICE;
	assert_int_equal(record(b, ino, STORE_LOCK_EXCLUSIVE, alice, 0, 0), 0);
	assert_true(store_has_records(b->s, ino));
	assert_int_equal(bench_write(b, alice, "2", 0), 0);
	l = lock_of(STORE_LOCK_RECORD, STORE_LOCK_SHARED, bob, (uint64_t)BOB.pid);
	ticket = store_setlk(b->s, &BOB, ino, &l, true, ANSWER(&waits));
	assert_int_not_equal(ticket, 0);
	assert_false(waits.done);
	assert_int_equal(bench_stat(b, NULL, "lock_waiters"), 1);
	/* Closing any other of its descriptors drops a process's record locks. */
	assert_int_equal(bench_flush(b, other), 0);
	assert_int_equal(unlock_owner(b, ino, (uint64_t)ALICE.pid), 0);
	assert_int_equal(answer_wait(b, &waits), 0);
	b->who = &BOB;
	assert_string_equal(read_at(b, bob, 0), "2");
	store_cancel_lock(b->s, ticket); /* too late */
	b->who = &ALICE;
	bench_release(b, other);
	bench_release(b, alice);
	bench_release(b, bob);
	bench_settle(b);
	assert_false(store_has_records(b->s, ino));
}

static void a_release_publishes_first(struct bench *b)
{
	struct answer waits = {0};
	struct store_lock l;
	uint64_t ino, alice, bob;

	bench_set(b, ROOT_INO, "k", "1");
	ino = bench_ino(b, ROOT_INO, "k");
	alice = open_as(b, &ALICE, ino, O_RDWR);
	bob = open_as(b, &BOB, ino, O_RDONLY);
	b->who = &ALICE;
	assert_int_equal(flock_of(b, ino, STORE_LOCK_EXCLUSIVE, alice), 0);
	assert_int_equal(bench_write(b, alice, "2", 0), 0);
	l = lock_of(STORE_LOCK_FLOCK, STORE_LOCK_EXCLUSIVE, bob, bob);
	store_setlk(b->s, &BOB, ino, &l, true, ANSWER(&waits));
	store_release(b->s, alice);
	assert_int_equal(answer_wait(b, &waits), 0);
	b->who = &BOB;
	assert_string_equal(read_at(b, bob, 0), "2");
	bench_release(b, bob);
}

static void a_value_that_cannot_be_published(struct bench *b)
{
	uint64_t ino, alice;

	bench_set(b, ROOT_INO, "k", "1");
	ino = bench_ino(b, ROOT_INO, "k");
	alice = open_as(b, &ALICE, ino, O_RDWR);
	assert_int_equal(flock_of(b, ino, STORE_LOCK_EXCLUSIVE, alice), 0);
	assert_int_equal(bench_write(b, alice, "22", 0), 0);
	b->who = &ROOT;
	assert_int_equal(bench_setxattr(b, ROOT_INO, "user.cubby.max_value", "1"), 0);
	b->who = &ALICE;
	assert_int_equal(flock_of(b, ino, STORE_UNLOCK, alice), 0);
	assert_int_equal(bench_stat(b, NULL, "advisory_locks"), 0);
	assert_string_equal(bench_get(b, ROOT_INO, "k"), "1");
	assert_int_equal(bench_close_key(b, alice), STORE_TOO_LARGE);
}

static void a_wait_is_taken_back(struct bench *b)
{
	struct answer waits = {0}, converts = {0};
	uint64_t ino, alice, bob, ticket;
	struct store_lock l;

	bench_set(b, ROOT_INO, "k", "1");
	ino = bench_ino(b, ROOT_INO, "k");
	alice = open_as(b, &ALICE, ino, O_RDWR);
	bob = open_as(b, &BOB, ino, O_RDWR);
	assert_int_equal(record(b, ino, STORE_LOCK_EXCLUSIVE, bob, 5, 9), 0);
	b->who = &ALICE;
	l = lock_of(STORE_LOCK_RECORD, STORE_LOCK_EXCLUSIVE, alice, (uint64_t)ALICE.pid);
	ticket = store_setlk(b->s, &ALICE, ino, &l, true, ANSWER(&waits));
	store_cancel_lock(b->s, ticket);
	assert_int_equal(answer_wait(b, &waits), STORE_INTERRUPTED);
	/* While what is given up is still being published, or after that. */
	assert_int_equal(record(b, ino, STORE_LOCK_EXCLUSIVE, alice, 0, 3), 0);
	assert_int_equal(bench_write(b, alice, "2", 0), 0);
	l.type = STORE_LOCK_SHARED;
	ticket = store_setlk(b->s, &ALICE, ino, &l, true, ANSWER(&converts));
	assert_int_not_equal(ticket, 0);
	assert_false(converts.done);
	store_cancel_lock(b->s, ticket);
	assert_int_equal(answer_wait(b, &converts), STORE_INTERRUPTED);
	assert_int_equal(bench_stat(b, NULL, "lock_waiters"), 0);
	assert_string_equal(bench_get(b, ROOT_INO, "k"), "2");
	bench_release(b, alice);
	bench_release(b, bob);
	bench_settle(b);
	assert_int_equal(bench_stat(b, NULL, "advisory_locks"), 0);
}

/* Each of those who wait unlocks from within its answer, which lets in the next. */
struct relay {
	struct bench *b;
	struct store_lock lock;
	uint64_t ino;
	unsigned *turns;
	struct answer left;
};

static void hand_on(void *arg, int rc, const struct store_result *result)
{
	struct relay *r = arg;

	(void)result;
	assert_int_equal(rc, 0);
	++*r->turns;
	r->lock.type = STORE_UNLOCK;
	store_setlk(r->b->s, &ALICE, r->ino, &r->lock, false, ANSWER(&r->left));
}

static void answers_may_unlock(struct bench *b)
{
	static struct relay relays[20000];
	const size_t n = sizeof(relays) / sizeof(relays[0]);
	uint64_t ino = 1000000; /* need not be a node of the store */
	unsigned turns = 0;

	assert_int_equal(flock_of(b, ino, STORE_LOCK_EXCLUSIVE, 77), 0);
	for (size_t i = 0; i < n; i++) {
		relays[i] = (struct relay){
			.b = b,
			.lock = lock_of(STORE_LOCK_FLOCK, STORE_LOCK_EXCLUSIVE, 0, 1000 + i),
			.ino = ino,
			.turns = &turns,
		};
		assert_int_not_equal(
			store_setlk(b->s, &ALICE, ino, &relays[i].lock, true,
				(struct store_reply){.done = hand_on, .arg = &relays[i]}),
			0);
	}
	store_drop_locks(b->s, ino, 77);
	assert_int_equal(turns, n);
	for (size_t i = 0; i < n; i++) {
		assert_int_equal(answer_wait(b, &relays[i].left), 0);
	}
	assert_int_equal(bench_stat(b, NULL, "advisory_locks"), 0);
	assert_int_equal(bench_stat(b, NULL, "lock_waiters"), 0);
}

const struct test_case advisory_cases[] = {
	{"unlocking_publishes", unlocking_publishes},
	{"bytes_are_merged", bytes_are_merged},
	{"what_was_written_before", what_was_written_before},
	{"a_close_publishes_first", a_close_publishes_first},
	{"a_release_publishes_first", a_release_publishes_first},
	{"a_value_that_cannot_be_published", a_value_that_cannot_be_published},
	{"a_wait_is_taken_back", a_wait_is_taken_back},
	{"answers_may_unlock", answers_may_unlock},
	{NULL, NULL},
};
