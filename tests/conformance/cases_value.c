/* SPDX-License-Identifier: MIT
 * Copyright (c) 2026 The cubbyfs authors */

/* Keys and their values: set, get, delete, list; what readers see. */
#include "cases.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

static void set_and_get(struct bench *b)
{
	assert_null(bench_get(b, ROOT_INO, "k"));
	assert_int_equal(bench_set(b, ROOT_INO, "k", "one"), 0);
	assert_string_equal(bench_get(b, ROOT_INO, "k"), "one");
	assert_int_equal(bench_set(b, ROOT_INO, "k", "2"), 0);
	assert_string_equal(bench_get(b, ROOT_INO, "k"), "2");
	assert_int_equal(bench_lookup(b, ROOT_INO, "k"), 0);
	assert_int_equal(b->st.st_size, 1);
	assert_int_equal(b->st.st_uid, 1000);
	assert_int_equal(b->st.st_mode, S_IFREG | 0644);
	assert_int_equal(b->st.st_nlink, 1);
	assert_true(b->lasts);
}

static void empty_value(struct bench *b)
{
	uint64_t h;

	assert_int_equal(bench_create(b, ROOT_INO, "k", O_WRONLY | O_TRUNC, &h), 0);
	assert_int_equal(bench_close_key(b, h), 0);
	assert_string_equal(bench_get(b, ROOT_INO, "k"), "");
	assert_int_equal(bench_set(b, ROOT_INO, "k", "full"), 0);
	assert_int_equal(bench_open_key(b, bench_ino(b, ROOT_INO, "k"), O_WRONLY | O_TRUNC, &h), 0);
	bench_release(b, h);
	assert_string_equal(bench_get(b, ROOT_INO, "k"), "");
}

static void any_bytes(struct bench *b)
{
	char all[512];
	uint64_t h;

	for (size_t i = 0; i < sizeof(all); i++) {
		all[i] = (char)(i * 7);
	}
	assert_int_equal(bench_set_bytes(b, ROOT_INO, "k", bytes_of(all, sizeof(all))), 0);
	assert_non_null(bench_get(b, ROOT_INO, "k"));
	assert_int_equal(b->size, sizeof(all));
	assert_memory_equal(b->text, all, sizeof(all));
	/* Names too: all bytes but / and NUL. */
	for (int c = 1; c < 256; c++) {
		char name[] = {'n', (char)c, 0};

		if (c != '/') {
			assert_int_equal(bench_set(b, ROOT_INO, name, name), 0);
			assert_string_equal(bench_get(b, ROOT_INO, name), name);
		}
	}
	assert_int_equal(bench_create(b, ROOT_INO, "a/b", O_WRONLY, &h), STORE_INVALID);
	assert_int_equal(bench_create(b, ROOT_INO, "", O_WRONLY, &h), STORE_INVALID);
	assert_int_equal(bench_create(b, ROOT_INO, "..", O_WRONLY, &h), STORE_INVALID);
}

static void long_names(struct bench *b)
{
	char name[258];
	uint64_t h;

	memset(name, 'x', sizeof(name));
	name[255] = 0;
	assert_int_equal(bench_set(b, ROOT_INO, name, "v"), 0);
	assert_string_equal(bench_get(b, ROOT_INO, name), "v");
	name[255] = 'x';
	name[256] = 0;
	assert_int_equal(bench_create(b, ROOT_INO, name, O_WRONLY, &h), STORE_NAME_TOO_LONG);
	assert_int_equal(bench_mkdir(b, ROOT_INO, name), STORE_NAME_TOO_LONG);
	assert_int_equal(bench_unlink(b, ROOT_INO, name), STORE_NAME_TOO_LONG);
	assert_int_equal(bench_lookup(b, ROOT_INO, name), STORE_NAME_TOO_LONG);
	assert_int_equal(bench_symlink(b, ROOT_INO, name, "t"), STORE_NAME_TOO_LONG);
	name[255] = 0;
	assert_int_equal(bench_rename(b, ROOT_INO, name, ROOT_INO, "short", 0), 0);
}

