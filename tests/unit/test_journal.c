/* SPDX-License-Identifier: MIT
 * Copyright (c) 2026 The cubbyfs authors */

/* The journal when all goes well: opened, appended to, rotated, compacted,
 * read, and opened again. */
#include "base/cleanup.h"
#include "base/log.h"
#include "journal_fixture.h"
#include "store/journal/refresh.h"

#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include <cmocka.h>

/* Closes, opens, and finds everything as it was. */
static void reopen(struct fixture *f)
{
	struct fixture_state state = {0};
	uint64_t revision = f->revision;
	struct backend_usage u;

	fixture_state_copy(&state, &f->state);
	fixture_restart(f);
	assert_int_equal(fixture_check(f, NULL), 0);
	fixture_open(f);
	assert_true(fixture_state_equal(&state, &f->state));
	assert_int_equal(f->revision, revision);
	u = fixture_usage(f);
	assert_int_equal(u.damaged_lines + u.damaged_bytes + u.torn_bytes + u.missing_revisions, 0);
	fixture_state_finish(&state);
}

static void fill(struct fixture *f, unsigned n)
{
	char value[32];

	for (unsigned i = 0; i < n; i++) {
		snprintf(value, sizeof(value), "value %u", i);
		assert_int_equal(fixture_put(f, i % FIXTURE_KEYS, value), 0);
	}
}

static void empty_store(void **state)
{
	struct fixture f;

	(void)state;
	fixture_init(&f);
	fixture_open(&f);
	assert_int_equal(f.revision, 0);
	assert_int_equal(f.replayed, 0);
	assert_int_equal(fixture_sync(&f), 0);
	reopen(&f);
	assert_int_equal(fixture_close(&f), 0);
	fixture_finish(&f);
}

static void append_and_replay(void **state)
{
	struct fixture f;

	(void)state;
	fixture_init(&f);
	fixture_open(&f);
	fill(&f, 100);
	assert_int_equal(fixture_remove(&f, 7), 0);
	reopen(&f);
	assert_int_equal(f.replayed, 101);
	assert_null(f.state.values[7]);
	assert_int_equal(f.next_ino, INO_FIRST + FIXTURE_KEYS);
	assert_true(f.last_at > 0);
	fill(&f, 3);
	reopen(&f);
	assert_int_equal(f.replayed, 104);
	fixture_finish(&f);
}

static void large_lines(void **state)
{
	struct fixture f;
	char *value = malloc((5 << 20) + 1);

	(void)state;
	memset(value, 'x', 5 << 20);
	value[5 << 20] = 0;
	fixture_init(&f);
	fixture_open(&f);
	fault_disk_short_writes(f.disk, 100000);
	fill(&f, 2);
	assert_int_equal(fixture_put(&f, 3, value), 0);
	assert_int_equal(fixture_put(&f, 4, value), 0);
	fill(&f, 2);
	reopen(&f);
	assert_int_equal(strlen(f.state.values[4]), 5 << 20);
	fixture_finish(&f);
	free(value);
}

static void rotation(void **state)
{
	struct fixture f;

	(void)state;
	fixture_init(&f);
	f.config.segment_size = 600;
	fixture_open(&f);
	fill(&f, 50);
	assert_int_equal(fixture_sync(&f), 0);
	assert_true(fixture_count(&f, ".log") > 8);
	assert_int_equal(fixture_usage(&f).segments, fixture_count(&f, ".log"));
	reopen(&f);
	fill(&f, 50);
	reopen(&f);
	assert_int_equal(f.replayed, 100);
	fixture_finish(&f);
}

static void out_of_order_is_refused(void **state)
{
	struct fixture f;

	(void)state;
	fixture_init(&f);
	fixture_open(&f);
	fill(&f, 5);
	f.revision = 2;
	assert_int_equal(fixture_put(&f, 1, "x"), -EINVAL);
	f.revision = 5;
	assert_int_equal(fixture_put(&f, 1, "x"), 0);
	reopen(&f);
	fixture_finish(&f);
}

struct counter {
	struct fixture *f;
	unsigned called, chain;
	int status;
};

