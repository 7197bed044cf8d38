/* SPDX-License-Identifier: MIT
 * Copyright (c) 2026 The cubbyfs authors */

#include "workload.h"

#include "base/cleanup.h"

#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#define START_WALL (INT64_C(1795197000) * SECOND + 123456789)
#define START_ELAPSED (5000 * SECOND)
#define LOCKS "locks"

static unsigned pick(struct workload *w, unsigned n)
{
	return test_random(&w->random) % n;
}

/* --- states ------------------------------------------------------------------ */

char *workload_dump(struct bench *b)
{
	struct test_clock now = b->clock;
	char *dump;

	/* Nothing had a deadline then. */
	b->clock.wall = START_WALL;
	b->clock.elapsed = START_ELAPSED + (now.elapsed - now.wall) - (START_ELAPSED - START_WALL);
	dump = bench_dump(b);
	b->clock = now;
	return dump;
}

/* After whatever may have been a commit. */
static void note(struct workload *w)
{
	uint64_t revision = bench_revision(&w->b);

	if (revision == w->revision) {
		return;
	}
	/* A name that has expired is swept before it is made anew: a revision that nobody
	 * has seen. */
	assert_in_range(revision, w->revision + 1, w->revision + 2);
	assert_true(revision < WORKLOAD_REVISIONS);
	w->revision = revision;
	w->dumps[revision] = workload_dump(&w->b);
}

uint64_t workload_compare(struct workload *w, struct bench *b, const char *where)
{
	uint64_t revision = bench_revision(b);
	_cleanup_free_ char *dump = NULL;

	if (revision > w->revision) {
		fail_msg("%s: revision %" PRIu64 " of %" PRIu64, where, revision, w->revision);
	}
	dump = workload_dump(b);
	if (w->dumps[revision] && strcmp(dump, w->dumps[revision]) != 0) {
		print_error("%s: not as it was at revision %" PRIu64 "\n", where, revision);
		bench_same(w->dumps[revision], dump);
	}
	return revision;
}

static void tell(struct workload *w, int rc)
{
	uint64_t before = w->revision;
	_cleanup_free_ char *dump = NULL;

	note(w);
	if (rc < 0) {
		w->fault = w->fault ? w->fault : rc;
		w->last_fault = rc;
		if (w->revision == before) {
			/* The old value stands. */
			dump = workload_dump(&w->b);
			bench_same(w->dumps[w->revision], dump);
		}
	}
}

/* --- steps ------------------------------------------------------------------- */

struct target {
	uint64_t parent;
	char name[8];
	uint64_t ino; /* 0: there is nothing */
	mode_t mode;
};

static struct target some_name(struct workload *w)
{
	static const char *const directories[] = {"d", "e"};
	struct target t = {.parent = ROOT_INO};

	for (unsigned depth = pick(w, 3); depth > 0; depth--) {
		if (bench_lookup(&w->b, t.parent, directories[pick(w, 2)]) == 0 &&
			S_ISDIR(w->b.st.st_mode)) {
			t.parent = w->b.st.st_ino;
		}
	}
	snprintf(t.name, sizeof(t.name), "%c", 'a' + (int)pick(w, 7));
	if (bench_lookup(&w->b, t.parent, t.name) == 0) {
		t.ino = w->b.st.st_ino;
		t.mode = w->b.st.st_mode;
	}
	return t;
}

static struct target some_key(struct workload *w)
{
	struct target t;

	for (int tries = 0; tries < 10; tries++) {
		t = some_name(w);
		if (t.ino && S_ISREG(t.mode)) {
			return t;
		}
	}
	t.ino = 0;
	return t;
}

static void do_set(struct workload *w)
{
	struct target t = some_name(w);
	char value[3000];
	size_t size = pick(w, 4) ? pick(w, 100) : pick(w, sizeof(value));

	for (size_t i = 0; i < size; i++) {
		value[i] = (char)(pick(w, 40) ? 'a' + pick(w, 26) : pick(w, 256));
	}
	tell(w, bench_set_bytes(&w->b, t.parent, t.name, bytes_of(value, size)));
}

