/* SPDX-License-Identifier: MIT
 * Copyright (c) 2026 The cubbyfs authors */

/* When the log is compacted by itself, and what it takes up meanwhile: of whatever kind
 * the values are, which the store can only estimate until it has written a snapshot. */
#include "harness.h"

#include "base/cleanup.h"

#include <dirent.h>
#include <string.h>
#include <sys/stat.h>

#define KEYS 400
#define SIZE 600

enum kind { TEXT, BINARY, ATTRIBUTES };

static bool has_suffix(const char *name, const char *suffix)
{
	size_t n = strlen(name), m = strlen(suffix);

	return n >= m && strcmp(name + n - m, suffix) == 0;
}

struct files {
	uint64_t bytes;
	uint64_t snapshot; /* those of the newest one that is done */
	bool compacting;
};

static void look(const struct bench *b, struct files *f)
{
	DIR *d = opendir(b->location);
	struct dirent *e;
	struct stat st;

	assert_non_null(d);
	f->bytes = 0;
	f->compacting = false;
	while ((e = readdir(d))) {
		if (fstatat(dirfd(d), e->d_name, &st, 0) == 0 && S_ISREG(st.st_mode)) {
			f->bytes += (uint64_t)st.st_size;
			f->compacting |= has_suffix(e->d_name, ".snap.tmp");
			if (has_suffix(e->d_name, ".snap")) {
				f->snapshot = (uint64_t)st.st_size;
			}
		}
	}
	closedir(d);
}

static void set(struct bench *b, enum kind kind, unsigned number)
{
	char name[16], value[SIZE];

	memset(value, kind == BINARY ? 0xf5 : 'x', sizeof(value));
	value[0] = (char)('a' + number / KEYS % 26);
	snprintf(name, sizeof(name), "key-%u", number % KEYS);
	assert_int_equal(bench_set_bytes(b, ROOT_INO, name, bytes_of(value, sizeof(value))), 0);
	if (kind == ATTRIBUTES && number < KEYS) {
		value[SIZE - 1] = 0;
		assert_int_equal(
			bench_setxattr(b, bench_ino(b, ROOT_INO, name), "user.a", value), 0);
	}
}

static uint64_t compactions(struct bench *b)
{
	return bench_stat(b, "log", "compactions");
}

/* A second passes; what begins in it is waited for. Returns the most that was on the disk. */
static uint64_t turn(struct bench *b, struct files *f)
{
	uint64_t most = 0, before = 0;
	bool begun = false;

	bench_advance(b, SECOND);
	do {
		bench_slow_tick(b);
		look(b, f);
		most = f->bytes > most ? f->bytes : most;
		if (f->compacting && !begun) {
			begun = true;
			before = compactions(b);
		}
		store_dispatch(b->s);
	} while (begun && compactions(b) == before);
	return most;
}

static void check(enum kind kind)
{
	struct files f = {0};
	uint64_t live, most, peak = 0, done;
	struct bench b;
	unsigned n = 0;

	bench_init(&b, BENCH_JOURNAL);
	b.config.compact_min = 16 << 10;
	bench_open(&b);
	while (n < KEYS || compactions(&b) < 3) {
		set(&b, kind, n++);
		turn(&b, &f);
	}
	/* Now it has written a snapshot, and knows how much is alive. */
	done = compactions(&b);
	for (unsigned last = n + 10 * KEYS; n < last; n++) {
		set(&b, kind, n);
		most = turn(&b, &f);
		peak = most > peak ? most : peak;
	}
	done = compactions(&b) - done;
	assert_true(2 * peak <= 5 * f.snapshot);
	/* One for each 0.4 of a snapshot that the log has grown by, and not more often. */
	assert_in_range(done, 8, 25);
	live = bench_stat(&b, NULL, "live_bytes");
	assert_in_range(live, f.snapshot - f.snapshot / 10, f.snapshot + f.snapshot / 10);

	/* That is known again after a mount: it does not begin with one. */
	assert_int_equal(bench_compact(&b), 0);
	bench_reopen(&b);
	for (int i = 0; i < 10; i++) {
		set(&b, kind, n++);
		turn(&b, &f);
	}
	assert_int_equal(compactions(&b), 0);
	bench_finish(&b);
}

static void text(void **state)
{
	(void)state;
	check(TEXT);
}

static void binary(void **state)
{
	(void)state;
	check(BINARY);
}

static void attributes(void **state)
{
	(void)state;
	check(ATTRIBUTES);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(text),
		cmocka_unit_test(binary),
		cmocka_unit_test(attributes),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
