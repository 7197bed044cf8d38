/* SPDX-License-Identifier: MIT
 * Copyright (c) 2026 The cubbyfs authors */

/* Attributes, extended attributes, policies, revisions. */
#include "cases.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/xattr.h>

static uint64_t key(struct bench *b, const char *name, const char *value)
{
	assert_int_equal(bench_set(b, ROOT_INO, name, value), 0);
	return bench_ino(b, ROOT_INO, name);
}

static uint64_t revision_of(struct bench *b, uint64_t ino)
{
	return strtoull(bench_xattr(b, ino, "user.cubby.revision"), NULL, 10);
}

/* --- stat ------------------------------------------------------------------ */

static void setattr_flags(struct bench *b)
{
	struct stat attr = {
		.st_mode = S_IFDIR | 07640, /* the type is not for it to set */
		.st_uid = 5,
		.st_gid = 6,
		.st_atim = {-5, 999999999},
		.st_mtim = {4102444800, 1},
	};
	uint64_t ino = key(b, "k", "value");
	int64_t now;

	bench_advance(b, 5 * SECOND);
	now = b->clock.wall;
	assert_int_equal(bench_setattr(b, ino, 0, &attr, STORE_SET_MODE), 0);
	assert_int_equal(b->result.stat.st_mode, S_IFREG | 07640);
	assert_int_equal(b->result.stat.st_ctim.tv_sec, now / SECOND);
	assert_int_equal(bench_setattr(b, ino, 0, &attr, STORE_SET_UID), 0);
	assert_int_equal(b->result.stat.st_uid, 5);
	assert_int_equal(b->result.stat.st_gid, 1000);
	assert_int_equal(bench_setattr(b, ino, 0, &attr, STORE_SET_GID), 0);
	assert_int_equal(b->result.stat.st_uid, 5);
	assert_int_equal(b->result.stat.st_gid, 6);
	assert_int_equal(bench_setattr(b, ino, 0, &attr, STORE_SET_ATIME), 0);
	assert_int_equal(b->result.stat.st_atim.tv_sec, -5);
	assert_int_equal(b->result.stat.st_atim.tv_nsec, 999999999);
	assert_int_equal(b->result.stat.st_mtim.tv_sec, now / SECOND - 5);
	assert_int_equal(bench_setattr(b, ino, 0, &attr, STORE_SET_MTIME), 0);
	assert_int_equal(b->result.stat.st_mtim.tv_sec, 4102444800);
	assert_int_equal(
		bench_setattr(b, ino, 0, &attr, STORE_SET_MTIME_NOW | STORE_SET_ATIME_NOW), 0);
	assert_int_equal(b->result.stat.st_mtim.tv_sec, now / SECOND);
	assert_int_equal(b->result.stat.st_atim.tv_sec, now / SECOND);
	assert_string_equal(bench_get(b, ROOT_INO, "k"), "value");
	/* Times that 64 bits of nanoseconds do not hold: as near as can be. */
	attr.st_mtim.tv_sec = INT64_MAX;
	attr.st_atim.tv_sec = INT64_MIN;
	assert_int_equal(bench_setattr(b, ino, 0, &attr, STORE_SET_MTIME | STORE_SET_ATIME), 0);
	assert_int_equal(b->result.stat.st_mtim.tv_sec, 9223372036);
	assert_int_equal(b->result.stat.st_atim.tv_sec, -9223372037);
	assert_int_equal(bench_setattr(b, ino, 0, &attr, 0), 0);
	assert_int_equal(bench_setattr(b, ROOT_INO, 0, &attr, STORE_SET_SIZE), STORE_IS_DIRECTORY);
	assert_int_equal(bench_setattr(b, 4711, 0, &attr, STORE_SET_MODE), STORE_NOT_FOUND);
	assert_int_equal(bench_setattr(b, ino, 4711, &attr, STORE_SET_MODE), STORE_BAD_HANDLE);
	bench_symlink(b, ROOT_INO, "l", "k");
	assert_int_equal(bench_setattr(b, b->result.ino, 0, &attr, STORE_SET_SIZE), STORE_INVALID);
	assert_int_equal(bench_setattr(b, b->result.ino, 0, &attr, STORE_SET_MTIME_NOW), 0);
	/* All at once is one revision. */
	late.noise = 0;
	{
		uint64_t before = bench_revision(b);

		attr.st_size = 2;
		attr.st_mtim = (struct timespec){77, 7};
		assert_int_equal(bench_setattr(b, ino, 0, &attr,
					 STORE_SET_MODE | STORE_SET_UID | STORE_SET_GID |
						 STORE_SET_SIZE | STORE_SET_MTIME),
			0);
		assert_int_equal(bench_revision(b), before + 1);
	}
	assert_int_equal(b->result.stat.st_mtim.tv_sec, 77);
	assert_string_equal(bench_get(b, ROOT_INO, "k"), "va");
}

