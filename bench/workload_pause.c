/* SPDX-License-Identifier: MIT
 * Copyright (c) 2026 The cubbyfs authors */

/* A writer sets keys as fast as it can until the journal has been compacted `writers`
 * times. A thread watches the store's directory: a compaction runs from the making of
 * its R.snap.tmp to the renaming to R.snap, and that is when most is on the disk.
 *
 * A virtual machine that has used up its share of the processor stands still until its
 * host's next period, for tens of milliseconds. A thread that goes before all others and
 * only sleeps tells when that was: what it wakes too late by is taken off the pause. */

#include "bench/workload.h"

#include "base/cleanup.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <sched.h>
#include <stdatomic.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/inotify.h>
#include <sys/stat.h>
#include <time.h>

#define NAP 1000000 /* ns */
#define LATE 1000000

struct watching {
	const char *store;
	int inotify;
	atomic_bool ended, running;
	atomic_uint begun, done;
	uint64_t peak;     /* bytes of all files together */
	uint64_t snapshot; /* bytes of the newest one */
	int result;
	/* The machine's standing still: ns in all, and the longest. */
	_Atomic int64_t still, longest_still;
};

static bool has_suffix(const char *text, const char *suffix)
{
	size_t n = strlen(text), m = strlen(suffix);

	return n >= m && strcmp(text + n - m, suffix) == 0;
}

static void measure(struct watching *w)
{
	_cleanup_dir_ DIR *d = opendir(w->store);
	struct dirent *entry;
	struct stat st;
	uint64_t total = 0;

	while (d && (entry = readdir(d))) {
		if (fstatat(dirfd(d), entry->d_name, &st, AT_SYMLINK_NOFOLLOW) == 0 &&
			S_ISREG(st.st_mode)) {
			total += (uint64_t)st.st_size;
			if (has_suffix(entry->d_name, ".snap")) {
				w->snapshot = (uint64_t)st.st_size;
			}
		}
	}
	w->peak = total > w->peak ? total : w->peak;
}

static void take(struct watching *w, const struct inotify_event *e)
{
	if ((e->mask & IN_CREATE) && has_suffix(e->name, ".snap.tmp")) {
		atomic_fetch_add(&w->begun, 1);
		atomic_store(&w->running, true);
	} else if ((e->mask & IN_MOVED_TO) && has_suffix(e->name, ".snap")) {
		measure(w);
		/* the old files are removed right after it: that belongs to it */
	} else if ((e->mask & IN_DELETE) && has_suffix(e->name, ".log") &&
		   atomic_load(&w->running)) {
		measure(w);
		atomic_store(&w->running, false);
		atomic_fetch_add(&w->done, 1);
	}
}

static void *watch(void *arg)
{
	char events[4096] __attribute__((aligned(8)));
	struct watching *w = arg;
	struct pollfd fd = {.fd = w->inotify, .events = POLLIN};
	const struct inotify_event *e;
	ssize_t n;

	while (!atomic_load(&w->ended)) {
		if (poll(&fd, 1, 20) == 0) {
			measure(w);
			continue;
		}
		n = read(w->inotify, events, sizeof(events));
		if (n < 0) {
			w->result = -errno;
			break;
		}
		for (char *at = events; at < events + n; at += sizeof(*e) + e->len) {
			e = (const struct inotify_event *)(const void *)at;
			if (e->len > 0) {
				take(w, e);
			}
		}
	}
	return NULL;
}

static void *nap(void *arg)
{
	const struct sched_param first = {.sched_priority = 1};
	struct watching *w = arg;

	if (pthread_setschedparam(pthread_self(), SCHED_FIFO, &first) != 0) {
		return NULL; /* who is one of many tells nothing of the machine */
	}
	while (!atomic_load(&w->ended)) {
		int64_t before = now_ns(), late;

		nanosleep(&(struct timespec){.tv_nsec = NAP}, NULL);
		late = now_ns() - before - NAP;
		if (late > LATE) {
			atomic_fetch_add(&w->still, late);
			if (late > atomic_load(&w->longest_still)) {
				atomic_store(&w->longest_still, late);
			}
		}
	}
	return NULL;
}

/* w->still after a call of so many ns. If it was long, the napper may have woken later. */
static int64_t settled(struct watching *w, int64_t ns)
{
	if (ns > LATE + NAP) {
		nanosleep(&(struct timespec){.tv_nsec = NAP}, NULL);
	}
	return atomic_load(&w->still);
}

static int set_all(
	const struct task *t, struct watching *w, struct report *r, void *self, char *value)
{
	int64_t end = now_ns() + (int64_t)(t->seconds * 1e9), before, ns, still;
	int64_t longest = 0, otherwise = 0;
	char key[KEY_NAME_SIZE];
	unsigned begun;
	bool during;
	int rc = 0;

	while (rc == 0 && atomic_load(&w->done) < t->writers && now_ns() < end) {
		task_key(t, r->calls++, key);
		task_stamp(value, t->size, r->calls);
		during = atomic_load(&w->running);
		begun = atomic_load(&w->begun);
		still = atomic_load(&w->still);
		before = now_ns();
		rc = t->side->set(self, key, value, t->size);
		ns = now_ns() - before;
		samples_add(&r->samples, ns);
		r->counted++;
		r->wall += ns;
		ns -= settled(w, ns) - still;
		/* One that it began or ended in belongs to it. */
		if (during || atomic_load(&w->begun) != begun) {
			longest = ns > longest ? ns : longest;
		} else {
			otherwise = ns > otherwise ? ns : otherwise;
		}
	}
	report_extra(r, "compactions", atomic_load(&w->done));
	report_extra(r, "longest_during", (double)longest);
	report_extra(r, "longest_otherwise", (double)otherwise);
	report_extra(r, "longest_still", (double)atomic_load(&w->longest_still));
	return rc;
}

static int run_pause(const struct task *t, struct report *r)
{
	_cleanup_free_ char *value = task_value(t);
	_cleanup_fd_ int inotify = inotify_init1(IN_CLOEXEC);
	struct watching w = {.store = t->store, .inotify = inotify};
	pthread_t thread, napper;
	void *self;
	int rc;

	if (!t->store || !value || inotify < 0) {
		return !t->store ? -EINVAL : !value ? -ENOMEM : -errno;
	}
	if (inotify_add_watch(inotify, t->store, IN_CREATE | IN_MOVED_TO | IN_DELETE) < 0) {
		return -errno;
	}
	rc = t->side->open(&self, t->where, t->durability);
	if (rc < 0) {
		return rc;
	}
	rc = -pthread_create(&thread, NULL, watch, &w);
	if (rc == 0 && (rc = -pthread_create(&napper, NULL, nap, &w)) != 0) {
		atomic_store(&w.ended, true);
		pthread_join(thread, NULL);
	}
	if (rc == 0) {
		rc = set_all(t, &w, r, self, value);
		atomic_store(&w.ended, true);
		pthread_join(thread, NULL);
		pthread_join(napper, NULL);
		rc = rc ? rc : w.result;
		measure(&w);
		report_extra(r, "peak_bytes", (double)w.peak);
		report_extra(r, "snapshot_bytes", (double)w.snapshot);
	}
	t->side->close(self);
	return rc;
}

const struct workload workloads_pause[] = {
	{"pause", run_pause},
	{NULL, NULL},
};
