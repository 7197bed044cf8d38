/* SPDX-License-Identifier: MIT
 * Copyright (c) 2026 The cubbyfs authors */

#include "harness.h"

#include "base/cleanup.h"
#include "base/slab.h"
#include "store/internal.h"

#include <errno.h>
#include <ftw.h>
#include <inttypes.h>
#include <json-c/json.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>

const struct store_caller ROOT = {.uid = 0, .gid = 0, .pid = 400};
const struct store_caller ALICE = {.uid = 1000, .gid = 1000, .pid = 100};
const struct store_caller ALICE_THREAD = {.uid = 1000, .gid = 1000, .pid = 101};
const struct store_caller ALICE_OTHER = {.uid = 1000, .gid = 1000, .pid = 200};
const struct store_caller BOB = {.uid = 1001, .gid = 1001, .pid = 300};

/* --- seams --------------------------------------------------------------- */

static void run_clock(struct test_clock *c)
{
	c->wall += c->step;
	c->elapsed += c->step;
}

/* Who reads both, reads them at one moment. */
static int64_t test_wall(const struct clock *c)
{
	struct test_clock *t = container_of(c, struct test_clock, base);

	run_clock(t);
	t->wall_read = true;
	return t->wall;
}

static int64_t test_elapsed(const struct clock *c)
{
	struct test_clock *t = container_of(c, struct test_clock, base);

	if (!t->wall_read) {
		run_clock(t);
	}
	t->wall_read = false;
	return t->elapsed;
}

static pid_t process_of(pid_t thread)
{
	return thread - thread % 10;
}

uint32_t test_random(uint64_t *state)
{
	*state = *state * UINT64_C(6364136223846793005) + UINT64_C(1442695040888963407);
	return (uint32_t)(*state >> 33);
}

/* --- as a whole ------------------------------------------------------------- */

/* What was allocated without them is not theirs. */
static unsigned n_benches;
static size_t objects_before;

void bench_init(struct bench *b, enum bench_kind kind)
{
	const char *tmp = getenv("TMPDIR");

	if (n_benches++ == 0) {
		objects_before = slab_count();
	}
	*b = (struct bench){.kind = kind, .who = &ALICE};
	b->clock = (struct test_clock){
		.base = {test_wall, test_elapsed},
		.wall = INT64_C(1795197000) * SECOND + 123456789,
		.elapsed = 5000 * SECOND,
	};
	store_config_init(&b->config);
	b->config.clock = &b->clock.base;
	b->config.process_of = process_of;
	b->config.uid = 0;
	b->config.mode = 0777; /* the kernel is not there to ask */
	b->config.gid = 0;
	b->config.locks_ttl = 0; /* the cases begin with an empty root */
	late_reset();
	switch (kind) {
	case BENCH_MEMORY:
		b->config.location = "memory:";
		break;
	case BENCH_LATE:
		b->config.location = "memory:";
		b->config.backend = &backend_late;
		late.noise = 3;
		break;
	case BENCH_JOURNAL:
		assert_true(asprintf(&b->directory, "%s/cubbyfs-XXXXXX", tmp ? tmp : "/tmp") > 0);
		assert_non_null(mkdtemp(b->directory));
		assert_true(asprintf(&b->location, "%s/store", b->directory) > 0);
		b->config.location = b->location;
		break;
	}
}

int bench_try_open(struct bench *b)
{
	_cleanup_free_ char *error = NULL;
	int rc = store_open(&b->s, &b->config, &error);

	if (rc) {
		b->s = NULL;
		assert_non_null(error);
	}
	return rc;
}

void bench_open(struct bench *b)
{
	assert_int_equal(bench_try_open(b), 0);
	bench_settle(b);
}

void bench_close(struct bench *b)
{
	struct store *s = b->s;

	b->s = NULL;
	assert_int_equal(store_close(s), 0);
}

void bench_reopen(struct bench *b)
{
	bench_close(b);
	bench_open(b);
}

static int remove_one(const char *path, const struct stat *st, int type, struct FTW *ftw)
{
	(void)st;
	(void)type;
	(void)ftw;
	return remove(path);
}

