/* SPDX-License-Identifier: MIT
 * Copyright (c) 2026 The cubbyfs authors */

/* Names that are locks. */
#include "cases.h"

#include <fcntl.h>
#include <stdlib.h>
#include <string.h>

#define TTL "user.cubby.ttl"
#define TOKEN "user.cubby.token"
#define HOLDER "user.cubby.holder"
#define REFRESH "user.cubby.refresh"
#define RELEASE "user.cubby.release"

static uint64_t locks_of(struct bench *b, const char *ttl)
{
	uint64_t locks = bench_namespace(b, ROOT_INO, "locks");

	assert_int_equal(bench_setxattr(b, locks, "user.cubby.lock_ttl", ttl), 0);
	return locks;
}

/* As open(O_CREAT | O_EXCL) and close. */
static int take(struct bench *b, uint64_t parent, const char *name)
{
	uint64_t h = 0;
	int rc = bench_create(b, parent, name, O_WRONLY | O_EXCL, &h);

	return rc ? rc : bench_close_key(b, h);
}

static uint64_t token_of(struct bench *b, uint64_t parent, const char *name)
{
	const char *text = bench_xattr(b, bench_ino(b, parent, name), TOKEN);

	return text ? strtoull(text, NULL, 10) : 0;
}

static int touch(struct bench *b, uint64_t ino)
{
	return bench_setattr(b, ino, 0, &(struct stat){0}, STORE_SET_MTIME_NOW);
}

static int with_token(struct bench *b, uint64_t ino, const char *attribute, uint64_t token)
{
	char text[32];

	snprintf(text, sizeof(text), "%llu", (unsigned long long)token);
	return bench_setxattr(b, ino, attribute, text);
}

/* In a sticky directory, as /tmp is: only its holder, and only his own. */
static void released_by_others(struct bench *b)
{
	const struct stat sticky = {.st_mode = 01777};
	uint64_t locks, ino, token;

	b->who = &ROOT;
	locks = locks_of(b, "30");
	assert_int_equal(bench_setattr(b, locks, 0, &sticky, STORE_SET_MODE), 0);
	b->who = &ALICE;
	assert_int_equal(take(b, locks, "a"), 0);
	ino = bench_ino(b, locks, "a");
	token = token_of(b, locks, "a");
	b->who = &BOB;
	assert_int_equal(with_token(b, ino, RELEASE, token), STORE_DENIED);
	assert_int_equal(bench_setxattr(b, ino, TTL, "0"), STORE_DENIED);
	assert_int_equal(with_token(b, ino, REFRESH, token), 0); /* as touch(1) */
	assert_int_equal(bench_link(b, ino, ROOT_INO, "a"), 0);
	assert_int_equal(bench_setxattr(b, ino, TTL, "0"), STORE_DENIED); /* the lock's is meant */
	b->who = &ALICE;
	assert_int_equal(token_of(b, locks, "a"), token);
	assert_int_equal(with_token(b, ino, RELEASE, token), 0);
	assert_int_equal(bench_ino(b, locks, "a"), 0);
}

/* --- taking ----------------------------------------------------------------- */

enum way { EXCL, MKDIR, MKNOD, FIFO, LINK, SYMLINK, NOREPLACE, N_WAYS };

static int take_by(struct bench *b, enum way way, uint64_t parent, const char *name)
{
	int rc;

	switch (way) {
	case EXCL:
		return take(b, parent, name);
	case MKDIR:
		return bench_mkdir(b, parent, name);
	case MKNOD:
		return bench_mknod(b, parent, name, S_IFREG | 0600, 0);
	case FIFO:
		return bench_mknod(b, parent, name, S_IFIFO | 0600, 0);
	case LINK:
		bench_set(b, ROOT_INO, "data", "v");
		return bench_link(b, bench_ino(b, ROOT_INO, "data"), parent, name);
	case SYMLINK:
		return bench_symlink(b, parent, name, "to");
	case NOREPLACE:
		bench_set(b, ROOT_INO, "moved", "v");
		rc = bench_rename(b, ROOT_INO, "moved", parent, name, RENAME_NOREPLACE);
		bench_unlink(b, ROOT_INO, "moved");
		return rc;
	case N_WAYS:
		break;
	}
	return STORE_INVALID;
}

