/* SPDX-License-Identifier: MIT
 * Copyright (c) 2026 The cubbyfs authors */

/* A model of what the kernel remembers: names and attributes that were said to last, less what
 * it forgets by itself with each call, less what the store warns of. After each of thousands of
 * random operations everything that is still remembered must be as the store has it.
 *
 * What the kernel forgets by itself is that of Linux's fs/fuse/dir.c and file.c: with a name
 * that is made, moved or removed, all of the attributes of its namespace (fuse_dir_changed),
 * and the time of change of the node; with a write or an open(O_TRUNC), size and times; with
 * setxattr(2), the time of change. An answer may be taken up late. It is refused if the node's
 * attributes have changed since, as far as the kernel has counted that (attr_version): with a
 * write, an open(O_TRUNC), a setattr, the removal of one of its names, and a warning; not with the others.
 *
 * test_lasting SEED repeats one run, test_lasting 0 N does N. */
#include "harness.h"

#include "store/internal.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#define DIRS 5
#define NAMES 5
#define NODES 512
#define HANDLES 5
#define STEPS 1500

static const char *const name_of[NAMES] = {"a", "b", "c", "d", "x.lock"};

struct attributes {
	uint64_t ino; /* 0: unused */
	struct stat st;
	bool known, changed_known, size_known; /* at all; ctime; size, mtime */
	uint64_t version;
};

struct run {
	struct bench b;
	uint64_t random;
	struct store_listener listener;
	uint64_t dirs[DIRS]; /* the root, and what is looked into; any may be gone */
	uint64_t names[DIRS][NAMES]; /* remembered: the number; 0: not */
	struct attributes nodes[NODES];
	struct {
		uint64_t id, ino;
		int flags;
		const struct store_caller *who;
	} handles[HANDLES];
	/* An answer that was given and not taken up yet. */
	struct {
		struct stat st; /* st_ino 0: none */
		bool lasts;
		uint64_t version;
	} answer;
	uint64_t version;
	unsigned n_lasting, n_warnings, n_mortal;
	char last[128]; /* what was done */
};

static unsigned pick(struct run *r, unsigned n)
{
	return test_random(&r->random) % n;
}

/* --- what is remembered ------------------------------------------------------ */

static struct attributes *attributes_of(struct run *r, uint64_t ino)
{
	struct attributes *free_one = NULL;

	for (size_t i = 0; i < NODES; i++) {
		if (r->nodes[i].ino == ino) {
			return &r->nodes[i];
		}
		if (!r->nodes[i].known) {
			free_one = &r->nodes[i];
		}
	}
	assert_non_null(free_one);
	*free_one = (struct attributes){.ino = ino, .version = ++r->version};
	return free_one;
}

static void forget(struct run *r, uint64_t ino)
{
	attributes_of(r, ino)->known = false;
}

static void remember(struct run *r, const struct stat *st, bool lasts)
{
	struct attributes *a = attributes_of(r, st->st_ino);

	a->st = *st;
	a->known = a->changed_known = a->size_known = lasts;
	r->n_lasting += lasts;
	store_remember(r->b.s, st->st_ino);
}

static void count_change(struct run *r, uint64_t ino)
{
	attributes_of(r, ino)->version = ++r->version;
}

static void stale(void *arg, uint64_t ino)
{
	struct run *r = arg;

	forget(r, ino);
	count_change(r, ino);
	r->n_warnings++;
}

static void take_notice(void *arg, const struct store_notice *n)
{
	struct run *r = arg;
	struct bytes name = n->path;
	const char *slash = memrchr(name.data, '/', name.size);

	if (n->kind != STORE_NOTICE_MORTAL && n->kind != STORE_NOTICE_REMOVED) {
		return;
	}
	if (slash) {
		name = bytes_of(slash + 1, name.size - (size_t)(slash + 1 - name.data));
	}
	r->n_mortal += n->kind == STORE_NOTICE_MORTAL;
	for (int d = 0; d < DIRS; d++) {
		for (int i = 0; i < NAMES; i++) {
			if (r->dirs[d] == n->parent &&
				bytes_equal(name, bytes_of_string(name_of[i]))) {
				r->names[d][i] = 0;
			}
		}
	}
}

static unsigned room(void *arg)
{
	(void)arg;
	return 16;
}

/* --- what the kernel does ------------------------------------------------------ */

