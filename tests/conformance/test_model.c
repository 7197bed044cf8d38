/* SPDX-License-Identifier: MIT
 * Copyright (c) 2026 The cubbyfs authors */

/* Thousands of random operations, each done to a store and to a model of it
 * that is as simple as can be; and the two compared. In between the store is
 * compacted, while operations go on, and opened anew, which must change nothing
 * that can be seen.
 *
 * The journal lives on a disk in memory, in small segments. test_model SEED
 * repeats one run, test_model 0 N does N. */
#include "harness.h"

#include "../unit/fault_disk.h"
#include "base/cleanup.h"
#include "base/log.h"

#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#define NODES 200
#define NAMES 300
#define MAKERS 3
#define ROOT_NODE 0

struct model_node {
	bool used;
	mode_t mode;
	uint64_t ino;
	char *value; /* a key's, a symlink's */
	unsigned version;
	char attribute[2][8]; /* empty: none */
	int64_t default_ttl;  /* -1: none */
};

struct model_name {
	bool used;
	int dir, node;
	char name[4];
	int64_t deadline; /* elapsed; -1: none */
	int64_t ttl;
};

/* A key that another process is making. */
struct maker {
	uint64_t handle;
	uint64_t parent;
	uint64_t ino;
	char name[4];
	char value[16];
};

struct run {
	struct bench b;
	struct fault_disk *disk;
	uint64_t random;
	struct model_node nodes[NODES];
	struct model_name names[NAMES];
	struct maker makers[MAKERS];
	struct answer compaction;
	bool compacting;
	unsigned done[20], compactions, reopened;
};

static unsigned pick(struct run *r, unsigned n)
{
	return test_random(&r->random) % n;
}

/* --- the model ------------------------------------------------------------- */

static void drop_name(struct run *r, struct model_name *m)
{
	struct model_node *n = &r->nodes[m->node];

	m->used = false;
	for (int i = 0; i < NAMES; i++) {
		if (r->names[i].used && r->names[i].node == m->node) {
			return;
		}
	}
	free(n->value);
	*n = (struct model_node){0};
}

static void expire(struct run *r)
{
	for (int i = 0; i < NAMES; i++) {
		struct model_name *m = &r->names[i];

		if (m->used && m->deadline >= 0 && m->deadline <= r->b.clock.elapsed) {
			drop_name(r, m);
		}
	}
}

static struct model_name *find(struct run *r, int dir, const char *name)
{
	for (int i = 0; i < NAMES; i++) {
		struct model_name *m = &r->names[i];

		if (m->used && m->dir == dir && strcmp(m->name, name) == 0) {
			return m;
		}
	}
	return NULL;
}

static struct model_name *add_name(struct run *r, int dir, const char *name, int node)
{
	for (int i = 0; i < NAMES; i++) {
		struct model_name *m = &r->names[i];

		if (!m->used) {
			*m = (struct model_name){
				.used = true, .dir = dir, .node = node, .deadline = -1};
			snprintf(m->name, sizeof(m->name), "%s", name);
			return m;
		}
	}
	abort();
}

static int add_node(struct run *r, mode_t mode, uint64_t ino, const char *value)
{
	for (int i = 0; i < NODES; i++) {
		struct model_node *n = &r->nodes[i];

		if (!n->used) {
			*n = (struct model_node){.used = true,
				.mode = mode,
				.ino = ino,
				.version = 1,
				.default_ttl = -1};
			n->value = value ? strdup(value) : NULL;
			return i;
		}
	}
	abort();
}

static bool is_full(struct run *r)
{
	int n = 0;

	for (int i = 0; i < NODES; i++) {
		n += r->nodes[i].used;
	}
	return n > NODES / 2;
}

static unsigned count_names(struct run *r, int node)
{
	unsigned n = 0;

	for (int i = 0; i < NAMES; i++) {
		n += r->names[i].used && r->names[i].node == node;
	}
	return n;
}

static bool is_empty(struct run *r, int dir)
{
	for (int i = 0; i < NAMES; i++) {
		if (r->names[i].used && r->names[i].dir == dir) {
			return false;
		}
	}
	for (int i = 0; i < MAKERS; i++) {
		if (r->makers[i].handle && r->makers[i].parent == r->nodes[dir].ino) {
			return false;
		}
	}
	return true;
}

static bool is_below(struct run *r, int node, int above)
{
	while (node != above && node != ROOT_NODE) {
		int up = ROOT_NODE;

		for (int i = 0; i < NAMES; i++) {
			if (r->names[i].used && r->names[i].node == node) {
				up = r->names[i].dir;
			}
		}
		node = up;
	}
	return node == above;
}