void bench_finish(struct bench *b)
{
	store_close(b->s);
	if (b->directory) {
		nftw(b->directory, remove_one, 16, FTW_DEPTH | FTW_PHYS);
	}
	free(b->directory);
	free(b->location);
	free(b->text);
	*b = (struct bench){0};
	/* No leak checker sees these. */
	if (--n_benches == 0) {
		assert_int_equal(slab_count(), objects_before);
	}
}

bool bench_is_durable(const struct bench *b)
{
	return b->kind == BENCH_JOURNAL;
}

void bench_advance(struct bench *b, int64_t ns)
{
	b->clock.wall += ns;
	b->clock.elapsed += ns;
}

static void pump(struct bench *b)
{
	struct pollfd p = {.fd = store_poll_fd(b->s), .events = POLLIN};

	if (p.fd >= 0) {
		poll(&p, 1, 20);
	}
	store_dispatch(b->s);
}

void bench_settle(struct bench *b)
{
	while (b->kind == BENCH_LATE && late_waits()) {
		pump(b);
	}
}

void bench_sweep(struct bench *b)
{
	while (store_tick(b->s) == 0) {
		bench_settle(b);
	}
}

int64_t bench_slow_tick(struct bench *b)
{
	int64_t next;

	b->clock.step = 2 * NSEC_PER_MSEC;
	next = store_tick(b->s);
	b->clock.step = 0;
	return next;
}

int bench_compact(struct bench *b)
{
	struct answer a = {0};

	store_compact(b->s, ANSWER(&a));
	while (!a.done) {
		store_tick(b->s);
		pump(b);
	}
	return a.rc;
}

static struct json_object *read_stats(struct bench *b)
{
	_cleanup_buffer_ struct buffer text = {0};
	struct json_object *o;

	assert_int_equal(store_stats(b->s, &text), 0);
	assert_int_equal(buffer_append(&text, "", 1), 0);
	o = json_tokener_parse(text.data);
	assert_non_null(o);
	return o;
}

uint64_t bench_stat(struct bench *b, const char *group, const char *name)
{
	struct json_object *o = read_stats(b), *from = o, *field;
	uint64_t n;

	if (group) {
		assert_true(json_object_object_get_ex(o, group, &from));
	}
	assert_true(json_object_object_get_ex(from, name, &field));
	n = json_object_get_uint64(field);
	json_object_put(o);
	return n;
}

uint64_t bench_revision(struct bench *b)
{
	return bench_stat(b, NULL, "revision");
}

void bench_same(const char *before, const char *after)
{
	while (*before || *after) {
		size_t a = strcspn(before, "\n"), z = strcspn(after, "\n");

		if (a != z || memcmp(before, after, a) != 0) {
			fail_msg("was: %.*s\nis:  %.*s", (int)a, before, (int)z, after);
		}
		before += a + (before[a] != 0);
		after += z + (after[z] != 0);
	}
}

static uint64_t recount_attributes(const struct node *n)
{
	uint64_t sum = 0;

	for (const struct xattr *x = node_xattrs(n); x; x = x->next) {
		sum += xattr_size(xattr_name(x), xattr_value(x));
	}
	return sum;
}

static void recount_nodes(const struct store *s)
{
	const struct tree *t = &s->tree;
	uint64_t bytes = 0, keys = 0, namespaces = 0;

	for (size_t i = 0; i < t->by_ino.n_buckets; i++) {
		for (struct indexed *item = index_bucket(&t->by_ino, i); item;
			item = index_next(item)) {
			const struct node *n = container_of(item, struct node, by_ino);
			uint64_t own = 0;

			assert_int_equal(node_extra(n) ? node_extra(n)->xattr_bytes : 0,
				recount_attributes(n));
			bytes += n == t->root || node_n_open(n) > 0 || n->nlink > 0 ? node_bytes(n)
										    : 0;
			keys += node_is_directory(n) ? 0 : n->nlink;
			namespaces += node_is_directory(n) ? n->nlink : 0;
			if (!node_is_directory(n)) {
				continue;
			}
			for (const struct entry *e = tree_next(n, 0); e; e = tree_following(e)) {
				own += node_first_name(entry_node(e)) == e
					       ? node_bytes(entry_node(e))
					       : 0;
			}
			assert_int_equal(node_directory(n)->bytes, own);
		}
	}
	assert_int_equal(t->bytes, bytes);
	assert_int_equal(t->n_keys, keys);
	assert_int_equal(t->n_namespaces, namespaces);
}

