/* SPDX-License-Identifier: MIT
 * Copyright (c) 2026 The cubbyfs authors */

/* Names: made, renamed, linked, removed, listed. */
#include "cases.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/sysmacros.h>

static void kinds_of_nodes(struct bench *b)
{
	struct bytes target;

	assert_int_equal(bench_mknod(b, ROOT_INO, "fifo", S_IFIFO | 0600, 0), 0);
	assert_int_equal(bench_mknod(b, ROOT_INO, "socket", S_IFSOCK | 0600, 0), 0);
	assert_int_equal(bench_mknod(b, ROOT_INO, "char", S_IFCHR | 0666, makedev(1, 3)), 0);
	assert_int_equal(bench_mknod(b, ROOT_INO, "block", S_IFBLK | 0660, makedev(259, 70000)), 0);
	assert_int_equal(bench_mknod(b, ROOT_INO, "key", S_IFREG | 04755, 0), 0);
	assert_int_equal(bench_mknod(b, ROOT_INO, "plain", 0640, 0), 0);
	assert_int_equal(b->result.stat.st_mode, S_IFREG | 0640);
	assert_int_equal(bench_mknod(b, ROOT_INO, "link", S_IFLNK | 0777, 0), STORE_INVALID);
	assert_int_equal(bench_symlink(b, ROOT_INO, "link", "../some where/\xff"), 0);
	assert_int_equal(b->result.stat.st_mode, S_IFLNK | 0777);
	assert_int_equal(b->result.stat.st_size, 15);
	assert_int_equal(store_readlink(b->s, b->result.ino, &target), 0);
	assert_true(bytes_equal(target, bytes_of_string("../some where/\xff")));
	assert_int_equal(bench_lookup(b, ROOT_INO, "block"), 0);
	assert_int_equal(b->st.st_rdev, makedev(259, 70000));
	assert_int_equal(b->st.st_mode, S_IFBLK | 0660);
	assert_int_equal(bench_lookup(b, ROOT_INO, "key"), 0);
	assert_int_equal(b->st.st_mode, S_IFREG | 04755);
	assert_int_equal(store_readlink(b->s, b->st.st_ino, &target), STORE_INVALID);
	assert_int_equal(bench_mknod(b, ROOT_INO, "fifo", S_IFIFO | 0600, 0), STORE_EXISTS);
	assert_int_equal(bench_symlink(b, ROOT_INO, "fifo", "x"), STORE_EXISTS);
	assert_int_equal(bench_mkdir(b, ROOT_INO, "fifo"), STORE_EXISTS);
}

static void namespaces(struct bench *b)
{
	uint64_t a = bench_namespace(b, ROOT_INO, "a"), bb, parent;

	assert_int_equal(b->result.stat.st_nlink, 2);
	bb = bench_namespace(b, a, "b");
	bench_set(b, bb, "k", "deep");
	bench_lookup(b, ROOT_INO, "a");
	assert_int_equal(b->st.st_nlink, 3);
	assert_int_equal(store_parent(b->s, bb, &parent), 0);
	assert_int_equal(parent, a);
	assert_int_equal(store_parent(b->s, ROOT_INO, &parent), 0);
	assert_int_equal(parent, ROOT_INO);
	assert_int_equal(bench_rmdir(b, ROOT_INO, "a"), STORE_NOT_EMPTY);
	assert_int_equal(bench_rmdir(b, a, "b"), STORE_NOT_EMPTY);
	assert_int_equal(bench_unlink(b, bb, "k"), 0);
	assert_int_equal(bench_rmdir(b, a, "b"), 0);
	assert_int_equal(bench_rmdir(b, a, "b"), STORE_NOT_FOUND);
	bench_lookup(b, ROOT_INO, "a");
	assert_int_equal(b->st.st_nlink, 2);
	assert_int_equal(bench_rmdir(b, ROOT_INO, "a"), 0);
	assert_string_equal(bench_list(b, ROOT_INO), "");
	assert_int_equal(bench_mkdir(b, a, "c"), STORE_NOT_FOUND);
}

