/* SPDX-License-Identifier: MIT
 * Copyright (c) 2026 The cubbyfs authors */

/* Every allocation that an operation makes, its own or a library's, fails once.
 * The operation then says ENOMEM and has done nothing, or it has been done; it
 * works when it is tried again; and what the journal holds is the same state.
 * Leaks and bad accesses are the sanitizers' to find. */
#include "failing.h"
#include "harness.h"

#include "../unit/fault_disk.h"
#include "base/cleanup.h"
#include "base/log.h"
#include "store/journal/check.h"

#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#define BINARY "\xff\xfe binary \x01"
#define LIMIT 5000

static uint64_t failures;

struct scene {
	struct bench b;
	struct fault_disk *disk;
	uint64_t d, k, n, j, ttl, locks, held;
	char token[24], revision[24]; /* of `held`, of `n` */
	uint64_t h;
	struct answer answer;
};

static void scene_init(struct scene *s)
{
	struct bench *b = &s->b;
	uint64_t h;

	*s = (struct scene){.disk = fault_disk_create()};
	bench_init(b, BENCH_MEMORY);
	b->kind = BENCH_JOURNAL;
	b->config.disk = fault_disk_of(s->disk);
	b->config.location = "/store";
	b->config.commit = 0;
	bench_open(b);
	s->d = bench_namespace(b, ROOT_INO, "d");
	bench_set(b, ROOT_INO, "k", "old");
	s->k = bench_ino(b, ROOT_INO, "k");
	bench_setxattr(b, s->k, "user.a", BINARY);
	bench_setxattr(b, s->k, "user.b", "text");
	bench_set(b, ROOT_INO, "n", "5");
	s->n = bench_ino(b, ROOT_INO, "n");
	bench_set(b, s->d, "j", "{\"n\":1,\"list\":[1,\"two\"]}");
	s->j = bench_ino(b, s->d, "j");
	bench_set(b, s->d, "other", BINARY);
	bench_set(b, s->d, "ttl", "soon gone");
	s->ttl = bench_ino(b, s->d, "ttl");
	bench_setxattr(b, s->ttl, "user.cubby.ttl", "10");
	bench_symlink(b, s->d, "sym", "target");
	bench_link(b, s->k, s->d, "link");
	s->locks = bench_namespace(b, ROOT_INO, "locks");
	bench_setxattr(b, s->locks, "user.cubby.lock_ttl", "30");
	assert_int_equal(bench_create(b, s->locks, "held", O_WRONLY | O_EXCL, &h), 0);
	bench_close_key(b, h);
	s->held = bench_ino(b, s->locks, "held");
	snprintf(s->token, sizeof(s->token), "%s", bench_xattr(b, s->held, "user.cubby.token"));
	snprintf(s->revision, sizeof(s->revision), "%s",
		bench_xattr(b, s->n, "user.cubby.revision"));
	assert_int_equal(bench_fsync(b, 0), 0);
}

static void scene_finish(struct scene *s)
{
	bench_finish(&s->b);
	fault_disk_destroy(s->disk);
}

/* An expiry that is tried again is so later. */
static bool timeless;

/* A number given to a node that then was not made is not given again. */
static char *dump(struct bench *b)
{
	static const char *const dropped[] = {" ino=", " m=", " c=", " modified="};
	char *text = bench_dump(b), *to = text;

	for (char *from = text; *from;) {
		bool drop = false;

		for (int i = 0; i < (timeless ? 4 : 1) && !drop; i++) {
			drop = strncmp(from, dropped[i], strlen(dropped[i])) == 0;
		}
		if (drop) {
			from += 1 + strcspn(from + 1, " \n");
		} else {
			*to++ = *from++;
		}
	}
	*to = 0;
	return text;
}

/* --- operations ----------------------------------------------------------------- */

struct operation {
	const char *name;
	void (*prepare)(struct scene *s); /* may be NULL */
	int (*run)(struct scene *s);
	void (*after)(struct scene *s); /* may be NULL */
	bool again;                     /* run alone is tried again, not prepare */
};

static void open_to_write(struct scene *s)
{
	assert_int_equal(bench_open_key(&s->b, s->k, O_WRONLY, &s->h), 0);
}

