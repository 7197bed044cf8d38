/* SPDX-License-Identifier: MIT
 * Copyright (c) 2026 The cubbyfs authors */

/* How much the store, a namespace and a user may have. That the counts are right is
 * bench_recount's to say, at the end of every case of every list. */
#include "cases.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define XATTR 32 /* what an attribute counts for besides its name and value */

static uint64_t limited(struct bench *b, const char *policy, const char *value)
{
	uint64_t ns = bench_namespace(b, ROOT_INO, "ns");

	assert_int_equal(bench_setxattr(b, ns, policy, value), 0);
	return ns;
}

static int set_size(struct bench *b, uint64_t parent, const char *name, size_t size)
{
	char *value = calloc(1, size + 1);
	int rc;

	memset(value, 'x', size);
	rc = bench_set_bytes(b, parent, name, bytes_of(value, size));
	free(value);
	return rc;
}

static uint64_t refused(struct bench *b)
{
	return bench_stat(b, "limits", "refused");
}

/* --- a namespace's bytes --------------------------------------------------------- */

static void namespace_bytes(struct bench *b)
{
	uint64_t ns = limited(b, "user.cubby.max_bytes", "10"), sub = bench_namespace(b, ns, "sub");
	uint64_t h, ino;

	assert_int_equal(set_size(b, ns, "a", 6), 0);
	assert_int_equal(set_size(b, ns, "b", 5), STORE_FULL);
	assert_null(bench_get(b, ns, "b"));
	assert_int_equal(set_size(b, ns, "b", 4), 0);
	assert_int_equal(refused(b), 1);
	/* Full: what does not grow goes on. */
	assert_int_equal(set_size(b, ns, "c", 0), 0);
	assert_int_equal(bench_set(b, ns, "b", "same"), 0);
	assert_int_equal(bench_set(b, ns, "b", "grows"), STORE_FULL);
	assert_string_equal(bench_get(b, ns, "b"), "same");
	assert_int_equal(set_size(b, sub, "k", 100), 0);
	/* By all ways in which a value grows. */
	ino = bench_ino(b, ns, "b");
	bench_open_key(b, ino, O_WRONLY | O_APPEND, &h);
	assert_int_equal(bench_append(b, h, "s"), STORE_FULL);
	bench_close_key(b, h);
	assert_int_equal(bench_truncate(b, ino, 5), STORE_FULL);
	assert_int_equal(bench_truncate(b, ino, 3), 0);
	assert_int_equal(bench_truncate(b, ino, 4), 0);
	assert_int_equal(bench_symlink(b, ns, "s", "t"), STORE_FULL);
	assert_int_equal(bench_set(b, ns, "b", "9999"), 0);
	assert_int_equal(bench_setxattr(b, ino, "user.cubby.increment", "1"), STORE_FULL);
	assert_int_equal(bench_setxattr(b, ino, "user.cubby.increment", "-1"), 0);
	assert_string_equal(bench_get(b, ns, "b"), "9998");
	assert_int_equal(bench_setxattr(b, ino, "user.a", ""), STORE_FULL);
	/* A smaller limit takes nothing away. */
	assert_int_equal(bench_setxattr(b, ns, "user.cubby.max_bytes", "3"), 0);
	assert_int_equal(bench_set(b, ns, "b", "8888"), 0);
	assert_int_equal(bench_set(b, ns, "b", "777"), 0);
	assert_int_equal(bench_set(b, ns, "b", "6666"), STORE_FULL);
	assert_int_equal(bench_unlink(b, ns, "a"), 0);
	assert_int_equal(bench_set(b, ns, "b", "6666"), STORE_FULL);
	assert_int_equal(bench_unlink(b, ns, "b"), 0);
	assert_int_equal(bench_set(b, ns, "b", "666"), 0);
	bench_reopen(b);
	if (bench_is_durable(b)) {
		assert_int_equal(bench_set(b, ns, "b", "6666"), STORE_FULL);
	}
}