static void every_way_takes(struct bench *b)
{
	uint64_t locks = locks_of(b, "2"), last = 0;

	for (enum way way = 0; way < N_WAYS; way++) {
		/* The end of one is the beginning of the next, which nobody has swept for. */
		assert_int_equal(take_by(b, way, locks, "l"), 0);
		assert_true(token_of(b, locks, "l") > last);
		last = token_of(b, locks, "l");
		assert_int_equal(last, bench_revision(b));
		assert_string_equal(bench_xattr(b, bench_ino(b, locks, "l"), TTL), "2.000000");
		for (enum way other = 0; other < N_WAYS; other++) {
			assert_int_equal(take_by(b, other, locks, "l"), STORE_EXISTS);
		}
		assert_int_equal(token_of(b, locks, "l"), last);
		bench_advance(b, 2 * SECOND - 1);
		assert_int_not_equal(bench_ino(b, locks, "l"), 0);
		bench_advance(b, 1);
		assert_int_equal(bench_ino(b, locks, "l"), 0);
		assert_string_equal(bench_list(b, locks), "");
	}
	assert_string_equal(bench_get(b, ROOT_INO, "data"), "v");
	assert_null(bench_xattr(b, bench_ino(b, ROOT_INO, "data"), TTL));
	bench_sweep(b);
	assert_int_equal(bench_stat(b, NULL, "locks"), 0);
}

static void what_takes_none(struct bench *b)
{
	uint64_t locks = locks_of(b, "1"), h;

	/* In another namespace; what is not exclusive; a rename that may replace. */
	assert_int_equal(take(b, ROOT_INO, "excl"), 0);
	assert_int_equal(bench_set(b, locks, "plain", "v"), 0);
	assert_int_equal(bench_set(b, ROOT_INO, "moved", "v"), 0);
	assert_int_equal(bench_rename(b, ROOT_INO, "moved", locks, "moved", 0), 0);
	bench_create(b, locks, "empty", O_RDONLY, &h);
	bench_release(b, h);
	bench_advance(b, 10 * SECOND);
	bench_sweep(b);
	assert_string_equal(bench_list(b, locks), "empty moved plain ");
	assert_int_not_equal(bench_ino(b, ROOT_INO, "excl"), 0);
	assert_int_equal(bench_getxattr(b, bench_ino(b, locks, "plain"), TOKEN),
		STORE_NO_ATTRIBUTE);
	assert_int_equal(bench_getxattr(b, locks, HOLDER), STORE_NO_ATTRIBUTE);
	assert_int_equal(with_token(b, bench_ino(b, locks, "plain"), REFRESH, 5), STORE_LOST);
	assert_int_equal(with_token(b, locks, RELEASE, 5), STORE_LOST);
}

static void narrowed_by_a_suffix(struct bench *b)
{
	uint64_t locks = locks_of(b, "1"), nested;

	assert_int_equal(bench_setxattr(b, locks, "user.cubby.lock_suffix", ".lk"), 0);
	assert_int_equal(take(b, locks, "a.lk"), 0);
	assert_int_equal(take(b, locks, ".lk"), 0);
	assert_int_equal(take(b, locks, "a.lkx"), 0);
	assert_int_equal(take(b, locks, "k"), 0);
	/* It is not handed down. */
	nested = bench_namespace(b, locks, "nested");
	assert_int_equal(take(b, nested, "a.lk"), 0);
	bench_advance(b, SECOND);
	assert_string_equal(bench_list(b, locks), "a.lkx k nested ");
	assert_string_equal(bench_list(b, nested), "a.lk ");
}

