/* SPDX-License-Identifier: MIT
 * Copyright (c) 2026 The cubbyfs authors */

/* The table of advisory locks: by hand, and against a model that keeps for each
 * owner what he has on each byte. */
#include "store/advisory.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#define FL STORE_LOCK_FLOCK
#define RE STORE_LOCK_RECORD
#define UN STORE_UNLOCK
#define SH STORE_LOCK_SHARED
#define EX STORE_LOCK_EXCLUSIVE
#define INO 7

/* --- an allocator that fails ------------------------------------------------- */

void *__real_malloc(size_t size);
void *__real_calloc(size_t n, size_t size);
void *__wrap_malloc(size_t size);
void *__wrap_calloc(size_t n, size_t size);

static int fail_in; /* the allocation that fails; 0: none */

static bool fails(void)
{
	return fail_in > 0 && --fail_in == 0;
}

void *__wrap_malloc(size_t size)
{
	return fails() ? NULL : __real_malloc(size);
}

void *__wrap_calloc(size_t n, size_t size)
{
	return fails() ? NULL : __real_calloc(n, size);
}

/* --- calls ---------------------------------------------------------------------- */

static struct advisory table;

static int setup(void **state)
{
	(void)state;
	fail_in = 0;
	return advisory_init(&table, NULL);
}

static int teardown(void **state)
{
	(void)state;
	advisory_finish(&table);
	return 0;
}

static struct store_lock lock_of(int kind, int type, uint64_t owner, uint64_t start, uint64_t end)
{
	return (struct store_lock){
		.kind = (enum store_lock_kind)kind,
		.type = (enum store_lock_type)type,
		.start = start,
		.end = end,
		.owner = owner,
		.pid = (pid_t)owner + 1000,
		.handle = owner,
	};
}

/* Does not wait. */
static int try_lock(int kind, int type, uint64_t owner, uint64_t start, uint64_t end)
{
	const struct store_lock l = lock_of(kind, type, owner, start, end);

	return advisory_set(&table, INO, &l, 0, (struct store_reply){0});
}

static int try_flock(int type, uint64_t owner)
{
	return try_lock(FL, type, owner, 0, UINT64_MAX);
}

/* The ticket of a request that has to wait. */
static uint64_t wait_on(
	uint64_t ino, int kind, int type, uint64_t owner, uint64_t start, uint64_t end)
{
	const struct store_lock l = lock_of(kind, type, owner, start, end);
	uint64_t ticket = advisory_ticket(&table);

	assert_int_equal(
		advisory_set(&table, ino, &l, ticket, (struct store_reply){0}), ADVISORY_WAITS);
	assert_true(advisory_waits(&table, ticket));
	return ticket;
}

static uint64_t wait_lock(int kind, int type, uint64_t owner, uint64_t start, uint64_t end)
{
	return wait_on(INO, kind, type, owner, start, end);
}

/* The next answer is the owner's. */
static void answered(uint64_t owner, int rc)
{
	struct advisory_answer a;

	assert_true(advisory_take(&table, &a));
	assert_int_equal(a.lock.owner, owner);
	assert_int_equal(a.rc, rc);
}

static void no_answer(void)
{
	struct advisory_answer a;

	assert_false(advisory_take(&table, &a));
}

/* What somebody who wants everything finds in his way from `at` on: "S0-4". */
static const char *found_at(int kind, uint64_t at, uint64_t end)
{
	const struct store_lock l = lock_of(kind, EX, 99, at, end);
	static char text[64];
	struct store_lock f;

	if (!advisory_test(&table, INO, &l, &f)) {
		return "";
	}
	snprintf(text, sizeof(text), "%s%lu-%lu of %lu", f.type == EX ? "X" : "S",
		(unsigned long)f.start, (unsigned long)f.end, (unsigned long)f.owner);
	return text;
}

/* --- by hand ------------------------------------------------------------------- */

