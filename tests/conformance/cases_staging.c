/* SPDX-License-Identifier: MIT
 * Copyright (c) 2026 The cubbyfs authors */

/* What is written through a handle, until it becomes the value. */
#include "cases.h"
#include "store/gone.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

/* The value as somebody else sees it. */
static const char *seen_by_bob(struct bench *b, const char *name)
{
	const struct store_caller *who = b->who;
	const char *value;

	b->who = &BOB;
	value = bench_get(b, ROOT_INO, name);
	b->who = who;
	return value;
}

static void nothing_before_flush(struct bench *b)
{
	uint64_t h, ino, revision;

	late.noise = 0;
	bench_set(b, ROOT_INO, "k", "old");
	ino = bench_ino(b, ROOT_INO, "k");
	revision = bench_revision(b);
	bench_open_key(b, ino, O_WRONLY | O_TRUNC, &h);
	assert_string_equal(seen_by_bob(b, "k"), "old");
	/* The shell's dup2 and close. */
	assert_int_equal(bench_flush(b, h), 0);
	assert_string_equal(seen_by_bob(b, "k"), "old");
	assert_int_equal(bench_write(b, h, "ne", 0), 0);
	assert_int_equal(bench_write(b, h, "w", 2), 0);
	assert_string_equal(seen_by_bob(b, "k"), "old");
	/* Who writes sees what it wrote; others see what stands. */
	assert_int_equal(bench_getattr(b, ino), 0);
	assert_int_equal(b->st.st_size, 3);
	assert_false(b->lasts);
	b->who = &ALICE_THREAD;
	assert_int_equal(bench_getattr(b, ino), 0);
	assert_int_equal(b->st.st_size, 3);
	b->who = &BOB;
	bench_set(b, ROOT_INO, "other", "x");
	assert_int_equal(bench_revision(b), ++revision);
	b->who = &ALICE;
	assert_int_equal(bench_flush(b, h), 0);
	assert_string_equal(seen_by_bob(b, "k"), "new");
	assert_int_equal(bench_revision(b), ++revision);
	/* Nothing more to commit. */
	assert_int_equal(bench_flush(b, h), 0);
	bench_release(b, h);
	assert_int_equal(bench_revision(b), revision);
}

static void flush_by_another_process(struct bench *b)
{
	uint64_t h;

	bench_set(b, ROOT_INO, "k", "old");
	bench_open_key(b, bench_ino(b, ROOT_INO, "k"), O_WRONLY | O_TRUNC, &h);
	/* A child that inherited it writes, and ends. */
	b->who = &ALICE_OTHER;
	assert_int_equal(bench_write(b, h, "date\n", 0), 0);
	assert_int_equal(bench_flush(b, h), 0);
	assert_string_equal(seen_by_bob(b, "k"), "old");
	assert_int_equal(bench_getattr(b, bench_ino(b, ROOT_INO, "k")), 0);
	assert_int_equal(b->st.st_size, 5);
	/* A thread of the opener is the opener. */
	b->who = &ALICE_THREAD;
	assert_int_equal(bench_write(b, h, "up\n", 5), 0);
	assert_int_equal(bench_flush(b, h), 0);
	assert_string_equal(seen_by_bob(b, "k"), "date\nup\n");
	bench_release(b, h);
}

static unsigned descriptors;

static unsigned writers_of(void *arg, pid_t process, uint64_t ino)
{
	(void)arg;
	assert_int_equal(process, 100);
	assert_true(ino >= 16);
	return descriptors;
}

/* A shell restores a descriptor that it had put aside: not the last close. */
static void flush_of_one_of_several(struct bench *b)
{
	uint64_t h, other;

	descriptors = 0;
	b->config.writers_of = writers_of;
	bench_reopen(b);
	bench_set(b, ROOT_INO, "k", "old");
	bench_open_key(b, bench_ino(b, ROOT_INO, "k"), O_WRONLY | O_TRUNC, &h);
	bench_write(b, h, "new", 0);
	descriptors = 1;
	assert_int_equal(bench_flush(b, h), 0);
	assert_string_equal(seen_by_bob(b, "k"), "old");
	/* One that belongs to another handle is none of this one's. */
	bench_open_key(b, bench_ino(b, ROOT_INO, "k"), O_WRONLY, &other);
	assert_int_equal(bench_flush(b, h), 0);
	assert_string_equal(seen_by_bob(b, "k"), "new");
	bench_release(b, h);
	bench_release(b, other);
}