static void on_the_whole_mount(struct bench *b)
{
	uint64_t own, suffixed;

	b->config.lock_ttl = 3 * SECOND;
	bench_close(b);
	bench_open(b);
	own = bench_namespace(b, ROOT_INO, "own");
	assert_int_equal(bench_setxattr(b, own, "user.cubby.lock_ttl", "1"), 0);
	suffixed = bench_namespace(b, ROOT_INO, "suffixed");
	assert_int_equal(bench_setxattr(b, suffixed, "user.cubby.lock_suffix", ".pid"), 0);
	assert_int_equal(take(b, ROOT_INO, "a.lock"), 0);
	assert_int_equal(take(b, ROOT_INO, "a"), 0);
	assert_int_equal(take(b, own, "a"), 0);
	assert_int_equal(take(b, suffixed, "a.pid"), 0);
	assert_int_equal(take(b, suffixed, "a.lock"), 0);
	bench_advance(b, SECOND);
	assert_string_equal(bench_list(b, own), "");
	bench_advance(b, 2 * SECOND);
	assert_string_equal(bench_list(b, ROOT_INO), "a own suffixed ");
	assert_string_equal(bench_list(b, suffixed), "a.lock ");
}

/* --- keeping ------------------------------------------------------------------ */

static void refreshed(struct bench *b)
{
	uint64_t locks = locks_of(b, "2"), ino, token, h;

	take(b, locks, "l");
	ino = bench_ino(b, locks, "l");
	token = token_of(b, locks, "l");
	for (int i = 0; i < 5; i++) {
		bench_advance(b, 3 * SECOND / 2);
		switch (i) {
		case 0:
			assert_int_equal(touch(b, ino), 0);
			break;
		case 1:
			assert_int_equal(bench_setattr(b, ino, 0, &(struct stat){0},
						 STORE_SET_MTIME | STORE_SET_ATIME), 0);
			break;
		case 2:
			assert_int_equal(bench_set(b, locks, "l", "rewritten"), 0);
			break;
		case 3:
			assert_int_equal(bench_open_key(b, ino, O_WRONLY | O_APPEND, &h), 0);
			assert_int_equal(bench_append(b, h, "+"), 0);
			bench_close_key(b, h);
			break;
		case 4:
			assert_int_equal(with_token(b, ino, REFRESH, token), 0);
			break;
		}
		assert_string_equal(bench_xattr(b, ino, TTL), "2.000000");
		assert_int_equal(token_of(b, locks, "l"), token);
	}
	/* What is no rewriting changes nothing. */
	bench_advance(b, SECOND);
	assert_int_equal(bench_setattr(b, ino, 0, &(struct stat){.st_mode = 0600}, STORE_SET_MODE), 0);
	assert_int_equal(bench_setxattr(b, ino, "user.own", "x"), 0);
	assert_string_equal(bench_xattr(b, ino, TTL), "1.000000");
	assert_int_equal(with_token(b, ino, REFRESH, token + 1), STORE_LOST);
	assert_int_equal(with_token(b, ino, REFRESH, 0), STORE_LOST);
	assert_int_equal(bench_setxattr(b, ino, REFRESH, "x"), STORE_INVALID);
	assert_int_equal(bench_setxattr(b, ino, REFRESH, ""), STORE_INVALID);
	assert_int_equal(bench_setxattr(b, ino, TOKEN, "1"), STORE_DENIED);
	assert_string_equal(bench_xattr(b, ino, TTL), "1.000000");
	/* Another TTL, for later refreshes too. */
	assert_int_equal(bench_setxattr(b, ino, TTL, "7"), 0);
	bench_advance(b, 6 * SECOND);
	touch(b, ino);
	assert_string_equal(bench_xattr(b, ino, TTL), "7.000000");
	/* Made permanent it is a lock no more. */
	assert_int_equal(bench_removexattr(b, ino, TTL), 0);
	assert_int_equal(bench_getxattr(b, ino, TOKEN), STORE_NO_ATTRIBUTE);
	bench_advance(b, 100 * SECOND);
	assert_string_equal(bench_get(b, locks, "l"), "rewritten+");
}

