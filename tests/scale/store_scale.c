/* SPDX-License-Identifier: MIT
 * Copyright (c) 2026 The cubbyfs authors */

/* What a store of many keys costs: without a mount, so that what is measured is the store.
 *
 *   store_scale fill DIR KEYS [SIZE]   makes keys with values of SIZE bytes (100)
 *   store_scale compact DIR
 *   store_scale open DIR               seconds (of processor time, as all of them), resident bytes
 *   store_scale parse DIR              the same bytes only read, checked, and parsed
 *   store_scale each DIR [ROUNDS]      what a call costs among the keys that are there
 *   store_scale expire DIR [KEYS]      what a TTL costs among so many, and to expire
 *   store_scale empty DIR              removes all keys; resident bytes before and after
 *   store_scale soak DIR SETS          sets on 1,000 keys, through compactions: what is used
 *                                      stays bounded */
#include "base/cleanup.h"
#include "store/json.h"
#include "store/record.h"
#include "store/store.h"

#include <errno.h>
#include <dirent.h>
#include <fcntl.h>
#include <inttypes.h>
#include <json-c/json.h>
#include <poll.h>
#include <stdio.h>
#include <sys/stat.h>
#include <time.h>

#define PER_NAMESPACE 100000

static const struct store_caller caller = {.uid = 0, .gid = 0, .pid = 1};

static void fail(const char *what, int rc)
{
	fprintf(stderr, "store_scale: %s: %s\n", what,
		rc < 0 ? strerror(-rc) : "an outcome that should not be");
	exit(1);
}

static void must(int rc, const char *what)
{
	if (rc != 0) {
		fail(what, rc);
	}
}

/* Seconds of processor time: other processes are in the way of the wall clock's. */
static double now(void)
{
	struct timespec t;

	clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &t);
	return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

static double wall(void)
{
	return (double)clock_elapsed(&clock_system) / 1e9;
}

/* Of this process, in bytes: resident, and of that not backed by a file. */
static size_t resident(void)
{
	_cleanup_file_ FILE *f = fopen("/proc/self/statm", "r");
	unsigned long size, rss, shared;

	if (!f || fscanf(f, "%lu %lu %lu", &size, &rss, &shared) != 3) {
		fail("/proc/self/statm", -errno);
	}
	return (rss - shared) * (size_t)sysconf(_SC_PAGESIZE);
}

/* --- calls that wait ----------------------------------------------------- */

struct answer {
	bool done;
	int rc;
	struct store_result result;
};

static void take(void *arg, int rc, const struct store_result *result)
{
	struct answer *a = arg;

	a->done = true;
	a->rc = rc;
	if (rc == 0 && result) {
		a->result = *result;
	}
}

#define ANSWER(a) ((struct store_reply){.done = take, .arg = (a)})

static void await(struct store *s, struct answer *a, const char *what)
{
	while (!a->done) {
		struct pollfd p = {.fd = store_poll_fd(s), .events = POLLIN};
		int64_t wait = store_tick(s);

		(void)poll(&p, 1, wait < 0 || wait > NSEC_PER_SEC ? 100 : (int)(wait / NSEC_PER_MSEC));
		store_dispatch(s);
	}
	must(a->rc, what);
}

static struct store *open_store_with(const char *directory, uint64_t compact_min)
{
	struct store_config config;
	_cleanup_free_ char *error = NULL;
	struct store *s;
	int rc;

	store_config_init(&config);
	config.location = directory;
	config.commit = 0;
	config.compact_min = compact_min;
	rc = store_open(&s, &config, &error);
	if (rc) {
		fprintf(stderr, "store_scale: %s\n", error ? error : "cannot open");
		exit(1);
	}
	return s;
}

static struct store *open_store(const char *directory)
{
	return open_store_with(directory, 0);
}

static void sync_and_close(struct store *s)
{
	must(store_close(s), "close");
}

/* --- keys ---------------------------------------------------------------- */

static void name_of(char out[static 32], uint64_t number)
{
	snprintf(out, 32, "key-%07" PRIu64, number);
}

static void namespace_name(char out[static 32], uint64_t number)
{
	snprintf(out, 32, "ns-%05" PRIu64, number);
}