static void root_attributes(struct bench *b)
{
	const struct stat attr = {.st_mode = 01777, .st_uid = 3, .st_gid = 4};

	assert_int_equal(bench_getattr(b, ROOT_INO), 0);
	assert_int_equal(b->st.st_mode, S_IFDIR | 0777);
	assert_int_equal(
		bench_setattr(b, ROOT_INO, 0, &attr,
			STORE_SET_MODE | STORE_SET_UID | STORE_SET_GID | STORE_SET_MTIME_NOW),
		0);
	assert_int_equal(bench_setxattr(b, ROOT_INO, "user.x", "on the root"), 0);
	bench_getattr(b, ROOT_INO);
	assert_int_equal(b->st.st_mode, S_IFDIR | 01777);
	assert_int_equal(b->st.st_uid, 3);
	assert_string_equal(bench_xattr(b, ROOT_INO, "user.x"), "on the root");
}

/* The root of a store is made once: whoever opens it later changes nothing. */
static void root_is_kept(struct bench *b)
{
	char *before;

	if (!bench_is_durable(b)) {
		return;
	}
	before = bench_dump(b);
	b->config.uid = 12;
	b->config.gid = 13;
	b->config.mode = 0700;
	bench_close(b);
	bench_advance(b, 1000 * SECOND);
	bench_open(b);
	{
		char *after = bench_dump(b);

		bench_same(before, after);
		free(after);
	}
	free(before);
}

static void set_id_is_cleared(struct bench *b)
{
	struct stat attr = {.st_mode = 06755};
	uint64_t ino = key(b, "k", "v"), h;

	bench_setattr(b, ino, 0, &attr, STORE_SET_MODE);
	/* By a write of anybody but root. */
	b->who = &ROOT;
	bench_set(b, ROOT_INO, "k", "w");
	bench_getattr(b, ino);
	assert_int_equal(b->st.st_mode, S_IFREG | 06755);
	b->who = &ALICE;
	bench_set(b, ROOT_INO, "k", "w");
	bench_getattr(b, ino);
	assert_int_equal(b->st.st_mode, S_IFREG | 0755);
	/* Set-gid without x for the group is another thing. */
	attr.st_mode = 06744;
	bench_setattr(b, ino, 0, &attr, STORE_SET_MODE);
	bench_truncate(b, ino, 0);
	bench_getattr(b, ino);
	assert_int_equal(b->st.st_mode, S_IFREG | 02744);
	/* Of a write by one who is not in the group it does not survive. */
	b->who = &BOB;
	bench_truncate(b, ino, 0);
	bench_getattr(b, ino);
	assert_int_equal(b->st.st_mode, S_IFREG | 0744);
	b->who = &ALICE;
	bench_setattr(b, ino, 0, &attr, STORE_SET_MODE);
	b->who = &BOB;
	/* truncate(2), as it comes with a mode that the kernel has worked out. */
	attr.st_mode = 02744;
	attr.st_size = 0;
	assert_int_equal(
		bench_setattr(b, ino, 0, &attr, STORE_SET_MODE | STORE_SET_SIZE), 0);
	assert_int_equal(b->result.stat.st_mode, S_IFREG | 0744);
	b->who = &ALICE;
	attr.st_mode = 06755;
	bench_setattr(b, ino, 0, &attr, STORE_SET_MODE);
	bench_open_key(b, ino, O_WRONLY | O_APPEND, &h);
	bench_append(b, h, "x");
	bench_close_key(b, h);
	bench_getattr(b, ino);
	assert_int_equal(b->st.st_mode, S_IFREG | 0755);
	/* By a change of owner, whoever makes it. */
	bench_setattr(b, ino, 0, &attr, STORE_SET_MODE);
	b->who = &ROOT;
	assert_int_equal(bench_setattr(b, ino, 0, &attr, STORE_SET_UID), 0);
	assert_int_equal(b->result.stat.st_mode, S_IFREG | 0755);
	bench_mkdir(b, ROOT_INO, "d");
	ino = b->result.ino;
	bench_setattr(b, ino, 0, &attr, STORE_SET_MODE);
	bench_setattr(b, ino, 0, &attr, STORE_SET_GID);
	assert_int_equal(b->result.stat.st_mode, S_IFDIR | 06755);
}