/* A directory that is still held when it goes. */
static void removed_namespace(struct bench *b)
{
	uint64_t a = bench_namespace(b, ROOT_INO, "a"), h;

	store_remember(b->s, a);
	assert_int_equal(bench_rmdir(b, ROOT_INO, "a"), 0);
	assert_int_equal(bench_mkdir(b, a, "x"), STORE_NOT_FOUND);
	assert_int_equal(bench_create(b, a, "x", O_WRONLY, &h), STORE_NOT_FOUND);
	assert_int_equal(bench_lookup(b, a, "x"), STORE_NOT_FOUND);
	bench_set(b, ROOT_INO, "k", "v");
	assert_int_equal(bench_rename(b, ROOT_INO, "k", a, "k", 0), STORE_NOT_FOUND);
	assert_string_equal(bench_get(b, ROOT_INO, "k"), "v");
	store_forget(b->s, a, 1);
}

static void rename_plain(struct bench *b)
{
	uint64_t ns = bench_namespace(b, ROOT_INO, "ns"), ino;

	bench_set(b, ROOT_INO, "a", "va");
	bench_set(b, ROOT_INO, "b", "vb");
	ino = bench_ino(b, ROOT_INO, "a");
	assert_int_equal(bench_rename(b, ROOT_INO, "a", ns, "c", 0), 0);
	assert_null(bench_get(b, ROOT_INO, "a"));
	assert_string_equal(bench_get(b, ns, "c"), "va");
	assert_int_equal(bench_ino(b, ns, "c"), ino);
	/* Over another. */
	assert_int_equal(bench_rename(b, ns, "c", ROOT_INO, "b", 0), 0);
	assert_string_equal(bench_get(b, ROOT_INO, "b"), "va");
	assert_string_equal(bench_list(b, ns), "");
	assert_string_equal(bench_list(b, ROOT_INO), "b ns ");
	assert_int_equal(bench_rename(b, ROOT_INO, "no", ns, "x", 0), STORE_NOT_FOUND);
	assert_int_equal(bench_rename(b, ROOT_INO, "b", ROOT_INO, "b", 0), 0);
	assert_string_equal(bench_get(b, ROOT_INO, "b"), "va");
	assert_int_equal(bench_rename(b, ROOT_INO, "b", 4711, "b", 0), STORE_NOT_FOUND);
	assert_int_equal(bench_rename(b, ROOT_INO, "b", ino, "b", 0), STORE_NOT_DIRECTORY);
	assert_int_equal(bench_rename(b, ROOT_INO, "b", ns, "", 0), STORE_INVALID);
	assert_int_equal(bench_rename(b, ROOT_INO, "b", ns, "x", 8), STORE_INVALID);
	assert_int_equal(
		bench_rename(b, ROOT_INO, "b", ns, "x", RENAME_NOREPLACE | RENAME_EXCHANGE),
		STORE_INVALID);
}

static void rename_namespaces(struct bench *b)
{
	uint64_t a = bench_namespace(b, ROOT_INO, "a"), c, d, parent;

	c = bench_namespace(b, a, "c");
	bench_set(b, c, "k", "v");
	d = bench_namespace(b, ROOT_INO, "d");
	bench_set(b, ROOT_INO, "f", "v");
	assert_int_equal(bench_rename(b, ROOT_INO, "a", c, "x", 0), STORE_INVALID);
	assert_int_equal(bench_rename(b, ROOT_INO, "a", a, "x", 0), STORE_INVALID);
	assert_int_equal(bench_rename(b, ROOT_INO, "d", ROOT_INO, "a", 0), STORE_NOT_EMPTY);
	assert_int_equal(bench_rename(b, ROOT_INO, "f", ROOT_INO, "d", 0), STORE_IS_DIRECTORY);
	assert_int_equal(bench_rename(b, ROOT_INO, "d", ROOT_INO, "f", 0), STORE_NOT_DIRECTORY);
	/* Over an empty one, and deeper. */
	assert_int_equal(bench_rename(b, ROOT_INO, "a", ROOT_INO, "d", 0), 0);
	assert_int_equal(bench_getattr(b, d), STORE_NOT_FOUND);
	assert_int_equal(bench_ino(b, ROOT_INO, "d"), a);
	d = bench_namespace(b, ROOT_INO, "e");
	assert_int_equal(bench_rename(b, ROOT_INO, "d", d, "sub", 0), 0);
	assert_string_equal(bench_get(b, c, "k"), "v");
	assert_int_equal(store_parent(b->s, a, &parent), 0);
	assert_int_equal(parent, d);
	bench_getattr(b, ROOT_INO);
	assert_int_equal(b->st.st_nlink, 3);
	bench_getattr(b, d);
	assert_int_equal(b->st.st_nlink, 3);
}