static void delete_and_list(struct bench *b)
{
	uint64_t ns = bench_namespace(b, ROOT_INO, "ns");

	assert_string_equal(bench_list(b, ns), "");
	for (char c = 'a'; c <= 'e'; c++) {
		assert_int_equal(bench_set(b, ns, (char[]){c, 0}, "v"), 0);
	}
	assert_string_equal(bench_list(b, ns), "a b c d e ");
	assert_int_equal(bench_unlink(b, ns, "c"), 0);
	assert_int_equal(bench_unlink(b, ns, "c"), STORE_NOT_FOUND);
	assert_null(bench_get(b, ns, "c"));
	assert_string_equal(bench_list(b, ns), "a b d e ");
	assert_int_equal(bench_set(b, ns, "c", "again"), 0);
	assert_string_equal(bench_list(b, ns), "a b c d e ");
	assert_int_equal(bench_unlink(b, ROOT_INO, "ns"), STORE_IS_DIRECTORY);
	assert_int_equal(bench_rmdir(b, ns, "a"), STORE_NOT_DIRECTORY);
}

static void set_if_absent(struct bench *b)
{
	uint64_t h, other;

	assert_int_equal(bench_create(b, ROOT_INO, "k", O_WRONLY | O_EXCL, &h), 0);
	/* It is there at once, and for everybody. */
	b->who = &BOB;
	assert_string_equal(bench_get(b, ROOT_INO, "k"), "");
	assert_int_equal(bench_create(b, ROOT_INO, "k", O_WRONLY | O_EXCL, &other), STORE_EXISTS);
	b->who = &ALICE;
	assert_int_equal(bench_write(b, h, "v", 0), 0);
	assert_int_equal(bench_close_key(b, h), 0);
	assert_string_equal(bench_get(b, ROOT_INO, "k"), "v");
	/* Without O_EXCL the name that has appeared is to be looked up. */
	assert_int_equal(bench_create(b, ROOT_INO, "k", O_WRONLY, &other), STORE_STALE);
}

static void open_what_cannot_be(struct bench *b)
{
	uint64_t ns = bench_namespace(b, ROOT_INO, "ns"), h;

	assert_int_equal(bench_open_key(b, ns, O_RDONLY, &h), STORE_IS_DIRECTORY);
	assert_int_equal(bench_open_key(b, 4711, O_RDONLY, &h), STORE_NOT_FOUND);
	assert_int_equal(bench_symlink(b, ROOT_INO, "l", "ns"), 0);
	assert_int_equal(bench_open_key(b, b->result.ino, O_RDONLY, &h), STORE_INVALID);
	assert_int_equal(bench_create(b, 4711, "k", O_WRONLY, &h), STORE_NOT_FOUND);
	assert_int_equal(bench_create(b, b->result.ino, "k", O_WRONLY, &h), STORE_NOT_DIRECTORY);
	assert_int_equal(bench_read(b, 4711, 0, 1), STORE_BAD_HANDLE);
	assert_int_equal(bench_write(b, 4711, "x", 0), STORE_BAD_HANDLE);
	assert_int_equal(bench_flush(b, 4711), STORE_BAD_HANDLE);
	assert_int_equal(bench_fsync(b, 4711), STORE_BAD_HANDLE);
	store_release(b->s, 4711);
	assert_int_equal(bench_set(b, ROOT_INO, "k", "v"), 0);
	assert_int_equal(bench_open_key(b, bench_ino(b, ROOT_INO, "k"), O_RDONLY, &h), 0);
	assert_int_equal(bench_write(b, h, "x", 0), STORE_BAD_HANDLE);
	assert_int_equal(store_allocate(b->s, b->who, h, 10), STORE_BAD_HANDLE);
	assert_int_equal(bench_close_key(b, h), 0);
	assert_string_equal(bench_get(b, ROOT_INO, "k"), "v");
}

/* --- what readers see ------------------------------------------------------- */

static void reader_polls_at_zero(struct bench *b)
{
	uint64_t h;

	bench_set(b, ROOT_INO, "k", "first");
	b->who = &BOB;
	assert_int_equal(bench_open_key(b, bench_ino(b, ROOT_INO, "k"), O_RDONLY, &h), 0);
	assert_int_equal(bench_read(b, h, 0, 100), 0);
	assert_string_equal(b->text, "first");
	b->who = &ALICE;
	bench_set(b, ROOT_INO, "k", "the second");
	b->who = &BOB;
	/* Until it reads from 0 it reads on in the old one. */
	bench_read(b, h, 2, 100);
	assert_string_equal(b->text, "rst");
	bench_read(b, h, 0, 100);
	assert_string_equal(b->text, "the second");
	bench_read(b, h, 4, 3);
	assert_string_equal(b->text, "sec");
	bench_read(b, h, 10, 3);
	assert_string_equal(b->text, "");
	bench_read(b, h, UINT64_MAX, 3);
	assert_string_equal(b->text, "");
	bench_release(b, h);
}