static void recount_users(const struct store *s)
{
	uint64_t staged = 0, open = 0, kept = 0, bases = 0, accounts = 0;

	for (size_t i = 0; i < s->quota.accounts.n_buckets; i++) {
		struct table_link *a = table_bucket(&s->quota.accounts, i);

		for (; a; a = a->next) {
			const struct account *account = container_of(a, struct account, by_uid);

			staged += account->staged;
			open += account->open;
			kept += account->kept;
			bases += account->bases;
			assert_true(account->kept || !account->kept_first);
			accounts++;
			assert_true(account->staged || account->open || account->locks);
		}
	}
	for (size_t i = 0; i < s->handles.by_id.n_buckets; i++) {
		struct table_link *l = table_bucket(&s->handles.by_id, i);

		for (; l; l = l->next) {
			const struct handle *h = container_of(l, struct handle, by_id);

			if (h->account) {
				staged -= h->stage.size + h->staged.xattr_bytes;
				open--;
				kept -= value_size(h->seen);
				bases -= value_size(h->base);
			}
		}
	}
	assert_int_equal(staged, 0);
	assert_int_equal(open, 0);
	assert_int_equal(kept, 0);
	assert_int_equal(bases, 0);
	assert_int_equal(accounts, s->quota.accounts.n_items);
}

void bench_recount(struct bench *b)
{
	recount_nodes(b->s);
	recount_users(b->s);
}

void bench_check_durable(struct bench *b)
{
	char *before, *after;

	bench_recount(b);

	if (!bench_is_durable(b)) {
		return;
	}
	bench_sweep(b);
	before = bench_dump(b);
	bench_reopen(b);
	bench_recount(b);
	after = bench_dump(b);
	bench_same(before, after);
	free(after);
	assert_int_equal(bench_compact(b), 0);
	after = bench_dump(b);
	bench_same(before, after);
	free(after);
	bench_reopen(b);
	bench_recount(b);
	after = bench_dump(b);
	bench_same(before, after);
	free(after);
	free(before);
}

/* --- calls ---------------------------------------------------------------- */

void answer_take(void *arg, int rc, const struct store_result *result)
{
	struct answer *a = arg;

	assert_false(a->done);
	assert_true((rc == 0) == (result != NULL));
	a->done = true;
	a->rc = rc;
	if (result) {
		a->result = *result;
	}
}

int answer_wait(struct bench *b, struct answer *a)
{
	while (!a->done) {
		pump(b);
	}
	if (a->rc == 0) {
		b->result = a->result;
	}
	return a->rc;
}

/* For calls that count a reference. */
static int wait_and_forget(struct bench *b, struct answer *a)
{
	int rc = answer_wait(b, a);

	if (rc == 0) {
		store_forget(b->s, a->result.ino, 1);
	}
	return rc;
}

int bench_mknod(struct bench *b, uint64_t parent, const char *name, mode_t mode, dev_t rdev)
{
	struct answer a = {0};

	store_mknod(b->s, b->who, parent, name, mode, rdev, ANSWER(&a));
	return wait_and_forget(b, &a);
}

int bench_mkdir(struct bench *b, uint64_t parent, const char *name)
{
	return bench_mknod(b, parent, name, S_IFDIR | 0755, 0);
}

int bench_symlink(struct bench *b, uint64_t parent, const char *name, const char *target)
{
	struct answer a = {0};

	store_symlink(b->s, b->who, parent, name, target, ANSWER(&a));
	return wait_and_forget(b, &a);
}

int bench_link(struct bench *b, uint64_t ino, uint64_t parent, const char *name)
{
	struct answer a = {0};

	store_link(b->s, b->who, ino, parent, name, ANSWER(&a));
	return wait_and_forget(b, &a);
}

int bench_unlink(struct bench *b, uint64_t parent, const char *name)
{
	struct answer a = {0};

	store_unlink(b->s, b->who, parent, name, ANSWER(&a));
	return answer_wait(b, &a);
}

