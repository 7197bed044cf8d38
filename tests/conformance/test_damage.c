/* SPDX-License-Identifier: MIT
 * Copyright (c) 2026 The cubbyfs authors */

/* Stores whose journal is damaged. Opening one never fails; what the whole
 * lines held is there; what was lost is counted; and from then on the store
 * works as any other: it is used, opened anew, compacted, and keeps its state. */
#include "harness.h"

#include "../unit/fault_disk.h"
#include "../unit/stride.h"
#include "base/cleanup.h"
#include "base/log.h"

#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#define LINES_MAX 400
#define KEYS 20
#define DIRS 5

/* What happened to a key, by revision. */
struct event {
	uint64_t revision;
	int key;
	int value; /* -1: deleted */
};

struct history {
	struct bench b;
	struct fault_disk *disk;
	uint64_t random;
	uint64_t dirs[DIRS];
	uint64_t made[DIRS]; /* revisions of the mkdir */
	struct event events[LINES_MAX];
	size_t n_events;
	char *dumps[LINES_MAX]; /* by revision */
	uint64_t revision;
	/* The journal. */
	char *path;
	char *data;
	size_t size;
	size_t lines[LINES_MAX + 1]; /* where each begins; the last: the end */
	size_t n_lines;
};

static unsigned pick(uint64_t *random, unsigned n)
{
	return test_random(random) % n;
}

/* --- a bench on a disk of its own ------------------------------------------- */

static void use_disk(struct bench *b, struct fault_disk *disk)
{
	bench_init(b, BENCH_JOURNAL);
	b->config.disk = fault_disk_of(disk);
	b->config.location = "/store";
}

static char *log_path(struct fault_disk *disk)
{
	size_t n, best = 0;
	char **files = fault_disk_files(disk, &n), *path = NULL;

	for (size_t i = 0; i < n; i++) {
		size_t size;
		const char *data = fault_disk_data(disk, files[i], &size);

		if (data && size > best && memmem(data, size, "{\"rev\":", 7)) {
			best = size;
			free(path);
			path = strdup(files[i]);
		}
		free(files[i]);
	}
	free(files);
	assert_non_null(path);
	return path;
}

/* --- a known history ---------------------------------------------------------- */

/* /d0 /d0/d1 /d0/d1/d2 /d3 /d4 */
static void dir_name(int dir, char *out, size_t size)
{
	snprintf(out, size, "d%d", dir);
}

static uint64_t dir_parent(struct history *h, int dir)
{
	return dir == 1 || dir == 2 ? h->dirs[dir - 1] : ROOT_INO;
}

static int dir_of(int key)
{
	return key % (DIRS + 1) - 1; /* -1: the root */
}

static uint64_t ino_of_dir(struct history *h, int key)
{
	return dir_of(key) < 0 ? ROOT_INO : h->dirs[dir_of(key)];
}

static void take_dump(struct history *h)
{
	h->revision = bench_revision(&h->b);
	assert_true(h->revision < LINES_MAX);
	assert_null(h->dumps[h->revision]);
	h->dumps[h->revision] = bench_dump(&h->b);
}

static void note(struct history *h, int key, int value)
{
	take_dump(h);
	h->events[h->n_events++] = (struct event){h->revision, key, value};
}

static void read_journal(struct history *h)
{
	const char *data;

	h->path = log_path(h->disk);
	data = fault_disk_data(h->disk, h->path, &h->size);
	h->data = malloc(h->size);
	memcpy(h->data, data, h->size);
	for (size_t at = 0; at < h->size;) {
		const char *end = memchr(h->data + at, '\n', h->size - at);

		h->lines[h->n_lines++] = at;
		at = end ? (size_t)(end - h->data) + 1 : h->size;
	}
	h->lines[h->n_lines] = h->size;
	/* A header, and a line for each revision. */
	assert_int_equal(h->n_lines, h->revision + 1);
}

static void history_init(struct history *h, unsigned operations)
{
	char name[20], value[20];

	memset(h, 0, sizeof(*h));
	h->random = 4711;
	h->disk = fault_disk_create();
	use_disk(&h->b, h->disk);
	bench_open(&h->b);
	take_dump(h);
	for (int i = 0; i < DIRS; i++) {
		dir_name(i, name, sizeof(name));
		h->dirs[i] = bench_namespace(&h->b, dir_parent(h, i), name);
		take_dump(h);
		h->made[i] = h->revision;
	}
	for (unsigned i = 0; i < operations; i++) {
		int key = (int)pick(&h->random, KEYS);

		bench_advance(&h->b, SECOND);
		snprintf(name, sizeof(name), "k%d", key);
		if (pick(&h->random, 5) == 0) {
			if (bench_unlink(&h->b, ino_of_dir(h, key), name) == 0) {
				note(h, key, -1);
			}
		} else {
			snprintf(value, sizeof(value), "value %u", i);
			assert_int_equal(bench_set(&h->b, ino_of_dir(h, key), name, value), 0);
			note(h, key, (int)i);
		}
	}
	bench_close(&h->b);
	read_journal(h);
}

