/* SPDX-License-Identifier: MIT
 * Copyright (c) 2026 The cubbyfs authors */

/* The keep: what the next process finds is what was published last, whatever has
 * happened to the one before it. */
#include "base/keep.h"
#include "stride.h"

#include "base/log.h"

#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <syslog.h>
#include <unistd.h>

#include <cmocka.h>

#define A KEEP_HANDLE
#define B KEEP_STAGE
#define MIB (1u << 20)
/* Where the log is in the file: see keep.c. */
#define HEADER_SIZE 4096

/* --- an allocator that fails ------------------------------------------------- */

void *__real_malloc(size_t size);
void *__real_calloc(size_t n, size_t size);
void *__real_realloc(void *p, size_t size);
void *__wrap_malloc(size_t size);
void *__wrap_calloc(size_t n, size_t size);
void *__wrap_realloc(void *p, size_t size);

static unsigned fail_in; /* the allocation that fails; 0: none */
static size_t most = SIZE_MAX;

static bool fails(size_t size)
{
	return size > most || (fail_in > 0 && --fail_in == 0);
}

void *__wrap_malloc(size_t size)
{
	return fails(size) ? NULL : __real_malloc(size);
}

void *__wrap_calloc(size_t n, size_t size)
{
	return fails(n * size) ? NULL : __real_calloc(n, size);
}

void *__wrap_realloc(void *p, size_t size)
{
	return fails(size) ? NULL : __real_realloc(p, size);
}

/* --- a keep, again and again --------------------------------------------------- */

static int fd;
static struct keep *keep;

static int setup(void **state)
{
	(void)state;
	fd = keep_create_file();
	return fd < 0 ? fd : keep_open(&keep, fd);
}

static int teardown(void **state)
{
	(void)state;
	fail_in = 0;
	most = SIZE_MAX;
	keep_close(keep);
	keep = NULL;
	close(fd);
	return 0;
}

/* Another process comes. */
static void reopen(void)
{
	keep_close(keep);
	keep = NULL;
	assert_int_equal(keep_open(&keep, fd), 0);
}

static void put(enum keep_kind kind, uint64_t id, const char *text)
{
	keep_put(keep, kind, id, bytes_of_string(text));
}

static void write_at(enum keep_kind kind, uint64_t id, uint64_t offset, const char *text)
{
	keep_write(keep, kind, id, offset, bytes_of_string(text));
}

static void assert_kept(enum keep_kind kind, uint64_t id, struct bytes expected)
{
	struct bytes b;

	assert_true(keep_find(keep, kind, id, &b));
	assert_int_equal(b.size, expected.size);
	if (b.size > 0) {
		assert_memory_equal(b.data, expected.data, b.size);
	}
}

static void assert_text(enum keep_kind kind, uint64_t id, const char *text)
{
	assert_kept(kind, id, bytes_of_string(text));
}

static void assert_none(enum keep_kind kind, uint64_t id)
{
	struct bytes b;

	assert_false(keep_find(keep, kind, id, &b));
}

static void count_one(void *arg, uint64_t id, struct bytes bytes)
{
	(void)id;
	(void)bytes;
	++*(unsigned *)arg;
}

static unsigned count(enum keep_kind kind)
{
	unsigned n = 0;

	keep_each(keep, kind, count_one, &n);
	return n;
}

static uint64_t memory_of_file(void)
{
	struct stat st;

	assert_int_equal(fstat(fd, &st), 0);
	return (uint64_t)st.st_blocks * 512;
}

/* --- objects --------------------------------------------------------------------- */

static void nothing_is_there_at_first(void **state)
{
	(void)state;
	assert_false(keep_is_broken(keep));
	assert_none(A, 0);
	assert_int_equal(count(A), 0);
	keep_publish(keep);
	reopen();
	assert_int_equal(count(A), 0);
}