static void names_that_move(struct bench *b)
{
	uint64_t ns = limited(b, "user.cubby.max_bytes", "10"), far;

	far = bench_namespace(b, ROOT_INO, "far");
	set_size(b, ns, "a", 6);
	set_size(b, far, "four", 4);
	set_size(b, far, "five", 5);
	set_size(b, far, "seven", 7);
	set_size(b, far, "eleven", 11);
	assert_int_equal(bench_rename(b, far, "five", ns, "b", 0), STORE_FULL);
	assert_int_equal(bench_rename(b, far, "four", ns, "b", 0), 0);
	/* What is replaced makes room. */
	assert_int_equal(bench_rename(b, far, "seven", ns, "a", 0), STORE_FULL);
	assert_int_equal(bench_rename(b, far, "five", ns, "a", 0), 0);
	assert_int_equal(bench_rename(b, far, "eleven", ns, "a", RENAME_EXCHANGE), STORE_FULL);
	assert_int_equal(bench_unlink(b, ns, "b"), 0);
	assert_int_equal(bench_rename(b, far, "seven", ns, "a", RENAME_EXCHANGE), 0);
	assert_int_equal(bench_rename(b, ns, "a", ns, "z", 0), 0);
	assert_int_equal(set_size(b, ns, "b", 4), STORE_FULL);
	assert_int_equal(set_size(b, ns, "b", 3), 0);
	assert_int_equal(bench_rename(b, ns, "z", far, "seven", 0), 0);
	assert_int_equal(set_size(b, ns, "c", 7), 0);
}

static void hard_links(struct bench *b)
{
	uint64_t ns = limited(b, "user.cubby.max_bytes", "10"), ino, other;

	other = bench_namespace(b, ROOT_INO, "other");
	/* A value counts once, where it has its first name. */
	set_size(b, other, "k", 8);
	ino = bench_ino(b, other, "k");
	assert_int_equal(bench_link(b, ino, ns, "first"), 0);
	assert_int_equal(bench_link(b, ino, ns, "second"), 0);
	assert_int_equal(set_size(b, ns, "own", 10), 0);
	/* That name can always go. */
	assert_int_equal(bench_unlink(b, other, "k"), 0);
	bench_recount(b);
	assert_int_equal(set_size(b, ns, "own", 9), 0);
	assert_int_equal(set_size(b, ns, "own", 10), STORE_FULL);
	assert_int_equal(bench_unlink(b, ns, "own"), 0);
	assert_int_equal(set_size(b, ns, "own", 2), 0);
	assert_int_equal(set_size(b, ns, "more", 1), STORE_FULL);
	assert_int_equal(bench_unlink(b, ns, "first"), 0);
	assert_int_equal(set_size(b, ns, "more", 1), STORE_FULL);
	assert_int_equal(bench_unlink(b, ns, "second"), 0);
	assert_int_equal(set_size(b, ns, "more", 8), 0);
}

/* The order of names, and so who pays next, is the same after a compaction. */
static void order_of_links_is_kept(struct bench *b)
{
	uint64_t ns[4], ino;
	char name[] = "0";

	set_size(b, ROOT_INO, "k", 8);
	ino = bench_ino(b, ROOT_INO, "k");
	for (unsigned i = 0; i < 4; i++) {
		name[0] = (char)('0' + i);
		ns[i] = bench_namespace(b, ROOT_INO, name);
		bench_link(b, ino, ns[i], "link");
		assert_int_equal(bench_setxattr(b, ns[i], "user.cubby.max_bytes", "8"), 0);
	}
	if (bench_is_durable(b)) {
		assert_int_equal(bench_compact(b), 0);
		bench_reopen(b);
	}
	assert_int_equal(bench_unlink(b, ROOT_INO, "k"), 0);
	for (unsigned i = 4; i-- > 0;) {
		/* The newest of the others is the first now. */
		assert_int_equal(set_size(b, ns[i], "own", 1), STORE_FULL);
		for (unsigned k = 0; k < i; k++) {
			assert_int_equal(set_size(b, ns[k], "own", 1), 0);
			assert_int_equal(bench_unlink(b, ns[k], "own"), 0);
		}
		assert_int_equal(bench_unlink(b, ns[i], "link"), 0);
	}
}