static void count(void *arg, int status)
{
	struct counter *c = arg;

	c->called++;
	c->status |= status;
	if (c->chain > 0) {
		/* A completion may ask for more. */
		c->chain--;
		assert_int_equal(fixture_put(c->f, 1, "again"), 0);
		c->f->b->ops->sync(c->f->b, count, c);
	}
}

static void syncs_are_shared(void **state)
{
	struct fixture f;
	struct counter c = {.f = &f};

	(void)state;
	fixture_init(&f);
	fixture_open(&f);
	for (int i = 0; i < 1000; i++) {
		assert_int_equal(fixture_put(&f, 1, "x"), 0);
		f.b->ops->sync(f.b, count, &c);
		if (i % 100 == 0) {
			f.b->ops->dispatch(f.b);
		}
	}
	assert_int_equal(fixture_sync(&f), 0);
	assert_int_equal(c.called, 1000);
	assert_int_equal(c.status, 0);
	assert_in_range(fixture_usage(&f).syncs, 1, 1002);
	assert_int_equal(fixture_usage(&f).appends, 1000);
	fixture_finish(&f);
}

static void syncs_may_ask_for_more(void **state)
{
	struct fixture f;
	struct counter c = {.f = &f, .chain = 20};

	(void)state;
	fixture_init(&f);
	fixture_open(&f);
	for (int i = 0; i < 10; i++) {
		assert_int_equal(fixture_put(&f, 1, "x"), 0);
		f.b->ops->sync(f.b, count, &c);
	}
	while (c.called < 30) {
		assert_int_equal(fixture_sync(&f), 0);
	}
	/* Nothing was written since: it is called at once. */
	c.called = 0;
	f.b->ops->sync(f.b, count, &c);
	assert_int_equal(c.called, 1);
	assert_int_equal(c.status, 0);
	fixture_finish(&f);
}

static void close_calls_who_waits(void **state)
{
	struct fixture f;
	struct counter c = {.f = &f};

	(void)state;
	fixture_init(&f);
	fixture_open(&f);
	for (int i = 0; i < 10; i++) {
		assert_int_equal(fixture_put(&f, 1, "x"), 0);
		f.b->ops->sync(f.b, count, &c);
	}
	assert_int_equal(fixture_close(&f), 0);
	assert_int_equal(c.called, 10);
	assert_int_equal(c.status, 0);
	/* And what it synced survives a power cut. */
	fault_disk_restart(f.disk);
	fault_disk_cut_power(f.disk, 1);
	fixture_open(&f);
	assert_int_equal(f.revision, 10);
	fixture_finish(&f);
}

static void put_more(struct fixture *f)
{
	static unsigned n;
	char value[32];

	snprintf(value, sizeof(value), "meanwhile %u", n++);
	assert_int_equal(fixture_put(f, n % 10, value), 0);
}

static void compaction(void **state)
{
	struct fixture f;
	uint64_t before;

	(void)state;
	fixture_init(&f);
	f.config.segment_size = 2000;
	fixture_open(&f);
	for (int i = 0; i < 10; i++) {
		fill(&f, 40);
	}
	before = fixture_usage(&f).bytes;
	f.next_ino = 1000;
	assert_int_equal(fixture_compact(&f, NULL), 0);
	assert_true(fixture_usage(&f).bytes < before / 3);
	assert_int_equal(fixture_usage(&f).compactions, 1);
	assert_int_equal(fixture_count(&f, ".snap"), 1);
	assert_int_equal(fixture_count(&f, ".log"), 1);
	assert_int_equal(fixture_count(&f, ".tmp"), 0);
	reopen(&f);
	assert_int_equal(f.replayed, 40);
	assert_int_equal(f.next_ino, 1000);
	/* Under way, and again, and with nothing in between. */
	assert_int_equal(fixture_compact(&f, put_more), 0);
	reopen(&f);
	assert_int_equal(fixture_compact(&f, put_more), 0);
	assert_int_equal(fixture_compact(&f, NULL), 0);
	assert_int_equal(fixture_compact(&f, NULL), 0);
	reopen(&f);
	assert_int_equal(fixture_compact(&f, NULL), 0);
	assert_int_equal(fixture_count(&f, ".snap"), 1);
	fill(&f, 10);
	reopen(&f);
	fixture_finish(&f);
}