static void objects_are_as_they_were_made(void **state)
{
	(void)state;
	put(A, 1, "one");
	put(A, 2, "");
	put(B, 1, "of another kind");
	put(A, UINT64_MAX, "the last number");
	write_at(A, 3, 2, "at two");
	keep_resize(keep, A, 4, 3);
	keep_publish(keep);
	assert_none(A, 1); /* it tells only what was there when it was opened */
	reopen();
	assert_text(A, 1, "one");
	assert_text(A, 2, "");
	assert_text(B, 1, "of another kind");
	assert_text(A, UINT64_MAX, "the last number");
	assert_kept(A, 3, bytes_of("\0\0at two", 8));
	assert_kept(A, 4, bytes_of("\0\0\0", 3));
	assert_int_equal(count(A), 5);
	assert_int_equal(count(B), 1);

	put(A, 1, "1");
	write_at(B, 1, 3, "ANOTHER");
	write_at(A, 3, 6, "end");
	keep_resize(keep, A, 3, 4);
	keep_resize(keep, A, 3, 6);
	keep_drop(keep, A, 2);
	keep_drop(keep, A, 99);
	put(A, 4, "gone at once");
	keep_drop(keep, A, 4);
	write_at(A, 2, 1, "anew");
	keep_publish(keep);
	reopen();
	assert_text(A, 1, "1");
	assert_text(B, 1, "of ANOTHER kind");
	assert_kept(A, 3, bytes_of("\0\0at\0\0", 6));
	assert_kept(A, 2, bytes_of("\0anew", 5));
	assert_none(A, 4);
	assert_none(A, 99);
	assert_int_equal(count(A), 4);
}

static void only_what_was_published_is_there(void **state)
{
	(void)state;
	put(A, 1, "published");
	put(A, 2, "published");
	keep_publish(keep);
	put(A, 1, "not");
	keep_drop(keep, A, 2);
	put(A, 3, "not");
	reopen();
	assert_text(A, 1, "published");
	assert_text(A, 2, "published");
	assert_none(A, 3);
	/* Nor does the next one publish what the last one has left half done. */
	put(A, 4, "by the next one");
	keep_publish(keep);
	reopen();
	assert_text(A, 1, "published");
	assert_text(A, 4, "by the next one");
	assert_none(A, 3);
	assert_int_equal(count(A), 3);
}

static void large_records_are_whole_or_not_there(void **state)
{
	const size_t size = 3 * MIB + 17;
	char *large = malloc(size);

	(void)state;
	assert_non_null(large);
	for (size_t i = 0; i < size; i++) {
		large[i] = (char)(i * 31 + i / 4093);
	}
	for (size_t n = 4094; n < 4100; n++) {
		keep_put(keep, B, n, bytes_of(large, n));
	}
	put(A, 1, "before");
	keep_put(keep, B, 1, bytes_of(large, size));
	put(A, 2, "behind");
	keep_write(keep, B, 1, 1, bytes_of(large, size));
	keep_publish(keep);
	/* This one is written, for it is too large to wait; it does not count. */
	keep_put(keep, B, 2, bytes_of(large, size));
	keep_write(keep, B, 1, 0, bytes_of(large + 5, MIB));
	reopen();
	assert_text(A, 1, "before");
	assert_text(A, 2, "behind");
	assert_none(B, 2);
	memmove(large + 1, large, size - 1);
	for (size_t n = 4094; n < 4100; n++) {
		struct bytes b;

		assert_true(keep_find(keep, B, n, &b));
		assert_int_equal(b.size, n);
		assert_memory_equal(b.data + 1, large + 2, n - 1);
	}
	{
		struct bytes b;

		assert_true(keep_find(keep, B, 1, &b));
		assert_int_equal(b.size, size + 1);
		assert_memory_equal(b.data, large, size);
	}
	free(large);
}

static void what_was_inherited_can_be_given_back(void **state)
{
	(void)state;
	put(A, 1, "one");
	keep_publish(keep);
	reopen();
	keep_settle(keep);
	assert_none(A, 1);
	assert_int_equal(count(A), 0);
	write_at(A, 1, 3, "!");
	keep_publish(keep);
	reopen();
	assert_text(A, 1, "one!");
}

static void no_keep_is_no_matter(void **state)
{
	struct bytes b;
	unsigned n = 0;

	(void)state;
	keep_put(NULL, A, 1, bytes_of_string("x"));
	keep_write(NULL, A, 1, 0, bytes_of_string("x"));
	keep_resize(NULL, A, 1, 1);
	keep_drop(NULL, A, 1);
	keep_publish(NULL);
	keep_on_publish(NULL, NULL, NULL);
	keep_settle(NULL);
	keep_close(NULL);
	assert_false(keep_find(NULL, A, 1, &b));
	keep_each(NULL, A, count_one, &n);
	assert_int_equal(n, 0);
}