/* --- revisions ------------------------------------------------------------------- */

static void one_commit_one_revision(struct bench *b)
{
	uint64_t r, ino, h;

	late.noise = 0;
	r = bench_revision(b);
#define ONE(call)                                                                                  \
	do {                                                                                       \
		assert_int_equal(call, 0);                                                         \
		assert_int_equal(bench_revision(b), ++r);                                          \
	} while (0)
#define NONE(call, rc)                                                                             \
	do {                                                                                       \
		assert_int_equal(call, rc);                                                        \
		assert_int_equal(bench_revision(b), r);                                            \
	} while (0)
	ONE(bench_mkdir(b, ROOT_INO, "ns"));
	ONE(bench_set(b, ROOT_INO, "k", "v"));
	ino = bench_ino(b, ROOT_INO, "k");
	assert_int_equal(revision_of(b, ino), r);
	assert_int_equal(revision_of(b, ROOT_INO), r);
	ONE(bench_set(b, ROOT_INO, "k", "v"));
	assert_int_equal(revision_of(b, ino), r);
	assert_int_equal(revision_of(b, ROOT_INO), r - 1);
	ONE(bench_setxattr(b, ino, "user.a", "b"));
	ONE(bench_setxattr(b, ino, "user.cubby.ttl", "100"));
	ONE(bench_link(b, ino, ROOT_INO, "l"));
	ONE(bench_rename(b, ROOT_INO, "l", ROOT_INO, "m", 0));
	ONE(bench_rename(b, ROOT_INO, "m", ROOT_INO, "ns", RENAME_EXCHANGE));
	ONE(bench_unlink(b, ROOT_INO, "ns"));
	ONE(bench_rmdir(b, ROOT_INO, "m"));
	ONE(bench_symlink(b, ROOT_INO, "s", "t"));
	ONE(bench_truncate(b, ino, 10));
	ONE(bench_create(b, ROOT_INO, "x", O_WRONLY | O_EXCL, &h));
	NONE(bench_close_key(b, h), 0);
	NONE(bench_mkdir(b, ROOT_INO, "x"), STORE_EXISTS);
	NONE(bench_unlink(b, ROOT_INO, "none"), STORE_NOT_FOUND);
	NONE(bench_rename(b, ROOT_INO, "x", ROOT_INO, "x", 0), 0);
	NONE(bench_setxattr(b, ino, "user.cubby.increment", "x"), STORE_INVALID);
#undef ONE
#undef NONE
}

static void version_counts_values(struct bench *b)
{
	uint64_t ino = key(b, "k", "1"), h;

	assert_string_equal(bench_xattr(b, ino, "user.cubby.version"), "1");
	bench_set(b, ROOT_INO, "k", "2");
	assert_string_equal(bench_xattr(b, ino, "user.cubby.version"), "2");
	bench_setxattr(b, ino, "user.cubby.increment", "1");
	assert_string_equal(bench_xattr(b, ino, "user.cubby.version"), "3");
	bench_open_key(b, ino, O_WRONLY | O_APPEND, &h);
	bench_append(b, h, "4");
	bench_append(b, h, "5");
	bench_close_key(b, h);
	assert_string_equal(bench_xattr(b, ino, "user.cubby.version"), "5");
	bench_setxattr(b, ino, "user.a", "b");
	bench_rename(b, ROOT_INO, "k", ROOT_INO, "l", 0);
	assert_string_equal(bench_xattr(b, ino, "user.cubby.version"), "5");
	bench_unlink(b, ROOT_INO, "l");
	assert_string_equal(bench_xattr(b, key(b, "l", "x"), "user.cubby.version"), "1");
}