static void attributes_count(struct bench *b)
{
	uint64_t ns = limited(b, "user.cubby.max_bytes", "100"), ino, h;

	set_size(b, ns, "k", 10);
	ino = bench_ino(b, ns, "k");
	assert_int_equal(bench_setxattr(b, ino, "user.a", "0123456789"), 0); /* 10 + 48 */
	assert_int_equal(set_size(b, ns, "k", 53), STORE_FULL);
	assert_int_equal(set_size(b, ns, "k", 52), 0);
	assert_int_equal(bench_setxattr(b, ino, "user.a", "0123456789x"), STORE_FULL);
	assert_int_equal(bench_setxattr(b, ino, "user.a", ""), 0);
	/* Together with what is staged, and nothing of it if it is too much. */
	bench_open_key(b, ino, O_WRONLY | O_TRUNC, &h);
	bench_write(b, h, "value", 0);
	assert_int_equal(bench_setxattr(b, ino, "user.bb", "0123456789012345678"), 0);
	assert_int_equal(bench_close_key(b, h), STORE_FULL);
	assert_null(bench_xattr(b, ino, "user.bb"));
	bench_open_key(b, ino, O_WRONLY | O_TRUNC, &h);
	bench_write(b, h, "value", 0);
	assert_int_equal(bench_removexattr(b, ino, "user.a"), 0);
	assert_int_equal(bench_setxattr(b, ino, "user.bb", "0123456789012345678"), 0);
	assert_int_equal(bench_close_key(b, h), 0);
	assert_int_equal(bench_removexattr(b, ino, "user.bb"), 0);
	assert_int_equal(set_size(b, ns, "k", 100), 0);
}

/* Those of one node have an end, wherever it is. */
static void attributes_have_an_end(struct bench *b)
{
	const size_t each = 32 * 1024;
	char *value = malloc(each + 1), name[20];
	uint64_t ino, h;

	memset(value, 'x', each);
	value[each] = 0;
	bench_set(b, ROOT_INO, "k", "v");
	ino = bench_ino(b, ROOT_INO, "k");
	for (unsigned i = 0; i < 4; i++) {
		snprintf(name, sizeof(name), "user.%u", i);
		assert_int_equal(bench_setxattr(b, ino, name, value), i < 3 ? 0 : STORE_FULL);
	}
	value[each - 4 * (XATTR + 6)] = 0;
	assert_int_equal(bench_setxattr(b, ino, "user.3", value), 0);
	assert_int_equal(bench_setxattr(b, ino, "user.4", ""), STORE_FULL);
	assert_int_equal(bench_setxattr(b, ino, "user.3", ""), 0);
	assert_int_equal(bench_setxattr(b, ino, "user.4", ""), 0);
	/* Staged ones too. */
	bench_create(b, ROOT_INO, "n", O_WRONLY, &h);
	ino = b->result.ino;
	value[each - 4 * (XATTR + 6)] = 'x';
	for (unsigned i = 0; i < 4; i++) {
		snprintf(name, sizeof(name), "user.%u", i);
		assert_int_equal(bench_setxattr(b, ino, name, value), i < 3 ? 0 : STORE_FULL);
	}
	bench_recount(b);
	assert_int_equal(bench_setxattr(b, ino, "user.2", "small"), 0);
	bench_recount(b);
	assert_int_equal(bench_setxattr(b, ino, "user.3", "small"), 0);
	assert_int_equal(bench_close_key(b, h), 0);
	free(value);
}

static void expired_does_not_count(struct bench *b)
{
	uint64_t ns = limited(b, "user.cubby.max_bytes", "10");

	b->config.max_keys = 4; /* `ns` is one */
	b->config.max_bytes = 200;
	bench_setxattr(b, ns, "user.cubby.max_keys", "2");
	if (!bench_is_durable(b)) {
		return;
	}
	bench_reopen(b);
	set_size(b, ns, "a", 6);
	set_size(b, ns, "b", 4);
	set_size(b, ROOT_INO, "c", 1);
	bench_setxattr(b, bench_ino(b, ns, "a"), "user.cubby.ttl", "1");
	assert_int_equal(set_size(b, ns, "d", 6), STORE_TOO_MANY);
	assert_int_equal(set_size(b, ns, "b", 5), STORE_FULL);
	assert_int_equal(set_size(b, ROOT_INO, "d", 1), STORE_TOO_MANY);
	bench_advance(b, SECOND);
	/* Not swept yet. */
	assert_int_equal(set_size(b, ns, "d", 6), 0);
	assert_int_equal(set_size(b, ns, "b", 5), STORE_FULL);
	bench_sweep(b);
	assert_string_equal(bench_list(b, ns), "b d ");
	assert_int_equal(set_size(b, ROOT_INO, "e", 1), STORE_TOO_MANY);
}