static void look_at_publication(void *arg)
{
	struct keep *other, *mine = keep;

	/* What is about to be published is not there yet. */
	assert_int_equal(keep_open(&other, fd), 0);
	keep = other;
	assert_int_equal(count(A), *(unsigned *)arg);
	keep = mine;
	keep_close(other);
	++*(unsigned *)arg;
}

static void each_publication_is_told_before(void **state)
{
	unsigned n = 0;

	(void)state;
	keep_on_publish(keep, look_at_publication, &n);
	for (uint64_t id = 0; id < 3; id++) {
		put(A, id, "one more");
		keep_publish(keep);
	}
	assert_int_equal(n, 3);
}

/* --- compaction ---------------------------------------------------------------------- */

static void memory_is_bounded(void **state)
{
	char *bytes = calloc(1, MIB);
	uint64_t used = 0;

	(void)state;
	assert_non_null(bytes);
	put(A, 7, "stays");
	for (unsigned i = 0; i < 120; i++) {
		memset(bytes, (int)i, MIB);
		keep_put(keep, B, 1, bytes_of(bytes, MIB));
		write_at(A, 8, i % 10, "part");
		keep_publish(keep);
		used = memory_of_file() > used ? memory_of_file() : used;
		if (i % 40 == 39) {
			reopen();
			assert_kept(B, 1, bytes_of(bytes, MIB));
			assert_text(A, 7, "stays");
		}
	}
	assert_in_range(used, MIB, 24 * MIB);
	/* Small ones add up too. */
	for (unsigned i = 0; i < 60000; i++) {
		keep_put(keep, A, i % 100, bytes_of(bytes, i % 200));
		keep_publish(keep);
	}
	assert_in_range(memory_of_file(), MIB, 24 * MIB);
	reopen();
	assert_int_equal(count(A), 100);
	assert_kept(A, 7, bytes_of(bytes, 59907 % 200));
	free(bytes);
}

/* What one who was killed in the middle has written beyond the end is no burden. */
static void leftovers_are_given_back(void **state)
{
	const size_t size = 32 * MIB;
	char *bytes = calloc(1, size);

	(void)state;
	assert_non_null(bytes);
	keep_put(keep, B, 1, bytes_of(bytes, size)); /* and it is killed */
	reopen();
	assert_none(B, 1);
	for (unsigned i = 0; i < 12; i++) {
		keep_put(keep, B, 2, bytes_of(bytes, MIB));
		keep_publish(keep);
	}
	assert_in_range(memory_of_file(), MIB, 24 * MIB);
	free(bytes);
}

static void compaction_keeps_what_is_large(void **state)
{
	const size_t size = 10 * MIB;
	char *bytes = malloc(size);
	uint64_t used = 0;

	(void)state;
	assert_non_null(bytes);
	for (unsigned i = 0; i < 12; i++) {
		memset(bytes, (int)i, size);
		keep_put(keep, B, i % 2, bytes_of(bytes, size));
		keep_publish(keep);
		used = memory_of_file() > used ? memory_of_file() : used;
	}
	assert_in_range(used, 2 * size, 10 * size);
	reopen();
	assert_kept(B, 1, bytes_of(bytes, size));
	memset(bytes, 10, size);
	assert_kept(B, 0, bytes_of(bytes, size));
	free(bytes);
}

/* --- what goes wrong ------------------------------------------------------------------ */

/* Runs fn; what was logged meanwhile. Free it. */
static char *said_by(void (*fn)(void))
{
	int file = memfd_create("log", MFD_CLOEXEC), saved = dup(STDERR_FILENO);
	char *text = calloc(1, 4096);

	assert_true(file >= 0 && saved >= 0);
	assert_non_null(text);
	fflush(stderr);
	dup2(file, STDERR_FILENO);
	fn();
	fflush(stderr);
	dup2(saved, STDERR_FILENO);
	assert_true(pread(file, text, 4095, 0) >= 0);
	close(file);
	close(saved);
	return text;
}

static void put_and_publish(void)
{
	char large[10000] = {0};

	put(A, 2, "two");
	keep_publish(keep);
	keep_put(keep, A, 3, bytes_of(large, sizeof(large)));
	keep_publish(keep);
}

