/* SPDX-License-Identifier: MIT
 * Copyright (c) 2026 The cubbyfs authors */

/* A journal whose files were damaged while nobody looked: it opens, uses every
 * whole line, and says what is missing. */
#include "base/bytes.h"
#include "base/log.h"
#include "journal_fixture.h"
#include "store/record.h"
#include "stride.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#define LINES 12

/* One thread damages and reads. */
#define STRIDE stride_of(7, 31)

/* A store of LINES revisions in a few files. */
static void build(struct fixture *f, uint64_t segment_size)
{
	char value[32];

	fixture_init(f);
	f->config.segment_size = segment_size;
	fixture_open(f);
	for (unsigned i = 1; i <= LINES; i++) {
		snprintf(value, sizeof(value), "{\"n\":%u}\n", i);
		assert_int_equal(fixture_put(f, i, value), 0);
	}
	fixture_restart(f);
}

/* A store like `f`, to be spoilt. */
static void clone(struct fixture *copy, struct fixture *f)
{
	*copy = (struct fixture){.disk = fault_disk_clone(f->disk), .config = f->config};
	copy->config.disk = fault_disk_of(copy->disk);
}

/* The bytes of a file, owned by the caller. */
static char *content(struct fixture *f, const char *path, size_t *size)
{
	const char *data = fault_disk_data(f->disk, path, size);
	char *copy = malloc(*size + 1);

	assert_non_null(data);
	memcpy(copy, data, *size);
	copy[*size] = 0;
	return copy;
}

/* The revision of the line that holds the byte; 0: none. */
static uint64_t revision_at(const char *data, size_t at)
{
	size_t start = at;

	if (data[at] == '\n') {
		return 0;
	}
	while (start > 0 && data[start - 1] != '\n') {
		start--;
	}
	return strncmp(data + start, "{\"rev\":", 7) == 0 ? strtoull(data + start + 7, NULL, 10)
							  : 0;
}

static unsigned lost(const struct fixture *f)
{
	unsigned n = 0;

	for (unsigned i = 1; i <= LINES; i++) {
		n += !f->seen[i];
	}
	return n;
}

/* Appends, opens again, and finds that nothing has changed but that. */
static void goes_on(struct fixture *f)
{
	struct fixture_state state = {0};
	uint64_t damaged = fixture_usage(f).damaged_lines;
	uint64_t missing = fixture_usage(f).missing_revisions;
	uint64_t revision = f->revision;

	assert_true(revision >= LINES - 3);
	assert_int_equal(fixture_put(f, 40, "more"), 0);
	fixture_state_copy(&state, &f->state);
	fixture_restart(f);
	fixture_open(f);
	assert_true(fixture_state_equal(&state, &f->state));
	assert_int_equal(f->revision, revision + 1);
	assert_int_equal(fixture_usage(f).damaged_lines, damaged);
	assert_int_equal(fixture_usage(f).missing_revisions, missing);
	assert_int_equal(fixture_usage(f).torn_bytes, 0);
	fixture_state_finish(&state);
}

/* As a crash leaves it: the end was not synced. */
static void forget_synced(struct fixture *f)
{
	struct disk *d = fault_disk_of(f->disk);

	assert_int_equal(d->ops->unlink(d, FIXTURE_STORE "/synced"), 0);
}

static void torn_at(struct fixture *base, const char *path, const char *data, size_t cut,
	size_t whole_end, unsigned whole)
{
	struct fixture f;
	size_t torn = cut > whole_end ? cut - whole_end : 0;

	clone(&f, base);
	forget_synced(&f);
	fault_disk_set_data(f.disk, path, data, cut);
	assert_int_equal(fixture_check(&f, NULL), torn > 0);
	fixture_open(&f);
	assert_int_equal(lost(&f), LINES - whole);
	assert_int_equal(f.revision, whole);
	assert_int_equal(fixture_usage(&f).torn_bytes, torn);
	assert_int_equal(fixture_usage(&f).damaged_lines, 0);
	assert_int_equal(fixture_usage(&f).missing_revisions, 0);
	goes_on(&f);
	/* Each line has its own newline again. */
	data = fault_disk_data(f.disk, path, &whole_end);
	assert_null(memmem(data, whole_end, "}{", 2));
	fixture_finish(&f);
}