static bool is_directory(const struct run *r, int node)
{
	return S_ISDIR(r->nodes[node].mode);
}

static void start_ttl(struct run *r, struct model_name *m, int64_t ttl)
{
	m->deadline = ttl < 0 ? -1 : r->b.clock.elapsed + ttl;
	m->ttl = ttl;
}

/* A plain write to a node: its names get what their namespaces give. */
static void write_node(struct run *r, int node, const char *value)
{
	struct model_node *n = &r->nodes[node];
	char *copy = strdup(value);

	free(n->value);
	n->value = copy;
	n->version++;
	for (int i = 0; i < NAMES; i++) {
		struct model_name *m = &r->names[i];

		if (m->used && m->node == node) {
			start_ttl(r, m, r->nodes[m->dir].default_ttl);
		}
	}
}

static void make_key(
	struct run *r, int dir, const char *name, mode_t mode, uint64_t ino, const char *value)
{
	struct model_name *m = add_name(r, dir, name, add_node(r, S_IFREG | mode, ino, value));

	start_ttl(r, m, r->nodes[dir].default_ttl);
}

/* --- comparing ---------------------------------------------------------------- */

static void compare_name(struct run *r, struct model_name *m)
{
	struct model_node *n = &r->nodes[m->node];
	struct bench *b = &r->b;
	uint64_t parent = r->nodes[m->dir].ino;
	int64_t soonest = -1;
	struct bytes target;
	char text[40];

	assert_int_equal(bench_lookup(b, parent, m->name), 0);
	assert_int_equal(b->st.st_ino, n->ino);
	assert_int_equal(b->st.st_mode, n->mode);
	if (!is_directory(r, m->node)) {
		assert_int_equal(b->st.st_nlink, count_names(r, m->node));
	}
	for (int i = 0; i < 2; i++) {
		const char *value = bench_xattr(b, n->ino, i ? "user.b" : "user.a");

		assert_string_equal(value ? value : "", n->attribute[i]);
	}
	if (S_ISLNK(n->mode)) {
		assert_int_equal(store_readlink(b->s, n->ino, &target), 0);
		assert_true(bytes_equal(target, bytes_of_string(n->value)));
	}
	if (!S_ISREG(n->mode)) {
		return;
	}
	assert_string_equal(bench_get(b, parent, m->name), n->value);
	assert_int_equal(atoi(bench_xattr(b, n->ino, "user.cubby.version")), n->version);
	for (int i = 0; i < NAMES; i++) {
		struct model_name *o = &r->names[i];

		if (o->used && o->node == m->node && o->deadline >= 0 &&
			(soonest < 0 || o->deadline < soonest)) {
			soonest = o->deadline;
		}
	}
	if (soonest < 0) {
		assert_null(bench_xattr(b, n->ino, "user.cubby.ttl"));
	} else {
		soonest -= b->clock.elapsed;
		snprintf(text, sizeof(text), "%" PRId64 ".%06" PRId64, soonest / SECOND,
			soonest % SECOND / 1000);
		assert_string_equal(bench_xattr(b, n->ino, "user.cubby.ttl"), text);
	}
}

static bool count_name(void *arg, const struct store_name *name)
{
	(void)name;
	++*(unsigned *)arg;
	return true;
}

static void compare(struct run *r)
{
	bench_recount(&r->b);
	unsigned names = 0, listed = 0;

	bench_sweep(&r->b);
	for (int i = 0; i < NAMES; i++) {
		if (r->names[i].used) {
			names++;
			compare_name(r, &r->names[i]);
		}
	}
	for (int i = 0; i < NODES; i++) {
		if (r->nodes[i].used && is_directory(r, i)) {
			assert_int_equal(store_readdir(r->b.s, &ALICE, r->nodes[i].ino, 0,
						 count_name, &listed),
				0);
		}
	}
	assert_int_equal(listed, names);
	assert_int_equal(
		bench_stat(&r->b, NULL, "keys") + bench_stat(&r->b, NULL, "namespaces"), names);
}

/* --- operations ---------------------------------------------------------------- */

/* A namespace, a name in it, and what has that name. */
struct target {
	int dir;
	uint64_t parent;
	char name[4];
	struct model_name *m; /* NULL: nothing */
	int node;
};

static struct target some_name(struct run *r)
{
	struct target t = {0};
	unsigned n = 0, chosen;