static uint64_t make_namespace(struct store *s, const char *name)
{
	struct answer a = {0};

	store_mknod(s, &caller, 1, name, S_IFDIR | 0755, 0, ANSWER(&a));
	await(s, &a, "mkdir");
	store_forget(s, a.result.ino, 1);
	return a.result.ino;
}

static uint64_t set(struct store *s, uint64_t parent, const char *name, struct bytes value)
{
	struct answer a = {0}, b = {0}, c = {0};
	uint64_t ino;

	ino = store_number(s, parent, name);
	if (ino != 0) {
		store_remember(s, ino);
		a = (struct answer){.done = true, .result = {.ino = ino}};
		a.rc = store_open_key(s, &caller, ino, O_WRONLY | O_TRUNC, &a.result.handle);
	} else {
		store_create(
			s, &caller, parent, name, 0644, O_WRONLY | O_CREAT | O_TRUNC, ANSWER(&a));
	}
	await(s, &a, "create");
	ino = a.result.ino;
	store_write(s, &caller, a.result.handle, value, 0, 0, ANSWER(&b));
	await(s, &b, "write");
	store_flush(s, &caller, a.result.handle, ANSWER(&c));
	await(s, &c, "flush");
	store_release(s, a.result.handle);
	store_forget(s, ino, 1);
	return ino;
}

static void drop(struct store *s, uint64_t parent, const char *name)
{
	struct answer a = {0};

	store_unlink(s, &caller, parent, name, ANSWER(&a));
	await(s, &a, "unlink");
}

static void fill_value(char *value, size_t size, uint64_t number)
{
	int n = snprintf(value, size, "{\"number\":%" PRIu64 ",\"text\":\"", number);

	for (size_t i = (size_t)n < size ? (size_t)n : size; i < size; i++) {
		value[i] = (char)('a' + (number * 31 + i * 7) % 26);
	}
	if (size > 0) {
		value[size - 1] = '\n';
	}
}

static void do_fill(const char *directory, uint64_t keys, size_t size)
{
	struct store *s = open_store(directory);
	_cleanup_free_ char *value = malloc(size + 1);
	uint64_t parent = 0;
	double start = now();
	char name[32];

	for (uint64_t i = 0; i < keys; i++) {
		if (i % PER_NAMESPACE == 0) {
			namespace_name(name, i / PER_NAMESPACE);
			parent = make_namespace(s, name);
		}
		name_of(name, i);
		fill_value(value, size, i);
		set(s, parent, name, bytes_of(value, size));
	}
	printf("fill: %.2f s, %.2f us a key\n", now() - start, (now() - start) * 1e6 / (double)keys);
	sync_and_close(s);
}

static void do_compact(const char *directory)
{
	struct store *s = open_store(directory);
	struct answer a = {0};
	double start = now();

	store_compact(s, ANSWER(&a));
	await(s, &a, "compact");
	printf("compact: %.2f s\n", now() - start);
	sync_and_close(s);
}

/* --- counting -------------------------------------------------------------- */

struct counts {
	uint64_t keys, names, values;
};

struct walk {
	struct store *s;
	struct counts *counts;
	uint64_t *namespaces;
	size_t n_namespaces;
};

static bool count_one(void *arg, const struct store_name *n)
{
	struct walk *w = arg;
	bool lasts;
	struct stat st;

	w->counts->names += n->name.size;
	if (S_ISDIR(n->mode)) {
		w->namespaces = realloc(w->namespaces, (w->n_namespaces + 1) * sizeof(uint64_t));
		w->namespaces[w->n_namespaces++] = n->ino;
		return true;
	}
	w->counts->keys++;
	must(store_getattr(w->s, &caller, n->ino, &st, &lasts), "getattr");
	w->counts->values += (uint64_t)st.st_size;
	return true;
}

static struct counts count(struct store *s)
{
	struct counts c = {0};
	struct walk w = {.s = s, .counts = &c};

	must(store_readdir(s, &caller, 1, 0, count_one, &w), "readdir");
	for (size_t i = 0; i < w.n_namespaces; i++) {
		must(store_readdir(s, &caller, w.namespaces[i], 0, count_one, &w), "readdir");
	}
	free(w.namespaces);
	return c;
}