static void torn_anywhere(void **state)
{
	struct fixture f;
	char path[256], *data;
	size_t size, start;

	(void)state;
	build(&f, 1 << 20);
	snprintf(path, sizeof(path), "%s", fixture_file(&f, ".log", 0));
	data = content(&f, path, &size);
	start = size;
	for (unsigned line = LINES; line > LINES - 3; line--) {
		size_t end = start - 1; /* where the line's text ends */

		for (start--; data[start - 1] != '\n'; start--) {
		}
		for (size_t cut = start + 1; cut <= end + 1; cut++) {
			bool whole = cut >= end;

			torn_at(&f, path, data, cut, whole ? end + 1 : start,
				whole ? line : line - 1);
		}
	}
	free(data);
	fixture_finish(&f);
}

/* One bad line in a store that was killed. What the lines after a sync say that it
 * covered is damage; past that it is what a power cut leaves, and the end. */
static void torn_or_damaged(void **state)
{
	for (unsigned line = 1; line <= LINES; line++) {
		const unsigned synced = 6; /* as the next line says */
		struct fixture f;
		char path[256], value[32], *data, *at;
		size_t size;

		(void)state;
		fixture_init(&f);
		fixture_open(&f);
		for (unsigned i = 1; i <= LINES; i++) {
			snprintf(value, sizeof(value), "{\"n\":%u}\n", i);
			assert_int_equal(fixture_put(&f, i, value), 0);
			if (i == synced) {
				assert_int_equal(fixture_sync(&f), 0);
			}
		}
		fault_disk_kill(f.disk, 1);
		fixture_restart(&f);
		snprintf(path, sizeof(path), "%s", fixture_file(&f, ".log", 0));
		data = content(&f, path, &size);
		snprintf(value, sizeof(value), "{\"rev\":%u,", line);
		at = strstr(data, value);
		assert_non_null(at);
		at[20] ^= 1;
		fault_disk_set_data(f.disk, path, data, size);
		free(data);
		/* It, and the revision; or the end, in one piece. */
		assert_int_equal(fixture_check(&f, NULL), line <= synced ? 2 : 1);
		fixture_open(&f);
		if (line <= synced) {
			assert_int_equal(lost(&f), 1);
			assert_int_equal(fixture_usage(&f).damaged_lines, 1);
			assert_int_equal(fixture_usage(&f).torn_bytes, 0);
			assert_int_equal(f.revision, LINES);
		} else {
			assert_int_equal(lost(&f), LINES - line + 1);
			assert_int_equal(fixture_usage(&f).damaged_lines, 0);
			assert_int_equal(fixture_usage(&f).missing_revisions, 0);
			assert_true(fixture_usage(&f).torn_bytes > 0);
			assert_int_equal(f.revision, line - 1);
		}
		assert_int_equal(fixture_put(&f, 40, "more"), 0);
		fixture_restart(&f);
		fixture_open(&f);
		assert_int_equal(f.revision, (line <= synced ? LINES : line - 1) + 1);
		assert_int_equal(fixture_usage(&f).torn_bytes, 0);
		fixture_finish(&f);
	}
}

/* A header that is torn, or not there at all. */
static void torn_header(void **state)
{
	struct fixture f;

	(void)state;
	build(&f, 1 << 20);
	for (size_t cut = 0; cut < 60; cut++) {
		struct fixture c;
		char path[256], *data;
		size_t size;

		clone(&c, &f);
		fixture_open(&c);
		assert_int_equal(fixture_compact(&c, NULL), 0);
		fixture_restart(&c);
		snprintf(path, sizeof(path), "%s", fixture_file(&c, ".log", 0));
		data = content(&c, path, &size);
		fault_disk_set_data(c.disk, path, data, cut);
		free(data);
		fixture_open(&c);
		assert_int_equal(c.revision, LINES);
		assert_int_equal(fixture_usage(&c).torn_bytes, cut);
		goes_on(&c);
		assert_int_equal(fixture_check(&c, NULL), 0);
		fixture_finish(&c);
	}
	fixture_finish(&f);
}