static void records_split_and_merge(void **state)
{
	(void)state;
	assert_int_equal(try_lock(RE, EX, 1, 10, 19), 0);
	assert_int_equal(try_lock(RE, EX, 1, 20, 29), 0);
	assert_int_equal(table.n_locks, 1);
	assert_string_equal(found_at(RE, 0, 100), "X10-29 of 1");
	assert_int_equal(try_lock(RE, UN, 1, 15, 17), 0);
	assert_int_equal(table.n_locks, 2);
	assert_string_equal(found_at(RE, 0, 100), "X10-14 of 1");
	assert_string_equal(found_at(RE, 15, 100), "X18-29 of 1");
	assert_string_equal(found_at(RE, 15, 17), "");
	assert_int_equal(try_lock(RE, SH, 1, 12, 20), 0);
	assert_int_equal(table.n_locks, 3);
	assert_string_equal(found_at(RE, 12, 20), "S12-20 of 1");
	assert_string_equal(found_at(RE, 21, 22), "X21-29 of 1");
	assert_int_equal(try_lock(RE, EX, 1, 0, UINT64_MAX), 0);
	assert_int_equal(table.n_locks, 1);
	assert_int_equal(try_lock(RE, UN, 1, 0, 0), 0);
	assert_int_equal(try_lock(RE, UN, 1, UINT64_MAX, UINT64_MAX), 0);
	assert_int_equal(table.n_locks, 1);
	assert_int_equal(try_lock(RE, UN, 1, 5, UINT64_MAX - 5), 0);
	assert_int_equal(table.n_locks, 2);
	assert_int_equal(try_lock(RE, UN, 1, 0, UINT64_MAX), 0);
	assert_int_equal(table.n_locks, 0);
	assert_int_equal(table.nodes.n_items, 0);
}

static void who_is_in_the_way(void **state)
{
	(void)state;
	assert_int_equal(try_lock(RE, SH, 1, 10, 19), 0);
	assert_int_equal(try_lock(RE, SH, 2, 5, 12), 0);
	assert_string_equal(found_at(RE, 0, 100), "S5-12 of 2");
	assert_int_equal(try_lock(RE, EX, 2, 5, 12), STORE_LOCKED);
	assert_int_equal(try_lock(RE, EX, 2, 5, 9), 0);
	assert_int_equal(try_lock(RE, EX, 3, 20, 20), 0);
	/* The kinds don't meet, nor do nodes. */
	assert_int_equal(try_flock(EX, 4), 0);
	assert_int_equal(try_flock(SH, 5), STORE_LOCKED);
	assert_false(advisory_has_records(&table, INO + 1));
	assert_true(advisory_has_records(&table, INO));
}

/* What is held goes first, and is gone if the other can't be had. */
static void flock_converts_as_on_linux(void **state)
{
	(void)state;
	assert_int_equal(try_flock(SH, 1), 0);
	assert_int_equal(try_flock(EX, 1), 0);
	assert_int_equal(try_flock(SH, 2), STORE_LOCKED);
	assert_int_equal(try_flock(SH, 1), 0);
	assert_int_equal(try_flock(SH, 2), 0);
	assert_int_equal(try_flock(EX, 1), STORE_LOCKED);
	assert_int_equal(table.n_locks, 1);
	/* Two that upgrade: the one that waits has let go, so the other has it. */
	assert_int_equal(try_flock(SH, 1), 0);
	wait_lock(FL, EX, 1, 0, UINT64_MAX);
	assert_int_equal(try_flock(EX, 2), 0);
	no_answer();
	assert_int_equal(try_flock(UN, 2), 0);
	answered(1, 0);
	/* What an upgrade gives up wakes others. */
	assert_int_equal(try_flock(SH, 1), 0);
	assert_int_equal(try_flock(SH, 2), 0);
	wait_lock(FL, EX, 3, 0, UINT64_MAX);
	wait_lock(FL, EX, 1, 0, UINT64_MAX);
	no_answer();
	assert_int_equal(try_flock(UN, 2), 0);
	answered(3, 0);
	no_answer();
	advisory_release(&table, INO, 3);
	answered(1, 0);
}