int bench_rmdir(struct bench *b, uint64_t parent, const char *name)
{
	struct answer a = {0};

	store_rmdir(b->s, b->who, parent, name, ANSWER(&a));
	return answer_wait(b, &a);
}

int bench_rename(struct bench *b, uint64_t parent, const char *name, uint64_t to_parent,
	const char *to_name, unsigned flags)
{
	struct answer a = {0};

	store_rename(b->s, b->who, parent, name, to_parent, to_name, flags, ANSWER(&a));
	return answer_wait(b, &a);
}

int bench_setattr(
	struct bench *b, uint64_t ino, uint64_t handle, const struct stat *attr, unsigned which)
{
	struct answer a = {0};

	store_setattr(b->s, b->who, ino, handle, attr, which, ANSWER(&a));
	return answer_wait(b, &a);
}

int bench_truncate(struct bench *b, uint64_t ino, off_t size)
{
	const struct stat attr = {.st_size = size};

	return bench_setattr(b, ino, 0, &attr, STORE_SET_SIZE);
}

int bench_create(struct bench *b, uint64_t parent, const char *name, int flags, uint64_t *handle)
{
	struct answer a = {0};
	int rc;

	store_create(b->s, b->who, parent, name, 0644, flags, ANSWER(&a));
	rc = wait_and_forget(b, &a);
	*handle = rc ? 0 : a.result.handle;
	return rc;
}

int bench_open_key(struct bench *b, uint64_t ino, int flags, uint64_t *handle)
{
	*handle = 0;
	return store_open_key(b->s, b->who, ino, flags, handle);
}

int bench_write_bytes(
	struct bench *b, uint64_t handle, struct bytes data, uint64_t offset, int flags)
{
	struct answer a = {0};
	int rc;

	store_write(b->s, b->who, handle, data, offset, flags, ANSWER(&a));
	rc = answer_wait(b, &a);
	if (rc == 0) {
		assert_int_equal(a.result.size, data.size);
	}
	return rc;
}

int bench_write(struct bench *b, uint64_t handle, const char *text, uint64_t offset)
{
	return bench_write_bytes(b, handle, bytes_of_string(text), offset, 0);
}

int bench_append(struct bench *b, uint64_t handle, const char *text)
{
	return bench_write_bytes(b, handle, bytes_of_string(text), 0, O_APPEND);
}

int bench_flush(struct bench *b, uint64_t handle)
{
	struct answer a = {0};

	store_flush(b->s, b->who, handle, ANSWER(&a));
	return answer_wait(b, &a);
}

int bench_fsync(struct bench *b, uint64_t handle)
{
	struct answer a = {0};

	store_fsync(b->s, b->who, handle, ANSWER(&a));
	return answer_wait(b, &a);
}

void bench_release(struct bench *b, uint64_t handle)
{
	store_release(b->s, handle);
	bench_settle(b);
}

int bench_close_key(struct bench *b, uint64_t handle)
{
	int rc = bench_flush(b, handle);

	bench_release(b, handle);
	return rc;
}

int bench_setxattr_flags(
	struct bench *b, uint64_t ino, const char *name, const char *value, int flags)
{
	struct answer a = {0};

	store_setxattr(b->s, b->who, ino, name, bytes_of_string(value), flags, ANSWER(&a));
	return answer_wait(b, &a);
}

int bench_setxattr(struct bench *b, uint64_t ino, const char *name, const char *value)
{
	return bench_setxattr_flags(b, ino, name, value, 0);
}

int bench_removexattr(struct bench *b, uint64_t ino, const char *name)
{
	struct answer a = {0};

	store_removexattr(b->s, b->who, ino, name, ANSWER(&a));
	return answer_wait(b, &a);
}

static void keep_text(struct bench *b, struct bytes bytes)
{
	char *text = malloc(bytes.size + 1);

	assert_non_null(text);
	if (bytes.size > 0) {
		memcpy(text, bytes.data, bytes.size);
	}
	text[bytes.size] = 0;
	free(b->text);
	b->text = text;
	b->size = bytes.size;
}

int bench_getxattr(struct bench *b, uint64_t ino, const char *name)
{
	_cleanup_buffer_ struct buffer out = {0};
	int rc = store_getxattr(b->s, b->who, ino, name, &out);

	keep_text(b, buffer_bytes(&out));
	return rc;
}