static void stage(struct scene *s)
{
	assert_int_equal(bench_open_key(&s->b, s->k, O_WRONLY | O_TRUNC, &s->h), 0);
	assert_int_equal(bench_write(&s->b, s->h, "new " BINARY, 0), 0);
}

static void stage_new(struct scene *s)
{
	assert_int_equal(bench_create(&s->b, s->d, "made", O_WRONLY, &s->h), 0);
	assert_int_equal(bench_write(&s->b, s->h, "new", 0), 0);
}

static void stage_more(struct scene *s)
{
	stage(s);
	assert_int_equal(bench_setxattr(&s->b, s->k, "user.c", "staged"), 0);
	assert_int_equal(bench_setxattr(&s->b, s->k, "user.cubby.ttl", "60"), 0);
	assert_int_equal(bench_setxattr(&s->b, s->k, "user.cubby.action", "why"), 0);
}

static void release(struct scene *s)
{
	if (s->h) {
		bench_release(&s->b, s->h);
		s->h = 0;
	}
}

static int flush(struct scene *s)
{
	return bench_flush(&s->b, s->h);
}

static int fsync_key(struct scene *s)
{
	return bench_fsync(&s->b, s->h);
}

/* A store that has not synced yet. */
static void begin_anew(struct scene *s)
{
	bench_reopen(&s->b);
	assert_int_equal(bench_setxattr(&s->b, s->k, "user.d", "not synced"), 0);
}

static int fsync_all(struct scene *s)
{
	return bench_fsync(&s->b, 0);
}

static int write_some(struct scene *s)
{
	return bench_write(&s->b, s->h, "written", 0);
}

static int open_it(struct scene *s)
{
	return bench_open_key(&s->b, s->k, O_RDWR, &s->h);
}

static void open_to_append(struct scene *s)
{
	assert_int_equal(bench_open_key(&s->b, s->k, O_WRONLY | O_APPEND, &s->h), 0);
}

static int append(struct scene *s)
{
	return bench_append(&s->b, s->h, "more");
}

static int create_exclusive(struct scene *s)
{
	return bench_create(&s->b, s->d, "made", O_WRONLY | O_EXCL, &s->h);
}

static int take_lock(struct scene *s)
{
	return bench_create(&s->b, s->locks, "new", O_WRONLY | O_EXCL, &s->h);
}

static int take_directory(struct scene *s)
{
	return bench_mkdir(&s->b, s->locks, "dir");
}

static int refresh(struct scene *s)
{
	return bench_setxattr(&s->b, s->held, "user.cubby.refresh", s->token);
}

static int release_lock(struct scene *s)
{
	return bench_setxattr(&s->b, s->held, "user.cubby.release", s->token);
}

static int unlink_lock(struct scene *s)
{
	return bench_unlink(&s->b, s->locks, "held");
}

static int make_namespace(struct scene *s)
{
	return bench_mkdir(&s->b, s->d, "new");
}

static int make_fifo(struct scene *s)
{
	return bench_mknod(&s->b, s->d, "new", S_IFIFO | 0600, 0);
}

static int make_symlink(struct scene *s)
{
	return bench_symlink(&s->b, s->d, "new", BINARY);
}

static int make_link(struct scene *s)
{
	return bench_link(&s->b, s->k, s->d, "new");
}

static int remove_key(struct scene *s)
{
	return bench_unlink(&s->b, s->d, "other");
}

static void empty(struct scene *s)
{
	(void)bench_mkdir(&s->b, s->d, "empty");
}

static int remove_namespace(struct scene *s)
{
	return bench_rmdir(&s->b, s->d, "empty");
}

static int rename_key(struct scene *s)
{
	return bench_rename(&s->b, ROOT_INO, "k", s->d, "renamed", 0);
}

static int rename_over(struct scene *s)
{
	return bench_rename(&s->b, ROOT_INO, "k", s->d, "other", 0);
}

static int exchange(struct scene *s)
{
	return bench_rename(&s->b, ROOT_INO, "k", s->d, "other", RENAME_EXCHANGE);
}

static int rename_into_lock(struct scene *s)
{
	return bench_rename(&s->b, ROOT_INO, "n", s->locks, "n", RENAME_NOREPLACE);
}

static int change_mode(struct scene *s)
{
	return bench_setattr(&s->b, s->k, 0, &(struct stat){.st_mode = 0600}, STORE_SET_MODE);
}