static void flip(
	struct fixture *base, const char *path, const char *data, size_t size, size_t at, int bit)
{
	struct fixture f;
	struct backend_usage u;
	uint64_t revision = revision_at(data, at);
	char *spoilt = malloc(size);

	memcpy(spoilt, data, size);
	spoilt[at] ^= (char)(1 << bit);
	clone(&f, base);
	fault_disk_set_data(f.disk, path, spoilt, size);
	free(spoilt);
	assert_int_not_equal(fixture_check(&f, NULL), 0);
	fixture_open(&f);
	u = fixture_usage(&f);
	if (!(u.torn_bytes > 0 || (u.damaged_lines == 1 && u.damaged_bytes > 0))) {
		print_error("%s at %zu bit %d: %d damaged lines, %d bytes\n", path, at, bit,
			(int)u.damaged_lines, (int)u.damaged_bytes);
	}
	for (unsigned i = 1; i <= LINES; i++) {
		assert_int_equal(f.seen[i], i != revision);
	}
	assert_int_equal(u.missing_revisions, revision != 0);
	assert_true(u.torn_bytes > 0 || (u.damaged_lines == 1 && u.damaged_bytes > 0));
	assert_true(u.torn_bytes + u.damaged_bytes < 300);
	assert_int_equal(f.revision, LINES);
	goes_on(&f);
	fixture_finish(&f);
}

static void flipped_bits(void **state)
{
	struct fixture f;
	unsigned places = 0, stride = STRIDE;

	(void)state;
	build(&f, 700);
	assert_true(fixture_count(&f, ".log") >= 3);
	for (unsigned n = 0; n < fixture_count(&f, ".log"); n++) {
		char path[256], *data;
		size_t size;

		snprintf(path, sizeof(path), "%s", fixture_file(&f, ".log", n));
		data = content(&f, path, &size);
		for (size_t at = 0; at < size; at++) {
			/* All bits of the newlines, and of each line's first
			 * bytes; elsewhere one of them. */
			bool all = data[at] == '\n' || at == 0 || data[at - 1] == '\n';

			for (int bit = 0; bit < 8; bit++) {
				if ((all || bit == (int)(at % 8)) && places++ % stride == 0) {
					flip(&f, path, data, size, at, bit);
				}
			}
		}
		free(data);
	}
	fixture_finish(&f);
}

static void flipped_bits_in_snapshots(void **state)
{
	struct fixture f;
	char path[256], *data;
	size_t size;

	(void)state;
	build(&f, 1 << 20);
	fixture_open(&f);
	assert_int_equal(fixture_compact(&f, NULL), 0);
	fixture_restart(&f);
	snprintf(path, sizeof(path), "%s", fixture_file(&f, ".snap", 0));
	data = content(&f, path, &size);
	for (size_t at = 0; at < size; at += STRIDE) {
		struct fixture c;
		char *spoilt = malloc(size);
		bool in_line = revision_at(data, at) != 0;

		memcpy(spoilt, data, size);
		spoilt[at] ^= (char)(1 << at % 8);
		clone(&c, &f);
		fault_disk_set_data(c.disk, path, spoilt, size);
		free(spoilt);
		assert_int_not_equal(fixture_check(&c, NULL), 0);
		fixture_open(&c);
		if ((int)c.replayed != LINES - in_line || fixture_usage(&c).damaged_lines != 1) {
			print_error("%s at %zu: %u, %d damaged lines\n", path, at, c.replayed,
				(int)fixture_usage(&c).damaged_lines);
		}
		assert_int_equal(c.replayed, LINES - in_line);
		assert_int_equal(c.revision, LINES);
		assert_int_equal(fixture_usage(&c).damaged_lines, 1);
		goes_on(&c);
		/* Compaction heals. */
		assert_int_equal(fixture_compact(&c, NULL), 0);
		fixture_restart(&c);
		assert_int_equal(fixture_check(&c, NULL), 0);
		fixture_finish(&c);
	}
	free(data);
	fixture_finish(&f);
}