	for (int i = 0; i < NODES; i++) {
		n += r->nodes[i].used && is_directory(r, i);
	}
	chosen = pick(r, n);
	while (!r->nodes[t.dir].used || !is_directory(r, t.dir) || chosen-- > 0) {
		t.dir++;
	}
	t.parent = r->nodes[t.dir].ino;
	snprintf(t.name, sizeof(t.name), "%c", 'a' + (int)pick(r, 9));
	t.m = find(r, t.dir, t.name);
	t.node = t.m ? t.m->node : -1;
	return t;
}

static bool is_key(const struct run *r, const struct target *t)
{
	return t->m && S_ISREG(r->nodes[t->node].mode);
}

static void do_set(struct run *r, struct target t)
{
	char value[20];
	int rc;

	snprintf(value, sizeof(value), "%u", pick(r, 100000));
	rc = bench_set(&r->b, t.parent, t.name, value);
	if (!t.m) {
		assert_int_equal(rc, 0);
		make_key(r, t.dir, t.name, 0644, bench_ino(&r->b, t.parent, t.name), value);
	} else if (is_key(r, &t)) {
		assert_int_equal(rc, 0);
		write_node(r, t.node, value);
	} else {
		assert_int_not_equal(rc, 0);
	}
}

static void do_append(struct run *r, struct target t)
{
	char *value;
	uint64_t h;

	if (!is_key(r, &t)) {
		return;
	}
	assert_int_equal(bench_open_key(&r->b, r->nodes[t.node].ino, O_WRONLY | O_APPEND, &h), 0);
	assert_int_equal(bench_append(&r->b, h, "7"), 0);
	assert_int_equal(bench_close_key(&r->b, h), 0);
	assert_true(asprintf(&value, "%.12s7", r->nodes[t.node].value) > 0);
	if (strlen(r->nodes[t.node].value) > 12) {
		/* Not without end. */
		assert_int_equal(bench_set(&r->b, t.parent, t.name, value), 0);
		r->nodes[t.node].version++;
	}
	write_node(r, t.node, value);
	free(value);
}

static void do_exclusive(struct run *r, struct target t)
{
	uint64_t h;
	int rc = bench_create(&r->b, t.parent, t.name, O_WRONLY | O_EXCL, &h);

	if (t.m) {
		assert_int_equal(rc, STORE_EXISTS);
		return;
	}
	assert_int_equal(rc, 0);
	make_key(r, t.dir, t.name, 0644, r->b.result.ino, "");
	assert_int_equal(bench_close_key(&r->b, h), 0);
}

static void do_make(struct run *r, struct target t)
{
	static const mode_t modes[] = {
		S_IFDIR | 0755, S_IFDIR | 0711, S_IFIFO | 0600, S_IFLNK | 0777};
	mode_t mode = modes[pick(r, 4)];
	int rc = S_ISLNK(mode) ? bench_symlink(&r->b, t.parent, t.name, "target")
			       : bench_mknod(&r->b, t.parent, t.name, mode, 0);

	if (t.m) {
		assert_int_equal(rc, STORE_EXISTS);
		return;
	}
	assert_int_equal(rc, 0);
	add_name(r, t.dir, t.name,
		add_node(r, mode, r->b.result.ino, S_ISLNK(mode) ? "target" : NULL));
}

static void do_remove(struct run *r, struct target t)
{
	int rc;

	if (t.m && is_directory(r, t.node)) {
		rc = bench_rmdir(&r->b, t.parent, t.name);
		assert_int_equal(rc, is_empty(r, t.node) ? 0 : STORE_NOT_EMPTY);
	} else {
		rc = bench_unlink(&r->b, t.parent, t.name);
		assert_int_equal(rc, t.m ? 0 : STORE_NOT_FOUND);
	}
	if (rc == 0) {
		drop_name(r, t.m);
	}
}

static void do_link(struct run *r, struct target t, struct target to)
{
	int rc;

	if (!t.m) {
		return;
	}
	rc = bench_link(&r->b, r->nodes[t.node].ino, to.parent, to.name);
	if (is_directory(r, t.node)) {
		assert_int_equal(rc, STORE_DENIED);
	} else if (to.m) {
		assert_int_equal(rc, STORE_EXISTS);
	} else {
		assert_int_equal(rc, 0);
		add_name(r, to.dir, to.name, t.node);
	}
}

