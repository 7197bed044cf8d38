/* SPDX-License-Identifier: MIT
 * Copyright (c) 2026 The cubbyfs authors */

/* Keys that expire. */
#include "cases.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

static uint64_t key_with_ttl(struct bench *b, uint64_t parent, const char *name, const char *ttl)
{
	uint64_t ino;

	assert_int_equal(bench_set(b, parent, name, "v"), 0);
	ino = bench_ino(b, parent, name);
	assert_int_equal(bench_setxattr(b, ino, "user.cubby.ttl", ttl), 0);
	return ino;
}

static void exact_at_the_deadline(struct bench *b)
{
	uint64_t ino = key_with_ttl(b, ROOT_INO, "k", "1.5"), h;

	bench_set(b, ROOT_INO, "stays", "v");
	bench_open_key(b, ino, O_RDONLY, &h);
	bench_lookup(b, ROOT_INO, "k");
	assert_false(b->lasts);
	bench_advance(b, 3 * SECOND / 2 - 1);
	assert_string_equal(bench_get(b, ROOT_INO, "k"), "v");
	assert_string_equal(bench_list(b, ROOT_INO), "k stays ");
	bench_lookup(b, ROOT_INO, "k");
	assert_false(b->lasts);
	bench_advance(b, 1);
	/* Gone for all, though nobody has swept it away yet. */
	assert_int_equal(bench_lookup(b, ROOT_INO, "k"), STORE_NOT_FOUND);
	assert_string_equal(bench_list(b, ROOT_INO), "stays ");
	assert_int_equal(bench_read(b, h, 0, 10), STORE_NOT_FOUND);
	assert_null(bench_xattr(b, ino, "user.cubby.ttl"));
	assert_int_equal(bench_setxattr(b, ino, "user.cubby.ttl", "10"), STORE_NOT_FOUND);
	assert_int_equal(bench_setxattr(b, ino, "user.cubby.increment", "1"), STORE_NOT_FOUND);
	assert_int_equal(bench_truncate(b, ino, 0), STORE_NOT_FOUND);
	assert_int_equal(bench_unlink(b, ROOT_INO, "k"), STORE_NOT_FOUND);
	assert_int_equal(bench_rename(b, ROOT_INO, "k", ROOT_INO, "x", 0), STORE_NOT_FOUND);
	assert_int_equal(bench_link(b, ino, ROOT_INO, "x"), STORE_NOT_FOUND);
	{
		uint64_t other;

		assert_int_equal(bench_open_key(b, ino, O_RDONLY, &other), STORE_NOT_FOUND);
	}
	bench_sweep(b);
	assert_int_equal(bench_stat(b, NULL, "expired"), 1);
	assert_int_equal(bench_stat(b, NULL, "keys"), 1);
	assert_int_equal(bench_read(b, h, 0, 10), STORE_NOT_FOUND);
	bench_release(b, h);
	assert_int_equal(bench_getattr(b, ino), STORE_NOT_FOUND);
}

static void tick_tells_when(struct bench *b)
{
	key_with_ttl(b, ROOT_INO, "k", "20");
	key_with_ttl(b, ROOT_INO, "l", "10");
	b->config.commit = 0;
	assert_in_range(store_tick(b->s), 0, 10 * SECOND);
	bench_settle(b);
	bench_advance(b, 9 * SECOND);
	bench_sweep(b);
	assert_in_range(store_tick(b->s), 1, SECOND);
	bench_advance(b, SECOND);
	bench_sweep(b);
	assert_string_equal(bench_list(b, ROOT_INO), "k ");
	bench_advance(b, 10 * SECOND);
	bench_sweep(b);
	assert_int_equal(bench_stat(b, NULL, "expired"), 2);
	assert_int_equal(bench_stat(b, NULL, "keys_with_ttl"), 0);
}