static void release_commits_what_is_left(struct bench *b)
{
	uint64_t h;

	bench_set(b, ROOT_INO, "k", "old");
	bench_open_key(b, bench_ino(b, ROOT_INO, "k"), O_RDWR, &h);
	b->who = &BOB;
	assert_int_equal(bench_write(b, h, "NEW", 0), 0);
	assert_int_equal(bench_flush(b, h), 0);
	b->who = &ALICE_OTHER;
	assert_string_equal(bench_get(b, ROOT_INO, "k"), "old");
	bench_release(b, h);
	assert_string_equal(bench_get(b, ROOT_INO, "k"), "NEW");
}

static void truncation_alone(struct bench *b)
{
	uint64_t h, revision;

	late.noise = 0;
	bench_set(b, ROOT_INO, "k", "old");
	revision = bench_revision(b);
	bench_open_key(b, bench_ino(b, ROOT_INO, "k"), O_WRONLY | O_TRUNC, &h);
	assert_int_equal(bench_flush(b, h), 0);
	assert_string_equal(seen_by_bob(b, "k"), "old");
	bench_release(b, h);
	assert_string_equal(seen_by_bob(b, "k"), "");
	assert_int_equal(bench_revision(b), revision + 1);
	/* ftruncate(2) is written. */
	bench_set(b, ROOT_INO, "k", "longer");
	bench_open_key(b, bench_ino(b, ROOT_INO, "k"), O_WRONLY, &h);
	assert_int_equal(bench_setattr(b, bench_ino(b, ROOT_INO, "k"), h,
				 &(struct stat){.st_size = 4}, STORE_SET_SIZE),
		0);
	assert_int_equal(b->result.stat.st_size, 4);
	assert_string_equal(seen_by_bob(b, "k"), "longer");
	assert_int_equal(bench_flush(b, h), 0);
	assert_string_equal(seen_by_bob(b, "k"), "long");
	bench_release(b, h);
	/* truncate(2) by name is at once, unless the process has bytes staged. */
	assert_int_equal(bench_truncate(b, bench_ino(b, ROOT_INO, "k"), 6), 0);
	assert_non_null(seen_by_bob(b, "k"));
	assert_int_equal(b->size, 6);
	assert_memory_equal(b->text, "long\0\0", 6);
}

static void holes_and_overwrites(struct bench *b)
{
	uint64_t h, ino;

	bench_set(b, ROOT_INO, "k", "0123456789");
	ino = bench_ino(b, ROOT_INO, "k");
	bench_open_key(b, ino, O_RDWR, &h);
	assert_int_equal(bench_write(b, h, "AB", 3), 0);
	assert_int_equal(bench_write(b, h, "Z", 12), 0);
	assert_int_equal(bench_write(b, h, "", 30), 0);
	assert_int_equal(bench_read(b, h, 0, 100), 0);
	assert_int_equal(b->size, 13);
	assert_memory_equal(b->text, "012AB56789\0\0Z", 13);
	assert_int_equal(store_allocate(b->s, b->who, h, 14), 0);
	assert_int_equal(store_allocate(b->s, b->who, h, 2), 0);
	assert_string_equal(seen_by_bob(b, "k"), "0123456789");
	/* As the same process does, through another handle. */
	assert_string_equal(bench_get(b, ROOT_INO, "k"), "0123456789");
	bench_close_key(b, h);
	assert_non_null(seen_by_bob(b, "k"));
	assert_int_equal(b->size, 14);
	assert_memory_equal(b->text, "012AB56789\0\0Z\0", 14);
}

static void two_writers(struct bench *b)
{
	uint64_t one, two, ino;

	bench_set(b, ROOT_INO, "k", "................");
	ino = bench_ino(b, ROOT_INO, "k");
	bench_open_key(b, ino, O_WRONLY | O_TRUNC, &one);
	b->who = &BOB;
	bench_open_key(b, ino, O_WRONLY | O_TRUNC, &two);
	assert_int_equal(bench_write(b, two, "bob", 0), 0);
	b->who = &ALICE;
	assert_int_equal(bench_write(b, one, "alice", 0), 0);
	assert_int_equal(bench_close_key(b, one), 0);
	assert_string_equal(bench_get(b, ROOT_INO, "k"), "alice");
	b->who = &BOB;
	assert_int_equal(bench_close_key(b, two), 0);
	assert_string_equal(bench_get(b, ROOT_INO, "k"), "bob");
}