/* --- names in a namespace ----------------------------------------------------------- */

static void exchange_counts_keys(struct bench *b)
{
	uint64_t ns = limited(b, "user.cubby.max_keys", "1");

	bench_namespace(b, ns, "d");
	bench_set(b, ns, "k", "v");
	bench_set(b, ROOT_INO, "k", "w");
	assert_int_equal(bench_rename(b, ROOT_INO, "k", ns, "d", RENAME_EXCHANGE), STORE_TOO_MANY);
	assert_int_equal(bench_rename(b, ns, "d", ROOT_INO, "k", RENAME_EXCHANGE), STORE_TOO_MANY);
	assert_int_equal(bench_rename(b, ROOT_INO, "k", ns, "k", RENAME_EXCHANGE), 0);
	assert_int_equal(bench_unlink(b, ns, "k"), 0);
	assert_int_equal(bench_rename(b, ROOT_INO, "k", ns, "d", RENAME_EXCHANGE), 0);
}

/* --- the store ------------------------------------------------------------------------ */

static void whole_store(struct bench *b)
{
	uint64_t h, ino;
	struct statvfs space;

	b->config.max_keys = 4;
	b->config.max_bytes = 10000;
	bench_reopen(b);
	assert_int_equal(bench_mkdir(b, ROOT_INO, "attributed"), 0);
	assert_int_equal(bench_setxattr(b, b->result.ino, "user.a", "value"), 0);
	assert_int_equal(bench_stat(b, "limits", "max_keys"), 4);
	assert_int_equal(bench_stat(b, "limits", "max_bytes"), 10000);
	assert_int_equal(bench_mkdir(b, ROOT_INO, "d"), 0);
	assert_int_equal(set_size(b, ROOT_INO, "k", 9000), 0);
	ino = bench_ino(b, ROOT_INO, "k");
	assert_int_equal(bench_link(b, ino, ROOT_INO, "l"), 0);
	assert_int_equal(bench_mkdir(b, ROOT_INO, "e"), STORE_TOO_MANY);
	assert_int_equal(bench_symlink(b, ROOT_INO, "e", "t"), STORE_TOO_MANY);
	assert_int_equal(bench_mknod(b, ROOT_INO, "e", S_IFIFO | 0600, 0), STORE_TOO_MANY);
	assert_int_equal(bench_link(b, ino, ROOT_INO, "e"), STORE_TOO_MANY);
	assert_int_equal(bench_create(b, ROOT_INO, "e", O_WRONLY, &h), STORE_TOO_MANY);
	assert_int_equal(bench_create(b, ROOT_INO, "e", O_WRONLY | O_EXCL, &h), STORE_TOO_MANY);
	assert_int_equal(store_statfs(b->s, &space), 0);
	assert_int_equal(space.f_ffree, 0);
	assert_int_equal(space.f_files, 5); /* and the root */
	/* No name more. */
	assert_int_equal(bench_rename(b, ROOT_INO, "l", ROOT_INO, "m", 0), 0);
	assert_int_equal(set_size(b, ROOT_INO, "k", 9990), STORE_FULL); /* with that */
	assert_int_equal(set_size(b, ROOT_INO, "k", 9900), 0);
	assert_int_equal(store_statfs(b->s, &space), 0);
	assert_true(space.f_blocks * space.f_frsize < 20000);
	assert_int_equal(space.f_bfree, 0);
	assert_int_equal(set_size(b, ROOT_INO, "k", 100), 0);
	assert_int_equal(store_statfs(b->s, &space), 0);
	assert_true(space.f_bavail * space.f_frsize >= 4096 || space.f_frsize > 4096);
	/* A key that is open and has no name any more still takes its bytes. */
	assert_int_equal(set_size(b, ROOT_INO, "k", 9000), 0);
	bench_open_key(b, ino, O_RDONLY, &h);
	assert_int_equal(bench_unlink(b, ROOT_INO, "m"), 0);
	assert_int_equal(bench_unlink(b, ROOT_INO, "k"), 0);
	bench_recount(b);
	assert_int_equal(set_size(b, ROOT_INO, "n", 5000), STORE_FULL);
	bench_release(b, h);
	assert_int_equal(set_size(b, ROOT_INO, "n", 5000), 0);
}