static void one_pass_is_never_mixed(struct bench *b)
{
	static char old[100000], fresh[120000];
	uint64_t h, at = 0;

	memset(old, 'o', sizeof(old));
	memset(fresh, 'n', sizeof(fresh));
	bench_set_bytes(b, ROOT_INO, "k", bytes_of(old, sizeof(old)));
	bench_open_key(b, bench_ino(b, ROOT_INO, "k"), O_RDONLY, &h);
	do {
		assert_int_equal(bench_read(b, h, at, 8192), 0);
		assert_memory_equal(b->text, old, b->size);
		at += b->size;
		if (at == 3 * 8192) {
			b->who = &BOB;
			bench_set_bytes(b, ROOT_INO, "k", bytes_of(fresh, sizeof(fresh)));
			b->who = &ALICE;
		}
		if (at == 5 * 8192) {
			bench_unlink(b, ROOT_INO, "k");
		}
	} while (b->size > 0);
	assert_int_equal(at, sizeof(old));
	/* From the start again: what it had when it went. */
	bench_read(b, h, 0, SIZE_MAX);
	assert_int_equal(b->size, sizeof(fresh));
	assert_memory_equal(b->text, fresh, b->size);
	bench_release(b, h);
}

static void reader_follows_appends(struct bench *b)
{
	uint64_t reader, writer, ino;

	bench_set(b, ROOT_INO, "log", "1\n");
	ino = bench_ino(b, ROOT_INO, "log");
	bench_open_key(b, ino, O_RDONLY, &reader);
	b->who = &BOB;
	bench_open_key(b, ino, O_WRONLY | O_APPEND, &writer);
	b->who = &ALICE;
	bench_read(b, reader, 0, 100);
	assert_string_equal(b->text, "1\n");
	for (int i = 2; i < 200; i++) {
		char line[20];

		snprintf(line, sizeof(line), "%d\n", i);
		b->who = &BOB;
		assert_int_equal(bench_append(b, writer, line), 0);
		b->who = &ALICE;
		assert_int_equal(bench_getattr(b, ino), 0);
		assert_int_equal(
			bench_read(b, reader, (uint64_t)b->st.st_size - strlen(line), 100), 0);
		assert_string_equal(b->text, line);
	}
	/* Once it is set anew, that is another value. */
	bench_set(b, ROOT_INO, "log", "x");
	bench_read(b, reader, 2, 4);
	assert_string_equal(b->text, "2\n3\n");
	b->who = &BOB;
	bench_close_key(b, writer);
	bench_release(b, reader);
}

static void append_adds_to_what_stands(struct bench *b)
{
	uint64_t one, two, ino;

	bench_set(b, ROOT_INO, "k", "a");
	ino = bench_ino(b, ROOT_INO, "k");
	bench_open_key(b, ino, O_WRONLY | O_APPEND, &one);
	b->who = &BOB;
	bench_open_key(b, ino, O_WRONLY | O_APPEND, &two);
	assert_int_equal(bench_append(b, two, "b"), 0);
	b->who = &ALICE;
	assert_int_equal(bench_append(b, one, "c"), 0);
	/* Each is there at once. */
	assert_string_equal(bench_get(b, ROOT_INO, "k"), "abc");
	bench_set(b, ROOT_INO, "k", "new");
	b->who = &BOB;
	assert_int_equal(bench_append(b, two, "er"), 0);
	assert_int_equal(bench_append(b, two, ""), 0);
	assert_string_equal(bench_get(b, ROOT_INO, "k"), "newer");
	bench_close_key(b, two);
	b->who = &ALICE;
	bench_close_key(b, one);
	assert_string_equal(bench_get(b, ROOT_INO, "k"), "newer");
}

static void append_makes_a_key(struct bench *b)
{
	uint64_t h;

	assert_int_equal(bench_create(b, ROOT_INO, "k", O_WRONLY | O_APPEND, &h), 0);
	b->who = &BOB;
	assert_int_equal(bench_lookup(b, ROOT_INO, "k"), STORE_NOT_FOUND);
	b->who = &ALICE;
	assert_int_equal(bench_append(b, h, "one\n"), 0);
	b->who = &BOB;
	assert_string_equal(bench_get(b, ROOT_INO, "k"), "one\n");
	b->who = &ALICE;
	assert_int_equal(bench_append(b, h, "two\n"), 0);
	assert_int_equal(bench_close_key(b, h), 0);
	assert_string_equal(bench_get(b, ROOT_INO, "k"), "one\ntwo\n");
}