static void fsync_commits(struct bench *b)
{
	uint64_t h;

	bench_create(b, ROOT_INO, "k", O_WRONLY, &h);
	bench_write(b, h, "one", 0);
	assert_int_equal(bench_fsync(b, h), 0);
	assert_string_equal(seen_by_bob(b, "k"), "one");
	bench_write(b, h, "two", 0);
	assert_string_equal(seen_by_bob(b, "k"), "one");
	assert_int_equal(bench_fsync(b, h), 0);
	assert_string_equal(seen_by_bob(b, "k"), "two");
	assert_int_equal(bench_fsync(b, h), 0);
	assert_int_equal(bench_fsync(b, 0), 0);
	bench_close_key(b, h);
	/* An empty key is made by it too. */
	bench_create(b, ROOT_INO, "e", O_WRONLY, &h);
	assert_null(seen_by_bob(b, "e"));
	assert_int_equal(bench_fsync(b, h), 0);
	assert_string_equal(seen_by_bob(b, "e"), "");
	bench_close_key(b, h);
}

/* --- keys that are being made ------------------------------------------------- */

static void pending_is_invisible(struct bench *b)
{
	uint64_t h, ino;

	assert_int_equal(bench_create(b, ROOT_INO, "k", O_WRONLY, &h), 0);
	ino = b->result.ino;
	assert_true(ino >= 16);
	assert_int_equal(b->result.stat.st_nlink, 1);
	/* Its maker sees it by name, others don't. */
	assert_int_equal(bench_lookup(b, ROOT_INO, "k"), 0);
	assert_int_equal(b->st.st_ino, ino);
	assert_string_equal(bench_list(b, ROOT_INO), "");
	b->who = &ALICE_THREAD;
	assert_int_equal(bench_lookup(b, ROOT_INO, "k"), 0);
	b->who = &ALICE_OTHER;
	assert_int_equal(bench_lookup(b, ROOT_INO, "k"), STORE_NOT_FOUND);
	b->who = &BOB;
	assert_int_equal(bench_lookup(b, ROOT_INO, "k"), STORE_NOT_FOUND);
	assert_int_equal(bench_unlink(b, ROOT_INO, "k"), STORE_NOT_FOUND);
	b->who = &ALICE;
	bench_write(b, h, "v", 0);
	assert_null(seen_by_bob(b, "k"));
	assert_int_equal(bench_flush(b, h), 0);
	assert_string_equal(seen_by_bob(b, "k"), "v");
	assert_int_equal(bench_ino(b, ROOT_INO, "k"), ino);
	assert_string_equal(bench_list(b, ROOT_INO), "k ");
	bench_release(b, h);
}

static void two_makers(struct bench *b)
{
	uint64_t one, two, ino;

	bench_create(b, ROOT_INO, "k", O_WRONLY, &one);
	ino = b->result.ino;
	b->who = &ALICE_OTHER;
	assert_int_equal(bench_create(b, ROOT_INO, "k", O_WRONLY, &two), 0);
	assert_int_equal(b->result.ino, ino);
	bench_write(b, two, "second", 0);
	b->who = &ALICE;
	bench_write(b, one, "first", 0);
	assert_int_equal(bench_close_key(b, one), 0);
	assert_string_equal(seen_by_bob(b, "k"), "first");
	b->who = &ALICE_OTHER;
	assert_int_equal(bench_close_key(b, two), 0);
	assert_string_equal(seen_by_bob(b, "k"), "second");
	assert_int_equal(bench_ino(b, ROOT_INO, "k"), ino);
	assert_string_equal(bench_xattr(b, ino, "user.cubby.version"), "2");
}

static void made_by_release(struct bench *b)
{
	uint64_t h;

	bench_create(b, ROOT_INO, "k", O_WRONLY, &h);
	assert_int_equal(bench_flush(b, h), 0);
	assert_null(seen_by_bob(b, "k"));
	bench_release(b, h);
	assert_string_equal(seen_by_bob(b, "k"), "");
}