static void do_open(const char *directory)
{
	size_t before = resident(), after;
	double start = now(), start_wall = wall(), seconds, seconds_wall;
	struct store *s = open_store(directory);
	struct counts c;

	seconds = now() - start;
	seconds_wall = wall() - start_wall;
	after = resident();
	c = count(s);
	printf("open: %.3f s (%.3f by the wall clock), %.0f ns a key; %" PRIu64 " keys; resident %.1f MB, %.1f bytes a key, "
	       "%.1f beyond name and value\n",
		seconds, seconds_wall, seconds * 1e9 / (double)c.keys, c.keys, (double)after / 1e6,
		(double)(after - before) / (double)c.keys,
		(double)(after - before - c.names - c.values) / (double)c.keys);
	start = now();
	sync_and_close(s);
	printf("close: %.3f s\n", now() - start);
}

/* --- the same bytes, read and parsed -------------------------------------- */

struct text {
	char *data;
	size_t size;
};

static void add_files(const char *directory, struct buffer *out)
{
	_cleanup_dir_ DIR *d = opendir(directory);
	struct dirent *entry;

	if (!d) {
		fail(directory, -errno);
	}
	while ((entry = readdir(d))) {
		const char *dot = strrchr(entry->d_name, '.');
		_cleanup_fd_ int fd = -1;
		ssize_t n;

		if (!dot || (strcmp(dot, ".log") != 0 && strcmp(dot, ".snap") != 0)) {
			continue;
		}
		fd = openat(dirfd(d), entry->d_name, O_RDONLY);
		do {
			must(buffer_reserve(out, out->size + (1 << 20)), "memory");
			n = read(fd, out->data + out->size, 1 << 20);
			out->size += n > 0 ? (size_t)n : 0;
		} while (n > 0);
	}
}

enum parse {
	LINES,
	CHECKSUMS,
	TRANSITIONS,
	JSON,
};

static double parse(struct bytes text, enum parse how, uint64_t *lines)
{
	struct record_decoder *d;
	double start = now();
	size_t at = 0;

	*lines = 0;
	must(record_decoder_create(&d), "decoder");
	while (at < text.size) {
		const char *end = memchr(text.data + at, '\n', text.size - at);
		struct bytes line = bytes_of(text.data + at, (size_t)(end - text.data) - at);
		const struct transition *t;
		struct json_object *o;

		if (how == CHECKSUMS && !record_intact(line)) {
			fail("a line is not whole", 1);
		} else if (how == TRANSITIONS) {
			(void)record_decode(d, line, &t);
		} else if (how == JSON) {
			must(record_decode_object(d, line, &o), "parse");
		}
		at += line.size + 1;
		++*lines;
	}
	record_decoder_destroy(d);
	return now() - start;
}

static void do_parse(const char *directory)
{
	static const char *const names[] = {"lines", "checksums", "transitions", "json objects"};
	_cleanup_buffer_ struct buffer text = {0};
	double start = now(), seconds;
	uint64_t lines;

	add_files(directory, &text);
	printf("read: %.3f s, %.1f MB\n", now() - start, (double)text.size / 1e6);
	for (int how = LINES; how <= JSON; how++) {
		seconds = parse(buffer_bytes(&text), (enum parse)how, &lines);
		printf("%s: %.3f s, %.0f ns a line\n", names[how], seconds,
			seconds * 1e9 / (double)lines);
	}
}

/* --- a call among many --------------------------------------------------- */

static void do_each(const char *directory, uint64_t rounds)
{
	struct store *s = open_store(directory);
	struct counts c = count(s);
	uint64_t random = 88172645463325252u, parent;
	double start, t_set, t_stat, t_create, t_delete;
	bool lasts;
	struct stat st;
	char name[32];

	must(store_lookup(s, &caller, 1, "ns-00000", &st, &lasts), "lookup");
	parent = st.st_ino;
#define RANDOM (random ^= random << 13, random ^= random >> 7, random ^= random << 17)
	if (c.keys > PER_NAMESPACE) {
		c.keys = PER_NAMESPACE;
	}
	start = now();
	for (uint64_t i = 0; i < rounds; i++) {
		name_of(name, RANDOM % c.keys);
		must(store_lookup(s, &caller, parent, name, &st, &lasts), "lookup");
		store_forget(s, st.st_ino, 1);
	}
	t_stat = now() - start;
	start = now();
	for (uint64_t i = 0; i < rounds; i++) {
		name_of(name, RANDOM % c.keys);
		set(s, parent, name, bytes_of_string("a new value"));
	}
	t_set = now() - start;
	start = now();
	for (uint64_t i = 0; i < rounds; i++) {
		snprintf(name, sizeof(name), "new-%" PRIu64, i);
		set(s, parent, name, bytes_of_string("a new value"));
	}
	t_create = now() - start;
	start = now();
	for (uint64_t i = 0; i < rounds; i++) {
		snprintf(name, sizeof(name), "new-%" PRIu64, i);
		drop(s, parent, name);
	}
	t_delete = now() - start;
	printf("each (ns): lookup %.0f, set %.0f, create %.0f, delete %.0f\n",
		t_stat * 1e9 / (double)rounds, t_set * 1e9 / (double)rounds,
		t_create * 1e9 / (double)rounds, t_delete * 1e9 / (double)rounds);
	sync_and_close(s);
}

