/* SPDX-License-Identifier: MIT
 * Copyright (c) 2026 The cubbyfs authors */

/* A load on a mount: sets, mostly, and what else happens to keys in a day.
 *
 *     load DIR KEYS SETS THREADS SECONDS SEED
 *
 * Each thread has keys of its own and keeps a model of them, so that every read
 * and the state at the end can be compared with what must be there. A value
 * begins with the number of its set, which makes it unlike all others. Ends after so
 * many sets or seconds. Prints
 * the sets made so far, a line every now and then, and at the end what else was
 * done. Exits with 1 at the first difference or error. */
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/xattr.h>
#include <time.h>
#include <unistd.h>

#define SIZE_MIN 10
#define SIZE_MAX_VALUE 1024
#define SECOND INT64_C(1000000000)

struct key {
	uint64_t set; /* the number of the set that made its value; 0: it is not there */
	uint32_t size;
	bool appended;    /* a byte, '+', after it */
	int64_t deadline; /* of its TTL, at the latest; 0: none */
};

struct worker {
	pthread_t thread;
	unsigned index;
	uint64_t random;
	uint64_t sets, target;
	struct key *keys;
	unsigned n_keys;
	uint64_t removals, renames, leases, appends, locks, reads, attributes;
};

static int directory;
static unsigned n_threads;
static uint64_t sets_done; /* by all, atomic */
static unsigned n_running; /* atomic */
static int64_t end_at;
static char filler[SIZE_MAX_VALUE];

static void __attribute__((format(printf, 1, 2), noreturn)) fail(const char *format, ...)
{
	va_list args;

	va_start(args, format);
	vfprintf(stderr, format, args);
	va_end(args);
	fputc('\n', stderr);
	exit(1);
}

static int64_t now(void)
{
	struct timespec t;

	clock_gettime(CLOCK_BOOTTIME, &t);
	return t.tv_sec * SECOND + t.tv_nsec;
}

/* xorshift64 */
static uint64_t draw(struct worker *w, uint64_t below)
{
	w->random ^= w->random << 13;
	w->random ^= w->random >> 7;
	w->random ^= w->random << 17;
	return (w->random >> 11) % below;
}

static void name_of(const struct worker *w, unsigned key, char out[32])
{
	snprintf(out, 32, "key-%u-%04u", w->index, key);
}

static size_t value_of(const struct key *k, char out[SIZE_MAX_VALUE + 2])
{
	size_t size = k->size;

	memcpy(out, filler, size);
	snprintf(out, SIZE_MIN + 1, "%010" PRIu64, k->set);
	if (size > SIZE_MIN) {
		out[SIZE_MIN] = filler[SIZE_MIN];
	}
	if (k->appended) {
		out[size++] = '+';
	}
	return size;
}

/* --- what is done ------------------------------------------------------------ */

static void set_key(struct worker *w, unsigned i, unsigned ttl)
{
	struct key *k = &w->keys[i];
	char name[32], value[SIZE_MAX_VALUE + 2];
	size_t size;
	int fd;

	/* Small ones are more frequent. */
	*k = (struct key){
		.set = ++w->sets,
		.size = SIZE_MIN + (uint32_t)draw(w, 1 + draw(w, SIZE_MAX_VALUE - SIZE_MIN + 1)),
	};
	size = value_of(k, value);
	name_of(w, i, name);
	fd = openat(directory, name, O_WRONLY | O_CREAT | O_TRUNC, 0644);
	if (fd < 0) {
		fail("open of %s, to set it: %s", name, strerror(errno));
	}
	if (write(fd, value, size) != (ssize_t)size) {
		fail("write to %s: %s", name, strerror(errno));
	}
	if (ttl) {
		char text[16];

		snprintf(text, sizeof(text), "0.%03u", ttl);
		if (fsetxattr(fd, "user.cubby.ttl", text, strlen(text), 0)) {
			fail("ttl of %s: %s", name, strerror(errno));
		}
		w->leases++;
	}
	if (close(fd)) {
		fail("close of %s: %s", name, strerror(errno));
	}
	k->deadline = ttl ? now() + ttl * (SECOND / 1000) : 0;
	__atomic_fetch_add(&sets_done, 1, __ATOMIC_RELAXED);
}