static void history_finish(struct history *h)
{
	bench_finish(&h->b);
	fault_disk_destroy(h->disk);
	for (size_t i = 0; i < LINES_MAX; i++) {
		free(h->dumps[i]);
	}
	free(h->path);
	free(h->data);
}

/* Where a key is, by names alone: the namespaces' own lines may be lost. */
static uint64_t walk_to(struct bench *b, int dir)
{
	static const char *const paths[DIRS][3] = {
		{"d0"}, {"d0", "d1"}, {"d0", "d1", "d2"}, {"d3"}, {"d4"}};
	uint64_t ino = ROOT_INO;

	for (int i = 0; dir >= 0 && i < 3 && paths[dir][i] && ino; i++) {
		ino = bench_ino(b, ino, paths[dir][i]);
	}
	return ino;
}

/* Every key is as the lines say whose revision is not in `lost`. */
static void check_keys(struct history *h, struct bench *b, const bool *lost)
{
	for (int key = 0; key < KEYS; key++) {
		uint64_t parent = walk_to(b, dir_of(key));
		char name[20], value[20];
		int expected = -1;
		const char *got;

		for (size_t i = 0; i < h->n_events; i++) {
			if (h->events[i].key == key && !lost[h->events[i].revision]) {
				expected = h->events[i].value;
			}
		}
		snprintf(name, sizeof(name), "k%d", key);
		snprintf(value, sizeof(value), "value %d", expected);
		got = parent ? bench_get(b, parent, name) : NULL;
		if (expected < 0) {
			assert_null(got);
		} else {
			assert_non_null(got);
			assert_string_equal(got, value);
		}
	}
}

/* The store goes on as if nothing had been. */
static void check_it_works(struct bench *b)
{
	char *before, *after;

	assert_int_equal(bench_set(b, ROOT_INO, "after", "the damage"), 0);
	before = bench_dump(b);
	bench_reopen(b);
	after = bench_dump(b);
	bench_same(before, after);
	free(after);
	assert_int_equal(bench_compact(b), 0);
	bench_reopen(b);
	after = bench_dump(b);
	bench_same(before, after);
	free(after);
	free(before);
}

static void without_last_line(char *dump)
{
	char *end = strstr(dump, "\nrevision ");

	assert_non_null(end);
	end[1] = 0;
}

/* --- the end is cut off ------------------------------------------------------------ */

static void cut_at_every_byte(void **state)
{
	static struct history h;

	(void)state;
	history_init(&h, 40);
	for (size_t cut = h.lines[h.n_lines - 3]; cut <= h.size; cut += stride_of(3, 7)) {
		struct fault_disk *disk = fault_disk_clone(h.disk);
		size_t whole = 0;
		struct bench b;
		char *dump;

		/* A line is whole even if only its newline is gone. */
		while (whole < h.n_lines && cut + 1 >= h.lines[whole + 1]) {
			whole++;
		}
		fault_disk_set_data(disk, h.path, h.data, cut);
		use_disk(&b, disk);
		b.clock = h.b.clock;
		b.config.clock = &b.clock.base;
		bench_open(&b);
		dump = bench_dump(&b);
		without_last_line(dump);
		{
			_cleanup_free_ char *expected = strdup(h.dumps[whole - 1]);

			without_last_line(expected);
			bench_same(expected, dump);
		}
		free(dump);
		assert_int_equal(bench_stat(&b, "damage", "torn_bytes"),
			cut > h.lines[whole] ? cut - h.lines[whole] : 0);
		assert_int_equal(bench_stat(&b, "damage", "damaged_lines"), 0);
		check_it_works(&b);
		bench_finish(&b);
		fault_disk_destroy(disk);
	}
	history_finish(&h);
}

/* --- lines are lost ---------------------------------------------------------------- */