static void waiters_get_it_in_turn(void **state)
{
	(void)state;
	assert_int_equal(try_flock(EX, 1), 0);
	for (uint64_t i = 2; i < 100; i++) {
		wait_lock(FL, EX, i, 0, UINT64_MAX);
	}
	assert_int_equal(table.n_waiters, 98);
	for (uint64_t i = 2; i < 100; i++) {
		no_answer();
		assert_int_equal(try_flock(UN, i - 1), 0);
		assert_int_equal(try_flock(EX, 100), STORE_LOCKED);
		answered(i, 0);
	}
	assert_int_equal(table.n_waiters, 0);
	/* Readers come in together. */
	wait_lock(FL, SH, 1, 0, UINT64_MAX);
	wait_lock(FL, EX, 2, 0, UINT64_MAX);
	wait_lock(FL, SH, 3, 0, UINT64_MAX);
	assert_int_equal(try_flock(SH, 99), 0);
	answered(1, 0);
	answered(3, 0);
	no_answer();
}

/* A shared lock that somebody waited for, in place of his exclusive one, lets in
 * who was passed over. */
static void a_downgrade_wakes_who_was_before_it(void **state)
{
	(void)state;
	assert_int_equal(try_lock(RE, EX, 1, 0, 9), 0);
	assert_int_equal(try_lock(RE, EX, 2, 10, 19), 0);
	wait_lock(RE, SH, 3, 0, 5);
	wait_lock(RE, SH, 1, 0, 15);
	assert_int_equal(try_lock(RE, UN, 2, 0, UINT64_MAX), 0);
	answered(1, 0);
	answered(3, 0);
}

static void waiting_is_taken_back(void **state)
{
	uint64_t first, second;

	(void)state;
	assert_int_equal(try_flock(EX, 1), 0);
	first = wait_lock(FL, EX, 2, 0, UINT64_MAX);
	second = wait_lock(FL, EX, 3, 0, UINT64_MAX);
	assert_true(advisory_cancel(&table, first, STORE_INTERRUPTED));
	assert_false(advisory_cancel(&table, first, STORE_INTERRUPTED));
	assert_false(advisory_waits(&table, first));
	answered(2, STORE_INTERRUPTED);
	assert_int_equal(try_flock(UN, 1), 0);
	assert_false(advisory_cancel(&table, second, STORE_INTERRUPTED));
	answered(3, 0);
	no_answer();
	/* The last in the queue, and then one behind. */
	first = wait_lock(FL, EX, 4, 0, UINT64_MAX);
	assert_true(advisory_cancel(&table, first, STORE_INTERRUPTED));
	wait_lock(FL, EX, 5, 0, UINT64_MAX);
	advisory_release(&table, INO, 3);
	answered(4, STORE_INTERRUPTED);
	answered(5, 0);
	wait_lock(FL, EX, 6, 0, UINT64_MAX);
	advisory_release(&table, INO, 6);
	answered(6, STORE_BAD_HANDLE);
	wait_lock(FL, EX, 7, 0, UINT64_MAX);
	advisory_end(&table, -ENOTCONN);
	answered(7, -ENOTCONN);
	assert_int_equal(table.n_waiters, 0);
	assert_false(advisory_cancel(&table, 0, 0));
}

static void deadlocks_are_refused(void **state)
{
	const struct store_lock l = lock_of(RE, EX, 3, 0, 0);

	(void)state;
	for (uint64_t i = 0; i < 4; i++) {
		assert_int_equal(try_lock(RE, EX, i, i, i), 0);
	}
	/* 1 waits for 0, 2 for 1 on another node, 3 for 2. */
	wait_lock(RE, SH, 1, 0, 0);
	assert_int_equal(advisory_set(&table, INO + 1,
				 &(struct store_lock){.kind = RE, .type = EX, .owner = 1, .end = 9},
				 0, (struct store_reply){0}),
		0);
	wait_on(INO + 1, RE, EX, 2, 3, 3);
	wait_lock(RE, EX, 3, 2, 2);
	assert_int_equal(advisory_set(&table, INO,
				 &(struct store_lock){
					 .kind = RE, .type = SH, .owner = 0, .start = 3, .end = 3},
				 advisory_ticket(&table), (struct store_reply){0}),
		STORE_DEADLOCK);
	assert_int_equal(table.n_waiters, 3);
	/* Nobody who does not wait is told, and a wait for who is outside is none. */
	assert_int_equal(advisory_set(&table, INO, &l, 0, (struct store_reply){0}), STORE_LOCKED);
	wait_lock(RE, EX, 9, 0, 3);
	assert_int_equal(try_lock(RE, UN, 0, 0, UINT64_MAX), 0);
	answered(1, 0);
	no_answer();
	/* flock(2) knows none. */
	assert_int_equal(try_flock(EX, 1), 0);
	assert_int_equal(
		advisory_set(&table, INO + 1,
			&(struct store_lock){.kind = FL, .type = EX, .owner = 2, .end = UINT64_MAX},
			0, (struct store_reply){0}),
		0);
	wait_lock(FL, EX, 2, 0, UINT64_MAX);
	wait_on(INO + 1, FL, EX, 1, 0, UINT64_MAX);
}