static void released(struct bench *b)
{
	uint64_t locks = locks_of(b, "2"), token, dir;

	take(b, locks, "l");
	token = token_of(b, locks, "l");
	assert_int_equal(with_token(b, bench_ino(b, locks, "l"), RELEASE, token - 1), STORE_LOST);
	assert_int_equal(with_token(b, bench_ino(b, locks, "l"), RELEASE, token), 0);
	assert_string_equal(bench_list(b, locks), "");
	take(b, locks, "l");
	assert_true(token_of(b, locks, "l") > token);
	assert_int_equal(bench_unlink(b, locks, "l"), 0);
	bench_mkdir(b, locks, "l");
	assert_int_equal(with_token(b, bench_ino(b, locks, "l"), RELEASE, token_of(b, locks, "l")), 0);
	assert_string_equal(bench_list(b, locks), "");
	/* A directory goes with what is in it, at once for readers. */
	bench_mkdir(b, locks, "d");
	dir = bench_ino(b, locks, "d");
	bench_set(b, dir, "k", "v");
	bench_set(b, bench_namespace(b, dir, "sub"), "k", "v");
	assert_int_equal(bench_rmdir(b, locks, "d"), STORE_NOT_EMPTY);
	assert_int_equal(with_token(b, dir, RELEASE, token_of(b, locks, "d")), 0);
	assert_string_equal(bench_list(b, locks), "");
	assert_int_equal(bench_lookup(b, dir, "k"), STORE_NOT_FOUND);
	assert_int_equal(bench_mkdir(b, locks, "d"), 0);
	assert_string_equal(bench_list(b, bench_ino(b, locks, "d")), "");
	bench_rmdir(b, locks, "d");
	bench_sweep(b);
	assert_int_equal(bench_stat(b, NULL, "keys"), 0);
	assert_int_equal(bench_stat(b, NULL, "namespaces"), 1);
}

/* --- losing ------------------------------------------------------------------------ */

static void a_lock_directory_expires_whole(struct bench *b)
{
	uint64_t locks = locks_of(b, "1"), dir, sub, key, h;

	bench_mkdir(b, locks, "d");
	dir = bench_ino(b, locks, "d");
	sub = bench_namespace(b, dir, "sub");
	bench_set(b, sub, "k", "v");
	bench_symlink(b, dir, "link", "x");
	key = bench_ino(b, sub, "k");
	assert_int_equal(bench_open_key(b, key, O_RDWR, &h), 0);
	assert_int_equal(bench_write(b, h, "late", 0), 0);
	bench_advance(b, SECOND);
	/* Nobody has swept; who is in there already sees nothing. */
	assert_string_equal(bench_list(b, sub), "");
	assert_int_equal(bench_lookup(b, sub, "k"), STORE_NOT_FOUND);
	assert_int_equal(bench_lookup(b, dir, "sub"), STORE_NOT_FOUND);
	assert_int_equal(bench_set(b, sub, "new", "v"), STORE_NOT_FOUND);
	assert_int_equal(bench_mkdir(b, dir, "new"), STORE_NOT_FOUND);
	assert_int_equal(bench_rename(b, sub, "k", ROOT_INO, "k", 0), STORE_NOT_FOUND);
	assert_int_equal(bench_link(b, key, ROOT_INO, "k"), STORE_NOT_FOUND);
	assert_int_equal(touch(b, key), STORE_NOT_FOUND);
	assert_int_equal(bench_flush(b, h), STORE_NOT_FOUND);
	bench_release(b, h);
	bench_sweep(b);
	/* Each name is a change of its own: k, sub, link, d. */
	assert_int_equal(bench_stat(b, NULL, "expired"), 4);
	assert_int_equal(bench_stat(b, NULL, "keys"), 0);
	assert_int_equal(bench_stat(b, NULL, "namespaces"), 1);
}

static void too_late(struct bench *b)
{
	uint64_t locks = locks_of(b, "1"), mine, token, h, a, next;

	bench_create(b, locks, "l", O_RDWR | O_EXCL, &h);
	mine = b->result.ino;
	token = token_of(b, locks, "l");
	bench_open_key(b, mine, O_WRONLY | O_APPEND, &a);
	bench_write(b, h, "mine", 0);
	bench_advance(b, SECOND);
	/* Nobody has it, and it is not to be made again, with no end to it. */
	assert_int_equal(bench_flush(b, h), STORE_LOST);
	assert_int_equal(bench_append(b, a, "mine"), STORE_LOST);
	assert_int_equal(with_token(b, mine, REFRESH, token), STORE_LOST);
	assert_int_equal(with_token(b, mine, RELEASE, token), STORE_LOST);
	assert_int_equal(touch(b, mine), STORE_LOST);
	assert_string_equal(bench_list(b, locks), "");
	/* Bob has it. */
	b->who = &BOB;
	assert_int_equal(bench_set(b, ROOT_INO, "x", "v"), 0);
	assert_int_equal(take(b, locks, "l"), 0);
	next = token_of(b, locks, "l");
	assert_true(next > token);
	b->who = &ALICE;
	bench_write(b, h, "mine again", 0);
	assert_int_equal(bench_close_key(b, h), STORE_LOST);
	assert_int_equal(bench_append(b, a, "mine"), STORE_LOST);
	bench_close_key(b, a);
	assert_int_equal(with_token(b, mine, RELEASE, token), STORE_NOT_FOUND);
	assert_int_equal(
		with_token(b, bench_ino(b, locks, "l"), RELEASE, token), STORE_LOST);
	assert_int_equal(
		with_token(b, bench_ino(b, locks, "l"), REFRESH, token), STORE_LOST);
	assert_int_equal(token_of(b, locks, "l"), next);
	assert_string_equal(bench_get(b, locks, "l"), "");
	bench_unlink(b, locks, "l");
}