static void flip_in_every_line(void **state)
{
	static struct history h;
	bool lost[LINES_MAX] = {0};

	(void)state;
	history_init(&h, 80);
	for (size_t line = 0; line < h.n_lines; line++) {
		size_t size = h.lines[line + 1] - h.lines[line];

		for (int i = 0; i < 4; i++) {
			/* The last byte is the newline: then the line is whole. */
			size_t at = i == 0   ? size - 1
				    : i == 1 ? 0
					     : pick(&h.random, (unsigned)size - 1);
			struct fault_disk *disk = fault_disk_clone(h.disk);
			_cleanup_free_ char *data = malloc(h.size);
			struct bench b;

			memcpy(data, h.data, h.size);
			data[h.lines[line] + at] ^= (char)(1 << pick(&h.random, 8));
			fault_disk_set_data(disk, h.path, data, h.size);
			use_disk(&b, disk);
			b.clock = h.b.clock;
			b.config.clock = &b.clock.base;
			bench_open(&b);
			lost[line] = at != size - 1;
			check_keys(&h, &b, lost);
			lost[line] = false;
			assert_true(bench_stat(&b, "damage", "damaged_lines") +
					    bench_stat(&b, "damage", "torn_bytes") >
				    0);
			if (at != size - 1 && line > 0 && line < h.n_lines - 1) {
				assert_int_equal(bench_stat(&b, "damage", "damaged_lines"), 1);
				assert_int_equal(bench_stat(&b, "damage", "missing_revisions"), 1);
			}
			/* No revision is given out twice. */
			assert_true(bench_revision(&b) >= h.revision - (line == h.n_lines - 1));
			check_it_works(&b);
			bench_finish(&b);
			fault_disk_destroy(disk);
		}
	}
	history_finish(&h);
}

/* All subsets of the lines that made the namespaces: what is in them can be
 * reached where it was, as long as there is something in them. */
static void lost_namespaces(void **state)
{
	static struct history h;

	(void)state;
	history_init(&h, 120);
	for (unsigned subset = 1; subset < 1u << DIRS; subset++) {
		struct fault_disk *disk = fault_disk_clone(h.disk);
		bool lost[LINES_MAX] = {0};
		_cleanup_buffer_ struct buffer data = {0};
		struct bench b;

		for (size_t line = 0; line < h.n_lines; line++) {
			for (int i = 0; i < DIRS; i++) {
				if (subset & 1u << i && h.made[i] == line) {
					lost[line] = true;
				}
			}
			if (!lost[line]) {
				buffer_append(&data, h.data + h.lines[line],
					h.lines[line + 1] - h.lines[line]);
			}
		}
		fault_disk_set_data(disk, h.path, data.data, data.size);
		use_disk(&b, disk);
		b.clock = h.b.clock;
		b.config.clock = &b.clock.base;
		bench_open(&b);
		check_keys(&h, &b, lost);
		for (int i = 0; i < DIRS; i++) {
			assert_int_equal(walk_to(&b, i), h.dirs[i]);
		}
		assert_int_equal(bench_stat(&b, "damage", "missing_revisions"),
			(uint64_t)__builtin_popcount(subset));
		assert_true(bench_stat(&b, "damage", "unresolved_changes") > 0);
		/* They can be used like others. */
		assert_int_equal(bench_rename(&b, ROOT_INO, "d3", h.dirs[2], "moved", 0), 0);
		assert_int_equal(bench_setattr(&b, h.dirs[0], 0, &(struct stat){.st_mode = 0700},
					 STORE_SET_MODE),
			0);
		check_it_works(&b);
		assert_int_equal(bench_ino(&b, h.dirs[2], "moved"), h.dirs[3]);
		bench_finish(&b);
		fault_disk_destroy(disk);
	}
	history_finish(&h);
}

/* --- anything at all ------------------------------------------------------------------ */

static uint64_t some_directory(struct bench *b, uint64_t *random)
{
	uint64_t ino = ROOT_INO;

	for (unsigned depth = pick(random, 4); depth > 0; depth--) {
		uint64_t next = bench_ino(b, ino, (char[]){(char)('a' + pick(random, 4)), 0});

		if (!next || !S_ISDIR(b->st.st_mode)) {
			break;
		}
		ino = next;
	}
	return ino;
}

static void some_operation(struct bench *b, uint64_t *random)
{
	uint64_t from = some_directory(b, random), to = some_directory(b, random), ino, h;
	char name[2] = {(char)('a' + pick(random, 6))},
	     to_name[2] = {(char)('a' + pick(random, 6))};
	char value[20];

	bench_advance(b, SECOND / 100);
	ino = bench_ino(b, from, name);
	snprintf(value, sizeof(value), "%u", pick(random, 1000));
	switch (pick(random, 12)) {
	case 0:
	case 1:
		bench_mkdir(b, from, name);
		break;
	case 2:
		bench_unlink(b, from, name);
		bench_rmdir(b, from, name);
		break;
	case 3:
		bench_rename(b, from, name, to, to_name, 0);
		break;
	case 4:
		bench_rename(b, from, name, to, to_name, RENAME_EXCHANGE);
		break;
	case 5:
		bench_link(b, ino, to, to_name);
		break;
	case 6:
		bench_setxattr(b, ino, "user.x", value);
		break;
	case 7:
		bench_setattr(b, ino, 0, &(struct stat){.st_mode = 0600}, STORE_SET_MODE);
		break;
	case 8:
		if (ino && bench_open_key(b, ino, O_WRONLY | O_APPEND, &h) == 0) {
			bench_append(b, h, value);
			bench_close_key(b, h);
		}
		break;
	case 9:
		bench_setxattr(b, ino, "user.cubby.ttl", "1000");
		break;
	default:
		bench_set(b, from, name, value);
	}
}