static void smaller_than_what_is_there(struct bench *b)
{
	uint64_t d = bench_namespace(b, ROOT_INO, "d");

	if (!bench_is_durable(b)) {
		return;
	}
	set_size(b, d, "a", 500);
	set_size(b, d, "b", 500);
	b->config.max_keys = 1;
	b->config.max_bytes = 10;
	bench_reopen(b);
	bench_compact(b);
	bench_reopen(b);
	assert_int_equal(set_size(b, d, "c", 1), STORE_TOO_MANY);
	assert_int_equal(set_size(b, d, "a", 501), STORE_FULL);
	assert_int_equal(set_size(b, d, "a", 500), 0);
	assert_int_equal(set_size(b, d, "a", 499), 0);
	assert_int_equal(bench_rename(b, d, "a", ROOT_INO, "a", 0), 0);
	assert_int_equal(bench_rename(b, ROOT_INO, "a", d, "b", 0), 0);
	assert_int_equal(bench_unlink(b, d, "b"), 0);
	assert_int_equal(bench_rmdir(b, ROOT_INO, "d"), 0);
	assert_int_equal(set_size(b, ROOT_INO, "c", 11), STORE_FULL);
	assert_int_equal(set_size(b, ROOT_INO, "c", 10), 0);
}

/* --- users ------------------------------------------------------------------------------ */

static void staged_bytes(struct bench *b)
{
	uint64_t h, other, bobs, ino, n;

	b->config.max_staged = 1000;
	bench_reopen(b);
	bench_set(b, ROOT_INO, "k", "old");
	ino = bench_ino(b, ROOT_INO, "k");
	assert_int_equal(bench_open_key(b, ino, O_WRONLY, &h), 0);
	assert_int_equal(bench_truncate(b, ino, 600), 0);
	assert_int_equal(bench_write(b, h, "x", 599), 0);
	assert_int_equal(bench_create(b, ROOT_INO, "n", O_WRONLY, &other), 0);
	b->who = &BOB;
	assert_int_equal(bench_create(b, ROOT_INO, "bob", O_WRONLY, &bobs), 0);
	assert_int_equal(bench_write(b, bobs, "x", 998), 0);
	b->who = &ALICE;
	assert_int_equal(bench_write(b, other, "x", 398), 0);
	bench_recount(b);
	/* One byte too many: it is poisoned, as by one that is too large, and lets go of all. */
	assert_int_equal(bench_write(b, other, "xx", 399), STORE_FULL);
	assert_int_equal(bench_write(b, other, "x", 0), STORE_FULL);
	assert_int_equal(bench_stat(b, NULL, "staged_bytes"), 600 + 999);
	assert_int_equal(bench_write(b, h, "x", 999), 0);
	assert_int_equal(bench_close_key(b, other), STORE_FULL);
	assert_null(bench_get(b, ROOT_INO, "n"));
	/* Nobody else's concern. */
	b->who = &BOB;
	assert_int_equal(bench_write(b, bobs, "y", 999), 0);
	assert_int_equal(bench_close_key(b, bobs), 0);
	b->who = &ALICE;
	/* A commit, a release and a truncation give back. */
	assert_int_equal(bench_create(b, ROOT_INO, "n", O_WRONLY, &other), 0);
	n = b->result.ino;
	assert_int_equal(bench_write(b, other, "x", 0), STORE_FULL);
	assert_int_equal(bench_fsync(b, h), 0);
	assert_int_equal(
		bench_setattr(b, n, other, &(struct stat){.st_size = 0}, STORE_SET_SIZE),
		0);
	assert_int_equal(bench_write(b, other, "x", 999), 0);
	assert_int_equal(bench_write(b, h, "x", 0), STORE_FULL); /* begins as a copy */
	assert_int_equal(bench_setattr(b, bench_ino(b, ROOT_INO, "k"), h,
				 &(struct stat){.st_size = 0}, STORE_SET_SIZE),
		0);
	assert_int_equal(bench_fsync(b, other), 0);
	assert_int_equal(bench_write(b, h, "x", 999), 0);
	assert_int_equal(store_allocate(b->s, &ALICE, h, 1001), STORE_FULL);
	assert_int_equal(bench_close_key(b, h), STORE_FULL);
	bench_release(b, other);
	/* Attributes too. */
	bench_open_key(b, bench_ino(b, ROOT_INO, "k"), O_WRONLY | O_TRUNC, &h);
	bench_write(b, h, "x", 0);
	{
		char value[2000];

		memset(value, 'x', sizeof(value));
		value[sizeof(value) - 1] = 0;
		assert_int_equal(bench_setxattr(b, ino, "user.a", value), STORE_FULL);
	}
	bench_recount(b);
	assert_int_equal(bench_setxattr(b, ino, "user.a", "small"), 0);
	bench_recount(b);
	assert_int_equal(bench_close_key(b, h), 0);
	/* Root has no limit. */
	b->who = &ROOT;
	assert_int_equal(set_size(b, ROOT_INO, "r", 5000), 0);
	b->who = &ALICE;
	assert_int_equal(bench_stat(b, "limits", "users"), 0);
}