/* --- names --------------------------------------------------------------------------- */

static void renamed(struct bench *b)
{
	uint64_t locks = locks_of(b, "1"), token;

	/* Out of the namespace: an ordinary key (git's index.lock). */
	take(b, locks, "l");
	token = token_of(b, locks, "l");
	assert_int_equal(bench_rename(b, locks, "l", ROOT_INO, "index", 0), 0);
	assert_int_equal(bench_getxattr(b, bench_ino(b, ROOT_INO, "index"), TOKEN),
		STORE_NO_ATTRIBUTE);
	/* To another lock: held anew, from now on. */
	take(b, locks, "l");
	bench_advance(b, SECOND / 2);
	assert_int_equal(bench_rename(b, locks, "l", locks, "m", 0), 0);
	assert_true(token_of(b, locks, "m") > token);
	assert_int_equal(token_of(b, locks, "m"), bench_revision(b));
	assert_string_equal(bench_xattr(b, bench_ino(b, locks, "m"), TTL), "1.000000");
	/* Over one that is held: as rename(2) does. */
	take(b, locks, "n");
	token = token_of(b, locks, "n");
	assert_int_equal(bench_rename(b, locks, "m", locks, "n", RENAME_NOREPLACE), STORE_EXISTS);
	assert_int_equal(bench_rename(b, locks, "m", locks, "n", 0), 0);
	assert_true(token_of(b, locks, "n") > token);
	/* Exchanged with an ordinary key, and with a lock. */
	bench_set(b, ROOT_INO, "key", "v");
	assert_int_equal(bench_rename(b, locks, "n", ROOT_INO, "key", RENAME_EXCHANGE), 0);
	assert_int_equal(token_of(b, ROOT_INO, "key"), 0);
	assert_int_equal(token_of(b, locks, "n"), 0);
	take(b, locks, "o");
	take(b, locks, "p");
	assert_int_equal(bench_rename(b, locks, "o", locks, "p", RENAME_EXCHANGE), 0);
	assert_int_equal(token_of(b, locks, "o"), bench_revision(b));
	assert_int_equal(token_of(b, locks, "p"), bench_revision(b));
	bench_advance(b, SECOND);
	bench_sweep(b);
	assert_string_equal(bench_list(b, locks), "n ");
	assert_string_equal(bench_get(b, locks, "n"), "v");
	assert_string_equal(bench_get(b, ROOT_INO, "key"), "");
	assert_string_equal(bench_get(b, ROOT_INO, "index"), "");
}

