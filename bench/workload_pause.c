/* SPDX-License-Identifier: MIT
 * Copyright (c) 2026 The cubbyfs authors */

/* A writer sets keys as fast as it can until the journal has been compacted `writers`
 * times. A thread watches the store's directory: a compaction runs from the making of
 * its R.snap.tmp to the renaming to R.snap, and that is when most is on the disk. */

#include "bench/workload.h"

#include "base/cleanup.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdatomic.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/inotify.h>
#include <sys/stat.h>

struct watching {
	const char *store;
	int inotify;
	atomic_bool ended, running;
	atomic_uint begun, done;
	uint64_t peak;     /* bytes of all files together */
	uint64_t snapshot; /* bytes of the newest one */
	int result;
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

static int set_all(
	const struct task *t, struct watching *w, struct report *r, void *self, char *value)
{
	int64_t end = now_ns() + (int64_t)(t->seconds * 1e9), before, ns;
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
		before = now_ns();
		rc = t->side->set(self, key, value, t->size);
		ns = now_ns() - before;
		samples_add(&r->samples, ns);
		r->counted++;
		r->wall += ns;
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
	return rc;
}

static int run_pause(const struct task *t, struct report *r)
{
	_cleanup_free_ char *value = task_value(t);
	_cleanup_fd_ int inotify = inotify_init1(IN_CLOEXEC);
	struct watching w = {.store = t->store, .inotify = inotify};
	pthread_t thread;
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
	if (rc == 0) {
		rc = set_all(t, &w, r, self, value);
		atomic_store(&w.ended, true);
		pthread_join(thread, NULL);
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