static int touch(struct scene *s)
{
	return bench_setattr(&s->b, s->ttl, 0, &(struct stat){0}, STORE_SET_MTIME_NOW);
}

static int cut_short(struct scene *s)
{
	return bench_truncate(&s->b, s->k, 2);
}

static int set_attribute(struct scene *s)
{
	return bench_setxattr(&s->b, s->k, "user.new", BINARY);
}

static int replace_attribute(struct scene *s)
{
	return bench_setxattr(&s->b, s->k, "user.a", "else");
}

static int remove_attribute(struct scene *s)
{
	return bench_removexattr(&s->b, s->k, "user.a");
}

static int set_ttl(struct scene *s)
{
	return bench_setxattr(&s->b, s->k, "user.cubby.ttl", "20");
}

static int remove_ttl(struct scene *s)
{
	return bench_removexattr(&s->b, s->ttl, "user.cubby.ttl");
}

static int increment(struct scene *s)
{
	return bench_setxattr(&s->b, s->n, "user.cubby.increment", "37");
}

static int update(struct scene *s)
{
	return bench_setxattr(&s->b, s->j, "user.cubby.update",
		"[{\"type\":\"set\",\"path\":[\"a\",\"b\"],\"value\":{\"c\":[1.5,true,null]}},"
		"{\"type\":\"append\",\"path\":\"list\",\"value\":\"three\"},"
		"{\"type\":\"merge\",\"value\":{\"m\":\"erged\"}},"
		"{\"type\":\"increment\",\"path\":\"n\",\"by\":2},"
		"{\"type\":\"remove\",\"path\":\"a\"}]");
}

static int compare_and_set(struct scene *s)
{
	char text[60];

	snprintf(text, sizeof(text), "%s:swapped", s->revision);
	return bench_setxattr(&s->b, s->n, "user.cubby.cas", text);
}

static int set_policy(struct scene *s)
{
	return bench_setxattr(&s->b, s->d, "user.cubby.default_ttl", "100");
}

static void run_out(struct scene *s)
{
	bench_advance(&s->b, 12 * SECOND);
}

/* A tick has nobody to tell. */
static int expire(struct scene *s)
{
	bench_sweep(&s->b);
	return 0;
}

static void wait_a_second(struct scene *s)
{
	bench_advance(&s->b, 2 * SECOND);
	bench_sweep(&s->b);
}

static int compact(struct scene *s)
{
	return bench_compact(&s->b);
}

static bool any_name(void *arg, const struct store_name *name)
{
	(void)arg;
	(void)name;
	return true;
}

static int read_all(struct scene *s)
{
	_cleanup_buffer_ struct buffer out = {0};
	static const char *const names[] = {"user.a", "user.b", "user.cubby.revision",
		"user.cubby.created", "user.cubby.expires", "user.cubby.ttl", "user.cubby.holder"};
	struct bytes bytes;
	uint64_t h;
	int rc, worst = 0;

	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
		rc = store_getxattr(s->b.s, s->b.who, i < 4 ? s->k : s->held, names[i], &out);
		worst = rc < worst ? rc : worst;
	}
	rc = store_listxattr(s->b.s, s->b.who, s->k, &out);
	worst = rc < worst ? rc : worst;
	rc = store_readdir(s->b.s, s->b.who, s->d, 0, any_name, NULL);
	worst = rc < worst ? rc : worst;
	rc = store_open_key(s->b.s, s->b.who, s->k, O_RDONLY, &h);
	if (rc == 0) {
		rc = store_read(s->b.s, s->b.who, h, 0, 100, &bytes);
		store_release(s->b.s, h);
	}
	worst = rc < worst ? rc : worst;
	out.size = 0;
	rc = store_stats(s->b.s, &out);
	worst = rc < worst ? rc : worst;
	out.size = 0;
	rc = store_path(s->b.s, s->j, &out);
	return rc < worst ? rc : worst;
}

static int read_log(struct scene *s)
{
	struct store_log *log;
	char data[100];
	int rc = store_log_open(s->b.s, &log);
	ssize_t n;

	if (rc == 0) {
		n = store_log_read(log, data, sizeof(data), 0);
		store_log_close(log);
		rc = n < 0 ? (int)n : 0;
	}
	return rc;
}