/* --- without memory ------------------------------------------------------------- */

/* Each step, with each of its allocations failing in turn. */
static void nothing_changes_without_memory(void **state)
{
	static const struct {
		int kind, type;
		uint64_t owner, start, end;
		bool wait;
	} steps[] = {
		{RE, EX, 1, 10, 19, false},
		{RE, SH, 1, 14, 15, false},
		{RE, UN, 1, 17, 18, false},
		{RE, EX, 2, 0, 30, true},
		{RE, EX, 1, 0, 30, false},
		{FL, SH, 1, 0, UINT64_MAX, false},
		{FL, SH, 2, 0, UINT64_MAX, false},
		{FL, EX, 2, 0, UINT64_MAX, true},
	};
	unsigned failures = 0;

	(void)state;
	for (size_t i = 0; i < sizeof(steps) / sizeof(steps[0]); i++) {
		struct store_lock l = lock_of(
			steps[i].kind, steps[i].type, steps[i].owner, steps[i].start, steps[i].end);
		int rc = -ENOLCK;

		for (int n = 1; rc == -ENOLCK; n++) {
			size_t locks = table.n_locks, waiters = table.n_waiters;
			size_t nodes = table.nodes.n_items;

			fail_in = n;
			rc = advisory_set(&table, INO, &l,
				steps[i].wait ? advisory_ticket(&table) : 0,
				(struct store_reply){0});
			if (fail_in > 0) {
				fail_in = 0;
				assert_int_not_equal(rc, -ENOLCK);
				break;
			}
			failures++;
			if (rc == -ENOLCK) { /* else the table did not grow */
				assert_int_equal(table.n_locks, locks);
				assert_int_equal(table.n_waiters, waiters);
				assert_int_equal(table.nodes.n_items, nodes);
			}
		}
		assert_int_equal(rc, steps[i].wait ? ADVISORY_WAITS : 0);
	}
	assert_true(failures > 10);
	/* What was granted later needed none, nor does giving up everything. */
	fail_in = 1;
	assert_int_equal(try_lock(RE, UN, 1, 0, UINT64_MAX), 0);
	advisory_release(&table, INO, 1);
	assert_int_equal(fail_in, 1);
	fail_in = 0;
	answered(2, 0);
	answered(2, 0);
	assert_int_equal(table.n_locks, 2);
}

/* --- the model -------------------------------------------------------------------- */

#define BYTES 12
#define OWNERS 5
#define HANDLES 3 /* each owner's are its own: handle = 10 * owner + 0..2 */
#define NODES 2
#define REQUESTS 64

struct model_request {
	uint64_t ticket;
	unsigned node;
	struct store_lock lock;
};

static struct {
	int type[NODES][2][OWNERS][BYTES];
	uint64_t handle[NODES][2][OWNERS][BYTES];
	struct model_request queue[REQUESTS];
	unsigned n_queue;
	struct model_request expected[REQUESTS]; /* answers */
	int expected_rc[REQUESTS];
	unsigned n_expected;
} model;

static uint32_t next_random(uint64_t *state)
{
	*state = *state * UINT64_C(6364136223846793005) + UINT64_C(1442695040888963407);
	return (uint32_t)(*state >> 33);
}

static bool model_blocks(unsigned node, const struct store_lock *l, unsigned owner)
{
	for (uint64_t i = l->start; i <= l->end && owner != l->owner; i++) {
		int t = model.type[node][l->kind][owner][i];

		if (t == EX || (t == SH && l->type == EX)) {
			return true;
		}
	}
	return false;
}