/* Cut short at the end of a line: nothing is damaged, but not all is there. */
static void short_snapshots(void **state)
{
	struct fixture f;
	char path[256], *data;
	size_t size;

	(void)state;
	build(&f, 1 << 20);
	fixture_open(&f);
	assert_int_equal(fixture_compact(&f, NULL), 0);
	fixture_restart(&f);
	snprintf(path, sizeof(path), "%s", fixture_file(&f, ".snap", 0));
	data = content(&f, path, &size);
	for (size_t cut = 0; cut < size - 1; cut += STRIDE) {
		struct fixture c;

		clone(&c, &f);
		fault_disk_set_data(c.disk, path, data, cut);
		assert_int_not_equal(fixture_check(&c, NULL), 0);
		fixture_open(&c);
		assert_true(fixture_usage(&c).damaged_lines > 0);
		assert_int_equal(c.revision, LINES);
		goes_on(&c);
		fixture_finish(&c);
	}
	free(data);
	fixture_finish(&f);
}

static void missing_files(void **state)
{
	struct fixture f;
	unsigned files;

	(void)state;
	build(&f, 700);
	files = fixture_count(&f, ".log");
	for (unsigned n = 0; n < files; n++) {
		struct disk *d;
		struct fixture c;
		char *what = NULL;

		clone(&c, &f);
		d = fault_disk_of(c.disk);
		assert_int_equal(d->ops->unlink(d, fixture_file(&c, ".log", n)), 0);
		assert_int_equal(fixture_check(&c, &what), 1);
		assert_non_null(strstr(what, "are missing"));
		free(what);
		fixture_open(&c);
		assert_true(lost(&c) > 0);
		assert_int_equal(c.revision, LINES);
		assert_int_equal(fixture_usage(&c).missing_revisions, lost(&c));
		goes_on(&c);
		fixture_finish(&c);
	}
	fixture_finish(&f);
}

/* The bytes are still to be had. */
static void kept_aside(void **state)
{
	struct fixture f;
	char path[256], *data;
	const char *kept;
	size_t size, second, end;

	(void)state;
	build(&f, 1 << 20);
	snprintf(path, sizeof(path), "%s", fixture_file(&f, ".log", 0));
	data = content(&f, path, &size);
	second = (size_t)(strchr(strchr(data, '\n') + 1, '\n') + 1 - data);
	end = (size_t)(strchr(data + second, '\n') + 1 - data);
	data[second + 20] ^= 1;
	fault_disk_set_data(f.disk, path, data, size - 5);
	fixture_open(&f);
	fixture_restart(&f);
	assert_int_equal(fixture_check(&f, NULL), 3); /* the line, its revision, the last one */
	fixture_open(&f);                             /* nothing is kept twice */
	assert_int_equal(fixture_count(&f, ""), 4 + 2);
	snprintf(path, sizeof(path), "%s/damaged/00000000000000000001.log-%zu", FIXTURE_STORE,
		second);
	kept = fault_disk_data(f.disk, path, &size);
	assert_non_null(kept);
	assert_int_equal(size, end - second);
	assert_memory_equal(kept, data + second, size);
	free(data);
	fixture_finish(&f);
}

/* Torn twice at the same place: both are kept. */
static void torn_twice(void **state)
{
	struct fixture f;
	char path[256], *data;
	size_t size;

	(void)state;
	build(&f, 1 << 20);
	snprintf(path, sizeof(path), "%s", fixture_file(&f, ".log", 0));
	for (int i = 0; i < 2; i++) {
		data = content(&f, path, &size);
		data = realloc(data, size + 3);
		memcpy(data + size, i ? "{x" : "{y", 3);
		fault_disk_set_data(f.disk, path, data, size + 2);
		free(data);
		fixture_open(&f);
		assert_int_equal(fixture_usage(&f).torn_bytes, 2);
		fixture_restart(&f);
	}
	assert_int_equal(fixture_count(&f, ".1"), 1);
	fixture_finish(&f);
}