static void compaction_of_nothing(void **state)
{
	struct fixture f;

	(void)state;
	fixture_init(&f);
	fixture_open(&f);
	assert_int_equal(fixture_compact(&f, NULL), 0);
	reopen(&f);
	fill(&f, 3);
	reopen(&f);
	fixture_finish(&f);
}

static void ignore_status(void *arg, int status)
{
	(void)status;
	++*(int *)arg;
}

static void compaction_aborted(void **state)
{
	struct fixture f;
	struct change c = {.type = CHANGE_PUT, .fields = HAS_HISTORY, .ino = 20};
	struct transition t = {.changes = &c, .n_changes = 1};
	int called = 0, r;

	(void)state;
	fixture_init(&f);
	fixture_open(&f);
	fill(&f, 10);
	assert_int_equal(f.b->ops->snapshot_begin(f.b, 9, 0), -EINVAL);
	assert_int_equal(f.b->ops->snapshot_begin(f.b, 10, 0), 0);
	assert_int_equal(f.b->ops->snapshot_begin(f.b, 10, 0), BACKEND_BUSY);
	assert_int_equal(f.b->ops->snapshot_put(f.b, &t, false), 0);
	f.b->ops->snapshot_abort(f.b);
	while ((r = f.b->ops->snapshot_begin(f.b, 10, 0)) == BACKEND_BUSY) {
		f.b->ops->dispatch(f.b);
	}
	assert_int_equal(r, 0);
	f.b->ops->snapshot_end(f.b, ignore_status, &called);
	assert_int_equal(fixture_close(&f), 0); /* finishes it */
	assert_int_equal(called, 1);
	assert_int_equal(fixture_count(&f, ".snap"), 1);
	fixture_restart(&f);
	fixture_open(&f);
	assert_int_equal(f.revision, 10);
	assert_int_equal(f.b->ops->snapshot_begin(f.b, 10, 0), 0);
	assert_int_equal(fixture_close(&f), 0); /* ends it */
	assert_int_equal(fixture_count(&f, ".tmp"), 0);
	fixture_finish(&f);
}

static void compaction_holds_back(void **state)
{
	struct fixture f;
	char *value = malloc(1 << 20);
	struct change c = {.type = CHANGE_PUT,
		.fields = HAS_HISTORY | HAS_VALUE,
		.ino = 20,
		.value = {value, 1 << 20}};
	struct transition t = {.changes = &c, .n_changes = 1};
	int called = 0, r = 0;
	unsigned puts;

	(void)state;
	memset(value, 'v', 1 << 20);
	fixture_init(&f);
	fixture_open(&f);
	fill(&f, 1);
	assert_int_equal(f.b->ops->snapshot_begin(f.b, 1, 0), 0);
	/* The thread cannot be that fast for ever. */
	for (puts = 0; puts < 100000; puts++) {
		r = f.b->ops->snapshot_put(f.b, &t, false);
		if (r != 0) {
			break;
		}
		if (puts > 400) {
			break;
		}
	}
	if (r != 0) {
		assert_int_equal(r, BACKEND_BUSY);
		assert_int_equal(f.b->ops->snapshot_put(f.b, &t, true), 0);
	}
	f.b->ops->snapshot_abort(f.b);
	f.b->ops->snapshot_end(f.b, ignore_status, &called);
	assert_int_equal(fixture_close(&f), 0);
	assert_int_equal(called, 1);
	fixture_finish(&f);
	free(value);
}

/* All that the reader gives, from 0. */
static char *read_log(struct fixture *f, struct backend_log *log)
{
	struct buffer text = {0};
	char data[37];
	ssize_t n;

	while ((n = f->b->ops->log_read(log, data, sizeof(data), text.size)) > 0) {
		buffer_append(&text, data, (size_t)n);
	}
	assert_int_equal(n, 0);
	assert_int_equal(text.size, f->b->ops->log_size(log));
	buffer_append(&text, "", 1);
	return text.data;
}

static unsigned count_lines(const char *text, const char *with)
{
	unsigned n = 0;

	for (; *text; text++) {
		const char *end = strchr(text, '\n');

		assert_non_null(end);
		assert_memory_equal(text, "{\"rev\":", 7);
		n += memmem(text, (size_t)(end - text), with, strlen(with)) != NULL;
		text = end;
	}
	return n;
}