int bench_lookup(struct bench *b, uint64_t parent, const char *name)
{
	int rc = store_lookup(b->s, b->who, parent, name, &b->st, &b->lasts);

	if (rc == 0) {
		store_forget(b->s, b->st.st_ino, 1);
	}
	return rc;
}

int bench_getattr(struct bench *b, uint64_t ino)
{
	return store_getattr(b->s, b->who, ino, &b->st, &b->lasts);
}

int bench_read(struct bench *b, uint64_t handle, uint64_t offset, size_t size)
{
	struct bytes out = {0};
	int rc = store_read(b->s, b->who, handle, offset, size, &out);

	keep_text(b, rc ? bytes_of("", 0) : out);
	return rc;
}

/* --- shorthand ---------------------------------------------------------------- */

uint64_t bench_ino(struct bench *b, uint64_t parent, const char *name)
{
	return bench_lookup(b, parent, name) ? 0 : b->st.st_ino;
}

int bench_set_bytes(struct bench *b, uint64_t parent, const char *name, struct bytes value)
{
	uint64_t ino = bench_ino(b, parent, name), handle;
	int rc;

	rc = ino ? bench_open_key(b, ino, O_WRONLY | O_TRUNC, &handle)
		 : bench_create(b, parent, name, O_WRONLY | O_TRUNC, &handle);
	if (rc) {
		return rc;
	}
	rc = bench_write_bytes(b, handle, value, 0, 0);
	if (rc) {
		bench_close_key(b, handle);
		return rc;
	}
	return bench_close_key(b, handle);
}

int bench_set(struct bench *b, uint64_t parent, const char *name, const char *value)
{
	return bench_set_bytes(b, parent, name, bytes_of_string(value));
}

const char *bench_get(struct bench *b, uint64_t parent, const char *name)
{
	uint64_t ino = bench_ino(b, parent, name), handle;
	int rc;

	if (!ino || bench_open_key(b, ino, O_RDONLY, &handle)) {
		return NULL;
	}
	rc = bench_read(b, handle, 0, SIZE_MAX);
	bench_release(b, handle);
	return rc ? NULL : b->text;
}

const char *bench_xattr(struct bench *b, uint64_t ino, const char *name)
{
	return bench_getxattr(b, ino, name) ? NULL : b->text;
}

uint64_t bench_namespace(struct bench *b, uint64_t parent, const char *name)
{
	assert_int_equal(bench_mkdir(b, parent, name), 0);
	return b->result.ino;
}

/* --- the dump --------------------------------------------------------------------- */

struct names {
	char **items;
	size_t n;
};

static bool collect_name(void *arg, const struct store_name *name)
{
	struct names *names = arg;

	names->items = realloc(names->items, (names->n + 1) * sizeof(*names->items));
	names->items[names->n++] = strndup(name->name.data, name->name.size);
	return true;
}

static int compare_names(const void *a, const void *b)
{
	return strcmp(*(char *const *)a, *(char *const *)b);
}

const char *bench_list(struct bench *b, uint64_t ino)
{
	_cleanup_buffer_ struct buffer out = {0};
	struct names names = {0};

	assert_int_equal(store_readdir(b->s, b->who, ino, 0, collect_name, &names), 0);
	if (names.n > 0) {
		qsort(names.items, names.n, sizeof(*names.items), compare_names);
	}
	for (size_t i = 0; i < names.n; i++) {
		buffer_printf(&out, "%s ", names.items[i]);
		free(names.items[i]);
	}
	free(names.items);
	keep_text(b, buffer_bytes(&out));
	return b->text;
}

static void put_text(struct buffer *out, struct bytes text)
{
	for (size_t i = 0; i < text.size; i++) {
		unsigned char c = (unsigned char)text.data[i];

		if (c < ' ' || c > '~' || c == '\\') {
			buffer_printf(out, "\\x%02x", c);
		} else {
			buffer_append(out, &text.data[i], 1);
		}
	}
}