static void name_taken_meanwhile(struct bench *b)
{
	uint64_t h, other;

	bench_create(b, ROOT_INO, "k", O_WRONLY, &h);
	bench_write(b, h, "mine", 0);
	bench_set(b, ROOT_INO, "t", "other");
	assert_int_equal(bench_rename(b, ROOT_INO, "t", ROOT_INO, "k", 0), 0);
	other = bench_ino(b, ROOT_INO, "k");
	assert_string_equal(seen_by_bob(b, "k"), "other");
	assert_int_equal(bench_close_key(b, h), 0);
	assert_string_equal(seen_by_bob(b, "k"), "mine");
	assert_int_equal(bench_ino(b, ROOT_INO, "k"), other);
	/* By what takes no value: it cannot be. */
	bench_create(b, ROOT_INO, "d", O_WRONLY, &h);
	bench_write(b, h, "mine", 0);
	assert_int_equal(bench_mkdir(b, ROOT_INO, "d"), 0);
	assert_int_equal(bench_close_key(b, h), STORE_EXISTS);
	/* By what he may not write. */
	bench_create(b, ROOT_INO, "b", O_WRONLY, &h);
	bench_write(b, h, "mine", 0);
	b->who = &BOB;
	bench_set(b, ROOT_INO, "t", "bob's");
	assert_int_equal(bench_rename(b, ROOT_INO, "t", ROOT_INO, "b", 0), 0);
	b->who = &ALICE;
	assert_int_equal(bench_close_key(b, h), -EACCES);
	assert_string_equal(seen_by_bob(b, "b"), "bob's");
}

/* A name that somebody may be going to give keeps nobody from it, and nobody joins in: not root. */
static void making_holds_up_nobody(struct bench *b)
{
	const struct store_caller *others[] = {&BOB, &ROOT};
	uint64_t h, theirs, ino;
	char name[] = "k?";

	for (unsigned i = 0; i < 4; i++) {
		name[1] = (char)('0' + i);
		b->who = &ALICE;
		assert_int_equal(bench_create(b, ROOT_INO, name, O_WRONLY, &h), 0);
		ino = b->result.ino;
		bench_write(b, h, "mine", 0);
		b->who = others[i % 2];
		assert_int_equal(
			bench_create(b, ROOT_INO, name, O_WRONLY | (i < 2 ? O_EXCL : 0), &theirs), 0);
		assert_int_not_equal(b->result.ino, ino);
		assert_int_equal(b->result.stat.st_uid, b->who->uid);
		bench_write(b, theirs, "theirs", 0);
		assert_int_equal(bench_close_key(b, theirs), 0);
		b->who = &ALICE;
		assert_int_equal(bench_close_key(b, h), -EACCES);
		assert_string_equal(seen_by_bob(b, name), "theirs");
	}
}

/* Whoever closes lends no rights to who has opened. */
static void rights_of_the_opener(struct bench *b)
{
	const struct store_caller became_root = {.uid = 0, .gid = 0, .pid = ALICE.pid};
	uint64_t h, ino;

	for (unsigned i = 0; i < 3; i++) {
		b->who = &ALICE;
		bench_create(b, ROOT_INO, "k", O_WRONLY | (i == 2 ? O_APPEND : 0), &h);
		if (i < 2) {
			bench_write(b, h, "mine", 0);
		}
		b->who = &BOB;
		bench_set(b, ROOT_INO, "t", "bob's");
		assert_int_equal(bench_rename(b, ROOT_INO, "t", ROOT_INO, "k", 0), 0);
		b->who = &became_root;
		assert_int_equal(i == 0 ? bench_flush(b, h) :
				 i == 1 ? bench_fsync(b, h) : bench_append(b, h, "mine"), -EACCES);
		bench_release(b, h);
		assert_string_equal(seen_by_bob(b, "k"), "bob's");
		b->who = &BOB;
		bench_unlink(b, ROOT_INO, "k");
	}
	/* Root's own, passed on, is root's. */
	b->who = &ROOT;
	bench_set(b, ROOT_INO, "k", "old");
	ino = bench_ino(b, ROOT_INO, "k");
	bench_open_key(b, ino, O_WRONLY | O_TRUNC, &h);
	b->who = &ALICE;
	bench_write(b, h, "root's", 0);
	bench_release(b, h);
	assert_string_equal(seen_by_bob(b, "k"), "root's");
}