static void times_as_text(struct bench *b)
{
	uint64_t ino;

	b->clock.wall = INT64_C(1795197000) * SECOND + 123456789;
	ino = key(b, "k", "v");
	assert_string_equal(
		bench_xattr(b, ino, "user.cubby.created"), "2026-11-20T17:50:00.123456Z");
	bench_advance(b, SECOND);
	bench_set(b, ROOT_INO, "k", "w");
	assert_string_equal(
		bench_xattr(b, ino, "user.cubby.created"), "2026-11-20T17:50:00.123456Z");
	assert_string_equal(
		bench_xattr(b, ino, "user.cubby.modified"), "2026-11-20T17:50:01.123456Z");
	bench_setxattr(b, ino, "user.cubby.ttl", "0.5");
	assert_string_equal(
		bench_xattr(b, ino, "user.cubby.expires"), "2026-11-20T17:50:01.623456Z");
	bench_advance(b, SECOND);
	bench_sweep(b);
}

/* --- operations on the value --------------------------------------------------------- */

static void increment(struct bench *b)
{
	uint64_t ino = key(b, "n", "41\n");

	assert_int_equal(bench_setxattr(b, ino, "user.cubby.increment", "1"), 0);
	assert_string_equal(bench_get(b, ROOT_INO, "n"), "42\n");
	assert_int_equal(bench_setxattr(b, ino, "user.cubby.increment", "-43"), 0);
	assert_string_equal(bench_get(b, ROOT_INO, "n"), "-1\n");
	assert_int_equal(bench_setxattr(b, ino, "user.cubby.increment", "9223372036854775807"), 0);
	assert_int_equal(bench_setxattr(b, ino, "user.cubby.increment", "2"), STORE_OUT_OF_RANGE);
	assert_string_equal(bench_get(b, ROOT_INO, "n"), "9223372036854775806\n");
	bench_set(b, ROOT_INO, "n", "text");
	assert_int_equal(bench_setxattr(b, ino, "user.cubby.increment", "1"), STORE_INVALID);
	assert_string_equal(bench_get(b, ROOT_INO, "n"), "text");
	bench_truncate(b, ino, 0);
	for (int i = 0; i < 100; i++) {
		b->who = i % 2 ? &ALICE : &BOB;
		assert_int_equal(bench_setxattr(b, ino, "user.cubby.increment", "1"), 0);
	}
	assert_string_equal(bench_get(b, ROOT_INO, "n"), "100");
	assert_int_equal(bench_getxattr(b, ino, "user.cubby.increment"), STORE_NO_ATTRIBUTE);
	assert_int_equal(bench_removexattr(b, ino, "user.cubby.increment"), STORE_DENIED);
	bench_mkdir(b, ROOT_INO, "d");
	assert_int_equal(
		bench_setxattr(b, b->result.ino, "user.cubby.increment", "1"), STORE_INVALID);
}

static void cas(struct bench *b)
{
	uint64_t ino = key(b, "k", "old");
	char text[60];

	late.noise = 0;
	snprintf(text, sizeof(text), "%ju:new: with colons", (uintmax_t)revision_of(b, ino));
	assert_int_equal(bench_setxattr(b, ino, "user.cubby.cas", text), 0);
	assert_string_equal(bench_get(b, ROOT_INO, "k"), "new: with colons");
	assert_int_equal(bench_setxattr(b, ino, "user.cubby.cas", text), STORE_CONFLICT);
	assert_int_equal(bench_setxattr(b, ino, "user.cubby.cas", "0:x"), STORE_CONFLICT);
	assert_int_equal(bench_setxattr(b, ino, "user.cubby.cas", "x:y"), STORE_INVALID);
	assert_int_equal(bench_setxattr(b, ino, "user.cubby.cas", "-1:y"), STORE_INVALID);
	assert_int_equal(bench_setxattr(b, ino, "user.cubby.cas", ":y"), STORE_INVALID);
	assert_int_equal(bench_setxattr(b, ino, "user.cubby.cas", ""), STORE_INVALID);
	snprintf(text, sizeof(text), "%ju", (uintmax_t)revision_of(b, ino));
	assert_int_equal(bench_setxattr(b, ino, "user.cubby.cas", text), STORE_INVALID);
	/* Any change moves the revision on, not only a value's. */
	snprintf(text, sizeof(text), "%ju:", (uintmax_t)revision_of(b, ino));
	bench_setxattr(b, ino, "user.a", "b");
	assert_int_equal(bench_setxattr(b, ino, "user.cubby.cas", text), STORE_CONFLICT);
	snprintf(text, sizeof(text), "%ju:", (uintmax_t)revision_of(b, ino));
	assert_int_equal(bench_setxattr(b, ino, "user.cubby.cas", text), 0);
	assert_string_equal(bench_get(b, ROOT_INO, "k"), "");
}