static bool model_blocked(unsigned node, const struct store_lock *l)
{
	for (unsigned o = 0; o < OWNERS; o++) {
		if (model_blocks(node, l, o)) {
			return true;
		}
	}
	return false;
}

static void model_put(unsigned node, const struct store_lock *l)
{
	int *type = model.type[node][l->kind][l->owner];
	uint64_t *handle = model.handle[node][l->kind][l->owner];
	uint64_t start = l->start, end = l->end;

	for (uint64_t i = start; i <= end; i++) {
		type[i] = l->type;
	}
	while (start > 0 && type[start - 1] == (int)l->type) {
		start--;
	}
	while (end < BYTES - 1 && type[end + 1] == (int)l->type) {
		end++;
	}
	for (uint64_t i = start; i <= end; i++) {
		handle[i] = l->handle;
	}
}

static void model_answer(unsigned i, int rc)
{
	model.expected[model.n_expected] = model.queue[i];
	model.expected_rc[model.n_expected++] = rc;
	for (; i + 1 < model.n_queue; i++) {
		model.queue[i] = model.queue[i + 1];
	}
	model.n_queue--;
}

/* Whatever can be had now is, first come first served; a grant that lets go
 * of something (a shared lock over an exclusive one) is looked at from the
 * start again. */
static void model_wake(unsigned node)
{
	for (unsigned i = 0; i < model.n_queue;) {
		struct model_request r = model.queue[i];
		bool loosens = false;

		if (r.node != node || model_blocked(node, &r.lock)) {
			i++;
			continue;
		}
		for (uint64_t b = r.lock.start; b <= r.lock.end && r.lock.type == SH; b++) {
			loosens |= model.type[node][r.lock.kind][r.lock.owner][b] == EX;
		}
		model_put(node, &r.lock);
		model_answer(i, 0);
		i = loosens ? 0 : i;
	}
}

/* By closing the relation "waits for" over all owners. */
static bool model_deadlock(unsigned node, const struct store_lock *l)
{
	bool waits[OWNERS][OWNERS] = {{false}};

	for (unsigned i = 0; i < model.n_queue; i++) {
		const struct model_request *r = &model.queue[i];

		for (unsigned o = 0; o < OWNERS && r->lock.kind == RE; o++) {
			waits[r->lock.owner][o] |= model_blocks(r->node, &r->lock, o);
		}
	}
	for (unsigned o = 0; o < OWNERS; o++) {
		waits[l->owner][o] |= model_blocks(node, l, o);
	}
	for (unsigned k = 0; k < OWNERS; k++) {
		for (unsigned i = 0; i < OWNERS; i++) {
			for (unsigned j = 0; j < OWNERS; j++) {
				waits[i][j] |= waits[i][k] && waits[k][j];
			}
		}
	}
	/* Only circles that this request is part of, by what it waits for itself. */
	for (unsigned o = 0; o < OWNERS; o++) {
		if (model_blocks(node, l, o) && waits[o][l->owner]) {
			return true;
		}
	}
	return false;
}

static int model_set(unsigned node, const struct store_lock *l, uint64_t ticket)
{
	struct store_lock nothing = *l;

	nothing.type = UN;
	if (l->type == UN || !model_blocked(node, l)) {
		model_put(node, l);
		model_wake(node);
		return 0;
	}
	if (ticket && l->kind == RE && model_deadlock(node, l)) {
		return STORE_DEADLOCK;
	}
	if (ticket) {
		model.queue[model.n_queue++] = (struct model_request){ticket, node, *l};
	}
	if (l->kind == FL) {
		model_put(node, &nothing);
		model_wake(node);
	}
	return ticket ? ADVISORY_WAITS : STORE_LOCKED;
}

static void model_release(unsigned node, uint64_t handle)
{
	for (unsigned i = 0; i < model.n_queue;) {
		if (model.queue[i].node == node && model.queue[i].lock.handle == handle) {
			model_answer(i, STORE_BAD_HANDLE);
		} else {
			i++;
		}
	}
	for (unsigned kind = 0; kind < 2; kind++) {
		for (unsigned o = 0; o < OWNERS; o++) {
			for (unsigned b = 0; b < BYTES; b++) {
				if (model.handle[node][kind][o][b] == handle) {
					model.type[node][kind][o][b] = UN;
				}
			}
		}
	}
	model_wake(node);
}