static void wall_clock_steps(struct bench *b)
{
	uint64_t ino = key_with_ttl(b, ROOT_INO, "k", "100");

	b->clock.wall += 1000000 * SECOND;
	assert_string_equal(bench_xattr(b, ino, "user.cubby.ttl"), "100.000000");
	bench_sweep(b);
	b->clock.wall -= 2000000 * SECOND;
	bench_sweep(b);
	assert_string_equal(bench_xattr(b, ino, "user.cubby.ttl"), "100.000000");
	b->clock.elapsed += 99 * SECOND;
	assert_string_equal(bench_get(b, ROOT_INO, "k"), "v");
	b->clock.elapsed += SECOND;
	assert_null(bench_get(b, ROOT_INO, "k"));
	b->clock.wall -= 1000000 * SECOND;
	assert_null(bench_get(b, ROOT_INO, "k"));
	b->clock.wall += 2000000 * SECOND;
}

static void attribute_values(struct bench *b)
{
	static const char *const bad[] = {"", "x", "-1", "1 s", "1e3", "0x10", " 1", "3155760001",
		"99999999999999999999", ".", "1.2.3", "+1", "inf", "nan"};
	uint64_t ino = key_with_ttl(b, ROOT_INO, "k", "3155760000");

	assert_string_equal(bench_xattr(b, ino, "user.cubby.ttl"), "3155760000.000000");
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		assert_int_equal(bench_setxattr(b, ino, "user.cubby.ttl", bad[i]), STORE_INVALID);
	}
	assert_string_equal(bench_xattr(b, ino, "user.cubby.ttl"), "3155760000.000000");
	assert_int_equal(bench_setxattr(b, ino, "user.cubby.ttl", "2.5\n"), 0);
	assert_string_equal(bench_xattr(b, ino, "user.cubby.ttl"), "2.500000");
	bench_advance(b, SECOND / 4);
	assert_string_equal(bench_xattr(b, ino, "user.cubby.ttl"), "2.250000");
	assert_int_equal(strlen(bench_xattr(b, ino, "user.cubby.expires")), 27);
	assert_int_equal(bench_removexattr(b, ino, "user.cubby.ttl"), 0);
	assert_null(bench_xattr(b, ino, "user.cubby.ttl"));
	assert_null(bench_xattr(b, ino, "user.cubby.expires"));
	assert_int_equal(bench_removexattr(b, ino, "user.cubby.ttl"), STORE_NO_ATTRIBUTE);
	bench_advance(b, 100 * SECOND);
	assert_string_equal(bench_get(b, ROOT_INO, "k"), "v");
	assert_int_equal(bench_setxattr(b, ROOT_INO, "user.cubby.ttl", "5"), STORE_INVALID);
}

static void zero_expires_at_once(struct bench *b)
{
	uint64_t h, ino;

	key_with_ttl(b, ROOT_INO, "k", "0");
	assert_int_equal(bench_lookup(b, ROOT_INO, "k"), STORE_NOT_FOUND);
	/* With the value, in one change: it never is. */
	bench_create(b, ROOT_INO, "n", O_WRONLY, &h);
	ino = b->result.ino;
	bench_write(b, h, "v", 0);
	assert_int_equal(bench_setxattr(b, ino, "user.cubby.ttl", "0"), 0);
	assert_int_equal(bench_close_key(b, h), 0);
	assert_null(bench_get(b, ROOT_INO, "n"));
	assert_string_equal(bench_list(b, ROOT_INO), "");
	bench_sweep(b);
}

static void touch_restarts(struct bench *b)
{
	const struct stat attr = {.st_mtim = {1, 0}, .st_atim = {1, 0}, .st_mode = 0600};
	uint64_t ino = key_with_ttl(b, ROOT_INO, "k", "10");

	bench_advance(b, 9 * SECOND);
	assert_int_equal(
		bench_setattr(b, ino, 0, &attr, STORE_SET_MTIME_NOW | STORE_SET_ATIME_NOW), 0);
	bench_advance(b, 9 * SECOND);
	assert_string_equal(bench_xattr(b, ino, "user.cubby.ttl"), "1.000000");
	/* Not by what is no touch. */
	bench_setattr(b, ino, 0, &attr, STORE_SET_ATIME | STORE_SET_MODE);
	bench_setxattr(b, ino, "user.x", "y");
	assert_string_equal(bench_xattr(b, ino, "user.cubby.ttl"), "1.000000");
	bench_setattr(b, ino, 0, &attr, STORE_SET_MTIME);
	assert_string_equal(bench_xattr(b, ino, "user.cubby.ttl"), "10.000000");
	/* A key without one gets none. */
	bench_set(b, ROOT_INO, "p", "v");
	bench_setattr(b, bench_ino(b, ROOT_INO, "p"), 0, &attr, STORE_SET_MTIME_NOW);
	assert_null(bench_xattr(b, bench_ino(b, ROOT_INO, "p"), "user.cubby.ttl"));
}