static int expected_rename(struct run *r, struct target t, struct target to, unsigned flags)
{
	bool exchange = flags & RENAME_EXCHANGE;

	if (!t.m || (exchange && !to.m)) {
		return STORE_NOT_FOUND;
	}
	if (to.m && flags == RENAME_NOREPLACE) {
		return STORE_EXISTS;
	}
	if (to.m && to.node == t.node) {
		return 0;
	}
	if ((is_directory(r, t.node) && is_below(r, to.dir, t.node)) ||
		(exchange && is_directory(r, to.node) && is_below(r, t.dir, to.node))) {
		return STORE_INVALID;
	}
	if (!to.m || exchange) {
		return 0;
	}
	if (is_directory(r, to.node)) {
		return !is_directory(r, t.node) ? STORE_IS_DIRECTORY
		       : is_empty(r, to.node)   ? 0
						: STORE_NOT_EMPTY;
	}
	return is_directory(r, t.node) ? STORE_NOT_DIRECTORY : 0;
}

static void do_rename(struct run *r, struct target t, struct target to)
{
	static const unsigned all[] = {0, 0, RENAME_NOREPLACE, RENAME_EXCHANGE};
	unsigned flags = all[pick(r, 4)];
	int expected = expected_rename(r, t, to, flags);

	assert_int_equal(
		bench_rename(&r->b, t.parent, t.name, to.parent, to.name, flags), expected);
	if (expected || (to.m && to.node == t.node)) {
		return;
	}
	if (flags == RENAME_EXCHANGE) {
		struct model_name kept = *t.m;

		t.m->node = to.m->node;
		t.m->deadline = to.m->deadline;
		t.m->ttl = to.m->ttl;
		to.m->node = kept.node;
		to.m->deadline = kept.deadline;
		to.m->ttl = kept.ttl;
		return;
	}
	if (to.m) {
		drop_name(r, to.m);
	}
	t.m->dir = to.dir;
	snprintf(t.m->name, sizeof(t.m->name), "%s", to.name);
}

static void do_attributes(struct run *r, struct target t)
{
	struct stat attr = {.st_mode = (mode_t)(0400 + pick(r, 0377))};
	struct model_node *n = t.m ? &r->nodes[t.node] : NULL;
	unsigned which = pick(r, 2);
	char value[8];

	if (!n) {
		return;
	}
	switch (pick(r, 4)) {
	case 0:
		if (!S_ISLNK(n->mode)) {
			assert_int_equal(bench_setattr(&r->b, n->ino, 0, &attr, STORE_SET_MODE), 0);
			n->mode = (n->mode & S_IFMT) | attr.st_mode;
		}
		break;
	case 1:
		assert_int_equal(bench_removexattr(&r->b, n->ino, which ? "user.b" : "user.a"),
			n->attribute[which][0] ? 0 : STORE_NO_ATTRIBUTE);
		n->attribute[which][0] = 0;
		break;
	default:
		snprintf(value, sizeof(value), "%u", pick(r, 1000));
		assert_int_equal(
			bench_setxattr(&r->b, n->ino, which ? "user.b" : "user.a", value), 0);
		snprintf(n->attribute[which], sizeof(n->attribute[which]), "%s", value);
	}
}

static void do_ttl(struct run *r, struct target t)
{
	int64_t ttl = pick(r, 40) * SECOND + SECOND / 2;
	char text[20];

	snprintf(text, sizeof(text), "%d.5", (int)(ttl / SECOND));
	if (t.m && is_directory(r, t.node)) {
		assert_int_equal(
			bench_setxattr(&r->b, r->nodes[t.node].ino, "user.cubby.default_ttl", text),
			0);
		r->nodes[t.node].default_ttl = ttl;
		if (pick(r, 3) == 0) {
			assert_int_equal(bench_removexattr(&r->b, r->nodes[t.node].ino,
						 "user.cubby.default_ttl"),
				0);
			r->nodes[t.node].default_ttl = -1;
		}
	}
	if (!is_key(r, &t)) {
		return;
	}
	/* The modes are random: as root, but in the same process. */
	r->b.who = &(const struct store_caller){.pid = ALICE.pid};
	assert_int_equal(bench_setxattr(&r->b, r->nodes[t.node].ino, "user.cubby.ttl", text), 0);
	r->b.who = &ALICE;
	for (int i = 0; i < NAMES; i++) {
		if (r->names[i].used && r->names[i].node == t.node) {
			start_ttl(r, &r->names[i], ttl);
		}
	}
}