static const struct operation operations[] = {
	{"open", NULL, open_it, release, false},
	{"write", open_to_write, write_some, release, true},
	{"set", stage, flush, release, false},
	{"set a new key", stage_new, flush, release, false},
	{"set with attributes", stage_more, flush, release, false},
	{"fsync", stage, fsync_key, release, false},
	{"fsync of all", NULL, fsync_all, NULL, false},
	{"the first fsync", begin_anew, fsync_all, NULL, true},
	{"append", open_to_append, append, release, true},
	{"create exclusively", NULL, create_exclusive, release, false},
	{"take a lock", NULL, take_lock, release, false},
	{"take a lock directory", NULL, take_directory, NULL, false},
	{"refresh a lock", NULL, refresh, NULL, false},
	{"release a lock", NULL, release_lock, NULL, false},
	{"unlink a lock", NULL, unlink_lock, NULL, false},
	{"mkdir", NULL, make_namespace, NULL, false},
	{"mknod", NULL, make_fifo, NULL, false},
	{"symlink", NULL, make_symlink, NULL, false},
	{"link", NULL, make_link, NULL, false},
	{"unlink", NULL, remove_key, NULL, false},
	{"rmdir", empty, remove_namespace, NULL, true},
	{"rename", NULL, rename_key, NULL, false},
	{"rename over", NULL, rename_over, NULL, false},
	{"exchange", NULL, exchange, NULL, false},
	{"rename into a lock", NULL, rename_into_lock, NULL, false},
	{"chmod", NULL, change_mode, NULL, false},
	{"touch", NULL, touch, NULL, false},
	{"truncate", NULL, cut_short, NULL, false},
	{"set an attribute", NULL, set_attribute, NULL, false},
	{"replace an attribute", NULL, replace_attribute, NULL, false},
	{"remove an attribute", NULL, remove_attribute, NULL, false},
	{"set a TTL", NULL, set_ttl, NULL, false},
	{"remove a TTL", NULL, remove_ttl, NULL, false},
	{"increment", NULL, increment, NULL, false},
	{"update", NULL, update, NULL, false},
	{"compare and set", NULL, compare_and_set, NULL, false},
	{"set a policy", NULL, set_policy, NULL, false},
	{"expire", run_out, expire, wait_a_second, true},
	{"compact", NULL, compact, NULL, false},
	{"read", NULL, read_all, NULL, false},
	{"read the log", NULL, read_log, NULL, false},
};

/* --- the sweep -------------------------------------------------------------------- */

static void same(const char *expected, const char *found, const char *name, uint64_t nth)
{
	if (strcmp(expected, found) != 0) {
		print_error("%s, allocation %" PRIu64 ":\n", name, nth);
		bench_same(expected, found);
	}
}

static void look(struct scene *s, const char *expected, const char *name, uint64_t nth)
{
	char *found = dump(&s->b);

	same(expected, found, name, nth);
	free(found);
}

/* Once without a failure; *before and *after are the states. */
static void rehearse(const struct operation *o, char **before, char **after)
{
	struct scene s;

	scene_init(&s);
	if (o->prepare) {
		o->prepare(&s);
	}
	*before = dump(&s.b);
	assert_int_equal(o->run(&s), 0);
	if (o->after) {
		o->after(&s);
	}
	*after = dump(&s.b);
	scene_finish(&s);
}

/* Whether there was an nth allocation. */
static bool run(const struct operation *o, uint64_t nth, const char *before, const char *after)
{
	struct scene s;
	bool failed;
	int rc;

	scene_init(&s);
	if (o->prepare) {
		o->prepare(&s);
	}
	failing_arm(nth);
	rc = o->run(&s);
	failed = failing_disarm();
	if (rc != 0 && (rc != -ENOMEM || !failed)) {
		fail_msg("%s, allocation %" PRIu64 ": %d", o->name, nth, rc);
	}
	if (rc != 0) {
		failures++;
		look(&s, before, o->name, nth);
		if (!o->again) {
			if (o->after) {
				o->after(&s);
			}
			look(&s, before, o->name, nth);
			if (o->prepare) {
				o->prepare(&s);
			}
		}
		rc = o->run(&s);
		if (rc != 0) {
			fail_msg("%s, again after allocation %" PRIu64 ": %d", o->name, nth, rc);
		}
	}
	if (o->after) {
		o->after(&s);
	}
	look(&s, after, o->name, nth);
	assert_int_equal(bench_stat(&s.b, NULL, "read_only"), 0);
	bench_reopen(&s.b);
	look(&s, after, o->name, nth);
	assert_int_equal(bench_stat(&s.b, "damage", "damaged_lines"), 0);
	scene_finish(&s);
	return failed;
}