/* What was staged for a key of one's own is not for another's that has the name by then. */
static void staged_for_another(struct bench *b)
{
	const struct stat all = {.st_mode = 0666};
	const struct stat old = {.st_mtim.tv_sec = 1};
	uint64_t h, ino, d = bench_namespace(b, ROOT_INO, "sticky");

	bench_setattr(b, d, 0, &(struct stat){.st_mode = 01777}, STORE_SET_MODE);
	b->who = &BOB;
	bench_create(b, d, "k", O_WRONLY, &h);
	ino = b->result.ino;
	bench_write(b, h, "mine", 0);
	assert_int_equal(bench_setxattr(b, ino, "user.cubby.ttl", "0"), 0);
	b->who = &ROOT;
	bench_set(b, d, "t", "root's");
	bench_setattr(b, bench_ino(b, d, "t"), 0, &all, STORE_SET_MODE);
	bench_rename(b, d, "t", d, "k", 0);
	b->who = &BOB;
	assert_int_equal(bench_close_key(b, h), STORE_DENIED);
	assert_string_equal(bench_get(b, d, "k"), "root's");
	/* A value may be; its times are of now. */
	bench_create(b, d, "n", O_WRONLY, &h);
	ino = b->result.ino;
	bench_write(b, h, "mine", 0);
	assert_int_equal(bench_setattr(b, ino, h, &old, STORE_SET_MTIME), 0);
	b->who = &ROOT;
	assert_int_equal(bench_rename(b, d, "k", d, "n", 0), 0);
	b->who = &BOB;
	assert_int_equal(bench_close_key(b, h), 0);
	assert_string_equal(bench_get(b, d, "n"), "mine");
	bench_getattr(b, bench_ino(b, d, "n"));
	assert_int_not_equal(b->st.st_mtim.tv_sec, 1);
}

static uint64_t look_up(struct bench *b, const char *name)
{
	bool lasts;
	struct stat st;

	assert_int_equal(store_lookup(b->s, b->who, ROOT_INO, name, &st, &lasts), 0);
	return st.st_ino;
}

/* Who has looked a key up may open it though it has lost its name meanwhile, but nobody can
 * hold its value for ever by that. */
static void known_by_number_only(struct bench *b)
{
	uint64_t h, ino, others[GONE_MAX];
	char name[16];

	bench_set(b, ROOT_INO, "k", "value");
	ino = look_up(b, "k");
	bench_symlink(b, ROOT_INO, "link", "target");
	others[0] = look_up(b, "link");
	assert_int_equal(bench_unlink(b, ROOT_INO, "link"), 0);
	assert_int_equal(bench_unlink(b, ROOT_INO, "k"), 0);
	for (unsigned i = 0; i < 2; i++) {
		assert_int_equal(bench_open_key(b, ino, O_RDONLY, &h), 0);
		assert_int_equal(bench_read(b, h, 0, 10), 0);
		assert_int_equal(b->size, 5);
		bench_release(b, h);
	}
	bench_open_key(b, ino, O_RDONLY, &h);
	for (unsigned i = 0; i < 2 * GONE_MAX; i++) {
		snprintf(name, sizeof(name), "k%u", i);
		bench_set(b, ROOT_INO, name, "another");
		if (i >= GONE_MAX) {
			store_forget(b->s, others[i % GONE_MAX], 1);
		}
		if (i == GONE_MAX) {
			/* It was open when its turn came. */
			assert_int_equal(bench_read(b, h, 0, 10), 0);
			assert_int_equal(b->size, 5);
			bench_release(b, h);
			bench_open_key(b, ino, O_RDONLY, &h);
			bench_release(b, h);
		}
		if (i == 0) {
			store_forget(b->s, others[0], 1); /* the link */
		}
		others[i % GONE_MAX] = look_up(b, name);
		bench_unlink(b, ROOT_INO, name);
	}
	assert_int_equal(bench_getattr(b, ino), 0);
	assert_int_equal(b->st.st_size, 0);
	assert_int_equal(bench_open_key(b, ino, O_RDONLY, &h), STORE_STALE);
	store_forget(b->s, ino, 1);
	assert_int_not_equal(bench_getattr(b, ino), 0);
	for (unsigned i = 0; i < GONE_MAX; i++) {
		store_forget(b->s, others[i], 1);
	}
}

static void namespace_of_what_is_made(struct bench *b)
{
	uint64_t ns = bench_namespace(b, ROOT_INO, "ns"), h;

	bench_create(b, ns, "k", O_WRONLY, &h);
	bench_write(b, h, "v", 0);
	/* It is not empty for him who would find that his key has gone with it. */
	assert_int_equal(bench_rmdir(b, ROOT_INO, "ns"), STORE_NOT_EMPTY);
	assert_int_equal(bench_mkdir(b, ROOT_INO, "d"), 0);
	assert_int_equal(bench_rename(b, ROOT_INO, "d", ROOT_INO, "ns", 0), STORE_NOT_EMPTY);
	assert_int_equal(bench_close_key(b, h), 0);
	assert_string_equal(bench_get(b, ns, "k"), "v");
	assert_int_equal(bench_unlink(b, ns, "k"), 0);
	/* Nor once it has failed, or was given up. */
	bench_create(b, ns, "k", O_WRONLY, &h);
	assert_int_equal(bench_unlink(b, ns, "k"), 0);
	assert_int_equal(bench_rmdir(b, ROOT_INO, "ns"), 0);
	bench_close_key(b, h);
}