static void update(struct bench *b)
{
	uint64_t ino = key(b, "j", "{\"n\":1,\"a\":[1]}\n");

	assert_int_equal(bench_setxattr(b, ino, "user.cubby.update",
				 "[{\"type\":\"increment\",\"path\":\"n\",\"by\":4},"
				 "{\"type\":\"append\",\"path\":\"a\",\"value\":2},"
				 "{\"type\":\"set\",\"path\":[\"o\",\"x\"],\"value\":null}]"),
		0);
	assert_string_equal(
		bench_get(b, ROOT_INO, "j"), "{\"n\":5,\"a\":[1,2],\"o\":{\"x\":null}}\n");
	assert_string_equal(bench_xattr(b, ino, "user.cubby.version"), "2");
	/* All or none. */
	assert_int_equal(bench_setxattr(b, ino, "user.cubby.update",
				 "[{\"type\":\"increment\",\"path\":\"n\"},{\"type\":\"append\","
				 "\"path\":\"n\",\"value\":2}]"),
		STORE_INVALID);
	assert_string_equal(
		bench_get(b, ROOT_INO, "j"), "{\"n\":5,\"a\":[1,2],\"o\":{\"x\":null}}\n");
	bench_set(b, ROOT_INO, "j", "no json");
	assert_int_equal(bench_setxattr(b, ino, "user.cubby.update", "[]"), STORE_INVALID);
}

static void operations_obey_the_limit(struct bench *b)
{
	uint64_t ino;

	b->config.max_value = 20;
	bench_reopen(b);
	ino = key(b, "j", "{\"a\":1}");
	assert_int_equal(
		bench_setxattr(b, ino, "user.cubby.update",
			"[{\"type\":\"set\",\"path\":\"b\",\"value\":\"012345678901234567890\"}]"),
		STORE_TOO_LARGE);
	assert_int_equal(bench_setxattr(b, ino, "user.cubby.cas", "0:x"), STORE_CONFLICT);
	assert_string_equal(bench_get(b, ROOT_INO, "j"), "{\"a\":1}");
}

static void action(struct bench *b)
{
	char text[258];
	uint64_t ino = key(b, "k", "v");

	assert_int_equal(bench_getxattr(b, ino, "user.cubby.action"), STORE_NO_ATTRIBUTE);
	assert_int_equal(bench_setxattr(b, ino, "user.cubby.action", "deploy #5"), 0);
	assert_string_equal(bench_xattr(b, ino, "user.cubby.action"), "deploy #5");
	memset(text, 'a', sizeof(text));
	text[256] = 0;
	assert_int_equal(bench_setxattr(b, ino, "user.cubby.action", text), 0);
	text[256] = 'a';
	text[257] = 0;
	assert_int_equal(bench_setxattr(b, ino, "user.cubby.action", text), STORE_INVALID);
	/* It belongs to the last change of the value. */
	bench_set(b, ROOT_INO, "k", "w");
	assert_int_equal(bench_getxattr(b, ino, "user.cubby.action"), STORE_NO_ATTRIBUTE);
}

/* --- users' own ------------------------------------------------------------------------- */