static void readers(void **state)
{
	struct fixture f;
	struct backend_log *early, *late;
	char *text;

	(void)state;
	fixture_init(&f);
	f.config.segment_size = 500;
	fixture_open(&f);
	assert_int_equal(f.b->ops->log_open(f.b, &early), 0);
	assert_int_equal(f.b->ops->log_size(early), 0);
	fill(&f, 30);
	text = read_log(&f, early);
	assert_int_equal(count_lines(text, "\"op\":\"put\""), 30);
	free(text);
	assert_int_equal(fixture_compact(&f, NULL), 0);
	fill(&f, 20);
	assert_int_equal(fixture_compact(&f, NULL), 0);
	fill(&f, 1);
	/* The early one has lost nothing. */
	text = read_log(&f, early);
	assert_int_equal(count_lines(text, "\"op\":\"put\""), 51);
	assert_int_equal(count_lines(text, "\"version\""), 0);
	free(text);
	assert_int_equal(f.b->ops->log_open(f.b, &late), 0);
	text = read_log(&f, late);
	assert_int_equal(count_lines(text, "\"version\""), 30);
	assert_int_equal(count_lines(text, "\"op\":\"put\""), 31);
	free(text);
	f.b->ops->log_close(early);
	f.b->ops->log_close(late);
	reopen(&f);
	assert_int_equal(f.b->ops->log_open(f.b, &late), 0);
	fill(&f, 2);
	text = read_log(&f, late);
	assert_int_equal(count_lines(text, "\"version\""), 30);
	assert_int_equal(count_lines(text, "\"op\":\"put\""), 33);
	free(text);
	f.b->ops->log_close(late);
	fixture_finish(&f);
}

static size_t size_of(struct fixture *f, const char *path)
{
	size_t size;

	(void)fault_disk_data(f->disk, path, &size);
	return size;
}

/* Puts NULs behind a file, as a process that was killed leaves them. */
static void add_zeros(struct fixture *f, const char *path, size_t n)
{
	struct buffer data = {0};
	size_t size;
	const char *old = fault_disk_data(f->disk, path, &size);

	assert_int_equal(buffer_append(&data, old, size), 0);
	assert_int_equal(buffer_resize(&data, size + n), 0);
	memset(data.data + size, 0, n);
	fault_disk_set_data(f->disk, path, data.data, data.size);
	buffer_finish(&data);
}

static void expect_lines(struct fixture *f, unsigned n)
{
	struct backend_log *log;
	char *text;

	assert_int_equal(f->b->ops->log_open(f->b, &log), 0);
	text = read_log(f, log);
	assert_int_equal(count_lines(text, "\"op\":\"put\""), n);
	free(text);
	f->b->ops->log_close(log);
}

/* While each append is synced there are zeros behind the log; only there. */
static void written_ahead(void **state)
{
	char log[64];
	struct fixture f;

	(void)state;
	fixture_init(&f);
	f.config.segment_size = 100000;
	fixture_open(&f);
	fill(&f, 20);
	snprintf(log, sizeof(log), "%s", fixture_file(&f, ".log", 0));
	assert_int_equal(size_of(&f, log), fixture_usage(&f).bytes);
	for (int i = 0; i < 10; i++) {
		fill(&f, 1);
		assert_int_equal(fixture_sync(&f), 0);
	}
	assert_true(size_of(&f, log) > fixture_usage(&f).bytes + 60000);
	expect_lines(&f, 30);
	assert_int_equal(fixture_check(&f, NULL), 0);
	/* Up to the end of a segment, and no further. */
	for (int i = 0; i < 600; i++) {
		fill(&f, 1);
		assert_int_equal(fixture_sync(&f), 0);
		assert_true(size_of(&f, log) <= 100000);
	}
	assert_int_equal(fixture_count(&f, ".log"), 1);
	reopen(&f);
	assert_int_equal(size_of(&f, log), fixture_usage(&f).bytes);
	expect_lines(&f, 630);
	/* A process that was killed. */
	assert_int_equal(fixture_close(&f), 0);
	add_zeros(&f, log, 5000);
	fixture_open(&f);
	reopen(&f);
	assert_int_equal(size_of(&f, log), fixture_usage(&f).bytes);
	fixture_finish(&f);
}