static void read_key(struct worker *w, unsigned i)
{
	struct key *k = &w->keys[i];
	char name[32], value[SIZE_MAX_VALUE + 2], found[SIZE_MAX_VALUE + 2];
	int64_t start = now();
	size_t size;
	ssize_t n;
	int fd;

	w->reads++;
	name_of(w, i, name);
	fd = openat(directory, name, O_RDONLY);
	if (fd < 0) {
		if (errno != ENOENT || (k->set && !k->deadline)) {
			fail("open of %s: %s", name, strerror(errno));
		}
		*k = (struct key){0};
		return;
	}
	n = read(fd, found, sizeof(found));
	close(fd);
	if (k->deadline && (n < 0 || start > k->deadline)) {
		if (n >= 0) {
			fail("%s is there after its deadline", name);
		}
		*k = (struct key){0}; /* it went between the two */
		return;
	}
	size = value_of(k, value);
	if (!k->set || n != (ssize_t)size || memcmp(found, value, size) != 0) {
		fail("%s: read %zd bytes, '%.10s', not %zu, '%.10s'", name, n, n > 0 ? found : "",
			k->set ? size : 0, value);
	}
}

static void remove_key(struct worker *w, unsigned i)
{
	struct key *k = &w->keys[i];
	char name[32];

	name_of(w, i, name);
	if (unlinkat(directory, name, 0) && (errno != ENOENT || (k->set && !k->deadline))) {
		fail("unlink of %s: %s", name, strerror(errno));
	}
	*k = (struct key){0};
	w->removals++;
}

static void rename_key(struct worker *w, unsigned i, unsigned to)
{
	struct key *k = &w->keys[i];
	char name[32], to_name[32];

	name_of(w, i, name);
	name_of(w, to, to_name);
	w->renames++;
	if (renameat(directory, name, directory, to_name) == 0) {
		if (i != to) {
			w->keys[to] = *k;
			*k = (struct key){0};
		}
	} else if (errno != ENOENT || (k->set && !k->deadline)) {
		fail("rename of %s: %s", name, strerror(errno));
	}
}

/* Only to one that stays, or it would be another key of the same name. */
static void append_key(struct worker *w, unsigned i)
{
	struct key *k = &w->keys[i];
	char name[32];
	int fd;

	if (!k->set || k->deadline || k->appended) {
		return;
	}
	name_of(w, i, name);
	fd = openat(directory, name, O_WRONLY | O_APPEND);
	if (fd < 0 || write(fd, "+", 1) != 1 || close(fd)) {
		fail("append to %s: %s", name, strerror(errno));
	}
	k->appended = true;
	w->appends++;
}

static void attribute(struct worker *w, unsigned i)
{
	char path[64], name[32], text[32];

	if (!w->keys[i].set || w->keys[i].deadline) {
		return;
	}
	name_of(w, i, name);
	snprintf(path, sizeof(path), "/proc/self/fd/%d/%s", directory, name);
	snprintf(text, sizeof(text), "%" PRIu64, w->sets);
	if (setxattr(path, "user.note", text, strlen(text), 0) ||
		setxattr(path, "user.cubby.action", text, strlen(text), 0)) {
		fail("attribute of %s: %s", name, strerror(errno));
	}
	w->attributes++;
}

/* A lock, taken and given up. */
static void lock(struct worker *w)
{
	char name[32];
	int fd;

	snprintf(name, sizeof(name), "../locks/load-%u", w->index);
	fd = openat(directory, name, O_WRONLY | O_CREAT | O_EXCL, 0644);
	if (fd < 0 || close(fd) || unlinkat(directory, name, 0)) {
		fail("lock %s: %s", name, strerror(errno));
	}
	w->locks++;
}