/* Space that is allocated but not written to is no damage. */
static void nuls_at_the_end(void **state)
{
	struct fixture f;
	char path[256], *data;
	size_t size;

	(void)state;
	build(&f, 1 << 20);
	snprintf(path, sizeof(path), "%s", fixture_file(&f, ".log", 0));
	data = content(&f, path, &size);
	data = realloc(data, size + 10000);
	memset(data + size, 0, 10000);
	fault_disk_set_data(f.disk, path, data, size + 10000);
	assert_int_equal(fixture_check(&f, NULL), 0);
	fixture_open(&f);
	assert_int_equal(fixture_usage(&f).torn_bytes, 0);
	assert_int_equal(lost(&f), 0);
	goes_on(&f);
	fixture_restart(&f);
	/* Within a line that was on its way they are torn with it. */
	fault_disk_set_data(f.disk, path, data, size + 10000);
	memset(data + size - 10, 0, 10);
	fault_disk_set_data(f.disk, path, data, size + 10000);
	fixture_open(&f);
	assert_true(fixture_usage(&f).torn_bytes > 0);
	assert_int_equal(lost(&f), 1);
	goes_on(&f);
	free(data);
	fixture_finish(&f);
}

/* A sector that the disk will not give. */
static void unreadable(void **state)
{
	struct fixture f;
	char path[256], *data;
	size_t size;

	(void)state;
	build(&f, 1 << 20);
	snprintf(path, sizeof(path), "%s", fixture_file(&f, ".log", 0));
	for (unsigned nth = 1; nth < 8; nth++) {
		struct fixture c;
		char *error;
		int r;

		clone(&c, &f);
		/* The read and its second try. */
		fault_disk_fail(c.disk, FAULT_READ, nth, 1, -EIO, false);
		r = fixture_try_open(&c, &error);
		free(error);
		if (r == 0) {
			data = content(&c, path, &size);
			assert_true(size > 1000); /* it was not cut off for that */
			free(data);
			assert_int_equal(fixture_put(&c, 1, "x"), 0);
			fixture_restart(&c);
			fixture_open(&c);
			assert_int_equal(lost(&c), 0);
		}
		fixture_finish(&c);
	}
	fixture_finish(&f);
}

/* --- a long log, whose lines are decoded ahead of their turn ---------------- */

#define LONG_LINES 1000
#define LONG_SIZE 3000

static void build_long(struct fixture *f, char *values[LONG_LINES + 1])
{
	fixture_init(f);
	f->config.segment_size = UINT64_C(1) << 30;
	fixture_open(f);
	values[0] = NULL;
	for (unsigned i = 1; i <= LONG_LINES; i++) {
		values[i] = malloc(LONG_SIZE + 1);
		memset(values[i], 'a' + (int)(i % 26), LONG_SIZE);
		/* Some are of no portion's size, and some have something that is not copied. */
		values[i][i % 3 ? LONG_SIZE - i : LONG_SIZE] = 0;
		values[i][0] = i % 2 ? '\n' : ' ';
		assert_int_equal(fixture_put(f, i % FIXTURE_KEYS, values[i]), 0);
	}
	fixture_restart(f);
}

/* Where the line of a revision begins. */
static size_t line_at(const char *data, unsigned revision)
{
	char start[32];

	snprintf(start, sizeof(start), "\n{\"rev\":%u,", revision);
	return (size_t)(strstr(data, start) + 1 - data);
}