static void do_touch(struct run *r, struct target t)
{
	if (!is_key(r, &t)) {
		return;
	}
	assert_int_equal(bench_setattr(&r->b, r->nodes[t.node].ino, 0, &(struct stat){0},
				 STORE_SET_MTIME_NOW | STORE_SET_ATIME_NOW),
		0);
	for (int i = 0; i < NAMES; i++) {
		struct model_name *m = &r->names[i];

		if (m->used && m->node == t.node && m->deadline >= 0) {
			start_ttl(r, m, m->ttl);
		}
	}
}

static void do_increment(struct run *r, struct target t)
{
	char value[24];

	if (!is_key(r, &t)) {
		return;
	}
	assert_int_equal(
		bench_setxattr(&r->b, r->nodes[t.node].ino, "user.cubby.increment", "5"), 0);
	snprintf(value, sizeof(value), "%lld", atoll(r->nodes[t.node].value) + 5);
	free(r->nodes[t.node].value);
	r->nodes[t.node].value = strdup(value);
	r->nodes[t.node].version++;
}

static void finish_maker(struct run *r, struct maker *m)
{
	int dir = -1, rc;
	struct model_name *there;

	for (int i = 0; i < NODES; i++) {
		if (r->nodes[i].used && r->nodes[i].ino == m->parent) {
			dir = i;
		}
	}
	there = dir >= 0 ? find(r, dir, m->name) : NULL;
	r->b.who = &ALICE_OTHER;
	rc = bench_close_key(&r->b, m->handle);
	r->b.who = &ALICE;
	if (dir < 0) {
		assert_int_equal(rc, STORE_NOT_FOUND);
	} else if (!there) {
		assert_int_equal(rc, 0);
		make_key(r, dir, m->name, 0644, m->ino, m->value);
	} else if (!S_ISREG(r->nodes[there->node].mode)) {
		assert_int_equal(rc, STORE_EXISTS);
	} else if (r->nodes[there->node].mode & S_IWUSR) {
		assert_int_equal(rc, 0);
		write_node(r, there->node, m->value);
	} else {
		assert_int_equal(rc, -EACCES);
	}
	*m = (struct maker){0};
}

/* Somebody makes a key and takes his time. Its name is out of the others' way
 * but for what is renamed there. */
static void do_maker(struct run *r, struct target t)
{
	struct maker *m = &r->makers[pick(r, MAKERS)];

	if (m->handle) {
		finish_maker(r, m);
		return;
	}
	m->name[0] = (char)('p' + (m - r->makers));
	if (find(r, t.dir, m->name)) {
		return;
	}
	m->parent = t.parent;
	snprintf(m->value, sizeof(m->value), "%u", pick(r, 1000));
	r->b.who = &ALICE_OTHER;
	assert_int_equal(bench_create(&r->b, m->parent, m->name, O_WRONLY, &m->handle), 0);
	m->ino = r->b.result.ino;
	assert_int_equal(bench_write(&r->b, m->handle, m->value, 0), 0);
	r->b.who = &ALICE;
	if (pick(r, 4) == 0 && t.m && !is_directory(r, t.node)) {
		assert_int_equal(bench_rename(&r->b, t.parent, t.name, t.parent, m->name, 0), 0);
		snprintf(t.m->name, sizeof(t.m->name), "%s", m->name);
	}
}

/* --- what must change nothing ----------------------------------------------------- */

static void reopen(struct run *r)
{
	char *before, *after;

	if (!bench_is_durable(&r->b)) {
		return;
	}
	for (int i = 0; i < MAKERS; i++) {
		if (r->makers[i].handle) {
			finish_maker(r, &r->makers[i]);
		}
	}
	expire(r);
	bench_sweep(&r->b);
	before = bench_dump(&r->b);
	bench_close(&r->b);
	assert_true(!r->compacting || r->compaction.done);
	r->compacting = false;
	if (pick(r, 2)) {
		/* The machine was off meanwhile: the other clock begins anew. */
		int64_t new = (int64_t)pick(r, 1000) * SECOND;
		int64_t shift = new - r->b.clock.elapsed;

		r->b.clock.elapsed = new;
		for (int i = 0; i < NAMES; i++) {
			if (r->names[i].used && r->names[i].deadline >= 0) {
				r->names[i].deadline += shift;
			}
		}
	}
	bench_open(&r->b);
	after = bench_dump(&r->b);
	bench_same(before, after);
	free(before);
	free(after);
	r->reopened++;
}