static void *work(void *arg)
{
	struct worker *w = arg;

	while (w->sets < w->target && now() < end_at) {
		unsigned i = (unsigned)draw(w, w->n_keys);
		uint64_t what = draw(w, 1000);

		if (what < 10) {
			remove_key(w, i);
		} else if (what < 20) {
			rename_key(w, i, (unsigned)draw(w, w->n_keys));
		} else if (what < 30) {
			append_key(w, i);
		} else if (what < 35) {
			attribute(w, i);
		} else if (what < 40) {
			lock(w);
		} else if (what < 60) {
			read_key(w, i);
		} else {
			set_key(w, i, what < 80 ? 1 + (unsigned)draw(w, 999) : 0);
		}
	}
	__atomic_fetch_sub(&n_running, 1, __ATOMIC_RELEASE);
	return NULL;
}

/* --- all of it ---------------------------------------------------------------- */

static uint64_t number(const char *text)
{
	char *end;
	uint64_t n = strtoull(text, &end, 10);

	if (*end || n == 0) {
		fail("'%s' is not a number above 0", text);
	}
	return n;
}

int main(int argc, char **argv)
{
	const struct timespec pause = {.tv_nsec = 50 * 1000000};
	struct worker *workers, total = {0};
	unsigned n_keys;
	uint64_t sets, seed;
	bool running;

	if (argc != 7) {
		fail("usage: %s DIR KEYS SETS THREADS SECONDS SEED", argv[0]);
	}
	directory = open(argv[1], O_RDONLY | O_DIRECTORY);
	if (directory < 0) {
		fail("%s: %s", argv[1], strerror(errno));
	}
	n_keys = (unsigned)number(argv[2]);
	sets = number(argv[3]);
	n_threads = (unsigned)number(argv[4]);
	end_at = now() + (int64_t)number(argv[5]) * SECOND;
	seed = number(argv[6]);
	n_running = n_threads;
	workers = calloc(n_threads, sizeof(*workers));
	for (size_t i = 0; i < sizeof(filler); i++) {
		filler[i] = (char)('a' + i * i % 26);
	}
	for (unsigned i = 0; workers && i < n_threads; i++) {
		struct worker *w = &workers[i];

		*w = (struct worker){
			.index = i,
			.random = seed * UINT64_C(0x9e3779b97f4a7c15) + i + 1,
			.target = sets / n_threads + (i < sets % n_threads),
			.n_keys = n_keys / n_threads,
			.keys = calloc(n_keys / n_threads, sizeof(struct key)),
		};
		if (!w->keys || pthread_create(&w->thread, NULL, work, w)) {
			fail("no memory");
		}
	}
	do {
		nanosleep(&pause, NULL);
		running = __atomic_load_n(&n_running, __ATOMIC_ACQUIRE) > 0;
		printf("%" PRIu64 "\n", __atomic_load_n(&sets_done, __ATOMIC_RELAXED));
		fflush(stdout);
	} while (running);
	for (unsigned i = 0; workers && i < n_threads; i++) {
		struct worker *w = &workers[i];

		pthread_join(w->thread, NULL);
		for (unsigned k = 0; k < w->n_keys; k++) {
			read_key(w, k);
		}
		total.removals += w->removals;
		total.renames += w->renames;
		total.leases += w->leases;
		total.appends += w->appends;
		total.locks += w->locks;
		total.reads += w->reads;
		total.attributes += w->attributes;
		free(w->keys);
	}
	free(workers);
	printf("%" PRIu64 " with a TTL; %" PRIu64 " reads, %" PRIu64 " removals, %" PRIu64
	       " renames, %" PRIu64 " appends, %" PRIu64 " attributes, %" PRIu64 " locks\n",
		total.leases, total.reads, total.removals, total.renames, total.appends,
		total.attributes, total.locks);
	return 0;
}