static void rename_noreplace(struct bench *b)
{
	bench_set(b, ROOT_INO, "a", "va");
	bench_set(b, ROOT_INO, "b", "vb");
	assert_int_equal(
		bench_rename(b, ROOT_INO, "a", ROOT_INO, "b", RENAME_NOREPLACE), STORE_EXISTS);
	assert_int_equal(
		bench_rename(b, ROOT_INO, "a", ROOT_INO, "a", RENAME_NOREPLACE), STORE_EXISTS);
	assert_string_equal(bench_get(b, ROOT_INO, "b"), "vb");
	assert_int_equal(bench_rename(b, ROOT_INO, "a", ROOT_INO, "c", RENAME_NOREPLACE), 0);
	assert_string_equal(bench_get(b, ROOT_INO, "c"), "va");
}

static void rename_exchange(struct bench *b)
{
	uint64_t ns = bench_namespace(b, ROOT_INO, "ns"), sub, a;

	sub = bench_namespace(b, ns, "sub");
	bench_set(b, ROOT_INO, "a", "va");
	bench_set(b, ns, "b", "vb");
	a = bench_ino(b, ROOT_INO, "a");
	bench_setxattr(b, a, "user.cubby.ttl", "50");
	assert_int_equal(bench_rename(b, ROOT_INO, "a", ns, "b", RENAME_EXCHANGE), 0);
	assert_string_equal(bench_get(b, ROOT_INO, "a"), "vb");
	assert_string_equal(bench_get(b, ns, "b"), "va");
	assert_int_equal(bench_ino(b, ns, "b"), a);
	/* The deadline goes with the key. */
	assert_string_equal(bench_xattr(b, a, "user.cubby.ttl"), "50.000000");
	assert_null(bench_xattr(b, bench_ino(b, ROOT_INO, "a"), "user.cubby.ttl"));
	assert_int_equal(
		bench_rename(b, ROOT_INO, "a", ns, "no", RENAME_EXCHANGE), STORE_NOT_FOUND);
	assert_int_equal(
		bench_rename(b, ROOT_INO, "no", ns, "b", RENAME_EXCHANGE), STORE_NOT_FOUND);
	/* A key with a namespace, in one place. */
	assert_int_equal(bench_rename(b, ns, "sub", ns, "b", RENAME_EXCHANGE), 0);
	assert_string_equal(bench_get(b, ns, "sub"), "va");
	assert_int_equal(bench_ino(b, ns, "b"), sub);
	/* Neither may be in the other. */
	assert_int_equal(
		bench_rename(b, ROOT_INO, "ns", ns, "sub", RENAME_EXCHANGE), STORE_INVALID);
	assert_int_equal(
		bench_rename(b, ns, "sub", ROOT_INO, "ns", RENAME_EXCHANGE), STORE_INVALID);
	/* Between namespaces: links are counted. */
	assert_int_equal(bench_rename(b, ns, "b", ROOT_INO, "a", RENAME_EXCHANGE), 0);
	assert_int_equal(bench_ino(b, ROOT_INO, "a"), sub);
	bench_getattr(b, ROOT_INO);
	assert_int_equal(b->st.st_nlink, 4);
	bench_getattr(b, ns);
	assert_int_equal(b->st.st_nlink, 2);
	assert_int_equal(bench_rename(b, ROOT_INO, "a", ROOT_INO, "a", RENAME_EXCHANGE), 0);
	/* A key that has another name within the namespace. */
	bench_link(b, a, bench_namespace(b, ROOT_INO, "d"), "link");
	assert_int_equal(bench_rename(b, ns, "sub", ROOT_INO, "d", RENAME_EXCHANGE), 0);
	assert_int_equal(bench_ino(b, ROOT_INO, "d"), a);
	assert_string_equal(bench_get(b, bench_ino(b, ns, "sub"), "link"), "va");
}

static void rename_over_an_open_key(struct bench *b)
{
	uint64_t h;

	bench_set(b, ROOT_INO, "a", "va");
	bench_set(b, ROOT_INO, "b", "vb");
	bench_open_key(b, bench_ino(b, ROOT_INO, "b"), O_RDWR, &h);
	bench_write(b, h, "lost", 0);
	assert_int_equal(bench_rename(b, ROOT_INO, "a", ROOT_INO, "b", 0), 0);
	assert_int_equal(bench_close_key(b, h), 0);
	assert_string_equal(bench_get(b, ROOT_INO, "b"), "va");
	/* A handle follows the key that is renamed. */
	bench_open_key(b, bench_ino(b, ROOT_INO, "b"), O_RDWR | O_TRUNC, &h);
	bench_write(b, h, "followed", 0);
	assert_int_equal(bench_rename(b, ROOT_INO, "b", ROOT_INO, "c", 0), 0);
	assert_int_equal(bench_close_key(b, h), 0);
	assert_string_equal(bench_get(b, ROOT_INO, "c"), "followed");
	assert_null(bench_get(b, ROOT_INO, "b"));
}