/* The next log was begun before the zeros were cut off. */
static void zeros_within(void **state)
{
	struct fixture f;

	(void)state;
	fixture_init(&f);
	f.config.segment_size = 600;
	fixture_open(&f);
	fill(&f, 20);
	assert_int_equal(fixture_sync(&f), 0);
	assert_true(fixture_count(&f, ".log") > 3);
	assert_int_equal(fixture_close(&f), 0);
	add_zeros(&f, fixture_file(&f, ".log", 0), 300);
	add_zeros(&f, fixture_file(&f, ".log", 2), 5000);
	fixture_open(&f);
	expect_lines(&f, 20);
	reopen(&f);
	assert_int_equal(f.replayed, 20);
	assert_int_equal(fixture_check(&f, NULL), 0);
	fixture_finish(&f);
}

static void check_from(const struct refresh *r, uint64_t revision)
{
	assert_int_equal(r->from.revision, revision);
	assert_int_equal(r->from.offset, 10 * revision);
}

/* The line that what is not on the disk begins with: never later than that, and not much before. */
static void where_to_refresh(void **state)
{
	struct refresh r = {0};
	uint64_t synced = 4, random = 3;

	(void)state;
	for (uint64_t i = 1; i <= 9; i++) {
		refresh_note(&r, &(struct refresh_place){i, 1, 10 * i}, synced);
	}
	check_from(&r, 5);
	refresh_note(&r, &(struct refresh_place){10, 1, 100}, 4);
	check_from(&r, 5);
	refresh_note(&r, &(struct refresh_place){11, 1, 110}, 7); /* 6 is the next that is known */
	check_from(&r, 6);
	refresh_note(&r, &(struct refresh_place){12, 1, 120}, 9);
	check_from(&r, 6);
	refresh_note(&r, &(struct refresh_place){13, 1, 130}, 10);
	check_from(&r, 11);
	refresh_note(&r, &(struct refresh_place){14, 1, 140}, 13);
	check_from(&r, 14);
	r = (struct refresh){0};
	synced = 0;
	for (uint64_t i = 1; i < 10000; i++) {
		random = random * 6364136223846793005 + 1442695040888963407;
		if (random >> 60 == 0) {
			synced += (i - 1 - synced) * (random >> 32 & 7) / 7;
		}
		refresh_note(&r, &(struct refresh_place){i, 1, 10 * i}, synced);
		assert_in_range(r.from.revision, 1, synced + 1);
	}
}

/* Logs of which nothing was synced, one of which lets itself be read and not be written: there are
 * no changes until that is mended. */
static void refresh_is_denied(void **state)
{
	struct fixture_state all = {0};
	struct fixture f;
	unsigned denied = 0;

	(void)state;
	fixture_init(&f);
	f.config.segment_size = 600;
	f.config.lends_thread = true; /* and never does */
	fixture_open(&f);
	fill(&f, 20);
	fixture_state_copy(&all, &f.state);
	for (unsigned nth = 1; nth < 10; nth++) {
		struct fixture g;
		char *error;

		fixture_init(&g);
		fault_disk_destroy(g.disk);
		g.disk = fault_disk_copy(f.disk);
		g.config.disk = fault_disk_of(g.disk);
		fault_disk_restart(g.disk);
		fault_disk_fail(g.disk, FAULT_REOPEN, nth, 0, -EACCES, false);
		if (fixture_try_open(&g, &error) == 0) {
			assert_true(fixture_state_equal(&all, &g.state));
			if (fixture_usage(&g).failed) {
				assert_int_equal(fixture_usage(&g).failed, -EACCES);
				assert_int_equal(fixture_put(&g, 1, "x"), -EROFS);
				denied++;
			}
		}
		free(error);
		fixture_finish(&g);
	}
	assert_true(denied > 2);
	fixture_state_finish(&all);
	fixture_finish(&f);
}