static void set_ttl(struct store *s, uint64_t parent, uint64_t number, const char *ttl)
{
	struct answer a = {0};
	bool lasts;
	struct stat st;
	char name[32];

	name_of(name, number);
	must(store_lookup(s, &caller, parent, name, &st, &lasts), "lookup");
	store_setxattr(
		s, &caller, st.st_ino, "user.cubby.ttl", bytes_of_string(ttl), 0, ANSWER(&a));
	await(s, &a, "setxattr");
	store_forget(s, st.st_ino, 1);
}

static void do_expire(const char *directory, uint64_t keys)
{
	struct store *s = open_store_with(directory, UINT64_MAX); /* that is a cost of its own */
	uint64_t parent = make_namespace(s, "mortal"), n = 0;
	double start, t_ttl, t_again, t_expire;
	char name[32];

	for (uint64_t i = 0; i < keys; i++) {
		name_of(name, i);
		set(s, parent, name, bytes_of_string("a value"));
	}
	start = now();
	for (uint64_t i = 0; i < keys; i++) {
		set_ttl(s, parent, i * 7919 % keys, "1000000");
	}
	t_ttl = now() - start;
	start = now();
	for (uint64_t i = 0; i < keys; i++) {
		char ttl[32];

		snprintf(ttl, sizeof(ttl), "%" PRIu64, 2000000 - i * 31 % keys);
		set_ttl(s, parent, i, ttl);
	}
	t_again = now() - start;
	start = now();
	for (uint64_t i = 0; i < keys; i += 2, n++) {
		set_ttl(s, parent, i, "0");
		while (store_tick(s) == 0) {
			store_dispatch(s);
		}
	}
	t_expire = now() - start;
	printf("expire (ns): a TTL %.0f, another %.0f, expiry %.0f\n", t_ttl * 1e9 / (double)keys,
		t_again * 1e9 / (double)keys, t_expire * 1e9 / (double)n);
	sync_and_close(s);
}

static void do_empty(const char *directory)
{
	size_t fresh = resident(), full, empty;
	struct store *s = open_store(directory);
	struct counts c = count(s);
	double start;
	char name[32];
	struct stat st;
	bool lasts;

	full = resident();
	start = now();
	for (uint64_t i = 0; i < c.keys; i++) {
		if (i % PER_NAMESPACE == 0) {
			namespace_name(name, i / PER_NAMESPACE);
			must(store_lookup(s, &caller, 1, name, &st, &lasts), "lookup");
		}
		name_of(name, i);
		drop(s, st.st_ino, name);
	}
	empty = resident();
	printf("empty: %.0f ns a key; resident with keys %.1f MB, without %.1f MB\n",
		(now() - start) * 1e9 / (double)c.keys, (double)(full - fresh) / 1e6,
		(double)(empty - fresh) / 1e6);
	sync_and_close(s);
}

/* --- a long life ------------------------------------------------------------ */

#define SOAK_KEYS 1000
#define SOAK_SAMPLES 20
/* By which memory may grow from the first sample on, and the journal past 2.5 times what lives. */
#define SOAK_SLACK ((size_t)4 << 20)
#define SOAK_LOG (UINT64_C(48) << 20) /* it is compacted from 8 MiB on, at leisure */