static void hard_links(struct bench *b)
{
	uint64_t ns = bench_namespace(b, ROOT_INO, "ns"), ino;

	bench_set(b, ROOT_INO, "a", "v");
	ino = bench_ino(b, ROOT_INO, "a");
	bench_advance(b, SECOND);
	assert_int_equal(bench_link(b, ino, ns, "b"), 0);
	assert_int_equal(b->result.ino, ino);
	assert_int_equal(b->result.stat.st_nlink, 2);
	assert_int_equal(b->result.stat.st_ctim.tv_sec, b->clock.wall / SECOND);
	assert_int_equal(b->result.stat.st_mtim.tv_sec, b->clock.wall / SECOND - 1);
	assert_int_equal(bench_link(b, ino, ns, "b"), STORE_EXISTS);
	assert_int_equal(bench_link(b, ns, ns, "d"), STORE_DENIED);
	assert_int_equal(bench_link(b, 4711, ns, "d"), STORE_NOT_FOUND);
	assert_int_equal(bench_link(b, ino, 4711, "d"), STORE_NOT_FOUND);
	bench_set(b, ns, "b", "w");
	assert_string_equal(bench_get(b, ROOT_INO, "a"), "w");
	/* Renaming one onto the other does nothing. */
	assert_int_equal(bench_rename(b, ROOT_INO, "a", ns, "b", 0), 0);
	assert_string_equal(bench_get(b, ROOT_INO, "a"), "w");
	assert_string_equal(bench_get(b, ns, "b"), "w");
	assert_int_equal(bench_unlink(b, ROOT_INO, "a"), 0);
	assert_string_equal(bench_get(b, ns, "b"), "w");
	bench_getattr(b, ino);
	assert_int_equal(b->st.st_nlink, 1);
	for (int i = 0; i < 20; i++) {
		char name[20];

		snprintf(name, sizeof(name), "l%d", i);
		assert_int_equal(bench_link(b, ino, i % 2 ? ns : ROOT_INO, name), 0);
	}
	bench_getattr(b, ino);
	assert_int_equal(b->st.st_nlink, 21);
	/* Links to symlinks and devices, too. */
	bench_symlink(b, ROOT_INO, "s", "t");
	assert_int_equal(bench_link(b, b->result.ino, ROOT_INO, "s2"), 0);
}

static void names_change_their_namespace(struct bench *b)
{
	uint64_t ns = bench_namespace(b, ROOT_INO, "ns");
	int64_t start = b->clock.wall / SECOND;

	bench_advance(b, SECOND);
	bench_set(b, ns, "k", "v");
	bench_getattr(b, ns);
	assert_int_equal(b->st.st_mtim.tv_sec, start + 1);
	assert_int_equal(b->st.st_ctim.tv_sec, start + 1);
	/* Another value is nothing to the namespace. */
	bench_advance(b, SECOND);
	bench_set(b, ns, "k", "w");
	bench_getattr(b, ns);
	assert_int_equal(b->st.st_mtim.tv_sec, start + 1);
	bench_advance(b, SECOND);
	bench_unlink(b, ns, "k");
	bench_getattr(b, ns);
	assert_int_equal(b->st.st_mtim.tv_sec, start + 3);
}

static void group_of_the_namespace(struct bench *b)
{
	const struct stat attr = {.st_mode = 02775, .st_gid = 55};
	uint64_t ns = bench_namespace(b, ROOT_INO, "ns"), h;

	assert_int_equal(bench_setattr(b, ns, 0, &attr, STORE_SET_MODE | STORE_SET_GID), 0);
	bench_mkdir(b, ns, "d");
	assert_int_equal(b->result.stat.st_gid, 55);
	assert_int_equal(b->result.stat.st_mode, S_IFDIR | 02755);
	bench_set(b, ns, "k", "v");
	bench_lookup(b, ns, "k");
	assert_int_equal(b->st.st_gid, 55);
	bench_create(b, ns, "e", O_WRONLY | O_EXCL, &h);
	assert_int_equal(b->result.stat.st_gid, 55);
	bench_close_key(b, h);
	bench_symlink(b, ns, "s", "t");
	assert_int_equal(b->result.stat.st_gid, 55);
}