static void do_number(struct workload *w)
{
	struct target t = some_name(w);
	char value[20];

	snprintf(value, sizeof(value), "%u", pick(w, 1000));
	tell(w, bench_set(&w->b, t.parent, t.name, value));
	t.ino = bench_ino(&w->b, t.parent, t.name);
	if (t.ino) {
		tell(w, bench_setxattr(&w->b, t.ino, "user.cubby.increment", "5"));
	}
}

static void do_update(struct workload *w)
{
	struct target t = some_name(w);

	tell(w, bench_set(&w->b, t.parent, t.name, "{\"n\":1,\"list\":[1]}"));
	t.ino = bench_ino(&w->b, t.parent, t.name);
	if (t.ino) {
		tell(w, bench_setxattr(&w->b, t.ino, "user.cubby.update",
				"[{\"type\":\"increment\",\"path\":\"n\",\"by\":2},"
				"{\"type\":\"append\",\"path\":\"list\",\"value\":\"x\"}]"));
	}
}

static void do_append(struct workload *w)
{
	struct target t = some_key(w);
	uint64_t h;
	int rc = t.ino ? bench_open_key(&w->b, t.ino, O_WRONLY | O_APPEND, &h) : STORE_NOT_FOUND;

	if (rc == 0) {
		tell(w, bench_append(&w->b, h, "more\n"));
		rc = bench_close_key(&w->b, h);
	}
	tell(w, rc);
}

static void do_exclusive(struct workload *w)
{
	struct target t = some_name(w);
	uint64_t h;
	int rc = bench_create(&w->b, t.parent, t.name, O_WRONLY | O_EXCL, &h);

	tell(w, rc);
	if (rc == 0) {
		rc = bench_write(&w->b, h, "made", 0);
		tell(w, rc);
		tell(w, bench_flush(&w->b, h));
		bench_release(&w->b, h);
		note(w);
	}
}

static void do_make(struct workload *w)
{
	struct target t = some_name(w);

	switch (pick(w, 4)) {
	case 0:
		tell(w, bench_symlink(&w->b, t.parent, t.name, "over/there"));
		break;
	case 1:
		tell(w, bench_mknod(&w->b, t.parent, t.name, S_IFIFO | 0600, 0));
		break;
	default:
		tell(w, bench_mkdir(&w->b, t.parent, pick(w, 2) ? "d" : "e"));
	}
}

static void do_remove(struct workload *w)
{
	struct target t = some_name(w);

	tell(w, t.ino && S_ISDIR(t.mode) ? bench_rmdir(&w->b, t.parent, t.name)
					 : bench_unlink(&w->b, t.parent, t.name));
}

static void do_rename(struct workload *w)
{
	static const unsigned flags[] = {0, 0, RENAME_NOREPLACE, RENAME_EXCHANGE};
	struct target t = some_name(w), to = some_name(w);

	tell(w, bench_rename(&w->b, t.parent, t.name, to.parent, to.name, flags[pick(w, 4)]));
}

static void do_link(struct workload *w)
{
	struct target t = some_key(w), to = some_name(w);

	if (t.ino) {
		tell(w, bench_link(&w->b, t.ino, to.parent, to.name));
	}
}

static void do_attributes(struct workload *w)
{
	struct stat attr = {.st_mode = (mode_t)(0600 + pick(w, 0177))};
	struct target t = some_name(w);

	if (!t.ino || S_ISLNK(t.mode)) {
		return;
	}
	switch (pick(w, 5)) {
	case 0:
		tell(w, bench_setattr(&w->b, t.ino, 0, &attr, STORE_SET_MODE));
		break;
	case 1:
		tell(w, bench_removexattr(&w->b, t.ino, "user.a"));
		break;
	case 2:
		if (S_ISREG(t.mode)) {
			tell(w, bench_setattr(&w->b, t.ino, 0, &attr,
					STORE_SET_MTIME_NOW | STORE_SET_ATIME_NOW));
		}
		break;
	case 3:
		if (S_ISREG(t.mode)) {
			tell(w, bench_truncate(&w->b, t.ino, (off_t)pick(w, 50)));
		}
		break;
	default:
		tell(w, bench_setxattr(&w->b, t.ino, "user.a", pick(w, 2) ? "one" : "\xff\x01"));
	}
}