/* What handles show of the past is bounded too: those that began first lose it. */
/* What stages began as is kept while they last: of so much that there is an end. */
static void values_that_stages_began_as(struct bench *b)
{
	uint64_t h[6], bobs, ino;

	b->config.max_staged = 1000; /* so 4000 are kept */
	bench_reopen(b);
	set_size(b, ROOT_INO, "k", 900);
	ino = bench_ino(b, ROOT_INO, "k");
	bench_setattr(b, ino, 0, &(struct stat){.st_mode = 0666}, STORE_SET_MODE);
	b->who = &ALICE;
	for (unsigned i = 0; i < 5; i++) {
		assert_int_equal(bench_open_key(b, ino, O_RDWR, &h[i]), 0);
		assert_int_equal(bench_setattr(b, ino, h[i], &(struct stat){.st_size = 0}, STORE_SET_SIZE),
			i < 4 ? 0 : STORE_FULL);
		bench_recount(b);
	}
	/* Nobody else's, and it was not much that was staged. */
	assert_int_equal(bench_stat(b, NULL, "staged_bytes"), 0);
	b->who = &BOB;
	bench_open_key(b, ino, O_RDWR, &bobs);
	assert_int_equal(bench_write(b, bobs, "x", 0), 0);
	bench_release(b, bobs);
	/* A commit gives back, and so does a close. */
	b->who = &ALICE;
	assert_int_equal(bench_fsync(b, h[0]), 0); /* the value is empty now */
	set_size(b, ROOT_INO, "k", 900);
	bench_open_key(b, ino, O_RDWR, &h[5]);
	assert_int_equal(bench_write(b, h[5], "x", 0), 0);
	assert_int_equal(bench_write(b, h[4], "x", 0), STORE_FULL);
	bench_release(b, h[5]);
	for (unsigned i = 0; i < 5; i++) {
		bench_release(b, h[i]);
		bench_recount(b);
	}
	assert_int_equal(bench_stat(b, "limits", "users"), 0);
}