static void own_attributes(struct bench *b)
{
	static char large[65536];
	uint64_t ino = key(b, "k", "v");
	struct buffer names = {0};

	assert_int_equal(bench_getxattr(b, ino, "user.a"), STORE_NO_ATTRIBUTE);
	assert_int_equal(
		bench_setxattr_flags(b, ino, "user.a", "1", XATTR_REPLACE), STORE_NO_ATTRIBUTE);
	assert_int_equal(bench_setxattr_flags(b, ino, "user.a", "1", XATTR_CREATE), 0);
	assert_int_equal(bench_setxattr_flags(b, ino, "user.a", "2", XATTR_CREATE), STORE_EXISTS);
	assert_int_equal(bench_setxattr_flags(b, ino, "user.a", "2", XATTR_REPLACE), 0);
	assert_string_equal(bench_xattr(b, ino, "user.a"), "2");
	assert_int_equal(bench_setxattr(b, ino, "user.empty", ""), 0);
	assert_int_equal(bench_getxattr(b, ino, "user.empty"), 0);
	assert_int_equal(b->size, 0);
	memset(large, 'l', sizeof(large) - 1);
	assert_int_equal(bench_setxattr(b, ino, "security.large", large), 0);
	assert_int_equal(bench_setxattr(b, ino, "trusted.t\xff", "x"), 0);
	assert_int_equal(bench_setxattr(b, ino, "system.posix_acl_access", "x"), STORE_UNSUPPORTED);
	assert_int_equal(store_listxattr(b->s, b->who, ino, &names), 0);
	assert_int_equal(names.size, strlen("user.a.user.empty.security.large.trusted.t.") + 1);
	assert_memory_equal(
		names.data, "user.a\0user.empty\0security.large\0trusted.t\xff", names.size);
	buffer_finish(&names);
	assert_int_equal(bench_removexattr(b, ino, "user.a"), 0);
	assert_int_equal(bench_removexattr(b, ino, "user.a"), STORE_NO_ATTRIBUTE);
	assert_null(bench_xattr(b, ino, "user.a"));
	/* On all kinds of nodes. */
	bench_mkdir(b, ROOT_INO, "d");
	assert_int_equal(bench_setxattr(b, b->result.ino, "user.a", "d"), 0);
	bench_symlink(b, ROOT_INO, "s", "t");
	assert_int_equal(bench_setxattr(b, b->result.ino, "trusted.a", "s"), 0);
	assert_int_equal(bench_setxattr(b, 4711, "user.a", "s"), STORE_NOT_FOUND);
	/* What is ours and means nothing. */
	assert_int_equal(bench_setxattr(b, ino, "user.cubby.nonsense", "x"), STORE_INVALID);
	assert_int_equal(bench_getxattr(b, ino, "user.cubby.nonsense"), STORE_NO_ATTRIBUTE);
	assert_int_equal(bench_setxattr(b, ino, "user.cubby.revision", "1"), STORE_DENIED);
	assert_int_equal(bench_setxattr(b, ino, "user.cubby.max_keys", "1"), STORE_INVALID);
}

/* --- policies ------------------------------------------------------------------------------ */

static void policy_values(struct bench *b)
{
	static const struct {
		const char *name, *good, *bad;
	} table[] = {
		{"default_ttl", "1.5", "-1"},
		{"lock_ttl", "30", "soon"},
		{"lock_suffix", ".lock", "a/b"},
		{"lock_keepalive", "1", "yes"},
		{"history", "10", "-3"},
		{"max_value", "1073741824", "1073741825"},
		{"max_keys", "0", "1.5"},
		{"max_bytes", "18446744073709551614", "18446744073709551615"},
	};
	uint64_t ns = bench_namespace(b, ROOT_INO, "ns");
	char name[60];

	for (size_t i = 0; i < sizeof(table) / sizeof(table[0]); i++) {
		snprintf(name, sizeof(name), "user.cubby.%s", table[i].name);
		assert_int_equal(bench_getxattr(b, ns, name), STORE_NO_ATTRIBUTE);
		assert_int_equal(bench_setxattr(b, ns, name, table[i].bad), STORE_INVALID);
		assert_int_equal(bench_setxattr(b, ns, name, ""), STORE_INVALID);
		assert_int_equal(bench_setxattr(b, ns, name, table[i].good), 0);
		assert_string_equal(bench_xattr(b, ns, name), table[i].good);
		assert_int_equal(bench_setxattr(b, ns, name, table[i].bad), STORE_INVALID);
		assert_string_equal(bench_xattr(b, ns, name), table[i].good);
		if (i % 2) {
			assert_int_equal(bench_removexattr(b, ns, name), 0);
			assert_int_equal(bench_removexattr(b, ns, name), STORE_NO_ATTRIBUTE);
		}
	}
}