/* --- references ------------------------------------------------------------------ */

static void references(struct bench *b)
{
	struct answer a = {0};
	uint64_t ino;

	store_mknod(b->s, b->who, ROOT_INO, "k", S_IFREG | 0600, 0, ANSWER(&a));
	assert_int_equal(answer_wait(b, &a), 0);
	ino = a.result.ino;
	assert_int_equal(store_lookup(b->s, b->who, ROOT_INO, "k", &b->st, &b->lasts), 0);
	store_remember(b->s, ino);
	bench_unlink(b, ROOT_INO, "k");
	/* Three are held; one more is not counted below none. */
	store_forget(b->s, ino, 2);
	assert_int_equal(bench_setxattr(b, ino, "user.a", "b"), 0);
	store_forget(b->s, ino, 1);
	assert_int_equal(bench_setxattr(b, ino, "user.a", "b"), STORE_NOT_FOUND);
	store_forget(b->s, ino, 1);
	/* Nodes that are held when the store is closed are no leak. */
	assert_int_equal(bench_set(b, ROOT_INO, "held", "v"), 0);
	store_lookup(b->s, b->who, ROOT_INO, "held", &b->st, &b->lasts);
	bench_unlink(b, ROOT_INO, "held");
}

/* --- listing ----------------------------------------------------------------------- */

struct page {
	struct names_seen {
		uint64_t cookie;
		char name[16];
	} items[40];
	size_t n, limit;
};

static bool take_page(void *arg, const struct store_name *name)
{
	struct page *p = arg;

	if (p->n == p->limit) {
		return false;
	}
	p->items[p->n].cookie = name->cookie;
	snprintf(p->items[p->n++].name, sizeof(p->items[0].name), "%.*s", (int)name->name.size,
		name->name.data);
	return true;
}

/* However names come and go between two pages: a name that was there all the
 * time is listed once, and none is listed twice under one cookie. */
static void listing_is_stable(struct bench *b)
{
	enum { NAMES = 400 };
	static unsigned seen[NAMES];
	static bool there[NAMES], stayed[NAMES];
	uint64_t ns = bench_namespace(b, ROOT_INO, "ns");
	uint64_t random = 20261120;
	char name[16];

	late.noise = 0;
	late.at_once = true;
	memset(there, 0, sizeof(there));
	for (int round = 0; round < 12; round++) {
		uint64_t cookie = 0;
		struct page p;

		memset(seen, 0, sizeof(seen));
		memcpy(stayed, there, sizeof(stayed));
		do {
			p.n = 0;
			p.limit = 1 + test_random(&random) % 39;
			assert_int_equal(store_readdir(b->s, b->who, ns, cookie, take_page, &p), 0);
			for (size_t i = 0; i < p.n; i++) {
				assert_true(p.items[i].cookie > cookie);
				cookie = p.items[i].cookie;
				seen[atoi(p.items[i].name + 1)]++;
			}
			for (unsigned k = test_random(&random) % 60; k > 0; k--) {
				unsigned i = test_random(&random) % NAMES;

				snprintf(name, sizeof(name), "n%u", i);
				if (there[i]) {
					assert_int_equal(bench_unlink(b, ns, name), 0);
					stayed[i] = false;
				} else {
					assert_int_equal(bench_mknod(b, ns, name, 0600, 0), 0);
				}
				there[i] = !there[i];
			}
		} while (p.n > 0);
		for (int i = 0; i < NAMES; i++) {
			if (stayed[i]) {
				assert_int_equal(seen[i], 1);
			}
		}
	}
	assert_int_equal(
		store_readdir(b->s, b->who, ns, UINT64_MAX >> 1, take_page, &(struct page){0}), 0);
	assert_int_equal(store_readdir(b->s, b->who, 4711, 0, take_page, &(struct page){0}),
		STORE_NOT_FOUND);
	bench_set(b, ROOT_INO, "k", "v");
	assert_int_equal(store_readdir(b->s, b->who, bench_ino(b, ROOT_INO, "k"), 0, take_page,
				 &(struct page){0}),
		STORE_NOT_DIRECTORY);
}