static void look(struct run *r, int d, int i)
{
	int rc = bench_lookup(&r->b, r->dirs[d], name_of[i]);

	r->names[d][i] = rc == 0 && r->b.lasts ? r->b.st.st_ino : 0;
	if (rc == 0) {
		remember(r, &r->b.st, r->b.lasts);
	}
}

static void ask(struct run *r, uint64_t ino)
{
	if (bench_getattr(&r->b, ino) == 0) {
		remember(r, &r->b.st, r->b.lasts);
	} else {
		forget(r, ino);
	}
}

static void ask_and_wait(struct run *r, uint64_t ino)
{
	if (r->answer.st.st_ino == 0 && bench_getattr(&r->b, ino) == 0) {
		store_remember(r->b.s, ino); /* who asks has it */
		r->answer.st = r->b.st;
		r->answer.lasts = r->b.lasts;
		r->answer.version = attributes_of(r, ino)->version;
	}
}

static void take_up(struct run *r)
{
	if (r->answer.st.st_ino == 0) {
		return;
	}
	if (attributes_of(r, r->answer.st.st_ino)->version == r->answer.version) {
		remember(r, &r->answer.st, r->answer.lasts);
	}
	r->answer.st.st_ino = 0;
}

static uint64_t number(struct run *r, int d, int i)
{
	return store_number(r->b.s, r->dirs[d], name_of[i]);
}

static void unlinked(struct run *r, uint64_t ino)
{
	struct attributes *a = attributes_of(r, ino);

	a->st.st_nlink -= a->st.st_nlink > 0;
	a->changed_known = false;
	count_change(r, ino);
}

static void remove_any(struct run *r, int d, int i)
{
	uint64_t ino = number(r, d, i);
	int rc = bench_unlink(&r->b, r->dirs[d], name_of[i]);

	if (rc == STORE_IS_DIRECTORY) {
		rc = bench_rmdir(&r->b, r->dirs[d], name_of[i]);
		if (rc == 0) {
			forget(r, ino);
		}
	} else if (rc == 0 && ino) {
		unlinked(r, ino);
	}
	if (rc == 0) {
		r->names[d][i] = 0;
		forget(r, r->dirs[d]);
	}
}

static void rename_any(struct run *r, int d, int i)
{
	static const unsigned flags[] = {0, 0, RENAME_NOREPLACE, RENAME_EXCHANGE};
	unsigned flag = flags[pick(r, 4)];
	int to_d = (int)pick(r, DIRS), to_i = (int)pick(r, NAMES);
	uint64_t from = number(r, d, i), to = number(r, to_d, to_i);
	uint64_t known = r->names[d][i], to_known = r->names[to_d][to_i];
	unsigned before = r->n_mortal;

	if (bench_rename(&r->b, r->dirs[d], name_of[i], r->dirs[to_d], name_of[to_i], flag) ||
		(from && from == to)) {
		return;
	}
	from = from ? from : number(r, to_d, to_i); /* it was being made */
	/* The notice is about what is there then, and comes when the kernel is done. */
	r->names[to_d][to_i] = r->n_mortal > before ? 0 : known;
	r->names[d][i] = flag == RENAME_EXCHANGE && r->n_mortal == before ? to_known : 0;
	attributes_of(r, from)->changed_known = false;
	if (to && flag == RENAME_EXCHANGE) {
		attributes_of(r, to)->changed_known = false;
	} else if (to) {
		unlinked(r, to);
	}
	forget(r, r->dirs[d]);
	forget(r, r->dirs[to_d]);
}

static void make_any(struct run *r, int d, int i)
{
	static const mode_t modes[] = {S_IFREG, S_IFDIR, S_IFDIR, S_IFIFO};
	uint64_t target = number(r, (int)pick(r, DIRS), (int)pick(r, NAMES));
	unsigned kind = pick(r, 6);
	int rc;

	if (kind < 4) {
		rc = bench_mknod(&r->b, r->dirs[d], name_of[i], modes[kind] | 0755, 0);
	} else if (kind == 4 || !target) {
		rc = bench_symlink(&r->b, r->dirs[d], name_of[i], "to");
	} else {
		rc = bench_link(&r->b, target, r->dirs[d], name_of[i]);
	}
	if (rc == 0) {
		forget(r, r->b.result.ino);
		count_change(r, r->b.result.ino);
		forget(r, r->dirs[d]);
		r->names[d][i] = r->b.result.lasts ? r->b.result.ino : 0;
	}
}