static void unlink_while_it_is_made(struct bench *b)
{
	uint64_t h, ino;

	bench_create(b, ROOT_INO, "k", O_RDWR, &h);
	ino = b->result.ino;
	bench_write(b, h, "temporary", 0);
	assert_int_equal(bench_unlink(b, ROOT_INO, "k"), 0);
	assert_int_equal(bench_lookup(b, ROOT_INO, "k"), STORE_NOT_FOUND);
	assert_int_equal(bench_unlink(b, ROOT_INO, "k"), STORE_NOT_FOUND);
	assert_int_equal(bench_read(b, h, 0, 100), 0);
	assert_string_equal(b->text, "temporary");
	assert_int_equal(bench_getattr(b, ino), 0);
	assert_int_equal(bench_close_key(b, h), 0);
	assert_null(seen_by_bob(b, "k"));
	assert_int_equal(bench_getattr(b, ino), STORE_NOT_FOUND);
}

static void rename_while_it_is_made(struct bench *b)
{
	uint64_t h, ino;

	bench_set(b, ROOT_INO, "k", "old");
	bench_create(b, ROOT_INO, "k.tmp", O_WRONLY, &h);
	ino = b->result.ino;
	bench_write(b, h, "new", 0);
	assert_int_equal(bench_rename(b, ROOT_INO, "k.tmp", ROOT_INO, "k", 0), 0);
	assert_string_equal(seen_by_bob(b, "k"), "new");
	assert_int_equal(bench_ino(b, ROOT_INO, "k"), ino);
	/* What it writes then goes to the new name. */
	bench_write(b, h, "er", 3);
	assert_int_equal(bench_close_key(b, h), 0);
	assert_string_equal(seen_by_bob(b, "k"), "newer");
	assert_string_equal(bench_list(b, ROOT_INO), "k ");
	/* Others cannot rename what they do not see. */
	bench_create(b, ROOT_INO, "p", O_WRONLY, &h);
	b->who = &BOB;
	assert_int_equal(bench_rename(b, ROOT_INO, "p", ROOT_INO, "q", 0), STORE_NOT_FOUND);
	b->who = &ALICE;
	bench_close_key(b, h);
}

static void link_while_it_is_made(struct bench *b)
{
	uint64_t h;

	bench_create(b, ROOT_INO, "k", O_WRONLY, &h);
	bench_write(b, h, "v", 0);
	assert_int_equal(bench_link(b, b->result.ino, ROOT_INO, "l"), 0);
	assert_int_equal(b->result.stat.st_nlink, 2);
	assert_string_equal(seen_by_bob(b, "k"), "v");
	assert_string_equal(seen_by_bob(b, "l"), "v");
	bench_write(b, h, "w", 0);
	assert_int_equal(bench_close_key(b, h), 0);
	assert_string_equal(seen_by_bob(b, "l"), "w");
}

static void attributes_of_what_is_made(struct bench *b)
{
	const struct stat attr = {.st_mode = 0600, .st_uid = 1000, .st_gid = 77};
	uint64_t h, ino, revision;

	late.noise = 0;
	revision = bench_revision(b);
	bench_create(b, ROOT_INO, "k", O_WRONLY, &h);
	ino = b->result.ino;
	assert_int_equal(bench_setattr(b, ino, h, &attr, STORE_SET_MODE | STORE_SET_GID), 0);
	assert_int_equal(b->result.stat.st_mode, S_IFREG | 0600);
	assert_int_equal(bench_setxattr(b, ino, "user.a", "1"), 0);
	bench_write(b, h, "v", 0);
	assert_string_equal(bench_xattr(b, ino, "user.a"), "1");
	assert_int_equal(bench_close_key(b, h), 0);
	assert_int_equal(bench_revision(b), revision + 1);
	assert_int_equal(bench_getattr(b, ino), 0);
	assert_int_equal(b->st.st_mode, S_IFREG | 0600);
	assert_int_equal(b->st.st_gid, 77);
	assert_string_equal(bench_xattr(b, ino, "user.a"), "1");
}

/* --- what commits with the value ------------------------------------------------- */