static void reads_only(void **state)
{
	struct fixture f;
	struct backend_log *log;
	uint64_t changes;
	char *text;

	(void)state;
	fixture_init(&f);
	f.config.segment_size = 500;
	fixture_open(&f);
	fill(&f, 20);
	fixture_restart(&f);
	changes = fault_disk_changes(f.disk);
	f.config.read_only = true;
	fixture_open(&f);
	assert_int_equal(f.revision, 20);
	assert_int_equal(fixture_put(&f, 1, "x"), -EROFS);
	assert_int_equal(fixture_sync(&f), 0);
	assert_int_equal(f.b->ops->snapshot_begin(f.b, 20, 0), -EROFS);
	assert_int_equal(f.b->ops->log_open(f.b, &log), 0);
	text = read_log(&f, log);
	assert_int_equal(count_lines(text, "\"op\":\"put\""), 20);
	free(text);
	f.b->ops->log_close(log);
	assert_int_equal(fixture_close(&f), 0);
	assert_int_equal(fault_disk_changes(f.disk), changes);
	fixture_finish(&f);
}

static void one_daemon_only(void **state)
{
	struct fixture f;
	struct backend *other = NULL;
	char *error = NULL, wanted[64];

	(void)state;
	fixture_init(&f);
	fixture_open(&f);
	assert_int_equal(backend_journal.open(&other, FIXTURE_STORE, &f.config, &error), -EBUSY);
	snprintf(wanted, sizeof(wanted), "%s is held by process %d", FIXTURE_STORE, (int)getpid());
	assert_non_null(error);
	assert_non_null(strstr(error, wanted));
	free(error);
	error = NULL;
	f.config.lock_wait = 50 * NSEC_PER_MSEC;
	assert_int_equal(backend_journal.open(&other, FIXTURE_STORE, &f.config, &error), -EBUSY);
	free(error);
	/* One that only reads is let in. */
	f.config.read_only = true;
	assert_int_equal(backend_journal.open(&other, FIXTURE_STORE, &f.config, &error), 0);
	assert_int_equal(other->ops->close(other), 0);
	fixture_finish(&f);
}

static int replay_stops(void *arg, const struct transition *t)
{
	(void)arg;
	return t->revision == 3 ? -ENOLCK : 0;
}

static void replay_can_be_stopped(void **state)
{
	struct fixture f;
	char *error = NULL;

	(void)state;
	fixture_init(&f);
	fixture_open(&f);
	fill(&f, 10);
	fixture_restart(&f);
	assert_int_equal(backend_journal.open(&f.b, FIXTURE_STORE, &f.config, &error), 0);
	assert_int_equal(
		f.b->ops->replay(f.b, replay_stops, NULL, &f.next_ino, &f.last_at, &f.revision),
		-ENOLCK);
	fixture_finish(&f);
}

/* ---- on a real file system ---- */

static char *temporary(void)
{
	const char *base = getenv("TMPDIR");
	char *path;

	assert_true(asprintf(&path, "%s/cubbyfs-test-XXXXXX", base ? base : "/tmp") > 0);
	assert_non_null(mkdtemp(path));
	return path;
}

static void remove_tree(const char *path)
{
	_cleanup_free_ char *command = NULL;

	assert_true(asprintf(&command, "rm -rf '%s'", path) > 0);
	assert_int_equal(system(command), 0);
}

static int open_real(struct backend **b, const char *path, char **error)
{
	struct backend_config config = {.clock = &clock_system};

	*error = NULL;
	return backend_journal.open(b, path, &config, error);
}

static void check_error(const char *path, int wanted, const char *with)
{
	struct backend *b;
	char *error;

	assert_int_equal(open_real(&b, path, &error), wanted);
	assert_non_null(error);
	if (!strstr(error, with)) {
		print_error("%s\n", error);
	}
	assert_non_null(strstr(error, with));
	free(error);
}

static int ignore(void *arg, const struct transition *t)
{
	(void)t;
	++*(unsigned *)arg;
	return 0;
}