static void a_further_name(struct bench *b)
{
	uint64_t locks = locks_of(b, "2"), ino, token;

	bench_set(b, ROOT_INO, "data", "v");
	ino = bench_ino(b, ROOT_INO, "data");
	bench_link(b, ino, locks, "l");
	token = token_of(b, locks, "l");
	bench_advance(b, SECOND);
	assert_string_equal(bench_xattr(b, ino, TTL), "1.000000");
	/* The TTL is the lock's, whichever name it is set by. */
	assert_int_equal(bench_setxattr(b, ino, TTL, "5"), 0);
	bench_advance(b, 4 * SECOND);
	assert_int_equal(bench_set(b, ROOT_INO, "data", "w"), 0);
	assert_string_equal(bench_xattr(b, ino, TTL), "5.000000");
	assert_int_equal(with_token(b, ino, RELEASE, token), 0);
	assert_string_equal(bench_list(b, locks), "");
	assert_string_equal(bench_get(b, ROOT_INO, "data"), "w");
	/* Two locks of one node: each by its token. */
	bench_link(b, ino, locks, "a");
	token = token_of(b, locks, "a");
	bench_link(b, ino, locks, "b");
	assert_int_equal(with_token(b, ino, REFRESH, token), 0);
	assert_int_equal(with_token(b, ino, RELEASE, token), 0);
	assert_string_equal(bench_list(b, locks), "b ");
	bench_advance(b, 5 * SECOND);
	bench_sweep(b);
	assert_string_equal(bench_list(b, locks), "");
	assert_string_equal(bench_get(b, ROOT_INO, "data"), "w");
	assert_int_equal(bench_getxattr(b, ino, TTL), STORE_NO_ATTRIBUTE);
}

static void outlives_the_store(struct bench *b)
{
	uint64_t locks = locks_of(b, "5"), token, linked;
	char holder[200];

	take(b, locks, "l");
	bench_mkdir(b, locks, "d");
	bench_set(b, ROOT_INO, "data", "v");
	bench_link(b, bench_ino(b, ROOT_INO, "data"), locks, "link");
	token = token_of(b, locks, "l");
	linked = token_of(b, locks, "link");
	snprintf(holder, sizeof(holder), "%s", bench_xattr(b, bench_ino(b, locks, "l"), HOLDER));
	assert_non_null(strstr(holder, "\"pid\":"));
	bench_advance(b, SECOND);
	bench_check_durable(b);
	if (!bench_is_durable(b)) {
		return;
	}
	for (int compacted = 0; compacted < 2; compacted++) {
		assert_int_equal(token_of(b, locks, "l"), token);
		assert_int_equal(token_of(b, locks, "link"), linked);
		assert_string_equal(bench_xattr(b, bench_ino(b, locks, "l"), HOLDER), holder);
		assert_string_equal(bench_xattr(b, bench_ino(b, locks, "d"), TTL), "4.000000");
		assert_int_equal(bench_stat(b, NULL, "locks"), 3);
		bench_compact(b);
		bench_reopen(b);
	}
	bench_close(b);
	bench_advance(b, 4 * SECOND);
	bench_open(b);
	assert_string_equal(bench_list(b, locks), "");
	assert_int_equal(take(b, locks, "l"), 0);
	assert_true(token_of(b, locks, "l") > token);
}

/* --- kept alive ------------------------------------------------------------------------ */

static struct {
	enum store_watch answer;
	uint64_t tokens[64]; /* as they were asked for */
	unsigned n;
	int n_watched; /* and not let go of */
} processes;

static enum store_watch watch(void *arg, struct bytes holder, uint64_t token)
{
	(void)arg;
	assert_non_null(memmem(holder.data, holder.size, "\"pid\":", 6));
	assert_in_range(processes.n, 0, 63);
	processes.tokens[processes.n++] = token;
	processes.n_watched += processes.answer == STORE_WATCHED;
	return processes.answer;
}

static void unwatch(void *arg, uint64_t token)
{
	(void)arg;
	(void)token;
	processes.n_watched--;
}

static void keep_alive(struct bench *b, const char *ttl, uint64_t *locks)
{
	processes.n = 0;
	processes.n_watched = 0;
	processes.answer = STORE_WATCHED;
	b->config.watch_holder = watch;
	b->config.unwatch_holder = unwatch;
	b->config.lock_keepalive = true;
	bench_close(b);
	bench_open(b);
	*locks = locks_of(b, ttl);
}

/* To leave it as the suite expects it. */
static void keep_no_more(struct bench *b)
{
	bench_sweep(b);
	assert_int_equal(processes.n_watched, 0);
	bench_close(b);
	b->config.lock_keepalive = false;
	b->config.watch_holder = NULL;
	b->config.unwatch_holder = NULL;
	bench_open(b);
}