static void staged_as_one_revision(struct bench *b)
{
	const struct stat attr = {.st_mtim = {1000000000, 5}, .st_atim = {1100000000, 6}};
	uint64_t h, ino, revision;

	late.noise = 0;
	bench_set(b, ROOT_INO, "k", "old");
	ino = bench_ino(b, ROOT_INO, "k");
	bench_setxattr(b, ino, "user.b", "goes");
	revision = bench_revision(b);
	bench_open_key(b, ino, O_WRONLY | O_TRUNC, &h);
	bench_write(b, h, "new", 0);
	assert_int_equal(bench_setxattr(b, ino, "user.a", "1"), 0);
	assert_int_equal(bench_setxattr(b, ino, "user.a", "2"), 0);
	assert_int_equal(bench_removexattr(b, ino, "user.b"), 0);
	assert_int_equal(bench_setxattr(b, ino, "user.cubby.ttl", "100"), 0);
	assert_int_equal(bench_setxattr(b, ino, "user.cubby.action", "why"), 0);
	assert_int_equal(bench_setattr(b, ino, h, &attr, STORE_SET_MTIME | STORE_SET_ATIME), 0);
	assert_string_equal(bench_xattr(b, ino, "user.a"), "2");
	assert_null(bench_xattr(b, ino, "user.b"));
	b->who = &BOB;
	assert_null(bench_xattr(b, ino, "user.a"));
	assert_string_equal(bench_xattr(b, ino, "user.b"), "goes");
	assert_null(bench_xattr(b, ino, "user.cubby.ttl"));
	assert_int_equal(bench_revision(b), revision);
	b->who = &ALICE;
	assert_int_equal(bench_close_key(b, h), 0);
	assert_int_equal(bench_revision(b), revision + 1);
	b->who = &BOB;
	assert_string_equal(bench_get(b, ROOT_INO, "k"), "new");
	assert_string_equal(bench_xattr(b, ino, "user.a"), "2");
	assert_null(bench_xattr(b, ino, "user.b"));
	assert_string_equal(bench_xattr(b, ino, "user.cubby.ttl"), "100.000000");
	assert_string_equal(bench_xattr(b, ino, "user.cubby.action"), "why");
	assert_int_equal(bench_getattr(b, ino), 0);
	assert_int_equal(b->st.st_mtim.tv_sec, 1000000000);
	assert_int_equal(b->st.st_mtim.tv_nsec, 5);
	assert_int_equal(b->st.st_atim.tv_sec, 1100000000);
}

static void write_after_utimens(struct bench *b)
{
	const struct stat attr = {.st_mtim = {1000000000, 5}};
	uint64_t h, ino;

	bench_create(b, ROOT_INO, "k", O_WRONLY, &h);
	ino = b->result.ino;
	bench_write(b, h, "a", 0);
	bench_setattr(b, ino, h, &attr, STORE_SET_MTIME);
	bench_write(b, h, "b", 1);
	bench_close_key(b, h);
	bench_getattr(b, ino);
	assert_int_equal(b->st.st_mtim.tv_sec, b->clock.wall / SECOND);
}

static void cas_of_what_is_staged(struct bench *b)
{
	uint64_t h, ino;
	char text[40];

	bench_set(b, ROOT_INO, "k", "old");
	ino = bench_ino(b, ROOT_INO, "k");
	snprintf(text, sizeof(text), "%s", bench_xattr(b, ino, "user.cubby.revision"));
	bench_open_key(b, ino, O_WRONLY | O_TRUNC, &h);
	bench_write(b, h, "new", 0);
	assert_int_equal(bench_setxattr(b, ino, "user.cubby.cas", text), 0);
	assert_string_equal(seen_by_bob(b, "k"), "new");
	/* The revision has moved on: nothing of it is committed, then or later. */
	bench_write(b, h, "lost", 0);
	assert_int_equal(bench_setxattr(b, ino, "user.cubby.cas", text), STORE_CONFLICT);
	assert_int_equal(bench_close_key(b, h), 0);
	assert_string_equal(seen_by_bob(b, "k"), "new");
	/* Revision 0: it must not be there. */
	bench_create(b, ROOT_INO, "n", O_WRONLY, &h);
	bench_write(b, h, "made", 0);
	assert_int_equal(bench_setxattr(b, b->result.ino, "user.cubby.cas", "1"), STORE_CONFLICT);
	bench_close_key(b, h);
	assert_null(seen_by_bob(b, "n"));
	bench_create(b, ROOT_INO, "n", O_WRONLY, &h);
	ino = b->result.ino;
	bench_write(b, h, "made", 0);
	assert_int_equal(bench_setxattr(b, ino, "user.cubby.cas", "0"), 0);
	bench_close_key(b, h);
	assert_string_equal(seen_by_bob(b, "n"), "made");
}