static void compact_some(struct run *r)
{
	if (!r->compacting) {
		r->compaction = (struct answer){0};
		store_compact(r->b.s, ANSWER(&r->compaction));
		r->compacting = true;
	}
	for (unsigned i = pick(r, 4); i > 0; i--) {
		bench_slow_tick(&r->b);
		store_dispatch(r->b.s);
	}
	if (r->compaction.done) {
		assert_int_equal(r->compaction.rc, 0);
		r->compacting = false;
		r->compactions++;
	}
}

static void one_operation(struct run *r)
{
	static void (*const one[])(struct run * r, struct target t) = {do_set, do_set, do_set,
		do_append, do_exclusive, do_make, do_remove, do_remove, do_attributes, do_ttl,
		do_touch, do_increment, do_maker};
	unsigned which = pick(r, 20);
	struct target t, to;

	expire(r);
	t = some_name(r);
	to = some_name(r);
	r->done[which]++;
	if (which < sizeof(one) / sizeof(one[0])) {
		one[which == 5 && is_full(r) ? 6 : which](r, t);
	} else if (which == 13) {
		do_link(r, t, to);
	} else if (which < 16) {
		do_rename(r, t, to);
	} else if (which == 16) {
		bench_advance(&r->b, pick(r, 3) * SECOND);
		expire(r);
	} else if (which == 17) {
		store_tick(r->b.s);
	} else if (which == 18 && pick(r, 8) == 0) {
		reopen(r);
	} else if (r->compacting || pick(r, 20) == 0) {
		compact_some(r);
	}
}

static void run_model(enum bench_kind kind, uint64_t seed, unsigned operations)
{
	struct run *r = calloc(1, sizeof(*r));

	assert_non_null(r);
	printf("seed %" PRIu64 ", %u operations\n", seed, operations);
	fflush(stdout);
	r->random = seed;
	bench_init(&r->b, kind);
	if (kind == BENCH_JOURNAL) {
		r->disk = fault_disk_create();
		r->b.config.disk = fault_disk_of(r->disk);
		r->b.config.location = "/store";
		r->b.config.segment_size = 10000;
		r->b.config.compact_min = 20000;
	}
	bench_open(&r->b);
	r->nodes[ROOT_NODE] = (struct model_node){
		.used = true, .mode = S_IFDIR | 0755, .ino = ROOT_INO, .default_ttl = -1};
	for (unsigned i = 0; i < operations; i++) {
		if (kind == BENCH_LATE) {
			late.noise = pick(r, 5) + 2;
		}
		one_operation(r);
		if (i % 97 == 0) {
			expire(r);
			compare(r);
		}
	}
	if (kind == BENCH_JOURNAL) {
		reopen(r);
		compare(r);
		assert_int_equal(bench_compact(&r->b), 0);
		reopen(r);
		assert_int_equal(bench_stat(&r->b, "damage", "damaged_lines"), 0);
		assert_int_equal(bench_stat(&r->b, "damage", "missing_revisions"), 0);
		assert_int_equal(bench_stat(&r->b, "damage", "unresolved_changes"), 0);
		assert_true(r->reopened > 5);
	}
	expire(r);
	compare(r);
	printf("seed %" PRIu64 ": reopened %u times, compacted %u times while in use\n", seed,
		r->reopened, r->compactions);
	for (int i = 0; i < MAKERS; i++) {
		if (r->makers[i].handle) {
			bench_release(&r->b, r->makers[i].handle);
		}
	}
	bench_finish(&r->b);
	if (r->disk) {
		fault_disk_destroy(r->disk);
	}
	for (int i = 0; i < NODES; i++) {
		free(r->nodes[i].value);
	}
	free(r);
}

static uint64_t only_seed, n_seeds = 24;

static void journal_and_model(void **state)
{
	(void)state;
	for (uint64_t seed = 1; seed <= n_seeds; seed++) {
		run_model(BENCH_JOURNAL, only_seed ? only_seed : seed, 2500);
		if (only_seed) {
			return;
		}
	}
}

static void memory_and_model(void **state)
{
	(void)state;
	run_model(BENCH_MEMORY, 101, 6000);
}

static void late_and_model(void **state)
{
	(void)state;
	run_model(BENCH_LATE, 201, 6000);
}

int main(int argc, char **argv)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(memory_and_model),
		cmocka_unit_test(late_and_model),
		cmocka_unit_test(journal_and_model),
	};

	only_seed = argc > 1 ? strtoull(argv[1], NULL, 10) : 0;
	n_seeds = argc > 2 ? strtoull(argv[2], NULL, 10) : n_seeds;
	log_init("test_model", LOG_CRIT);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