static void kept_alive(struct bench *b)
{
	uint64_t locks, ino;
	unsigned n;

	keep_alive(b, "2", &locks);
	take(b, locks, "l");
	ino = bench_ino(b, locks, "l");
	assert_int_equal(processes.n, 1);
	bench_advance(b, 1000 * SECOND);
	bench_sweep(b);
	assert_string_equal(bench_xattr(b, ino, TTL), "2.000000");
	assert_null(bench_xattr(b, ino, "user.cubby.expires"));
	/* Refreshed, rewritten: it lives on, with the new TTL. */
	assert_int_equal(with_token(b, ino, REFRESH, processes.tokens[0]), 0);
	assert_int_equal(bench_set(b, locks, "l", "v"), 0);
	assert_int_equal(bench_setxattr(b, ino, TTL, "3"), 0);
	bench_advance(b, 1000 * SECOND);
	store_holder_ended(b->s, processes.tokens[0] + 1000);
	bench_check_durable(b);
	if (bench_is_durable(b)) {
		bench_compact(b);
		bench_reopen(b);
		assert_true(processes.n > 1); /* found again */
		bench_advance(b, 1000 * SECOND);
		assert_string_equal(bench_get(b, locks, "l"), "v");
	}
	store_holder_ended(b->s, processes.tokens[0]);
	bench_advance(b, 3 * SECOND - 1);
	assert_string_equal(bench_xattr(b, ino, TTL), "0.000000");
	bench_advance(b, 1);
	assert_int_equal(bench_ino(b, locks, "l"), 0);
	/* Released while it lives: nothing is left of it. */
	take(b, locks, "l");
	bench_unlink(b, locks, "l");
	store_holder_ended(b->s, processes.tokens[processes.n - 1]);
	/* The namespace has its own mind. */
	n = processes.n;
	assert_int_equal(bench_setxattr(b, locks, "user.cubby.lock_keepalive", "0"), 0);
	take(b, locks, "l");
	assert_int_equal(processes.n, n);
	assert_int_equal(bench_setxattr(b, locks, "user.cubby.lock_keepalive", "1"), 0);
	bench_mkdir(b, locks, "m");
	assert_int_equal(processes.n, n + 1);
	/* liblockfile's temporary names always live as long as it waits. */
	assert_int_equal(bench_setxattr(b, locks, "user.cubby.lock_keepalive", "0"), 0);
	take(b, locks, ".lk123host");
	assert_int_equal(processes.n, n + 2);
	take(b, locks, ".lkx");
	take(b, locks, ".lk");
	assert_int_equal(processes.n, n + 2);
	bench_advance(b, 2 * SECOND);
	assert_string_equal(bench_list(b, locks), ".lk123host m ");
	bench_unlink(b, locks, ".lk123host");
	assert_int_equal(bench_setxattr(b, locks, "user.cubby.lock_keepalive", "1"), 0);
	/* A holder that has ended before we could look. */
	processes.answer = STORE_ENDED;
	take(b, locks, "n");
	bench_advance(b, 2 * SECOND);
	assert_string_equal(bench_list(b, locks), "m ");
	if (bench_is_durable(b)) {
		/* And one that ends while the store is closed: from then on. */
		bench_reopen(b);
		bench_advance(b, 2 * SECOND - 1);
		assert_string_equal(bench_list(b, locks), "m ");
	} else {
		store_holder_ended(b->s, processes.tokens[n]);
	}
	bench_advance(b, 2 * SECOND);
	bench_sweep(b);
	assert_string_equal(bench_list(b, locks), "");
	keep_no_more(b);
}

/* A TTL of 0 ends what is kept alive too, and so does its release. */
static void kept_alive_no_longer(struct bench *b)
{
	uint64_t locks, dir;

	keep_alive(b, "2", &locks);
	take(b, locks, "l");
	assert_int_equal(bench_setxattr(b, bench_ino(b, locks, "l"), TTL, "0"), 0);
	assert_int_equal(bench_ino(b, locks, "l"), 0);
	bench_mkdir(b, locks, "d");
	dir = bench_ino(b, locks, "d");
	bench_set(b, dir, "k", "v");
	assert_int_equal(with_token(b, dir, RELEASE, token_of(b, locks, "d")), 0);
	assert_string_equal(bench_list(b, locks), "");
	bench_mkdir(b, locks, "d");
	bench_set(b, bench_ino(b, locks, "d"), "k", "v");
	assert_int_equal(bench_setxattr(b, bench_ino(b, locks, "d"), TTL, "0"), 0);
	assert_string_equal(bench_list(b, locks), "");
	bench_check_durable(b);
	assert_string_equal(bench_list(b, locks), "");
	keep_no_more(b);
}