/* The same as set, of a key that is there. */
static void set_again(struct store *s, uint64_t parent, const char *name, struct bytes value)
{
	struct answer b = {0}, c = {0};
	bool lasts;
	uint64_t handle;
	struct stat st;

	must(store_lookup(s, &caller, parent, name, &st, &lasts), "lookup");
	must(store_open_key(s, &caller, st.st_ino, O_WRONLY | O_TRUNC, &handle), "open");
	store_write(s, &caller, handle, value, 0, 0, ANSWER(&b));
	await(s, &b, "write");
	store_flush(s, &caller, handle, ANSWER(&c));
	await(s, &c, "flush");
	store_release(s, handle);
	store_forget(s, st.st_ino, 1);
}

static uint64_t bytes_in(const char *directory)
{
	_cleanup_dir_ DIR *dir = opendir(directory);
	struct dirent *entry;
	uint64_t total = 0;
	struct stat st;

	while (dir && (entry = readdir(dir))) {
		if (fstatat(dirfd(dir), entry->d_name, &st, AT_SYMLINK_NOFOLLOW) == 0 &&
			S_ISREG(st.st_mode)) {
			total += (uint64_t)st.st_blocks * 512;
		}
	}
	return total;
}

/* Sizes of 10 to 1023 bytes; now and then a key is removed. */
static void do_soak(const char *directory, uint64_t sets)
{
	struct store *s = open_store(directory);
	uint64_t top = make_namespace(s, "soak"), live = 0, disk;
	size_t sizes[SOAK_KEYS] = {0}, first = 0, memory;
	char value[1024], name[32];

	printf("%12s %12s %12s %12s\n", "sets", "resident", "disk", "live");
	for (uint64_t i = 1; i <= sets; i++) {
		uint64_t key = i * 7919 % SOAK_KEYS;
		size_t size = 10 + i * 31 % 1014;

		name_of(name, key);
		if (i % 97 == 0 && sizes[key] > 0) {
			drop(s, top, name);
			live -= sizes[key];
			sizes[key] = 0;
			continue;
		}
		fill_value(value, size, i);
		if (sizes[key] > 0) {
			set_again(s, top, name, bytes_of(value, size));
		} else {
			set(s, top, name, bytes_of(value, size));
		}
		live += size - sizes[key];
		sizes[key] = size;
		if (i % 32 == 0) {
			store_tick(s);
			store_dispatch(s);
		}
		if (i % (sets / SOAK_SAMPLES) == 0) {
			memory = resident();
			disk = bytes_in(directory);
			printf("%12" PRIu64 " %12zu %12" PRIu64 " %12" PRIu64 "\n", i, memory, disk, live);
			fflush(stdout);
			first = first ? first : memory;
			if (memory > first + SOAK_SLACK || disk > live * 5 / 2 + SOAK_LOG) {
				fail("it grows", -EFBIG);
			}
		}
	}
	sync_and_close(s);
	s = open_store(directory);
	for (uint64_t key = 0; key < SOAK_KEYS; key++) {
		struct stat st;
		bool lasts;

		name_of(name, key);
		must(store_lookup(s, &caller, top, name, &st, &lasts) != (sizes[key] ? 0 : STORE_NOT_FOUND),
			"a key that should be there, or not");
		if (sizes[key] > 0 && (size_t)st.st_size != sizes[key]) {
			fail("a key's size", -EPROTO);
		}
	}
	sync_and_close(s);
	printf("opened again: all %d keys are as they were left\n", SOAK_KEYS);
}

int main(int argc, char **argv)
{
	const char *what = argc > 2 ? argv[1] : "";
	uint64_t number = argc > 3 ? strtoull(argv[3], NULL, 10) : 0;

	if (strcmp(what, "fill") == 0 && number > 0) {
		do_fill(argv[2], number, argc > 4 ? strtoul(argv[4], NULL, 10) : 100);
	} else if (strcmp(what, "compact") == 0) {
		do_compact(argv[2]);
	} else if (strcmp(what, "open") == 0) {
		do_open(argv[2]);
	} else if (strcmp(what, "parse") == 0) {
		do_parse(argv[2]);
	} else if (strcmp(what, "each") == 0) {
		do_each(argv[2], number ? number : 100000);
	} else if (strcmp(what, "expire") == 0) {
		do_expire(argv[2], number ? number : 100000);
	} else if (strcmp(what, "empty") == 0) {
		do_empty(argv[2]);
	} else if (strcmp(what, "soak") == 0 && number >= SOAK_SAMPLES) {
		do_soak(argv[2], number);
	} else {
		fprintf(stderr, "usage: see the beginning of store_scale.c\n");
		return 2;
	}
	return 0;
}