static void values_that_are_kept(struct bench *b)
{
	uint64_t h[6], bobs, ino;

	b->config.max_staged = 1000; /* so 4000 are kept */
	bench_reopen(b);
	set_size(b, ROOT_INO, "k", 900);
	ino = bench_ino(b, ROOT_INO, "k");
	b->who = &BOB;
	bench_open_key(b, ino, O_RDONLY, &bobs);
	assert_int_equal(bench_read(b, bobs, 0, 10), 0);
	b->who = &ALICE;
	for (unsigned i = 0; i < 6; i++) {
		assert_int_equal(bench_open_key(b, ino, O_RDONLY, &h[i]), 0);
		assert_int_equal(bench_read(b, h[i], 0, 10), 0);
		bench_recount(b);
	}
	/* The first two have let go of it, which nobody notices while it is the value. */
	assert_int_equal(bench_read(b, h[0], 10, 890), 0);
	assert_int_equal(b->size, 890);
	/* Now h[1] and h[2] have not. */
	b->who = &ROOT;
	assert_int_equal(set_size(b, ROOT_INO, "k", 899), 0);
	b->who = &ALICE;
	assert_int_equal(bench_read(b, h[1], 10, 890), STORE_STALE);
	assert_int_equal(bench_read(b, h[2], 10, 890), STORE_STALE);
	assert_int_equal(bench_read(b, h[2], 899, 1), STORE_STALE);
	for (unsigned i = 3; i < 6; i++) {
		assert_int_equal(bench_read(b, h[i], 10, 890), 0);
		assert_int_equal(b->size, 890);
	}
	assert_int_equal(bench_read(b, h[0], 10, 890), 0);
	assert_int_equal(b->size, 890);
	bench_recount(b);
	/* From the start there is a new one; it is another's turn. */
	assert_int_equal(bench_read(b, h[1], 0, 1000), 0);
	assert_int_equal(b->size, 899);
	assert_int_equal(bench_read(b, h[1], 10, 1000), 0);
	assert_int_equal(b->size, 889);
	assert_int_equal(bench_read(b, h[3], 10, 890), STORE_STALE);
	/* Nobody else's. */
	assert_int_equal(bench_read(b, bobs, 10, 1000), 0);
	assert_int_equal(b->size, 890);
	for (unsigned i = 0; i < 6; i++) {
		bench_release(b, h[i]);
		bench_recount(b);
	}
	bench_release(b, bobs);
	assert_int_equal(bench_stat(b, "limits", "users"), 0);
}

static void open_handles(struct bench *b)
{
	uint64_t h[3], more, ino;

	b->config.max_open = 3;
	bench_reopen(b);
	bench_set(b, ROOT_INO, "k", "v");
	ino = bench_ino(b, ROOT_INO, "k");
	assert_int_equal(bench_open_key(b, ino, O_RDONLY, &h[0]), 0);
	assert_int_equal(bench_create(b, ROOT_INO, "p", O_WRONLY, &h[1]), 0);
	assert_int_equal(bench_create(b, ROOT_INO, "x", O_WRONLY | O_EXCL, &h[2]), 0);
	assert_int_equal(bench_open_key(b, ino, O_RDONLY, &more), -EMFILE);
	assert_int_equal(bench_create(b, ROOT_INO, "q", O_WRONLY, &more), -EMFILE);
	assert_int_equal(bench_create(b, ROOT_INO, "p", O_WRONLY, &more), -EMFILE);
	assert_int_equal(bench_create(b, ROOT_INO, "y", O_WRONLY | O_EXCL, &more), -EMFILE);
	assert_int_equal(bench_ino(b, ROOT_INO, "y"), 0);
	assert_int_equal(bench_stat(b, "limits", "users"), 1);
	b->who = &BOB;
	assert_int_equal(bench_open_key(b, ino, O_RDONLY, &more), 0);
	bench_release(b, more);
	b->who = &ROOT;
	for (unsigned i = 0; i < 4; i++) {
		uint64_t of_root[4];

		assert_int_equal(bench_open_key(b, ino, O_RDONLY, &of_root[i]), 0);
		if (i == 3) {
			for (unsigned k = 0; k < 4; k++) {
				bench_release(b, of_root[k]);
			}
		}
	}
	b->who = &ALICE;
	bench_recount(b);
	/* What needs no handle goes on: removing, above all. */
	assert_int_equal(bench_mkdir(b, ROOT_INO, "d"), 0);
	assert_int_equal(bench_unlink(b, ROOT_INO, "k"), 0);
	bench_release(b, h[0]);
	assert_int_equal(bench_create(b, ROOT_INO, "y", O_WRONLY | O_EXCL, &h[0]), 0);
	for (unsigned i = 0; i < 3; i++) {
		bench_release(b, h[i]);
	}
	assert_int_equal(bench_stat(b, "limits", "users"), 0);
}

static int record(struct bench *b, uint64_t ino, enum store_lock_type type, uint64_t owner,
	uint64_t start, uint64_t end)
{
	struct store_lock l = {.kind = STORE_LOCK_RECORD, .type = type, .start = start, .end = end,
		.owner = owner, .handle = owner};
	struct answer a = {0};

	store_setlk(b->s, b->who, ino, &l, false, ANSWER(&a));
	return answer_wait(b, &a);
}