static void max_value(struct bench *b)
{
	uint64_t ns = bench_namespace(b, ROOT_INO, "ns"), sub, h;
	char large[200] = {0};

	b->config.max_value = 100;
	sub = bench_namespace(b, ns, "sub");
	memset(large, 'x', 101);
	assert_int_equal(bench_setxattr(b, ns, "user.cubby.max_value", "4"), 0);
	assert_int_equal(bench_set(b, ns, "k", "four"), 0);
	assert_int_equal(bench_set(b, ns, "k", "fives"), STORE_TOO_LARGE);
	assert_string_equal(bench_get(b, ns, "k"), "four");
	bench_open_key(b, bench_ino(b, ns, "k"), O_WRONLY | O_APPEND, &h);
	assert_int_equal(bench_append(b, h, "s"), STORE_TOO_LARGE);
	bench_close_key(b, h);
	assert_int_equal(bench_truncate(b, bench_ino(b, ns, "k"), 5), STORE_TOO_LARGE);
	assert_int_equal(bench_set(b, sub, "k", "not in here"), 0);
	/* It may also be more than the store's. */
	assert_int_equal(bench_setxattr(b, ns, "user.cubby.max_value", "3000000"), 0);
	{
		char *huge = calloc(1, 2500000);

		assert_int_equal(bench_set_bytes(b, ns, "k", bytes_of(huge, 2500000)), 0);
		assert_int_equal(
			bench_set_bytes(b, sub, "k", bytes_of(huge, 2500000)), STORE_TOO_LARGE);
		free(huge);
	}
	assert_int_equal(bench_removexattr(b, ns, "user.cubby.max_value"), 0);
	assert_int_equal(bench_set(b, ns, "k", large), 0);
}

static void max_keys(struct bench *b)
{
	uint64_t ns = bench_namespace(b, ROOT_INO, "ns"), h, other;

	assert_int_equal(bench_setxattr(b, ns, "user.cubby.max_keys", "2"), 0);
	assert_int_equal(bench_set(b, ns, "a", "v"), 0);
	assert_int_equal(bench_create(b, ns, "b", O_WRONLY, &h), 0);
	assert_int_equal(bench_create(b, ns, "c", O_WRONLY, &other), 0);
	bench_write(b, h, "v", 0);
	bench_write(b, other, "v", 0);
	assert_int_equal(bench_close_key(b, h), 0);
	assert_int_equal(bench_close_key(b, other), STORE_TOO_MANY);
	assert_string_equal(bench_list(b, ns), "a b ");
	assert_int_equal(bench_create(b, ns, "c", O_WRONLY, &h), STORE_TOO_MANY);
	assert_int_equal(bench_create(b, ns, "c", O_WRONLY | O_EXCL, &h), STORE_TOO_MANY);
	assert_int_equal(bench_mknod(b, ns, "c", S_IFREG | 0600, 0), STORE_TOO_MANY);
	assert_int_equal(bench_link(b, bench_ino(b, ns, "a"), ns, "c"), STORE_TOO_MANY);
	bench_set(b, ROOT_INO, "c", "v");
	assert_int_equal(bench_rename(b, ROOT_INO, "c", ns, "c", 0), STORE_TOO_MANY);
	/* What adds no key is let be. */
	assert_int_equal(bench_set(b, ns, "a", "w"), 0);
	assert_int_equal(bench_rename(b, ns, "a", ns, "z", 0), 0);
	assert_int_equal(bench_rename(b, ROOT_INO, "c", ns, "z", 0), 0);
	assert_int_equal(bench_unlink(b, ns, "b"), 0);
	assert_int_equal(bench_set(b, ns, "c", "v"), 0);
	/* A key that has expired does not count, swept or not. */
	assert_int_equal(bench_setxattr(b, bench_ino(b, ns, "c"), "user.cubby.ttl", "1"), 0);
	bench_advance(b, SECOND);
	assert_int_equal(bench_set(b, ns, "d", "v"), 0);
	bench_sweep(b);
	assert_string_equal(bench_list(b, ns), "d z ");
}