static void do_ttl(struct workload *w)
{
	struct target t = some_key(w);
	char text[20];

	snprintf(text, sizeof(text), "%u.25", pick(w, 20) + 1);
	if (t.ino) {
		tell(w, bench_setxattr(&w->b, t.ino, "user.cubby.ttl", text));
	} else if (bench_lookup(&w->b, ROOT_INO, "d") == 0 && S_ISDIR(w->b.st.st_mode)) {
		tell(w, bench_setxattr(&w->b, w->b.st.st_ino, "user.cubby.default_ttl", text));
	}
}

static void do_staged(struct workload *w)
{
	struct target t = some_key(w);
	uint64_t h;

	if (!t.ino || bench_open_key(&w->b, t.ino, O_WRONLY | O_TRUNC, &h)) {
		return;
	}
	tell(w, bench_write(&w->b, h, "with a ttl", 0));
	tell(w, bench_setxattr(&w->b, t.ino, "user.cubby.ttl", "30"));
	tell(w, bench_setxattr(&w->b, t.ino, "user.cubby.action", "because"));
	if (pick(w, 2)) {
		int rc = bench_fsync(&w->b, h);

		tell(w, rc);
		if (rc == 0) {
			w->acknowledged = w->revision;
			fault_disk_tag(w->disk, w->acknowledged);
		}
	}
	tell(w, bench_close_key(&w->b, h));
}

static void do_lock(struct workload *w)
{
	uint64_t locks = bench_ino(&w->b, ROOT_INO, LOCKS), ino, h;
	char name[4] = {(char)('p' + pick(w, 3)), 0}, token[32];
	int rc;

	if (!locks) {
		tell(w, bench_mkdir(&w->b, ROOT_INO, LOCKS));
		locks = bench_ino(&w->b, ROOT_INO, LOCKS);
		if (locks) {
			tell(w, bench_setxattr(&w->b, locks, "user.cubby.lock_ttl", "5"));
		}
		return;
	}
	ino = bench_ino(&w->b, locks, name);
	if (!ino && name[0] == 'r') {
		tell(w, bench_mkdir(&w->b, locks, name));
		ino = bench_ino(&w->b, locks, name);
		if (ino) {
			tell(w, bench_set(&w->b, ino, "held", "by me"));
		}
		return;
	}
	if (!ino) {
		rc = bench_create(&w->b, locks, name, O_WRONLY | O_EXCL, &h);
		tell(w, rc);
		if (rc == 0) {
			tell(w, bench_close_key(&w->b, h));
		}
		return;
	}
	if (name[0] == 'r') {
		tell(w, bench_unlink(&w->b, ino, "held"));
		tell(w, bench_rmdir(&w->b, locks, name));
		return;
	}
	snprintf(token, sizeof(token), "%s",
		bench_getxattr(&w->b, ino, "user.cubby.token") ? "0" : w->b.text);
	switch (pick(w, 3)) {
	case 0:
		tell(w, bench_setxattr(&w->b, ino, "user.cubby.refresh", token));
		break;
	case 1:
		tell(w, bench_setxattr(&w->b, ino, "user.cubby.release", token));
		break;
	default:
		tell(w, bench_unlink(&w->b, locks, name));
	}
}

static void do_time(struct workload *w)
{
	bench_advance(&w->b, pick(w, 4) * SECOND + SECOND / 2);
	for (int i = 0; i < 20; i++) {
		uint64_t before = w->revision;

		w->room = 1;
		store_tick(w->b.s);
		w->room = 0;
		store_dispatch(w->b.s);
		note(w);
		if (w->revision == before) {
			break;
		}
	}
}

int workload_sync(struct workload *w)
{
	int rc = bench_fsync(&w->b, 0);

	tell(w, rc);
	if (rc == 0) {
		w->acknowledged = w->revision;
		fault_disk_tag(w->disk, w->acknowledged);
	}
	return rc;
}