static void damage_once(struct buffer *data, uint64_t *random)
{
	size_t at = data->size ? test_random(random) % data->size : 0;
	size_t n = 1 + pick(random, pick(random, 3) ? 30 : 400);
	size_t rest;

	if (data->size == 0) {
		return;
	}
	n = n < data->size - at ? n : data->size - at;
	rest = data->size - at - n;
	switch (pick(random, 6)) {
	case 0:
		data->data[at] ^= (char)(1 << pick(random, 8));
		break;
	case 1: /* taken out */
		memmove(data->data + at, data->data + at + n, rest);
		data->size -= n;
		break;
	case 2: /* garbage */
		for (size_t i = 0; i < n; i++) {
			data->data[at + i] = (char)test_random(random);
		}
		break;
	case 3: /* zeros, as after a power cut */
		memset(data->data + at, 0, n);
		break;
	case 4: /* twice */
		if (buffer_resize(data, data->size + n) == 0) {
			memmove(data->data + at + n, data->data + at, rest + n);
		}
		break;
	case 5: /* a line elsewhere */
		if (rest >= n) {
			for (size_t i = 0; i < n; i++) {
				char c = data->data[at + i];

				data->data[at + i] = data->data[data->size - n + i];
				data->data[data->size - n + i] = c;
			}
		}
		break;
	}
}

/* All files but the lock, or only the logs. */
static void damage_disk(struct fault_disk *disk, uint64_t *random)
{
	size_t n;
	char **files = fault_disk_files(disk, &n);
	unsigned times = 1 + pick(random, 8);

	for (size_t i = 0; i < n; i++) {
		_cleanup_buffer_ struct buffer data = {0};
		size_t size;
		const char *old = fault_disk_data(disk, files[i], &size);

		if (old && size > 0 && pick(random, 3) > 0) {
			buffer_append(&data, old, size);
			for (unsigned k = 0; k < times; k++) {
				damage_once(&data, random);
			}
			if (pick(random, 6) == 0) {
				data.size = test_random(random) % (data.size + 1);
			}
			fault_disk_set_data(disk, files[i], data.data, data.size);
		}
		free(files[i]);
	}
	free(files);
}

static void one_variant(uint64_t seed)
{
	struct fault_disk *disk = fault_disk_create();
	uint64_t random = seed * 7919;
	char *before, *after;
	struct bench b;

	use_disk(&b, disk);
	b.config.segment_size = 4000;
	bench_open(&b);
	for (int i = 0; i < 150; i++) {
		some_operation(&b, &random);
		if (i == 75 && pick(&random, 2)) {
			assert_int_equal(bench_compact(&b), 0);
		}
	}
	bench_close(&b);
	damage_disk(disk, &random);
	bench_open(&b);
	before = bench_dump(&b);
	bench_reopen(&b);
	after = bench_dump(&b);
	bench_same(before, after);
	free(before);
	free(after);
	for (int round = 0; round < 3; round++) {
		for (int i = 0; i < 40; i++) {
			some_operation(&b, &random);
		}
		bench_check_durable(&b);
	}
	bench_finish(&b);
	fault_disk_destroy(disk);
}

static uint64_t first_variant = 1, last_variant = 200, variant, variant_step = 1;

static void anything(void **state)
{
	(void)state;
	for (uint64_t seed = first_variant; seed <= last_variant; seed += variant_step) {
		variant = seed;
		one_variant(seed);
	}
	printf("variants %" PRIu64 " to %" PRIu64 "\n", first_variant, last_variant);
}

int main(int argc, char **argv)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(cut_at_every_byte),
		cmocka_unit_test(flip_in_every_line),
		cmocka_unit_test(lost_namespaces),
		cmocka_unit_test(anything),
	};
	int failed;

	variant_step = argc > 1 ? 1 : stride_of(4, 10);
	if (argc > 1) {
		first_variant = strtoull(argv[1], NULL, 10);
		last_variant = argc > 2 ? strtoull(argv[2], NULL, 10) : first_variant;
		cmocka_set_test_filter("anything");
	}
	log_init("test_damage", LOG_EMERG);
	failed = cmocka_run_group_tests(tests, NULL, NULL);
	if (failed) {
		printf("the last variant was %" PRIu64 "\n", variant);
	}
	return failed;
}