static void statfs_counts(struct bench *b)
{
	struct statvfs before, after;

	assert_int_equal(store_statfs(b->s, &before), 0);
	bench_set(b, ROOT_INO, "k", "v");
	bench_mkdir(b, ROOT_INO, "d");
	assert_int_equal(store_statfs(b->s, &after), 0);
	assert_int_equal(after.f_namemax, 255);
	assert_true(after.f_bsize > 0 && after.f_blocks > 0);
	assert_int_equal(after.f_files - after.f_ffree, before.f_files - before.f_ffree + 2);
}

static void paths_have_an_end(struct bench *b)
{
	char name[256];
	uint64_t at = ROOT_INO;
	int deep = 0;

	memset(name, 'd', 255);
	name[255] = 0;
	while (bench_mkdir(b, at, name) == 0) {
		at = b->result.ino;
		deep++;
	}
	assert_int_equal(deep, 16384 / 256);
	assert_int_equal(bench_mkdir(b, at, "d"), STORE_NAME_TOO_LONG);
	assert_int_equal(bench_symlink(b, at, "d", "x"), STORE_NAME_TOO_LONG);
	assert_int_equal(bench_set(b, at, "k", "v"), STORE_NAME_TOO_LONG);
	assert_int_equal(bench_set(b, ROOT_INO, "k", "v"), 0);
	assert_int_equal(bench_rename(b, ROOT_INO, "k", at, "k", 0), STORE_NAME_TOO_LONG);
	assert_int_equal(
		bench_link(b, bench_ino(b, ROOT_INO, "k"), at, "k"), STORE_NAME_TOO_LONG);
	assert_string_equal(bench_list(b, at), "");
	assert_string_equal(bench_get(b, ROOT_INO, "k"), "v");
}

/* Nor does a namespace take what is below it past that end. */
static void paths_that_are_moved(struct bench *b)
{
	char name[256];
	uint64_t half[2], at;

	memset(name, 'd', 255);
	name[255] = 0;
	for (int i = 0; i < 2; i++) {
		at = bench_namespace(b, ROOT_INO, i ? "b" : "a");
		half[i] = at;
		for (int n = 0; n < 40; n++) {
			assert_int_equal(bench_mkdir(b, at, name), 0);
			at = b->result.ino;
		}
	}
	assert_int_equal(bench_rename(b, ROOT_INO, "a", at, "a", 0), STORE_NAME_TOO_LONG);
	if (bench_is_durable(b)) {
		bench_reopen(b);
	}
	assert_int_equal(bench_rename(b, ROOT_INO, "a", at, "a", 0), STORE_NAME_TOO_LONG);
	/* Exchanged, either may be the one. */
	bench_mkdir(b, at, "x");
	assert_int_equal(
		bench_rename(b, ROOT_INO, "a", at, "x", RENAME_EXCHANGE), STORE_NAME_TOO_LONG);
	assert_int_equal(
		bench_rename(b, at, "x", ROOT_INO, "a", RENAME_EXCHANGE), STORE_NAME_TOO_LONG);
	/* What is short goes there, and what is emptied is short. */
	bench_set(b, half[0], "k", "v");
	assert_int_equal(bench_rename(b, half[0], "k", at, "k", 0), 0);
	for (int i = 0; i < 40; i++) {
		uint64_t parent = half[0], child = half[0];

		while (bench_lookup(b, child, name) == 0) {
			parent = child;
			child = b->st.st_ino;
		}
		assert_int_equal(bench_rmdir(b, parent, name), 0);
	}
	assert_int_equal(bench_rename(b, ROOT_INO, "a", at, "a", 0), 0);
}

const struct test_case name_cases[] = {
	{"paths_have_an_end", paths_have_an_end},
	{"paths_that_are_moved", paths_that_are_moved},
	{"kinds_of_nodes", kinds_of_nodes},
	{"namespaces", namespaces},
	{"removed_namespace", removed_namespace},
	{"rename_plain", rename_plain},
	{"rename_namespaces", rename_namespaces},
	{"rename_noreplace", rename_noreplace},
	{"rename_exchange", rename_exchange},
	{"rename_over_an_open_key", rename_over_an_open_key},
	{"hard_links", hard_links},
	{"names_change_their_namespace", names_change_their_namespace},
	{"group_of_the_namespace", group_of_the_namespace},
	{"references", references},
	{"listing_is_stable", listing_is_stable},
	{"statfs_counts", statfs_counts},
	{NULL, NULL},
};