/* --- limits ------------------------------------------------------------------------ */

static void too_large_poisons(struct bench *b)
{
	uint64_t h, ino;

	b->config.max_value = 10;
	bench_reopen(b);
	assert_int_equal(bench_set(b, ROOT_INO, "k", "0123456789"), 0);
	ino = bench_ino(b, ROOT_INO, "k");
	bench_open_key(b, ino, O_RDWR | O_TRUNC, &h);
	assert_int_equal(bench_write(b, h, "abc", 0), 0);
	assert_int_equal(bench_write(b, h, "too much at last", 3), STORE_TOO_LARGE);
	assert_int_equal(bench_write(b, h, "x", 0), STORE_TOO_LARGE);
	assert_int_equal(bench_flush(b, h), STORE_TOO_LARGE);
	/* Told, but not forgiven, until it is begun anew. */
	assert_int_equal(bench_write(b, h, "x", 0), STORE_TOO_LARGE);
	assert_int_equal(bench_fsync(b, h), STORE_TOO_LARGE);
	assert_int_equal(bench_close_key(b, h), STORE_TOO_LARGE);
	assert_string_equal(seen_by_bob(b, "k"), "0123456789");
	bench_open_key(b, ino, O_RDWR | O_TRUNC, &h);
	assert_int_equal(bench_write(b, h, "much too much", 3), STORE_TOO_LARGE);
	assert_int_equal(bench_setattr(b, ino, h, &(struct stat){.st_size = 0}, STORE_SET_SIZE), 0);
	assert_int_equal(bench_write(b, h, "9876543210", 0), 0);
	assert_int_equal(bench_close_key(b, h), 0);
	assert_string_equal(seen_by_bob(b, "k"), "9876543210");
	bench_set(b, ROOT_INO, "k", "0123456789");
	/* Far out, where sums overflow. */
	bench_open_key(b, ino, O_RDWR, &h);
	assert_int_equal(bench_write(b, h, "x", UINT64_MAX), STORE_TOO_LARGE);
	assert_int_equal(bench_close_key(b, h), STORE_TOO_LARGE);
	bench_open_key(b, ino, O_RDWR | O_APPEND, &h);
	assert_int_equal(bench_append(b, h, "x"), STORE_TOO_LARGE);
	bench_close_key(b, h);
	assert_int_equal(bench_truncate(b, ino, 11), STORE_TOO_LARGE);
	assert_string_equal(seen_by_bob(b, "k"), "0123456789");
	/* One that was to be made is not. */
	bench_create(b, ROOT_INO, "n", O_WRONLY, &h);
	assert_int_equal(bench_write(b, h, "0123456789x", 0), STORE_TOO_LARGE);
	assert_int_equal(bench_close_key(b, h), STORE_TOO_LARGE);
	assert_null(seen_by_bob(b, "n"));
	assert_int_equal(bench_stat(b, NULL, "staged_bytes"), 0);
}

const struct test_case staging_cases[] = {
	{"nothing_before_flush", nothing_before_flush},
	{"flush_by_another_process", flush_by_another_process},
	{"flush_of_one_of_several", flush_of_one_of_several},
	{"release_commits_what_is_left", release_commits_what_is_left},
	{"truncation_alone", truncation_alone},
	{"holes_and_overwrites", holes_and_overwrites},
	{"two_writers", two_writers},
	{"fsync_commits", fsync_commits},
	{"pending_is_invisible", pending_is_invisible},
	{"two_makers", two_makers},
	{"made_by_release", made_by_release},
	{"name_taken_meanwhile", name_taken_meanwhile},
	{"making_holds_up_nobody", making_holds_up_nobody},
	{"rights_of_the_opener", rights_of_the_opener},
	{"staged_for_another", staged_for_another},
	{"known_by_number_only", known_by_number_only},
	{"namespace_of_what_is_made", namespace_of_what_is_made},
	{"unlink_while_it_is_made", unlink_while_it_is_made},
	{"rename_while_it_is_made", rename_while_it_is_made},
	{"link_while_it_is_made", link_while_it_is_made},
	{"attributes_of_what_is_made", attributes_of_what_is_made},
	{"staged_as_one_revision", staged_as_one_revision},
	{"write_after_utimens", write_after_utimens},
	{"cas_of_what_is_staged", cas_of_what_is_staged},
	{"too_large_poisons", too_large_poisons},
	{NULL, NULL},
};