static void plain_write_cancels(struct bench *b)
{
	uint64_t ino = key_with_ttl(b, ROOT_INO, "k", "10"), h;

	/* Operations on the value do not. */
	bench_set(b, ROOT_INO, "n", "5");
	bench_setxattr(b, bench_ino(b, ROOT_INO, "n"), "user.cubby.ttl", "10");
	assert_int_equal(
		bench_setxattr(b, bench_ino(b, ROOT_INO, "n"), "user.cubby.increment", "1"), 0);
	assert_string_equal(
		bench_xattr(b, bench_ino(b, ROOT_INO, "n"), "user.cubby.ttl"), "10.000000");
	bench_set(b, ROOT_INO, "k", "w");
	assert_null(bench_xattr(b, ino, "user.cubby.ttl"));
	bench_advance(b, 20 * SECOND);
	assert_string_equal(bench_get(b, ROOT_INO, "k"), "w");
	bench_setxattr(b, ino, "user.cubby.ttl", "10");
	bench_open_key(b, ino, O_WRONLY | O_APPEND, &h);
	bench_append(b, h, "x");
	bench_close_key(b, h);
	assert_null(bench_xattr(b, ino, "user.cubby.ttl"));
	bench_setxattr(b, ino, "user.cubby.ttl", "10");
	bench_truncate(b, ino, 1);
	assert_null(bench_xattr(b, ino, "user.cubby.ttl"));
}

static void default_ttl(struct bench *b)
{
	uint64_t ns = bench_namespace(b, ROOT_INO, "ns"), ino, h;

	assert_int_equal(bench_setxattr(b, ns, "user.cubby.default_ttl", "10"), 0);
	bench_set(b, ns, "k", "v");
	ino = bench_ino(b, ns, "k");
	assert_string_equal(bench_xattr(b, ino, "user.cubby.ttl"), "10.000000");
	bench_advance(b, 5 * SECOND);
	bench_set(b, ns, "k", "w");
	assert_string_equal(bench_xattr(b, ino, "user.cubby.ttl"), "10.000000");
	bench_setxattr(b, ino, "user.cubby.ttl", "3");
	assert_string_equal(bench_xattr(b, ino, "user.cubby.ttl"), "3.000000");
	bench_open_key(b, ino, O_WRONLY | O_APPEND, &h);
	bench_append(b, h, "x");
	bench_close_key(b, h);
	assert_string_equal(bench_xattr(b, ino, "user.cubby.ttl"), "10.000000");
	/* However it is made; but not what is no key, nor in what is below. */
	bench_create(b, ns, "e", O_WRONLY | O_EXCL, &h);
	assert_string_equal(bench_xattr(b, b->result.ino, "user.cubby.ttl"), "10.000000");
	bench_close_key(b, h);
	bench_mknod(b, ns, "m", S_IFREG | 0600, 0);
	assert_string_equal(bench_xattr(b, b->result.ino, "user.cubby.ttl"), "10.000000");
	bench_namespace(b, ns, "d");
	bench_set(b, bench_ino(b, ns, "d"), "k", "v");
	assert_null(bench_xattr(b, bench_ino(b, bench_ino(b, ns, "d"), "k"), "user.cubby.ttl"));
	bench_symlink(b, ns, "s", "t");
	/* A TTL that is set with the value comes first. */
	bench_create(b, ns, "own", O_WRONLY, &h);
	ino = b->result.ino;
	bench_write(b, h, "v", 0);
	bench_setxattr(b, ino, "user.cubby.ttl", "99");
	bench_close_key(b, h);
	assert_string_equal(bench_xattr(b, ino, "user.cubby.ttl"), "99.000000");
	bench_advance(b, 10 * SECOND);
	assert_string_equal(bench_list(b, ns), "d own s ");
	assert_int_equal(bench_removexattr(b, ns, "user.cubby.default_ttl"), 0);
	bench_set(b, ns, "k", "v");
	bench_advance(b, 1000 * SECOND);
	assert_string_equal(bench_get(b, ns, "k"), "v");
	bench_sweep(b);
}