static void compare(void)
{
	struct advisory_answer a;
	size_t runs = 0;

	for (unsigned i = 0; i < model.n_expected; i++) {
		assert_true(advisory_take(&table, &a));
		assert_int_equal(a.rc, model.expected_rc[i]);
		assert_int_equal(a.ino, model.expected[i].node);
		assert_int_equal(a.lock.owner, model.expected[i].lock.owner);
		assert_int_equal(a.lock.start, model.expected[i].lock.start);
		assert_int_equal(a.lock.end, model.expected[i].lock.end);
	}
	model.n_expected = 0;
	no_answer();
	for (unsigned node = 0; node < NODES; node++) {
		for (int kind = 0; kind < 2; kind++) {
			for (unsigned o = 0; o < OWNERS; o++) {
				const int *type = model.type[node][kind][o];

				for (unsigned b = 0; b < BYTES; b++) {
					struct store_lock l = lock_of(kind, UN, o, b, b);

					assert_int_equal(advisory_holds(&table, node, &l, false),
						type[b] != UN);
					assert_int_equal(advisory_holds(&table, node, &l, true),
						type[b] == EX);
					runs += type[b] != UN && (b == 0 || type[b - 1] != type[b]);
				}
			}
		}
	}
	assert_int_equal(table.n_locks, runs);
	assert_int_equal(table.n_waiters, model.n_queue);
}

static void behaves_as_the_model(void **state)
{
	uint64_t seed = 1;
	unsigned outcomes[4] = {0};

	(void)state;
	for (unsigned step = 0; step < 60000; step++) {
		unsigned node = next_random(&seed) % NODES, what = next_random(&seed) % 20;
		uint64_t owner = next_random(&seed) % OWNERS;
		uint64_t handle = 10 * owner + 1 + next_random(&seed) % HANDLES;
		int kind = (int)(next_random(&seed) % 2);
		uint64_t start = next_random(&seed) % BYTES;
		uint64_t end = start + next_random(&seed) % (BYTES - start);
		struct store_lock l;
		uint64_t ticket;
		int rc;

		if (what == 0) {
			model_release(node, handle);
			advisory_release(&table, node, handle);
		} else if (what <= 2 && model.n_queue > 0) {
			unsigned i = next_random(&seed) % model.n_queue;

			ticket = model.queue[i].ticket;
			model_answer(i, STORE_INTERRUPTED);
			assert_true(advisory_cancel(&table, ticket, STORE_INTERRUPTED));
		} else {
			l = lock_of(kind, (int)(next_random(&seed) % 3), owner, start, end);
			if (kind == FL) {
				l.start = 0;
				l.end = BYTES - 1;
			}
			l.handle = handle;
			ticket = what % 2 && model.n_queue < REQUESTS - 1 ? advisory_ticket(&table)
									  : 0;
			rc = model_set(node, &l, ticket);
			assert_int_equal(
				advisory_set(&table, node, &l, ticket, (struct store_reply){0}),
				rc);
			outcomes[rc == 0                ? 0
				 : rc == STORE_LOCKED   ? 1
				 : rc == STORE_DEADLOCK ? 2
							: 3]++;
		}
		compare();
	}
	for (unsigned i = 0; i < 4; i++) {
		assert_true(outcomes[i] > 100); /* each of them has been tried */
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(records_split_and_merge, setup, teardown),
		cmocka_unit_test_setup_teardown(who_is_in_the_way, setup, teardown),
		cmocka_unit_test_setup_teardown(flock_converts_as_on_linux, setup, teardown),
		cmocka_unit_test_setup_teardown(waiters_get_it_in_turn, setup, teardown),
		cmocka_unit_test_setup_teardown(
			a_downgrade_wakes_who_was_before_it, setup, teardown),
		cmocka_unit_test_setup_teardown(waiting_is_taken_back, setup, teardown),
		cmocka_unit_test_setup_teardown(deadlocks_are_refused, setup, teardown),
		cmocka_unit_test_setup_teardown(nothing_changes_without_memory, setup, teardown),
		cmocka_unit_test_setup_teardown(behaves_as_the_model, setup, teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