static void real_disk(void **state)
{
	_cleanup_free_ char *base = temporary();
	_cleanup_free_ char *path = NULL;
	uint64_t next_ino, revision;
	unsigned replayed = 0;
	struct fixture f = {0};
	struct stat st;
	int64_t at;
	char *error;

	(void)state;
	assert_true(asprintf(&path, "%s/store", base) > 0);
	assert_int_equal(open_real(&f.b, path, &error), 0);
	assert_int_equal(f.b->ops->replay(f.b, ignore, &replayed, &next_ino, &at, &revision), 0);
	fill(&f, 100);
	assert_int_equal(fixture_sync(&f), 0);
	assert_true(fixture_usage(&f).space.f_blocks > 0);
	assert_int_equal(fixture_compact(&f, put_more), 0);
	check_error(path, -EBUSY, "is held by process");
	assert_int_equal(fixture_close(&f), 0);
	assert_int_equal(stat(path, &st), 0);
	assert_int_equal(st.st_mode & 0777, 0700);
	assert_int_equal(open_real(&f.b, path, &error), 0);
	assert_int_equal(f.b->ops->replay(f.b, ignore, &replayed, &next_ino, &at, &revision), 0);
	assert_int_equal(revision, 164);
	assert_int_equal(replayed, 128);
	assert_int_equal(fixture_close(&f), 0);
	fixture_state_finish(&f.state);
	remove_tree(base);
}

static void bad_places(void **state)
{
	_cleanup_free_ char *base = temporary();
	_cleanup_free_ char *file = NULL, *under = NULL, *store = NULL, *format = NULL;
	const char *later = "{\"cubbyfs\":\"store\",\"version\":2,\"crc\":\"a4d07f05\"}\n";
	struct backend *b;
	char *error;
	int fd;

	(void)state;
	assert_true(asprintf(&file, "%s/file", base) > 0);
	assert_true(asprintf(&under, "%s/no/store", base) > 0);
	assert_true(asprintf(&store, "%s/store", base) > 0);
	assert_true(asprintf(&format, "%s/store/format", base) > 0);
	close(open(file, O_CREAT | O_WRONLY, 0600));
	check_error(file, -ENOTDIR, "is not a directory");
	check_error(base, -ENOTEMPTY, "is not a cubbyfs store and not empty");
	check_error(under, -ENOENT, "does not exist");
	assert_int_equal(mkdir(store, 0755), 0);
	fd = open(format, O_CREAT | O_WRONLY, 0600);
	assert_int_equal(write(fd, "my own", 6), 6);
	check_error(store, -ENOTEMPTY, "is not a store's");
	assert_int_equal(pwrite(fd, later, strlen(later), 0), strlen(later));
	check_error(store, -EPROTONOSUPPORT, "has format version 2");
	close(fd);
	remove_tree(store);
	assert_int_equal(open_real(&b, store, &error), 0);
	assert_int_equal(b->ops->close(b), 0);
	remove_tree(base);
}

static void stores_are_found(void **state)
{
	const char *location;

	(void)state;
	assert_ptr_equal(backend_find("/var/lib/x", &location), &backend_journal);
	assert_string_equal(location, "/var/lib/x");
	assert_ptr_equal(backend_find("./a:b", &location), &backend_journal);
	assert_ptr_equal(backend_find("memory:", &location), &backend_memory);
	assert_string_equal(location, "");
	assert_null(backend_find("sqlite:/x", &location));
	assert_null(backend_find("redis://h:1/0", &location));
	assert_null(backend_find("nats://h:1/b", &location));
	assert_null(backend_find("what:ever", &location));
	assert_null(backend_find("", &location));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(empty_store),
		cmocka_unit_test(append_and_replay),
		cmocka_unit_test(large_lines),
		cmocka_unit_test(rotation),
		cmocka_unit_test(out_of_order_is_refused),
		cmocka_unit_test(syncs_are_shared),
		cmocka_unit_test(syncs_may_ask_for_more),
		cmocka_unit_test(close_calls_who_waits),
		cmocka_unit_test(compaction),
		cmocka_unit_test(compaction_of_nothing),
		cmocka_unit_test(compaction_aborted),
		cmocka_unit_test(compaction_holds_back),
		cmocka_unit_test(readers),
		cmocka_unit_test(written_ahead),
		cmocka_unit_test(zeros_within),
		cmocka_unit_test(where_to_refresh),
		cmocka_unit_test(refresh_is_denied),
		cmocka_unit_test(reads_only),
		cmocka_unit_test(one_daemon_only),
		cmocka_unit_test(replay_can_be_stopped),
		cmocka_unit_test(real_disk),
		cmocka_unit_test(bad_places),
		cmocka_unit_test(stores_are_found),
	};

	log_init("test_journal", LOG_EMERG);
	return cmocka_run_group_tests_name("journal", tests, NULL, NULL);
}