static void append_after_truncation(struct bench *b)
{
	uint64_t h;

	bench_set(b, ROOT_INO, "k", "old");
	bench_open_key(b, bench_ino(b, ROOT_INO, "k"), O_WRONLY | O_APPEND | O_TRUNC, &h);
	assert_int_equal(bench_append(b, h, "fresh"), 0);
	assert_string_equal(bench_get(b, ROOT_INO, "k"), "fresh");
	assert_int_equal(bench_append(b, h, "er"), 0);
	bench_close_key(b, h);
	assert_string_equal(bench_get(b, ROOT_INO, "k"), "fresher");
}

static void unlinked_while_open(struct bench *b)
{
	uint64_t h, ino, revision;

	bench_set(b, ROOT_INO, "k", "kept");
	ino = bench_ino(b, ROOT_INO, "k");
	bench_open_key(b, ino, O_RDWR, &h);
	assert_int_equal(bench_unlink(b, ROOT_INO, "k"), 0);
	revision = bench_revision(b);
	assert_int_equal(bench_read(b, h, 0, 100), 0);
	assert_string_equal(b->text, "kept");
	assert_int_equal(bench_getattr(b, ino), 0);
	assert_int_equal(b->st.st_nlink, 0);
	/* It can be written, and nobody else ever knows. */
	assert_int_equal(bench_write(b, h, "more than that", 0), 0);
	assert_int_equal(bench_flush(b, h), 0);
	assert_int_equal(bench_read(b, h, 0, 100), 0);
	assert_string_equal(b->text, "more than that");
	assert_int_equal(bench_append(b, h, "!"), 0);
	assert_int_equal(bench_fsync(b, h), 0);
	bench_read(b, h, 0, 100);
	assert_string_equal(b->text, "more than that!");
	assert_int_equal(bench_truncate(b, ino, 4), 0);
	assert_int_equal(bench_setxattr(b, ino, "user.x", "y"), 0);
	assert_int_equal(bench_link(b, ino, ROOT_INO, "again"), STORE_NOT_FOUND);
	if (b->kind != BENCH_LATE) {
		assert_int_equal(bench_revision(b), revision);
	}
	/* The name is free. */
	bench_set(b, ROOT_INO, "k", "another");
	bench_read(b, h, 0, 100);
	assert_string_equal(b->text, "more");
	bench_close_key(b, h);
	assert_int_equal(bench_getattr(b, ino), STORE_NOT_FOUND);
	assert_string_equal(bench_get(b, ROOT_INO, "k"), "another");
}

static void many_handles(struct bench *b)
{
	static uint64_t handles[5000];
	uint64_t ino, h;

	bench_set(b, ROOT_INO, "k", "v0");
	ino = bench_ino(b, ROOT_INO, "k");
	for (int i = 0; i < 5000; i++) {
		assert_int_equal(
			bench_open_key(b, ino, i % 10 ? O_RDONLY : O_RDWR, &handles[i]), 0);
		if (i % 500 == 0) {
			char value[20];

			snprintf(value, sizeof(value), "v%d", i);
			b->who = &BOB;
			bench_set(b, ROOT_INO, "k", value);
			b->who = &ALICE;
		}
		bench_read(b, handles[i], 0, 10);
	}
	assert_int_equal(bench_stat(b, NULL, "open_handles"), 5000);
	b->who = &BOB;
	bench_set(b, ROOT_INO, "k", "v9999");
	b->who = &ALICE;
	for (int i = 4999; i >= 0; i--) {
		char value[20];

		/* What may write has jumped, and must not write over what is old. */
		snprintf(value, sizeof(value), "%d", i % 10 ? i - i % 500 : 9999);
		assert_int_equal(bench_read(b, handles[i], 1, 10), 0);
		assert_string_equal(b->text, value);
		bench_release(b, handles[i]);
	}
	/* Numbers are not given out twice. */
	bench_open_key(b, ino, O_RDONLY, &h);
	assert_true(h > handles[4999]);
	bench_release(b, h);
}

const struct test_case value_cases[] = {
	{"set_and_get", set_and_get},
	{"empty_value", empty_value},
	{"any_bytes", any_bytes},
	{"long_names", long_names},
	{"delete_and_list", delete_and_list},
	{"set_if_absent", set_if_absent},
	{"open_what_cannot_be", open_what_cannot_be},
	{"reader_polls_at_zero", reader_polls_at_zero},
	{"one_pass_is_never_mixed", one_pass_is_never_mixed},
	{"reader_follows_appends", reader_follows_appends},
	{"append_adds_to_what_stands", append_adds_to_what_stands},
	{"append_makes_a_key", append_makes_a_key},
	{"append_after_truncation", append_after_truncation},
	{"unlinked_while_open", unlinked_while_open},
	{"many_handles", many_handles},
	{NULL, NULL},
};