static void names_that_expired_are_free(struct bench *b)
{
	uint64_t ns = bench_namespace(b, ROOT_INO, "ns"), old, h;

	old = key_with_ttl(b, ns, "a", "1");
	key_with_ttl(b, ns, "b", "1");
	key_with_ttl(b, ns, "c", "1");
	key_with_ttl(b, ns, "d", "1");
	key_with_ttl(b, ns, "e", "1");
	bench_set(b, ROOT_INO, "k", "v");
	bench_advance(b, SECOND);
	/* None of them swept. */
	assert_int_equal(bench_set(b, ns, "a", "new"), 0);
	assert_int_not_equal(bench_ino(b, ns, "a"), old);
	assert_int_equal(bench_mkdir(b, ns, "b"), 0);
	assert_int_equal(bench_rename(b, ROOT_INO, "k", ns, "c", RENAME_NOREPLACE), 0);
	assert_int_equal(bench_create(b, ns, "d", O_WRONLY | O_EXCL, &h), 0);
	bench_close_key(b, h);
	assert_int_equal(bench_link(b, bench_ino(b, ns, "a"), ns, "e"), 0);
	assert_string_equal(bench_get(b, ns, "a"), "new");
	assert_string_equal(bench_get(b, ns, "c"), "v");
	assert_string_equal(bench_get(b, ns, "e"), "new");
	bench_sweep(b);
	assert_string_equal(bench_list(b, ns), "a b c d e ");
}

static void expired_names_do_not_keep_a_namespace(struct bench *b)
{
	uint64_t ns = bench_namespace(b, ROOT_INO, "ns"), other;

	key_with_ttl(b, ns, "a", "1");
	other = bench_namespace(b, ROOT_INO, "other");
	key_with_ttl(b, other, "a", "1");
	assert_int_equal(bench_rmdir(b, ROOT_INO, "ns"), STORE_NOT_EMPTY);
	bench_advance(b, SECOND);
	assert_int_equal(bench_rmdir(b, ROOT_INO, "ns"), 0);
	/* Nor stand in the way of a rename. */
	bench_mkdir(b, ROOT_INO, "d");
	assert_int_equal(bench_rename(b, ROOT_INO, "d", ROOT_INO, "other", 0), 0);
	bench_sweep(b);
	assert_int_equal(bench_stat(b, NULL, "keys"), 0);
	assert_int_equal(bench_stat(b, NULL, "keys_with_ttl"), 0);
}

/* The TTL is the name's. */
static void links_and_deadlines(struct bench *b)
{
	uint64_t ino = key_with_ttl(b, ROOT_INO, "a", "10");

	bench_link(b, ino, ROOT_INO, "b");
	bench_advance(b, 10 * SECOND);
	assert_null(bench_get(b, ROOT_INO, "a"));
	assert_string_equal(bench_get(b, ROOT_INO, "b"), "v");
	/* Onto the name that expired, of the very same key. */
	assert_int_equal(bench_rename(b, ROOT_INO, "b", ROOT_INO, "a", 0), 0);
	assert_string_equal(bench_get(b, ROOT_INO, "a"), "v");
	assert_null(bench_get(b, ROOT_INO, "b"));
	bench_sweep(b);
	assert_string_equal(bench_list(b, ROOT_INO), "a ");
	bench_setxattr(b, ino, "user.cubby.ttl", "10");
	bench_link(b, ino, ROOT_INO, "c");
	bench_advance(b, 10 * SECOND);
	assert_int_equal(bench_link(b, ino, ROOT_INO, "a"), 0);
	assert_string_equal(bench_get(b, ROOT_INO, "a"), "v");
	bench_getattr(b, ino);
	assert_int_equal(b->st.st_nlink, 2);
	bench_sweep(b);
	assert_string_equal(bench_list(b, ROOT_INO), "a c ");
	/* Set on one name it holds for all that there are. */
	bench_setxattr(b, ino, "user.cubby.ttl", "10");
	bench_advance(b, 10 * SECOND);
	assert_string_equal(bench_list(b, ROOT_INO), "");
	bench_sweep(b);
}