/* A TTL, and the release of a lock, take a name away: who may not unlink it may not do
 * that either. To write to the key is enough for all the others. */
static void who_may_end_a_name(struct bench *b)
{
	static const struct {
		mode_t mode; /* of a namespace of alice's, with the group of bob */
		int alice, bob, carol, of_bobs; /* what it says; the last, of alice on bob's key */
	} rows[] = {
		{0777, 0, 0, 0, 0},
		{0775, 0, 0, -EACCES, 0},
		{0757, 0, -EACCES, 0, 0},
		{0577, -EACCES, 0, 0, -EACCES},
		{0677, -EACCES, 0, 0, -EACCES},
		{01777, 0, STORE_DENIED, STORE_DENIED, 0},
		{01755, 0, -EACCES, -EACCES, 0},
	};
	const struct store_caller carol = {.uid = 1002, .gid = 1002, .pid = 500};
	uint64_t ns = bench_namespace(b, ROOT_INO, "ns"), hers, his;
	struct stat attr = {.st_gid = BOB.gid, .st_uid = BOB.uid, .st_mode = 0666};

	assert_int_equal(bench_setattr(b, ns, 0, &attr, STORE_SET_GID), 0);
	bench_set(b, ns, "hers", "1");
	hers = bench_ino(b, ns, "hers");
	bench_set(b, ns, "his", "1");
	his = bench_ino(b, ns, "his");
	bench_setattr(b, his, 0, &attr, STORE_SET_UID);
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		attr.st_mode = rows[i].mode;
		assert_int_equal(bench_setattr(b, ns, 0, &attr, STORE_SET_MODE), 0);
		assert_int_equal(bench_setxattr(b, hers, "user.cubby.ttl", "9"), rows[i].alice);
		assert_int_equal(bench_setxattr(b, his, "user.cubby.ttl", "9"), rows[i].of_bobs);
		b->who = &BOB;
		assert_int_equal(bench_setxattr(b, hers, "user.cubby.ttl", "9"), rows[i].bob);
		assert_int_equal(bench_setxattr(b, hers, "user.cubby.increment", "1"), 0);
		b->who = &carol;
		assert_int_equal(bench_setxattr(b, hers, "user.cubby.ttl", "9"), rows[i].carol);
		assert_int_equal(bench_setxattr(b, hers, "user.cubby.action", "a"), 0);
		b->who = &ROOT;
		assert_int_equal(bench_setxattr(b, hers, "user.cubby.ttl", "9"), 0);
		b->who = &ALICE;
	}
	/* All of its names would end. */
	attr.st_mode = 01777;
	bench_setattr(b, ns, 0, &attr, STORE_SET_MODE);
	assert_int_equal(bench_link(b, his, ROOT_INO, "link"), 0);
	b->who = &carol;
	assert_int_equal(bench_setxattr(b, his, "user.cubby.ttl", "0"), STORE_DENIED);
	b->who = &ALICE;
	assert_int_equal(bench_setxattr(b, his, "user.cubby.ttl", "0"), 0);
	assert_null(bench_get(b, ROOT_INO, "link"));
}

const struct test_case attribute_cases[] = {
	{"who_may_end_a_name", who_may_end_a_name},
	{"setattr_flags", setattr_flags},
	{"root_attributes", root_attributes},
	{"root_is_kept", root_is_kept},
	{"set_id_is_cleared", set_id_is_cleared},
	{"one_commit_one_revision", one_commit_one_revision},
	{"version_counts_values", version_counts_values},
	{"times_as_text", times_as_text},
	{"increment", increment},
	{"cas", cas},
	{"update", update},
	{"operations_obey_the_limit", operations_obey_the_limit},
	{"action", action},
	{"own_attributes", own_attributes},
	{"policy_values", policy_values},
	{"max_value", max_value},
	{"max_keys", max_keys},
	{NULL, NULL},
};