static void assert_broken(void)
{
	assert_true(keep_is_broken(keep));
	put(A, 4, "no more");
	keep_publish(keep);
	/* The next one finds nothing: what there was is not as it was. */
	reopen();
	assert_true(keep_is_broken(keep));
	assert_int_equal(count(A), 0);
	assert_none(A, 1);
	put(A, 5, "nor now");
	keep_publish(keep);
	reopen();
	assert_int_equal(count(A), 0);
}

static void breaks(const char *why)
{
	char *said = said_by(put_and_publish);

	assert_non_null(strstr(said, "would not survive the end of this process"));
	assert_non_null(strstr(said, why));
	/* Once. */
	assert_null(strstr(strchr(said, '\n') + 1, "would not"));
	free(said);
	assert_broken();
}

static void without_room_it_is_broken(void **state)
{
	struct rlimit limit, low;

	(void)state;
	put(A, 1, "one");
	keep_publish(keep);
	signal(SIGXFSZ, SIG_IGN);
	assert_int_equal(getrlimit(RLIMIT_FSIZE, &limit), 0);
	low = (struct rlimit){.rlim_cur = HEADER_SIZE + 100, .rlim_max = limit.rlim_max};
	assert_int_equal(setrlimit(RLIMIT_FSIZE, &low), 0);
	put_and_publish();
	assert_int_equal(setrlimit(RLIMIT_FSIZE, &limit), 0);
	assert_broken();
}

static void what_cannot_grow_is_broken(void **state)
{
	(void)state;
	put(A, 1, "one");
	keep_publish(keep);
	assert_int_equal(fcntl(fd, F_ADD_SEALS, F_SEAL_GROW), 0);
	breaks(strerror(EPERM));
}

/* Each allocation fails, one after the other. */
static unsigned allocations_of_a_life(unsigned nth)
{
	char bytes[5000];
	int rc;

	memset(bytes, 'x', sizeof(bytes));
	put(A, 1, "one");
	keep_publish(keep);
	keep_close(keep);
	keep = NULL;
	fail_in = nth;
	rc = keep_open(&keep, fd);
	if (rc) {
		assert_int_equal(rc, -ENOMEM);
		assert_int_equal(fail_in, 0);
		assert_int_equal(keep_open(&keep, fd), 0);
		assert_text(A, 1, "one");
		return 0;
	}
	put(A, 2, "two");
	for (unsigned i = 0; i < 1000; i++) {
		keep_put(keep, B, i % 3, bytes_of(bytes, sizeof(bytes)));
		keep_put(keep, B, 3 + i % 3, bytes_of(bytes, 100));
		keep_publish(keep);
	}
	return fail_in;
}

static void without_memory_it_is_broken(void **state)
{
	unsigned n = 0, left, broken = 0;

	(void)state;
	log_init("test_keep", LOG_EMERG); /* what it says is for the tests above */
	do {
		n++;
		left = allocations_of_a_life(n);
		fail_in = 0;
		if (keep_is_broken(keep)) {
			broken++;
			assert_broken();
		} else if (left > 0) {
			reopen();
			assert_text(A, 2, "two");
			assert_int_equal(count(B), 6);
		}
		teardown(state);
		assert_int_equal(setup(state), 0);
	} while (left == 0);
	log_init("test_keep", LOG_ERR);
	assert_in_range(n, 10, 200);
	assert_in_range(broken, 5, n);
}

static void refuse(int file)
{
	struct keep *k = NULL;

	assert_int_equal(keep_open(&k, file), -EPROTO);
	assert_null(k);
}

static void what_is_no_keep_is_refused(void **state)
{
	int file = memfd_create("foreign", MFD_CLOEXEC);
	char page[HEADER_SIZE];
	uint32_t format = KEEP_FORMAT + 1;
	struct keep *k;

	(void)state;
	memset(page, 'x', sizeof(page));
	refuse(file); /* empty */
	assert_int_equal(pwrite(file, page, 16, 0), 16);
	refuse(file);
	assert_int_equal(pwrite(file, page, sizeof(page), 0), sizeof(page));
	refuse(file);
	close(file);
	assert_int_equal(keep_open(&k, -1), -EBADF);
	assert_int_equal(pwrite(fd, &format, sizeof(format), 8), sizeof(format));
	refuse(fd);
}