static void rename_keeps_the_deadline(struct bench *b)
{
	uint64_t ino = key_with_ttl(b, ROOT_INO, "a", "10");

	bench_advance(b, 4 * SECOND);
	bench_rename(b, ROOT_INO, "a", ROOT_INO, "b", 0);
	assert_string_equal(bench_xattr(b, ino, "user.cubby.ttl"), "6.000000");
	/* What is replaced takes its own with it. */
	bench_set(b, ROOT_INO, "c", "w");
	bench_rename(b, ROOT_INO, "c", ROOT_INO, "b", 0);
	bench_advance(b, 10 * SECOND);
	assert_string_equal(bench_get(b, ROOT_INO, "b"), "w");
}

static void expired_while_it_is_written(struct bench *b)
{
	uint64_t ino = key_with_ttl(b, ROOT_INO, "k", "10"), h;

	bench_open_key(b, ino, O_WRONLY | O_TRUNC, &h);
	bench_write(b, h, "late", 0);
	bench_advance(b, 10 * SECOND);
	assert_null(bench_get(b, ROOT_INO, "k"));
	/* What is written makes it anew. */
	assert_int_equal(bench_close_key(b, h), 0);
	assert_string_equal(bench_get(b, ROOT_INO, "k"), "late");
	assert_null(bench_xattr(b, ino, "user.cubby.ttl"));
	bench_sweep(b);
	assert_string_equal(bench_get(b, ROOT_INO, "k"), "late");
	/* Swept away before it is closed. */
	bench_setxattr(b, ino, "user.cubby.ttl", "10");
	bench_open_key(b, ino, O_WRONLY | O_TRUNC, &h);
	bench_write(b, h, "later", 0);
	bench_advance(b, 10 * SECOND);
	bench_sweep(b);
	b->who = &BOB;
	assert_null(bench_get(b, ROOT_INO, "k"));
	b->who = &ALICE;
	assert_int_equal(bench_close_key(b, h), 0);
	assert_string_equal(bench_get(b, ROOT_INO, "k"), "later");
	/* But not what nobody wrote to. */
	ino = bench_ino(b, ROOT_INO, "k");
	bench_setxattr(b, ino, "user.cubby.ttl", "10");
	bench_open_key(b, ino, O_RDWR, &h);
	bench_advance(b, 10 * SECOND);
	assert_int_equal(bench_close_key(b, h), 0);
	assert_null(bench_get(b, ROOT_INO, "k"));
	bench_sweep(b);
	assert_null(bench_get(b, ROOT_INO, "k"));
	assert_string_equal(bench_list(b, ROOT_INO), "");
}

static void thousands_at_one_instant(struct bench *b)
{
	uint64_t ns = bench_namespace(b, ROOT_INO, "ns");
	char name[20];

	late.at_once = true;
	bench_setxattr(b, ns, "user.cubby.default_ttl", "60");
	for (int i = 0; i < 3000; i++) {
		snprintf(name, sizeof(name), "k%d", i);
		assert_int_equal(bench_mknod(b, ns, name, S_IFREG | 0600, 0), 0);
	}
	bench_advance(b, 60 * SECOND - 1);
	bench_sweep(b);
	assert_int_equal(bench_stat(b, NULL, "keys"), 3000);
	bench_advance(b, 1);
	assert_string_equal(bench_list(b, ns), "");
	bench_sweep(b);
	assert_int_equal(bench_stat(b, NULL, "keys"), 0);
	assert_int_equal(bench_stat(b, NULL, "expired"), 3000);
}