static const char *only;

static void each_operation(void **state)
{
	(void)state;
	for (size_t i = 0; i < sizeof(operations) / sizeof(operations[0]); i++) {
		char *before, *after;
		uint64_t nth = 1;

		if (only && strcmp(operations[i].name, only) != 0) {
			continue;
		}
		timeless = operations[i].run == expire;
		rehearse(&operations[i], &before, &after);
		while (nth < LIMIT && run(&operations[i], nth, before, after)) {
			nth++;
		}
		printf("%s: %" PRIu64 " allocations\n", operations[i].name, nth - 1);
		fflush(stdout);
		assert_true(nth < LIMIT);
		free(before);
		free(after);
	}
	timeless = false;
	printf("%" PRIu64 " failures told of\n", failures);
}

/* What the store on the disk was before must be there after. */
static void look_at_disk(struct scene *s, const char *expected, const char *name, uint64_t nth)
{
	fault_disk_restart(s->disk);
	bench_open(&s->b);
	look(s, expected, name, nth);
	assert_int_equal(bench_stat(&s->b, "damage", "damaged_lines"), 0);
	assert_int_equal(bench_stat(&s->b, "damage", "missing_revisions"), 0);
	bench_close(&s->b);
}

static void opening(void **state)
{
	(void)state;
	for (int snapshot = 0; snapshot < 2; snapshot++) {
		uint64_t nth = 1, told = 0;
		struct scene s;
		char *expected;
		bool failed = true;

		scene_init(&s);
		if (snapshot) {
			assert_int_equal(bench_compact(&s.b), 0);
			assert_int_equal(bench_set(&s.b, s.d, "later", BINARY), 0);
		}
		expected = dump(&s.b);
		bench_close(&s.b);
		for (; failed && nth < 20 * LIMIT; nth++) {
			char *error = NULL;
			int rc;

			failing_arm(nth);
			rc = store_open(&s.b.s, &s.b.config, &error);
			failed = failing_disarm();
			free(error);
			if (rc == 0) {
				look(&s, expected, "opening", nth);
				assert_int_equal(bench_stat(&s.b, "damage", "damaged_lines"), 0);
				bench_close(&s.b);
			} else {
				s.b.s = NULL;
				told++;
				if (rc != -ENOMEM && rc != -EAGAIN) {
					fail_msg("opening, allocation %" PRIu64 ": %d", nth, rc);
				}
			}
			if (nth % 10 == 0 || rc != 0) {
				look_at_disk(&s, expected, "after opening", nth);
			}
		}
		printf("opening: %" PRIu64 " allocations, %" PRIu64 " failures told of\n", nth - 2,
			told);
		fflush(stdout);
		free(expected);
		scene_finish(&s);
	}
}

static void no_problem(void *arg, const struct check_problem *p)
{
	fail_msg("allocation %" PRIu64 ": %s: %s", *(uint64_t *)arg, p->file, p->what);
}

static void checking(void **state)
{
	uint64_t nth = 1;
	const struct check_callbacks callbacks = {.problem = no_problem, .arg = &nth};
	struct scene s;
	bool failed = true;

	(void)state;
	scene_init(&s);
	bench_close(&s.b);
	for (; failed && nth < 20 * LIMIT; nth++) {
		struct check_summary summary;
		char *error = NULL;
		int rc;

		failing_arm(nth);
		rc = journal_check(fault_disk_of(s.disk), "/store", &callbacks, &summary, &error);
		failed = failing_disarm();
		free(error);
		if (rc != 0 && (rc != -ENOMEM || !failed)) {
			fail_msg("checking, allocation %" PRIu64 ": %d", nth, rc);
		}
	}
	printf("checking: %" PRIu64 " allocations\n", nth - 2);
	scene_finish(&s);
}

int main(int argc, char **argv)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(each_operation),
		cmocka_unit_test(opening),
		cmocka_unit_test(checking),
	};

	only = argc > 1 ? argv[1] : NULL;
	log_init("test_allocation", LOG_EMERG);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