/* Where nobody tells of a holder's end, it is looked after now and then. */
static void kept_alive_unwatched(struct bench *b)
{
	uint64_t locks;
	unsigned asked;

	keep_alive(b, "2", &locks);
	processes.answer = STORE_ALIVE;
	take(b, locks, "l");
	take(b, locks, "m");
	for (int i = 0; i < 20; i++) {
		asked = processes.n;
		bench_advance(b, SECOND);
		assert_int_equal(store_tick(b->s), SECOND);
		bench_settle(b);
		assert_int_equal(processes.n, asked + 2);
		assert_string_equal(bench_list(b, locks), "l m ");
	}
	processes.answer = STORE_ENDED;
	bench_advance(b, SECOND);
	bench_sweep(b);
	bench_advance(b, 2 * SECOND - 1);
	assert_string_equal(bench_list(b, locks), "l m ");
	bench_advance(b, 1);
	assert_string_equal(bench_list(b, locks), "");
	keep_no_more(b);
}

static void a_new_store_has_locks(struct bench *b)
{
	uint64_t locks;

	bench_finish(b);
	bench_init(b, b->kind);
	b->config.locks_ttl = 30 * SECOND;
	bench_open(b);
	assert_string_equal(bench_list(b, ROOT_INO), "locks ");
	assert_int_equal(bench_revision(b), 1);
	locks = bench_ino(b, ROOT_INO, "locks");
	assert_string_equal(bench_xattr(b, locks, "user.cubby.lock_ttl"), "30");
	bench_lookup(b, ROOT_INO, "locks");
	assert_int_equal(b->st.st_mode, S_IFDIR | S_ISVTX | 0777);
	assert_int_equal(take(b, locks, "l"), 0);
	assert_string_equal(bench_xattr(b, bench_ino(b, locks, "l"), TTL), "30.000000");
	bench_unlink(b, locks, "l");
	/* Removed it stays so. */
	b->who = &ROOT;
	assert_int_equal(bench_rmdir(b, ROOT_INO, "locks"), 0);
	if (bench_is_durable(b)) {
		bench_reopen(b);
		assert_string_equal(bench_list(b, ROOT_INO), "");
	}
}

static void policies(struct bench *b)
{
	uint64_t locks = locks_of(b, "1");
	static const char *const bad[] = {"0", "-1", "x", "", "1s", "1e3", "3155760001"};

	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		assert_int_equal(
			bench_setxattr(b, locks, "user.cubby.lock_ttl", bad[i]), STORE_INVALID);
	}
	assert_int_equal(bench_setxattr(b, locks, "user.cubby.lock_ttl", "0.25"), 0);
	take(b, locks, "l");
	bench_advance(b, SECOND / 4);
	assert_string_equal(bench_list(b, locks), "");
	assert_int_equal(bench_removexattr(b, locks, "user.cubby.lock_ttl"), 0);
	take(b, locks, "l");
	bench_advance(b, 100 * SECOND);
	assert_string_equal(bench_list(b, locks), "l ");
}

const struct test_case lock_cases[] = {
	{"released_by_others", released_by_others},
	{"every_way_takes", every_way_takes},
	{"what_takes_none", what_takes_none},
	{"narrowed_by_a_suffix", narrowed_by_a_suffix},
	{"on_the_whole_mount", on_the_whole_mount},
	{"refreshed", refreshed},
	{"released", released},
	{"a_lock_directory_expires_whole", a_lock_directory_expires_whole},
	{"too_late", too_late},
	{"renamed", renamed},
	{"a_further_name", a_further_name},
	{"outlives_the_store", outlives_the_store},
	{"kept_alive", kept_alive},
	{"kept_alive_no_longer", kept_alive_no_longer},
	{"kept_alive_unwatched", kept_alive_unwatched},
	{"a_new_store_has_locks", a_new_store_has_locks},
	{"policies", policies},
	{NULL, NULL},
};