/* Every `step`th line is spoilt: a byte of it, or the newline before it. */
static void spoil_long(struct fixture *base, char *values[], unsigned step, bool newlines)
{
	const char *path = FIXTURE_STORE "/00000000000000000001.log";
	struct fixture f;
	size_t size;
	char *data;

	clone(&f, base);
	f.values = values;
	data = content(&f, path, &size);
	for (unsigned i = step; i < LONG_LINES; i += step) {
		size_t at = line_at(data, i);

		data[newlines ? at - 1 : at + 100] ^= 1;
	}
	fault_disk_set_data(f.disk, path, data, size);
	free(data);
	fixture_open(&f);
	for (unsigned i = 1; i <= LONG_LINES; i++) {
		assert_int_equal(f.seen[i], newlines || i % step != 0 || i == LONG_LINES);
	}
	assert_int_equal(f.revision, LONG_LINES);
	assert_int_equal(fixture_usage(&f).damaged_lines, (LONG_LINES - 1) / step);
	assert_int_equal(fixture_usage(&f).torn_bytes, 0);
	fixture_finish(&f);
}

/* The highest revision that a line says was on the disk. */
static unsigned synced_in(struct fixture *f)
{
	size_t size;
	char *data = content(f, FIXTURE_STORE "/00000000000000000001.log", &size);
	unsigned synced = 0;

	for (const char *at = data; (at = strstr(at, RECORD_SYNCED)); at++) {
		synced = (unsigned)strtoul(at + strlen(RECORD_SYNCED), NULL, 10);
	}
	free(data);
	return synced;
}

/* The end was not synced, and line `torn` is spoilt: the log ends there, whatever has been read
 * and decoded already of what follows. */
static void tear_long(struct fixture *base, char *values[], unsigned torn)
{
	const char *path = FIXTURE_STORE "/00000000000000000001.log";
	struct fixture f;
	size_t size;
	char *data;

	clone(&f, base);
	f.values = values;
	forget_synced(&f);
	data = content(&f, path, &size);
	data[line_at(data, torn) + 100] ^= 1;
	fault_disk_set_data(f.disk, path, data, size);
	free(data);
	fixture_open(&f);
	for (unsigned i = 1; i <= LONG_LINES; i++) {
		assert_int_equal(f.seen[i], i < torn);
	}
	assert_true(fixture_usage(&f).torn_bytes > 0);
	assert_int_equal(fixture_put(&f, 1, "more"), 0);
	assert_int_equal(f.revision, torn);
	fixture_finish(&f);
}

/* A block that the disk will not give, in the nth read. Whether lines were lost with
 * it: some reads are of other things. */
static bool lose_block(struct fixture *base, char *values[], unsigned nth)
{
	struct fixture f;
	unsigned n = 0;
	char *error;
	int r;

	clone(&f, base);
	f.values = values;
	fault_disk_fail(f.disk, FAULT_READ, nth, 1, -EIO, false);
	r = fixture_try_open(&f, &error);
	free(error);
	if (r < 0) {
		fixture_finish(&f);
		return false;
	}
	for (unsigned i = 1; i <= LONG_LINES; i++) {
		n += !f.seen[i];
	}
	assert_true(n <= 3);
	assert_true(n == 0 || fixture_usage(&f).damaged_bytes >= 3000);
	assert_int_equal(fixture_usage(&f).missing_revisions, n);
	fixture_finish(&f);
	return n > 0;
}

static void long_log(void **state)
{
	char *values[LONG_LINES + 1];
	unsigned n_lost = 0;
	struct fixture f;

	(void)state;
	build_long(&f, values);
	for (unsigned step = 1; step < LONG_LINES; step = step * 2 + 1) {
		spoil_long(&f, values, step, false);
		spoil_long(&f, values, step, true);
	}
	spoil_long(&f, values, LONG_LINES, false);
	for (unsigned torn = synced_in(&f) + 1; torn < LONG_LINES; torn += 83) {
		tear_long(&f, values, torn);
	}
	for (unsigned nth = 1; nth < 16; nth++) {
		n_lost += lose_block(&f, values, nth);
	}
	assert_true(n_lost > 5);
	for (unsigned i = 1; i <= LONG_LINES; i++) {
		free(values[i]);
	}
	fixture_finish(&f);
}