static void open_any(struct run *r, int d, int i)
{
	static const int flags[] = {O_WRONLY, O_WRONLY | O_TRUNC, O_RDWR, O_RDWR | O_TRUNC,
		O_WRONLY | O_APPEND, O_RDONLY, O_WRONLY | O_EXCL};
	int flag = flags[pick(r, 7)];
	uint64_t ino = number(r, d, i), id;
	size_t h = 0;
	int rc;

	while (h < HANDLES && r->handles[h].id) {
		h++;
	}
	if (h == HANDLES) {
		return;
	}
	if (ino) {
		rc = flag & O_EXCL ? STORE_EXISTS : bench_open_key(&r->b, ino, flag, &id);
		if (rc == 0 && (flag & O_TRUNC)) {
			count_change(r, ino);
			attributes_of(r, ino)->size_known = false;
			attributes_of(r, ino)->changed_known = false;
		}
	} else {
		rc = bench_create(&r->b, r->dirs[d], name_of[i], flag, &id);
		if (rc == 0) {
			ino = r->b.result.ino;
			forget(r, ino);
			forget(r, r->dirs[d]);
			r->names[d][i] = r->b.result.lasts ? ino : 0;
		}
	}
	if (rc == 0) {
		r->handles[h].id = id;
		r->handles[h].ino = ino;
		r->handles[h].flags = flag;
		r->handles[h].who = r->b.who;
	}
}

static void use_handle(struct run *r)
{
	static const char *const bytes[] = {"1", "22", "333", "4444"};
	size_t h = pick(r, HANDLES);
	uint64_t id = r->handles[h].id, offset = pick(r, 3);
	bool writes = (r->handles[h].flags & O_ACCMODE) != O_RDONLY;
	struct stat st = {.st_size = (off_t)pick(r, 9)};
	const char *text = bytes[pick(r, 4)];

	if (!id) {
		return;
	}
	r->b.who = r->handles[h].who;
	switch (pick(r, 7)) {
	case 0:
	case 1:
	case 2:
		if (writes && bench_write_bytes(&r->b, id, bytes_of_string(text), offset,
				      r->handles[h].flags) == 0) {
			count_change(r, r->handles[h].ino);
			attributes_of(r, r->handles[h].ino)->size_known = false;
			attributes_of(r, r->handles[h].ino)->changed_known = false;
		}
		break;
	case 3:
		bench_fsync(&r->b, id);
		break;
	case 4:
		if (writes && bench_setattr(&r->b, r->handles[h].ino, id, &st, STORE_SET_SIZE) == 0) {
			count_change(r, r->handles[h].ino);
			remember(r, &r->b.result.stat, r->b.result.lasts);
		}
		break;
	default:
		if (pick(r, 3)) {
			bench_flush(&r->b, id);
		}
		bench_release(&r->b, id);
		r->handles[h].id = 0;
	}
}

static void change_attributes(struct run *r, uint64_t ino)
{
	static const unsigned which[] = {STORE_SET_MODE, STORE_SET_MTIME_NOW, STORE_SET_SIZE,
		STORE_SET_ATIME_NOW, STORE_SET_UID};
	static const mode_t modes[] = {0600, 06755, 02755, 0644};
	struct stat st = {.st_mode = modes[pick(r, 4)], .st_size = (off_t)pick(r, 5),
		.st_uid = 1000 + pick(r, 2)};

	if (bench_setattr(&r->b, ino, 0, &st, which[pick(r, 5)]) == 0) {
		count_change(r, ino);
		remember(r, &r->b.result.stat,
			r->b.result.lasts && !S_ISDIR(r->b.result.stat.st_mode));
	}
}

