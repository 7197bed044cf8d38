/* SPDX-License-Identifier: MIT
 * Copyright (c) 2026 The cubbyfs authors */

/* A store's directory, opened. Whatever is in its files, the mount comes up; a second
 * open of what the first one has mended shows the same state, and so does every one
 * after that, over sweeps and compactions. `cubby check` finds whatever the replay
 * found, and nothing any more once a compaction has taken the damage away. Events tell
 * of the past without a fault.
 *
 * Input: the lines of the first log (see checksum.h). A line `@NAME` begins another
 * file; `@-` takes the newline away that is before it. */
#include "../conformance/harness.h"

#include "../unit/fault_disk.h"
#include "base/cleanup.h"
#include "base/log.h"
#include "checksum.h"
#include "fuzz.h"
#include "store/event.h"
#include "store/journal/check.h"
#include "store/journal/segment.h"

#include <errno.h>

#define STORE "/store"
#define FILES_MAX 8
#define FORMAT "{\"cubbyfs\":\"store\",\"version\":1,\"crc\":\"00000000\"}"

/* --- the directory ------------------------------------------------------------ */

static void put_file(struct fault_disk *disk, struct bytes name, const struct buffer *content)
{
	char path[64];

	snprintf(path, sizeof(path), STORE "/%.*s", (int)name.size, name.data);
	fault_disk_set_data(disk, path, content->data, content->size);
}

/* A name too near to the largest revision would leave none for what comes. */
static bool is_file_name(struct bytes name)
{
	char text[40];
	enum segment_kind kind;
	uint64_t base;

	if (name.size == 0 || name.size >= sizeof(text) || memchr(name.data, '/', name.size) ||
		memchr(name.data, 0, name.size)) {
		return false;
	}
	snprintf(text, sizeof(text), "%.*s", (int)name.size, name.data);
	return !segment_parse(text, &kind, &base) || base < INT64_MAX / 4;
}

static void put_files(struct fault_disk *disk, struct bytes input)
{
	struct bytes name = bytes_of_string("00000000000000000001.log"), line;
	_cleanup_buffer_ struct buffer content = {0};
	unsigned n_files = 1;

	while (take_line(&input, &line)) {
		bool ended = line.data[line.size] == '\n';

		if (line.size == 2 && memcmp(line.data, "@-", 2) == 0) {
			content.size -= content.size > 0 && content.data[content.size - 1] == '\n';
			continue;
		}
		if (line.size > 0 && line.data[0] == '@' && n_files < FILES_MAX &&
			is_file_name(bytes_of(line.data + 1, line.size - 1))) {
			put_file(disk, name, &content);
			name = bytes_of(line.data + 1, line.size - 1);
			content.size = 0;
			n_files++;
			continue;
		}
		checksum_mend(line, &content);
		if (ended) {
			CHECK(buffer_append(&content, "\n", 1) == 0);
		}
	}
	put_file(disk, name, &content);
}

static struct fault_disk *make_disk(struct bytes input)
{
	struct fault_disk *disk = fault_disk_create();
	_cleanup_buffer_ struct buffer format = {0};
	/* one byte longer, to see what ends a line */
	char *copy = string_of(input);

	CHECK(fault_disk_of(disk)->ops->mkdir(fault_disk_of(disk), STORE, 0700) == 0);
	checksum_mend(bytes_of_string(FORMAT), &format);
	CHECK(buffer_append(&format, "\n", 1) == 0);
	put_file(disk, bytes_of_string("format"), &format);
	put_files(disk, bytes_of(copy, input.size));
	free(copy);
	return disk;
}

/* --- what it must do --------------------------------------------------------------- */

static void take_problem(void *arg, const struct check_problem *p)
{
	(void)arg;
	CHECK(p->file && p->file[0] && p->what && p->what[0] && p->remedy && p->remedy[0]);
}

static int check(struct fault_disk *disk, uint64_t *problems)
{
	const struct check_callbacks callbacks = {.problem = take_problem};
	struct check_summary summary;
	char *error;
	int r = journal_check(fault_disk_of(disk), STORE, &callbacks, &summary, &error);

	CHECK((r == 0) == !error);
	free(error);
	*problems = summary.problems;
	return r;
}

static void same(const char *before, char *after)
{
	bench_same(before, after);
	free(after);
}

static void hear(void *arg, const struct store_event *event)
{
	_cleanup_buffer_ struct buffer line = {0};

	CHECK(event_encode(event, &line) == 0);
	CHECK(line.size > 0 && line.data[line.size - 1] == '\n');
	++*(uint64_t *)arg;
}

/* The past, as .cubby/events tells it. */
static void hear_all(struct bench *b)
{
	struct event_replay *replay;
	uint64_t n = 0;
	int rc;

	CHECK(event_replay_create(&replay, b->s, 0) == 0);
	while ((rc = event_replay_step(replay, SECOND, hear, &n)) == 0) {
	}
	CHECK(rc == 1);
	event_replay_destroy(replay);
}

static uint64_t damage_of(struct bench *b)
{
	return bench_stat(b, "damage", "damaged_lines") + bench_stat(b, "damage", "torn_bytes") +
	       bench_stat(b, "damage", "missing_revisions");
}

/* As a read-only mount does: nothing is mended. */
static void look(struct bench *b)
{
	b->config.read_only = true;
	if (bench_try_open(b) == 0) {
		free(bench_dump(b));
		hear_all(b);
		bench_close(b);
	}
	b->config.read_only = false;
}

/* A new key; but a policy of the root may be against it, or end it at once. */
static void set_a_key(struct bench *b)
{
	int rc = bench_set(b, ROOT_INO, "a new key", "value");
	const char *value;

	CHECK(rc == 0 || rc == STORE_TOO_MANY || rc == STORE_TOO_LARGE);
	if (rc == 0) {
		value = bench_get(b, ROOT_INO, "a new key");
		CHECK(value ? strcmp(value, "value") == 0
			    : bench_xattr(b, ROOT_INO, "user.cubby.default_ttl") != NULL);
	}
}

static void use(struct bench *b, struct fault_disk *disk, uint64_t problems)
{
	_cleanup_free_ char *before = NULL;
	uint64_t left;

	CHECK(damage_of(b) == 0 || problems > 0);
	before = bench_dump(b);
	hear_all(b);
	bench_reopen(b);
	same(before, bench_dump(b));
	set_a_key(b);
	bench_check_durable(b);
	CHECK(damage_of(b) == 0);
	bench_close(b);
	CHECK(check(disk, &left) == 0 && left == 0);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct fault_disk *disk = make_disk(bytes_of(data, size));
	uint64_t problems;
	struct bench b;
	int r, checked;

	log_init("fuzz_segment", LOG_EMERG);
	setenv("CMOCKA_TEST_ABORT", "1", true);
	bench_init(&b, BENCH_MEMORY);
	b.kind = BENCH_JOURNAL;
	b.config.disk = fault_disk_of(disk);
	b.config.location = STORE;
	checked = check(disk, &problems);
	look(&b);
	r = bench_try_open(&b);
	CHECK(r == 0 || r == -EPROTONOSUPPORT || r == -ENOTEMPTY);
	CHECK(checked == 0 || r != 0);
	if (r == 0) {
		use(&b, disk, problems);
	}
	bench_finish(&b);
	fault_disk_destroy(disk);
	return 0;
}