static void lost_format(void **state)
{
	struct fixture f;

	(void)state;
	build(&f, 1 << 20);
	for (int i = 0; i < 3; i++) {
		struct fixture c;
		char *what = NULL;

		clone(&c, &f);
		if (i == 0) {
			struct disk *d = fault_disk_of(c.disk);

			assert_int_equal(d->ops->unlink(d, FIXTURE_STORE "/format"), 0);
		} else {
			fault_disk_set_data(
				c.disk, FIXTURE_STORE "/format", "{}\n", i == 1 ? 3 : 0);
		}
		assert_int_equal(fixture_check(&c, &what), 1);
		free(what);
		fixture_open(&c);
		assert_int_equal(fixture_usage(&c).damaged_lines, 1);
		assert_int_equal(lost(&c), 0);
		fixture_restart(&c);
		assert_int_equal(fixture_check(&c, NULL), 0);
		fixture_finish(&c);
	}
	fixture_finish(&f);
}

/* Garbage of all kinds must not bring it down. */
static void garbage(void **state)
{
	struct fixture f;
	char path[256], *data;
	size_t size;

	(void)state;
	build(&f, 1 << 20);
	snprintf(path, sizeof(path), "%s", fixture_file(&f, ".log", 0));
	data = content(&f, path, &size);
	srand(42);
	for (unsigned i = 0; i < 500; i += STRIDE) {
		struct fixture c;
		char *spoilt = malloc(2 * size);
		size_t n = size, at = (size_t)rand() % size, len = 1 + (size_t)rand() % 400;

		memcpy(spoilt, data, size);
		if (len > size - at) {
			len = size - at;
		}
		switch (rand() % 4) {
		case 0: /* overwritten */
			for (size_t k = 0; k < len; k++) {
				spoilt[at + k] = (char)rand();
			}
			break;
		case 1: /* zeros */
			memset(spoilt + at, 0, len);
			break;
		case 2: /* taken out */
			memmove(spoilt + at, spoilt + at + len, size - at - len);
			n -= len;
			break;
		default: /* doubled */
			memmove(spoilt + at + len, spoilt + at, size - at);
			n += len;
			break;
		}
		clone(&c, &f);
		fault_disk_set_data(c.disk, path, spoilt, n);
		free(spoilt);
		fixture_open(&c);
		assert_true(lost(&c) <= 7);
		if (c.revision >= LINES - 3) {
			goes_on(&c);
		}
		fixture_finish(&c);
	}
	free(data);
	fixture_finish(&f);
}

/* A last line without its end is the daemon's business while there is one. */
static void check_beside_a_daemon(void **state)
{
	struct fixture f;
	char path[256], *data;
	size_t size;

	(void)state;
	build(&f, 1 << 20);
	fixture_open(&f);
	snprintf(path, sizeof(path), "%s", fixture_file(&f, ".log", 0));
	data = content(&f, path, &size);
	fault_disk_set_data(f.disk, path, data, size - 4);
	assert_int_equal(fixture_check(&f, NULL), 0);
	fixture_restart(&f);
	assert_int_equal(fixture_check(&f, NULL), 2); /* and the revision that it had */
	free(data);
	fixture_finish(&f);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(torn_anywhere),
		cmocka_unit_test(torn_or_damaged),
		cmocka_unit_test(torn_header),
		cmocka_unit_test(flipped_bits),
		cmocka_unit_test(flipped_bits_in_snapshots),
		cmocka_unit_test(short_snapshots),
		cmocka_unit_test(missing_files),
		cmocka_unit_test(kept_aside),
		cmocka_unit_test(torn_twice),
		cmocka_unit_test(nuls_at_the_end),
		cmocka_unit_test(unreadable),
		cmocka_unit_test(long_log),
		cmocka_unit_test(lost_format),
		cmocka_unit_test(garbage),
		cmocka_unit_test(check_beside_a_daemon),
	};

	log_init("test_journal_damage", LOG_EMERG);
	return cmocka_run_group_tests_name("journal damage", tests, NULL, NULL);
}