static void advisory_locks(struct bench *b)
{
	struct store_lock wait = {.kind = STORE_LOCK_RECORD, .type = STORE_LOCK_EXCLUSIVE,
		.start = 0, .end = 0, .owner = 2, .handle = 2};
	struct answer waiting = {0}, refused_one = {0}, bobs = {0};
	const enum store_lock_type x = STORE_LOCK_EXCLUSIVE;
	uint64_t ino;

	b->config.max_locks = 3;
	bench_reopen(b);
	bench_set(b, ROOT_INO, "k", "v");
	ino = bench_ino(b, ROOT_INO, "k");
	assert_int_equal(record(b, ino, x, 1, 0, 0), 0);
	assert_int_equal(record(b, ino, x, 1, 10, 20), 0);
	/* A request that waits is one. */
	assert_true(store_setlk(b->s, b->who, ino, &wait, true, ANSWER(&waiting)) != 0);
	assert_int_equal(record(b, ino, x, 1, 30, 30), -ENOLCK);
	wait.owner = wait.handle = 3;
	assert_int_equal(store_setlk(b->s, b->who, ino, &wait, true, ANSWER(&refused_one)), 0);
	assert_int_equal(refused_one.rc, -ENOLCK);
	/* What makes none more is allowed: joined, converted as a whole, given up. */
	assert_int_equal(record(b, ino, x, 1, 21, 25), 0);
	assert_int_equal(record(b, ino, STORE_LOCK_SHARED, 1, 10, 25), 0);
	assert_int_equal(record(b, ino, STORE_LOCK_EXCLUSIVE, 1, 12, 13), -ENOLCK);
	assert_int_equal(record(b, ino, STORE_UNLOCK, 1, 12, 13), -ENOLCK);
	assert_int_equal(record(b, ino, STORE_UNLOCK, 1, 24, 25), 0);
	/* Not in others' way. */
	b->who = &BOB;
	assert_int_equal(record(b, ino, x, 4, 100, 100), 0);
	wait.owner = wait.handle = 4;
	assert_true(store_setlk(b->s, b->who, ino, &wait, true, ANSWER(&bobs)) != 0);
	b->who = &ALICE;
	assert_int_equal(bench_stat(b, "limits", "users"), 2);
	/* It is given, and is still one. */
	assert_int_equal(record(b, ino, STORE_UNLOCK, 1, 0, 0), 0);
	assert_true(waiting.done && waiting.rc == 0);
	assert_int_equal(record(b, ino, x, 1, 30, 30), 0);
	assert_int_equal(record(b, ino, x, 1, 40, 40), -ENOLCK);
	assert_int_equal(record(b, ino, STORE_UNLOCK, 1, 0, UINT64_MAX), 0);
	store_drop_locks(b->s, ino, 2);
	assert_true(bobs.done && bobs.rc == 0);
	assert_int_equal(bench_stat(b, "limits", "users"), 1);
	store_drop_locks(b->s, ino, 4);
	assert_int_equal(bench_stat(b, "limits", "users"), 0);
	b->who = &ROOT;
	for (uint64_t i = 0; i < 10; i++) {
		assert_int_equal(record(b, ino, x, 1, 2 * i, 2 * i), 0);
	}
	store_drop_locks(b->s, ino, 1);
	b->who = &ALICE;
	assert_int_equal(bench_stat(b, NULL, "advisory_locks"), 0);
}

const struct test_case limit_cases[] = {
	{"namespace_bytes", namespace_bytes},
	{"names_that_move", names_that_move},
	{"hard_links", hard_links},
	{"order_of_links_is_kept", order_of_links_is_kept},
	{"attributes_count", attributes_count},
	{"attributes_have_an_end", attributes_have_an_end},
	{"expired_does_not_count", expired_does_not_count},
	{"exchange_counts_keys", exchange_counts_keys},
	{"whole_store", whole_store},
	{"smaller_than_what_is_there", smaller_than_what_is_there},
	{"staged_bytes", staged_bytes},
	{"values_that_stages_began_as", values_that_stages_began_as},
	{"values_that_are_kept", values_that_are_kept},
	{"open_handles", open_handles},
	{"advisory_locks", advisory_locks},
	{NULL, NULL},
};