static void set_attribute(struct run *r, uint64_t ino)
{
	static const char *const set[][2] = {
		{"user.cubby.ttl", "0.5"}, {"user.cubby.ttl", "1"}, {"user.cubby.ttl", "0"},
		{"user.cubby.increment", "7"}, {"user.cubby.cas", "0:x"},
		{"user.cubby.update", "[{\"type\":\"set\",\"value\":[1,2]}]"},
		{"user.cubby.action", "because"}, {"user.a", "b"},
		{"user.cubby.default_ttl", "2"}, {"user.cubby.lock_ttl", "2"},
		{"user.cubby.max_keys", "4"},
	};
	static const char *const removed[] = {"user.cubby.ttl", "user.a", "user.cubby.default_ttl",
		"user.cubby.lock_ttl", "user.cubby.max_keys"};
	char token[32];
	unsigned n = pick(r, 18);
	int rc;

	if (n < 11) {
		rc = bench_setxattr(&r->b, ino, set[n][0], set[n][1]);
	} else if (n < 16) {
		rc = bench_removexattr(&r->b, ino, removed[n - 11]);
	} else {
		snprintf(token, sizeof(token), "%.20s",
			bench_getxattr(&r->b, ino, "user.cubby.token") == 0 ? r->b.text : "1");
		rc = bench_setxattr(
			&r->b, ino, n == 16 ? "user.cubby.release" : "user.cubby.refresh", token);
	}
	if (rc == 0) {
		attributes_of(r, ino)->changed_known = false;
	}
}

/* --- whether it is so ------------------------------------------------------------ */

static void same(const struct run *r, const struct attributes *a, const struct stat *st)
{
	bool is = a->st.st_mode == st->st_mode && a->st.st_uid == st->st_uid &&
		a->st.st_gid == st->st_gid && a->st.st_nlink == st->st_nlink &&
		a->st.st_rdev == st->st_rdev;

	if (a->changed_known) {
		is &= memcmp(&a->st.st_ctim, &st->st_ctim, sizeof(st->st_ctim)) == 0;
	}
	if (a->size_known) {
		is &= a->st.st_size == st->st_size && a->st.st_blocks == st->st_blocks &&
			memcmp(&a->st.st_mtim, &st->st_mtim, sizeof(st->st_mtim)) == 0;
	}
	if (!is) {
		fail_msg("after %s: of %" PRIu64 " is remembered mode %o, %u links, size %jd, mtime %jd.%09ld, "
			 "ctime %jd.%09ld; it has mode %o, %u links, size %jd, mtime %jd.%09ld, ctime %jd.%09ld",
			r->last, a->ino, a->st.st_mode, (unsigned)a->st.st_nlink,
			(intmax_t)a->st.st_size, (intmax_t)a->st.st_mtim.tv_sec,
			a->st.st_mtim.tv_nsec, (intmax_t)a->st.st_ctim.tv_sec,
			a->st.st_ctim.tv_nsec, st->st_mode, (unsigned)st->st_nlink,
			(intmax_t)st->st_size, (intmax_t)st->st_mtim.tv_sec, st->st_mtim.tv_nsec,
			(intmax_t)st->st_ctim.tv_sec, st->st_ctim.tv_nsec);
	}
}

/* In a namespace that has expired, names are still there for the kernel; but it asks for the
 * attributes of their nodes, and for the names when there are none. (Where there are, by
 * another name, see HACKING.md, Known limits.) */
static bool is_asked_for(struct run *r, int d, uint64_t ino)
{
	const struct node *n = tree_node(&r->b.s->tree, r->dirs[d]);

	return !attributes_of(r, ino)->known &&
		!(n && tree_attached(&r->b.s->tree, n) &&
			tree_namespace_alive(&r->b.s->tree, n, r->b.s->now.elapsed));
}

static void verify(struct run *r)
{
	static const struct store_caller nobody = {.uid = 1002, .gid = 1002, .pid = 900};
	uint64_t last = r->b.s->warned.last; /* we did not ask */
	struct stat st;
	bool lasts;

	for (int d = 0; d < DIRS; d++) {
		for (int i = 0; i < NAMES; i++) {
			if (r->names[d][i] && r->names[d][i] != number(r, d, i) &&
				!is_asked_for(r, d, r->names[d][i])) {
				fail_msg("after %s: %s in %" PRIu64 " is remembered as %" PRIu64
					 ", but is %" PRIu64,
					r->last, name_of[i], r->dirs[d], r->names[d][i], number(r, d, i));
			}
		}
	}
	for (size_t i = 0; i < NODES; i++) {
		const struct attributes *a = &r->nodes[i];

		if (a->known && store_getattr(r->b.s, &nobody, a->ino, &st, &lasts) == 0) {
			same(r, a, &st);
		}
	}
	r->b.s->warned.last = last;
}