static void time_that_passes_while_closed(struct bench *b)
{
	uint64_t ino, revision;

	if (!bench_is_durable(b)) {
		return;
	}
	key_with_ttl(b, ROOT_INO, "short", "10");
	ino = key_with_ttl(b, ROOT_INO, "long", "100");
	bench_close(b);
	bench_advance(b, 20 * SECOND);
	b->clock.elapsed = 7 * SECOND; /* booted anew */
	bench_open(b);
	assert_null(bench_get(b, ROOT_INO, "short"));
	assert_string_equal(bench_xattr(b, ino, "user.cubby.ttl"), "80.000000");
	bench_sweep(b);
	assert_string_equal(bench_list(b, ROOT_INO), "long ");
	/* Set back: what has expired has expired. */
	bench_close(b);
	b->clock.wall -= 1000000 * SECOND;
	bench_open(b);
	assert_string_equal(bench_list(b, ROOT_INO), "long ");
	assert_string_equal(bench_xattr(b, ino, "user.cubby.ttl"), "80.000000");
	/* Unswept, too; the log knows only of the key's own time. */
	bench_advance(b, 2000000 * SECOND);
	key_with_ttl(b, ROOT_INO, "other", "5");
	bench_set(b, ROOT_INO, "later", "v");
	bench_advance(b, 10 * SECOND);
	bench_set(b, ROOT_INO, "later", "w");
	bench_close(b);
	b->clock.wall -= 1000 * SECOND;
	bench_open(b);
	assert_null(bench_get(b, ROOT_INO, "other"));
	bench_sweep(b);
	revision = bench_revision(b);
	bench_reopen(b);
	assert_int_equal(bench_revision(b), revision);
	assert_string_equal(bench_list(b, ROOT_INO), "later ");
}

/* Lines of such a time would not be believed at the next open. */
static void a_clock_set_to_another_age(struct bench *b)
{
	static const int64_t years[] = {INT64_MIN, -1, 7300000000 * SECOND, INT64_MAX};
	uint64_t ino;

	for (size_t i = 0; i < sizeof(years) / sizeof(years[0]); i++) {
		b->clock.wall = years[i];
		assert_int_equal(bench_set(b, ROOT_INO, "k", "v"), 0);
		ino = key_with_ttl(b, ROOT_INO, "mortal", "100");
		if (bench_is_durable(b)) {
			bench_reopen(b);
			assert_int_equal(bench_compact(b), 0);
			bench_reopen(b);
		}
		assert_string_equal(bench_get(b, ROOT_INO, "k"), "v");
		/* to the millisecond that a slewed clock is granted */
		assert_true(strtod(bench_xattr(b, ino, "user.cubby.ttl"), NULL) > 99.9);
	}
}

/* What is written through a descriptor of it makes the key anew, with nothing of the old. */
static void attributes_expire_with_the_key(struct bench *b)
{
	uint64_t ino = key_with_ttl(b, ROOT_INO, "k", "1"), handle;

	assert_int_equal(bench_setxattr(b, ino, "user.mine", "x"), 0);
	assert_int_equal(bench_open_key(b, ino, O_WRONLY, &handle), 0);
	bench_advance(b, 2 * SECOND);
	bench_sweep(b);
	assert_int_equal(bench_write(b, handle, "new", 0), 0);
	assert_int_equal(bench_close_key(b, handle), 0);
	assert_string_equal(bench_get(b, ROOT_INO, "k"), "new");
	assert_null(bench_xattr(b, bench_ino(b, ROOT_INO, "k"), "user.mine"));
	bench_check_durable(b);
}

/* Attributes that are set through a descriptor go with what is written through it, also
 * if the key has expired meanwhile. */