static void one_that_was_cut_off_is_refused(void **state)
{
	struct stat st;

	(void)state;
	put(A, 1, "some bytes");
	write_at(A, 2, 5, "more");
	keep_resize(keep, A, 3, 9);
	keep_drop(keep, A, 1);
	keep_publish(keep);
	keep_close(keep);
	keep = NULL;
	assert_int_equal(fstat(fd, &st), 0);
	for (off_t size = st.st_size - 1; size >= 0; size--) {
		assert_int_equal(ftruncate(fd, size), 0);
		refuse(fd);
	}
}

/* Nobody writes into it but we; but if somebody did, nothing falls over. */
static void one_that_was_scribbled_on_is_no_danger(void **state)
{
	struct stat st;
	uint64_t seed = 1;

	(void)state;
	put(A, 1, "some bytes");
	write_at(A, 2, 5, "more");
	keep_resize(keep, A, 3, 9);
	put(A, 4, "and more");
	keep_drop(keep, A, 1);
	keep_publish(keep);
	keep_close(keep);
	keep = NULL;
	assert_int_equal(fstat(fd, &st), 0);
	most = MIB;
	for (off_t at = HEADER_SIZE; at < st.st_size; at += stride_of(5, 11)) {
		char old, bad;
		int rc;

		for (unsigned i = 0; i < 20; i++) {
			assert_int_equal(pread(fd, &old, 1, at), 1);
			seed = seed * UINT64_C(6364136223846793005) + 1;
			bad = (char)(i < 8 ? old ^ (1 << i) : (int)(seed >> 40));
			assert_int_equal(pwrite(fd, &bad, 1, at), 1);
			rc = keep_open(&keep, fd);
			assert_true(rc == 0 || rc == -EPROTO || rc == -ENOMEM);
			keep_close(keep);
			keep = NULL;
			assert_int_equal(pwrite(fd, &old, 1, at), 1);
		}
	}
}

/* --- kill -9 ----------------------------------------------------------------------------- */

/* A process takes a while to be made under the thread sanitizer, which has nothing to find here. */
#define ROUNDS (200 / stride_of(5, 20))
#define IDS 6
static const enum keep_kind kinds[] = {A, B, KEEP_NODE};
#define KINDS (sizeof(kinds) / sizeof(kinds[0]))

/* What a publication says of itself. */
struct seal {
	uint64_t number, sum;
};

struct model {
	struct buffer objects[KINDS][IDS];
	bool there[KINDS][IDS];
	uint64_t random;
};

static unsigned pick(struct model *m, unsigned n)
{
	m->random = m->random * UINT64_C(6364136223846793005) + UINT64_C(1442695040888963407);
	return (unsigned)(m->random >> 33) % n;
}

static uint64_t sum_of(uint64_t kind, uint64_t id, struct bytes b)
{
	uint64_t sum = (kind * 100 + id) * UINT64_C(1099511628211) + b.size;

	for (size_t i = 0; i < b.size; i++) {
		sum = (sum ^ (unsigned char)b.data[i]) * UINT64_C(1099511628211);
	}
	return sum;
}

static uint64_t sum_of_model(const struct model *m)
{
	uint64_t sum = 0;

	for (size_t k = 0; k < KINDS; k++) {
		for (size_t id = 0; id < IDS; id++) {
			if (m->there[k][id]) {
				sum += sum_of(kinds[k], id, buffer_bytes(&m->objects[k][id]));
			}
		}
	}
	return sum;
}

static struct model *loading;
static size_t loading_kind;

static void load_one(void *arg, uint64_t id, struct bytes bytes)
{
	uint64_t *sum = arg;

	*sum += sum_of(kinds[loading_kind], id, bytes);
	if (loading) {
		loading->there[loading_kind][id] = true;
		buffer_append(&loading->objects[loading_kind][id], bytes.data, bytes.size);
	}
}

static uint64_t sum_of_keep(struct model *m)
{
	uint64_t sum = 0;

	loading = m;
	for (loading_kind = 0; loading_kind < KINDS; loading_kind++) {
		keep_each(keep, kinds[loading_kind], load_one, &sum);
	}
	return sum;
}