/* A namespace that has a deadline, whenever the one before has gone. */
static void renew_mortal(struct run *r)
{
	if (r->dirs[4] && bench_getattr(&r->b, r->dirs[4]) == 0) {
		return;
	}
	memset(r->names[4], 0, sizeof(r->names[4]));
	r->b.who = &ROOT;
	r->names[1][0] = 0;
	forget(r, r->dirs[1]);
	r->dirs[4] = bench_mkdir(&r->b, r->dirs[1], name_of[0]) == 0 ? r->b.result.ino : 0;
}

static void step(struct run *r)
{
	static const char *const words[] = {"look", "look", "look", "ask", "make", "remove", "rename",
		"open", "handle", "handle", "handle", "setattr", "setxattr", "setxattr", "time", "sweep"};
	unsigned n = pick(r, 16);
	int d = (int)pick(r, DIRS), i = (int)pick(r, NAMES);
	uint64_t ino = number(r, d, i);

	r->b.who = pick(r, 2) ? &ALICE : &ROOT;
	snprintf(r->last, sizeof(r->last), "%s %s in %" PRIu64 ", %" PRIu64, words[n], name_of[i],
		r->dirs[d], ino);
	switch (n) {
	case 0:
	case 1:
	case 2:
		look(r, d, i);
		break;
	case 3:
		ino = pick(r, 2) && ino ? ino : r->dirs[d];
		pick(r, 2) ? ask(r, ino) : ask_and_wait(r, ino);
		break;
	case 4:
		make_any(r, d, i);
		break;
	case 5:
		remove_any(r, d, i);
		break;
	case 6:
		rename_any(r, d, i);
		break;
	case 7:
		open_any(r, d, i);
		break;
	case 8:
	case 9:
	case 10:
		use_handle(r);
		break;
	case 11:
	case 12:
	case 13:
		if (ino == 0) {
			break;
		}
		n == 11 ? change_attributes(r, ino) : set_attribute(r, ino);
		break;
	case 14:
		bench_advance(&r->b, (int64_t)pick(r, 400) * NSEC_PER_MSEC);
		break;
	default:
		bench_sweep(&r->b);
	}
	if (getenv("CUBBY_SHOW")) {
		print_message("%s\n", r->last);
	}
	if (pick(r, 3) == 0) {
		take_up(r);
	}
	verify(r);
}

static void run(uint64_t seed)
{
	struct run *r = calloc(1, sizeof(*r));

	assert_non_null(r);
	r->random = seed;
	bench_init(&r->b, BENCH_MEMORY);
	bench_open(&r->b);
	r->b.who = &ROOT;
	r->dirs[0] = ROOT_INO;
	r->dirs[1] = bench_namespace(&r->b, ROOT_INO, "l");
	r->dirs[2] = bench_namespace(&r->b, ROOT_INO, "n");
	r->dirs[3] = bench_namespace(&r->b, ROOT_INO, "d");
	bench_setxattr(&r->b, r->dirs[1], "user.cubby.lock_ttl", "1.5");
	r->listener = (struct store_listener){.notice = take_notice, .room = room, .arg = r};
	store_listen(r->b.s, &r->listener);
	store_warn(r->b.s, stale, r);
	for (int i = 0; i < STEPS; i++) {
		renew_mortal(r);
		step(r);
	}
	/* Else it would all be true of a store that lets nothing be remembered. */
	assert_true(r->n_lasting > STEPS / 20);
	assert_true(r->n_warnings > 0 && r->n_warnings < STEPS);
	for (size_t h = 0; h < HANDLES; h++) {
		if (r->handles[h].id) {
			bench_release(&r->b, r->handles[h].id);
		}
	}
	bench_finish(&r->b);
	free(r);
}

static void runs(void **state)
{
	const uint64_t *range = *state;

	for (uint64_t seed = range[0]; seed < range[0] + range[1]; seed++) {
		print_message("seed %" PRIu64 "\n", seed);
		run(seed);
	}
}

int main(int argc, char **argv)
{
	uint64_t range[2] = {1, 300};
	struct CMUnitTest test = {.name = "what lasts", .test_func = runs, .initial_state = range};

	if (argc > 1 && atoi(argv[1]) > 0) {
		range[0] = strtoull(argv[1], NULL, 10);
		range[1] = 1;
	} else if (argc > 2) {
		range[1] = strtoull(argv[2], NULL, 10);
	}
	return _cmocka_run_group_tests("lasting", &test, 1, NULL, NULL);
}