static void attributes_of_what_makes_it_anew(struct bench *b)
{
	const struct stat times = {.st_mtim = {.tv_sec = 5}};
	uint64_t ino = key_with_ttl(b, ROOT_INO, "k", "1"), handle;

	for (int swept = 0; swept < 2; swept++) {
		assert_int_equal(bench_open_key(b, ino, O_WRONLY | O_TRUNC, &handle), 0);
		assert_int_equal(bench_write(b, handle, "new", 0), 0);
		bench_advance(b, 2 * SECOND);
		if (swept) {
			bench_sweep(b);
		}
		assert_int_equal(bench_setattr(b, ino, handle, &times, STORE_SET_MTIME), 0);
		assert_int_equal(bench_setxattr(b, ino, "user.cubby.ttl", "1"), 0);
		assert_int_equal(bench_setxattr(b, ino, "user.mine", "x"), 0);
		assert_int_equal(bench_close_key(b, handle), 0);
		assert_string_equal(bench_get(b, ROOT_INO, "k"), "new");
		ino = bench_ino(b, ROOT_INO, "k");
		assert_string_equal(bench_xattr(b, ino, "user.cubby.ttl"), "1.000000");
		assert_string_equal(bench_xattr(b, ino, "user.mine"), "x");
		assert_int_equal(bench_getattr(b, ino), 0);
		assert_int_equal(b->st.st_mtim.tv_sec, 5);
		bench_check_durable(b);
		ino = bench_ino(b, ROOT_INO, "k");
	}
	/* Nothing is staged: there is nothing to set. */
	assert_int_equal(bench_open_key(b, ino, O_WRONLY, &handle), 0);
	bench_advance(b, 2 * SECOND);
	assert_int_equal(bench_setxattr(b, ino, "user.mine", "x"), STORE_NOT_FOUND);
	assert_int_equal(bench_setattr(b, ino, handle, &times, STORE_SET_MTIME), STORE_NOT_FOUND);
	assert_int_equal(bench_close_key(b, handle), 0);
	assert_null(bench_get(b, ROOT_INO, "k"));
}

/* Between any two looks at the clock that a write or a close takes. */
static void a_deadline_while_it_commits(struct bench *b)
{
	uint64_t ino, handle;
	unsigned anew = 0;

	for (int64_t before = 0; before < 20; before++) {
		ino = key_with_ttl(b, ROOT_INO, "k", "10");
		assert_int_equal(bench_open_key(b, ino, O_WRONLY | O_TRUNC, &handle), 0);
		assert_int_equal(bench_write(b, handle, "late", 0), 0);
		bench_advance(b, 10 * SECOND - before);
		b->clock.step = 1;
		assert_int_equal(bench_close_key(b, handle), 0);
		b->clock.step = 0;
		bench_advance(b, SECOND);
		assert_string_equal(bench_get(b, ROOT_INO, "k"), "late");
		assert_null(bench_xattr(b, bench_ino(b, ROOT_INO, "k"), "user.cubby.ttl"));

		ino = key_with_ttl(b, ROOT_INO, "log", "10");
		assert_int_equal(bench_open_key(b, ino, O_WRONLY | O_APPEND, &handle), 0);
		bench_advance(b, 10 * SECOND - before);
		b->clock.step = 1;
		assert_int_equal(bench_append(b, handle, "+"), 0);
		b->clock.step = 0;
		assert_int_equal(bench_close_key(b, handle), 0);
		bench_advance(b, SECOND);
		assert_non_null(bench_get(b, ROOT_INO, "log"));
		anew += b->size == 1;
		assert_int_equal(b->text[b->size - 1], '+');
	}
	assert_in_range(anew, 1, 19);
	bench_check_durable(b);
}

const struct test_case ttl_cases[] = {
	{"exact_at_the_deadline", exact_at_the_deadline},
	{"tick_tells_when", tick_tells_when},
	{"attributes_of_what_makes_it_anew", attributes_of_what_makes_it_anew},
	{"a_deadline_while_it_commits", a_deadline_while_it_commits},
	{"wall_clock_steps", wall_clock_steps},
	{"attribute_values", attribute_values},
	{"zero_expires_at_once", zero_expires_at_once},
	{"touch_restarts", touch_restarts},
	{"plain_write_cancels", plain_write_cancels},
	{"default_ttl", default_ttl},
	{"names_that_expired_are_free", names_that_expired_are_free},
	{"expired_names_do_not_keep_a_namespace", expired_names_do_not_keep_a_namespace},
	{"links_and_deadlines", links_and_deadlines},
	{"rename_keeps_the_deadline", rename_keeps_the_deadline},
	{"expired_while_it_is_written", expired_while_it_is_written},
	{"thousands_at_one_instant", thousands_at_one_instant},
	{"time_that_passes_while_closed", time_that_passes_while_closed},
	{"a_clock_set_to_another_age", a_clock_set_to_another_age},
	{"attributes_expire_with_the_key", attributes_expire_with_the_key},
	{NULL, NULL},
};