static void change(struct model *m)
{
	static char noise[60000];
	size_t k = pick(m, KINDS), id = pick(m, IDS);
	struct buffer *o = &m->objects[k][id];
	size_t size = pick(m, 16) ? pick(m, 300) : pick(m, sizeof(noise)), at = pick(m, 5000);

	memset(noise, (int)pick(m, 256), size);
	m->there[k][id] = true;
	switch (pick(m, 5)) {
	case 0:
		o->size = 0;
		buffer_append(o, noise, size);
		keep_put(keep, kinds[k], id, bytes_of(noise, size));
		break;
	case 1:
	case 2:
		if (size > 0 && at + size > o->size) {
			buffer_resize(o, at + size);
		}
		if (size > 0) {
			memcpy(o->data + at, noise, size);
		}
		keep_write(keep, kinds[k], id, at, bytes_of(noise, size));
		break;
	case 3:
		buffer_resize(o, size);
		keep_resize(keep, kinds[k], id, size);
		break;
	default:
		o->size = 0;
		m->there[k][id] = false;
		keep_drop(keep, kinds[k], id);
	}
}

/* Until it is killed. */
static _Noreturn void live(uint64_t seed, uint64_t number, int pipe)
{
	static struct model m;

	if (keep_open(&keep, fd)) {
		_exit(1);
	}
	m.random = seed;
	sum_of_keep(&m);
	keep_settle(keep);
	for (;;) {
		struct seal seal = {.number = ++number};

		for (unsigned n = pick(&m, 6); n > 0; n--) {
			change(&m);
		}
		seal.sum = sum_of_model(&m);
		keep_put(keep, KEEP_COUNTERS, 0, bytes_of(&seal, sizeof(seal)));
		keep_publish(keep);
		if (write(pipe, &number, sizeof(number)) != sizeof(number)) {
			_exit(1);
		}
	}
}

static void nothing_is_lost_by_kill(void **state)
{
	struct seal seal = {0};
	unsigned moved = 0;

	(void)state;
	keep_close(keep);
	keep = NULL;
	for (unsigned round = 0; round < ROUNDS; round++) {
		uint64_t acknowledged = seal.number, n;
		struct bytes b;
		int pipes[2], status;
		pid_t child;

		assert_int_equal(pipe(pipes), 0);
		/* Room for all it can say. */
		fcntl(pipes[1], F_SETPIPE_SZ, 1 << 20);
		fflush(NULL);
		child = fork();
		if (child == 0) {
			live(round + 1, seal.number, pipes[1]);
		}
		assert_true(child > 0);
		close(pipes[1]);
		/* At least one publication, for the number to go up. */
		assert_int_equal(read(pipes[0], &n, sizeof(n)), sizeof(n));
		acknowledged = n;
		usleep((round * 7919u) % 4000);
		kill(child, SIGKILL);
		assert_int_equal(waitpid(child, &status, 0), child);
		assert_true(WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL);
		while (read(pipes[0], &n, sizeof(n)) == sizeof(n)) {
			acknowledged = n;
		}
		close(pipes[0]);
		assert_int_equal(keep_open(&keep, fd), 0);
		assert_false(keep_is_broken(keep));
		assert_true(keep_find(keep, KEEP_COUNTERS, 0, &b));
		assert_int_equal(b.size, sizeof(seal));
		memcpy(&seal, b.data, sizeof(seal));
		/* The last one it has told of, or the one that it had no time to tell of. */
		assert_in_range(seal.number, acknowledged, acknowledged + 1);
		moved += seal.number > acknowledged;
		assert_int_equal(sum_of_keep(NULL), seal.sum);
		keep_close(keep);
		keep = NULL;
	}
	printf("killed %u times, %u of them between a publication and its answer; "
	       "%llu publications\n",
		ROUNDS, moved, (unsigned long long)seal.number);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
	const struct CMUnitTest tests[] = {
		TEST(nothing_is_there_at_first),
		TEST(objects_are_as_they_were_made),
		TEST(only_what_was_published_is_there),
		TEST(large_records_are_whole_or_not_there),
		TEST(what_was_inherited_can_be_given_back),
		TEST(no_keep_is_no_matter),
		TEST(each_publication_is_told_before),
		TEST(memory_is_bounded),
		TEST(leftovers_are_given_back),
		TEST(compaction_keeps_what_is_large),
		TEST(without_room_it_is_broken),
		TEST(what_cannot_grow_is_broken),
		TEST(without_memory_it_is_broken),
		TEST(what_is_no_keep_is_refused),
		TEST(one_that_was_cut_off_is_refused),
		TEST(one_that_was_scribbled_on_is_no_danger),
		TEST(nothing_is_lost_by_kill),
	};

	log_init("test_keep", LOG_ERR);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