static void do_sync(struct workload *w)
{
	(void)workload_sync(w);
}

/* One sync for each set: the log is written ahead then. */
static void do_durable(struct workload *w)
{
	for (unsigned i = 0; i < 6; i++) {
		struct target t = some_name(w);

		tell(w, bench_set(&w->b, t.parent, t.name, "kept"));
		(void)workload_sync(w);
	}
}

static void look_at_compaction(struct workload *w)
{
	if (w->compacting && w->compaction.done) {
		w->compacting = false;
		if (w->compaction.rc != 0) {
			w->compaction_fault = w->compaction.rc;
		}
		if (w->compaction.rc == 0 && w->compacting_from > w->acknowledged) {
			w->acknowledged = w->compacting_from;
			fault_disk_tag(w->disk, w->acknowledged);
		}
	}
}

static void do_compact(struct workload *w)
{
	unsigned start = pick(w, 3), ticks = pick(w, 8);

	if (!w->compacting) {
		if (start != 0) {
			return;
		}
		w->compaction = (struct answer){0};
		w->compacting = true;
		w->compacting_from = w->revision;
		store_compact(w->b.s, ANSWER(&w->compaction));
	}
	for (; ticks > 0; ticks--) {
		bench_slow_tick(&w->b);
		store_dispatch(w->b.s);
		note(w);
	}
	look_at_compaction(w);
}

void workload_settle(struct workload *w)
{
	while (w->compacting) {
		store_tick(w->b.s);
		usleep(100);
		store_dispatch(w->b.s);
		look_at_compaction(w);
	}
}

void workload_step(struct workload *w)
{
	static void (*const steps[])(struct workload * w) = {do_set, do_set, do_set, do_number,
		do_update, do_append, do_append, do_exclusive, do_make, do_make, do_remove,
		do_remove, do_rename, do_link, do_attributes, do_attributes, do_ttl, do_staged,
		do_lock, do_lock, do_lock, do_time, do_time, do_sync, do_sync, do_durable,
		do_compact, do_compact};

	steps[pick(w, sizeof(steps) / sizeof(steps[0]))](w);
}

/* --- as a whole ----------------------------------------------------------------- */

static void take_notice(void *arg, const struct store_notice *notice)
{
	struct workload *w = arg;

	if (notice->kind == STORE_NOTICE_REMOVED) {
		w->room = 0;
	}
}

/* One at a time, so that each revision is seen. */
static unsigned room(void *arg)
{
	return ((struct workload *)arg)->room;
}

void workload_prepare(struct workload *w, uint64_t seed)
{
	*w = (struct workload){.random = seed};
	w->disk = fault_disk_create();
	bench_init(&w->b, BENCH_MEMORY);
	w->b.kind = BENCH_JOURNAL;
	w->b.config.disk = fault_disk_of(w->disk);
	w->b.config.location = "/store";
	w->b.config.segment_size = 5000;
	w->listener = (struct store_listener){.notice = take_notice, .room = room, .arg = w};
}

int workload_open(struct workload *w)
{
	int rc = bench_try_open(&w->b);

	if (rc == 0) {
		store_listen(w->b.s, &w->listener);
		note(w);
		if (!w->dumps[w->revision]) {
			/* Not even the root could be written. */
			w->dumps[w->revision] = workload_dump(&w->b);
		}
	}
	return rc;
}

void workload_init(struct workload *w, uint64_t seed)
{
	workload_prepare(w, seed);
	assert_int_equal(workload_open(w), 0);
}

void workload_finish(struct workload *w)
{
	bench_finish(&w->b);
	fault_disk_destroy(w->disk);
	for (size_t i = 0; i < WORKLOAD_REVISIONS; i++) {
		free(w->dumps[i]);
		w->dumps[i] = NULL;
	}
}

void workload_bench(struct workload *w, struct bench *b, struct fault_disk *disk)
{
	*b = w->b;
	b->s = NULL;
	b->text = NULL;
	b->directory = NULL;
	b->location = NULL;
	b->config.clock = &b->clock.base;
	b->config.disk = fault_disk_of(disk);
}