static void dump_attributes(struct bench *b, uint64_t ino, struct buffer *out)
{
	static const char *const shown[] = {
		"ttl", "expires", "created", "modified", "revision", "version", "action", "token",
		"holder"};
	_cleanup_buffer_ struct buffer names = {0}, value = {0};
	char name[64];

	for (size_t i = 0; i < sizeof(shown) / sizeof(shown[0]); i++) {
		snprintf(name, sizeof(name), "user.cubby.%s", shown[i]);
		if (store_getxattr(b->s, b->who, ino, name, &value) == 0) {
			buffer_printf(out, " %s=", shown[i]);
			put_text(out, buffer_bytes(&value));
		}
	}
	assert_int_equal(store_listxattr(b->s, b->who, ino, &names), 0);
	for (size_t at = 0; at < names.size; at += strlen(names.data + at) + 1) {
		assert_int_equal(store_getxattr(b->s, b->who, ino, names.data + at, &value), 0);
		buffer_printf(out, " [%s]=", names.data + at);
		put_text(out, buffer_bytes(&value));
	}
}

static void dump_node(struct bench *b, const char *path, const struct stat *st, struct buffer *out)
{
	struct bytes target;
	uint64_t handle;

	put_text(out, bytes_of_string(path));
	buffer_printf(out, " ino=%ju mode=%o uid=%u gid=%u nlink=%ju size=%jd rdev=%ju",
		(uintmax_t)st->st_ino, st->st_mode, st->st_uid, st->st_gid, (uintmax_t)st->st_nlink,
		(intmax_t)st->st_size, (uintmax_t)st->st_rdev);
	buffer_printf(out, " a=%jd.%09ld m=%jd.%09ld c=%jd.%09ld", (intmax_t)st->st_atim.tv_sec,
		st->st_atim.tv_nsec, (intmax_t)st->st_mtim.tv_sec, st->st_mtim.tv_nsec,
		(intmax_t)st->st_ctim.tv_sec, st->st_ctim.tv_nsec);
	dump_attributes(b, st->st_ino, out);
	if (S_ISREG(st->st_mode)) {
		assert_int_equal(bench_open_key(b, st->st_ino, O_RDONLY, &handle), 0);
		assert_int_equal(bench_read(b, handle, 0, SIZE_MAX), 0);
		buffer_append_string(out, " value=");
		put_text(out, bytes_of(b->text, b->size));
		store_release(b->s, handle);
	} else if (S_ISLNK(st->st_mode)) {
		assert_int_equal(store_readlink(b->s, st->st_ino, &target), 0);
		buffer_append_string(out, " -> ");
		put_text(out, target);
	}
	buffer_append_string(out, "\n");
}

static void dump_below(struct bench *b, const char *path, uint64_t ino, struct buffer *out)
{
	struct names names = {0};
	uint64_t parent;

	assert_int_equal(store_readdir(b->s, b->who, ino, 0, collect_name, &names), 0);
	if (names.n > 0) {
		qsort(names.items, names.n, sizeof(*names.items), compare_names);
	}
	for (size_t i = 0; i < names.n; i++) {
		_cleanup_free_ char *below = NULL;
		struct stat st;

		assert_true(asprintf(&below, "%s/%s", path, names.items[i]) > 0);
		assert_int_equal(bench_lookup(b, ino, names.items[i]), 0);
		st = b->st;
		dump_node(b, below, &st, out);
		if (S_ISDIR(st.st_mode)) {
			assert_int_equal(store_parent(b->s, st.st_ino, &parent), 0);
			assert_int_equal(parent, ino);
			dump_below(b, below, st.st_ino, out);
		}
		free(names.items[i]);
	}
	free(names.items);
}

char *bench_dump(struct bench *b)
{
	const struct store_caller *who = b->who;
	struct buffer out = {0};
	struct stat st;

	b->who = &ROOT;
	assert_int_equal(bench_getattr(b, ROOT_INO), 0);
	st = b->st;
	dump_node(b, "", &st, &out);
	dump_below(b, "", ROOT_INO, &out);
	buffer_printf(&out, "revision %" PRIu64 " keys %" PRIu64 " namespaces %" PRIu64 "\n",
		bench_revision(b), bench_stat(b, NULL, "keys"), bench_stat(b, NULL, "namespaces"));
	b->who = who;
	assert_int_equal(buffer_append(&out, "", 1), 0);
	return out.data;
}
