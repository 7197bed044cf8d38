/* SPDX-License-Identifier: MIT
 * Copyright (c) 2026 The cubbyfs authors */

/* Group commit.
 *
 * fdatasync(2) costs the same for one line and for a thousand. So nobody calls
 * it for himself: appends are numbered, a request waits for a number, and a
 * thread, whenever it is free and some number is waited for, takes the newest
 * number of that moment, syncs, and has served all who waited for any number
 * up to it. Requests that come meanwhile wait for the next round, which again
 * serves them all. The busier it gets, the more share a sync.
 *
 * To wake a thread of its own and be woken by it takes as long as the sync itself on a quick disk.
 * A loop that has two threads spares that (fs/loop.c): one of them syncs while the other goes on.
 *
 * A round syncs the files written to since the last one, the oldest first: a
 * power cut in between then leaves a log with its end missing rather than its
 * middle. The directory comes last, for the names of new files; if it comes
 * to that, nobody has been told yet that they are safe.
 *
 * After a failed fdatasync the kernel may have dropped the pages and will
 * report success the next time; so there is no next time. The error stays, all
 * who wait get -EIO, and the journal takes no more appends. */
#include "store/journal/sync.h"

#include "base/cleanup.h"
#include "store/journal/journal.h"

#include <errno.h>
#include <signal.h>
#include <stdlib.h>

/* Syncs the first n_syncing dirty files and lets go of them. Called and
 * returns with the mutex held, but works without. */
static int sync_round(struct syncer *s, bool directory)
{
	struct segment_file *file;
	size_t i;
	int r = 0;

	for (i = 0; i < s->n_syncing && r == 0; i++) {
		file = s->dirty[i]; /* the array itself may move meanwhile */
		pthread_mutex_unlock(&s->mutex);
		r = s->disk->ops->sync(s->disk, file->fd);
		segment_file_unref(file);
		pthread_mutex_lock(&s->mutex);
	}
	s->n_dirty -= i;
	s->n_syncing = 0;
	if (s->n_dirty > 0) {
		memmove(s->dirty, s->dirty + i, s->n_dirty * sizeof(s->dirty[0]));
	}
	if (r == 0 && directory) {
		pthread_mutex_unlock(&s->mutex);
		r = s->disk->ops->sync_directory(s->disk, s->directory);
		pthread_mutex_lock(&s->mutex);
	}
	return r;
}

static bool is_due(const struct syncer *s)
{
	return !s->error && !s->busy && s->wanted > s->synced;
}

/* All that was written by now. With the mutex held, but for the syncing itself. */
static void do_round(struct syncer *s)
{
	uint64_t target = s->written, revision = s->written_revision;
	bool directory = s->directory_dirty;
	int r;

	s->busy = true;
	s->directory_dirty = false;
	s->n_syncing = s->n_dirty;
	r = sync_round(s, directory);
	s->rounds++;
	if (r < 0) {
		s->error = r;
	} else {
		s->synced = target;
		s->synced_revision = revision;
	}
	s->busy = false;
}

static void *run(void *arg)
{
	struct syncer *s = arg;

	pthread_mutex_lock(&s->mutex);
	for (;;) {
		while (!s->stop && !is_due(s)) {
			pthread_cond_wait(&s->wake, &s->mutex);
		}
		if (!is_due(s)) {
			break;
		}
		do_round(s);
		journal_notify(s->event_fd);
	}
	pthread_mutex_unlock(&s->mutex);
	return NULL;
}

bool syncer_due(struct syncer *s)
{
	bool due;

	pthread_mutex_lock(&s->mutex);
	due = is_due(s);
	pthread_mutex_unlock(&s->mutex);
	return due;
}

void syncer_run(struct syncer *s)
{
	pthread_mutex_lock(&s->mutex);
	if (is_due(s)) {
		do_round(s);
	}
	pthread_mutex_unlock(&s->mutex);
}

int syncer_init(struct syncer *s, struct disk *disk, const char *directory, int event_fd)
{
	sigset_t all, old;
	int r;

	*s = (struct syncer){.disk = disk, .directory = directory, .event_fd = event_fd};
	pthread_mutex_init(&s->mutex, NULL);
	pthread_cond_init(&s->wake, NULL);
	if (event_fd < 0) {
		return 0;
	}
	/* Signals are the loop's. */
	sigfillset(&all);
	pthread_sigmask(SIG_SETMASK, &all, &old);
	r = pthread_create(&s->thread, NULL, run, s);
	pthread_sigmask(SIG_SETMASK, &old, NULL);
	s->running = r == 0;
	return -r;
}

int syncer_stop(struct syncer *s)
{
	pthread_mutex_lock(&s->mutex);
	s->wanted = s->written;
	s->stop = true;
	pthread_cond_signal(&s->wake);
	pthread_mutex_unlock(&s->mutex);
	if (s->running) {
		pthread_join(s->thread, NULL);
		s->running = false;
	} else {
		syncer_run(s);
	}
	return s->error;
}

void syncer_finish(struct syncer *s)
{
	for (size_t i = 0; i < s->n_dirty; i++) {
		segment_file_unref(s->dirty[i]);
	}
	free(s->dirty);
	free(s->waiters);
	pthread_mutex_destroy(&s->mutex);
	pthread_cond_destroy(&s->wake);
}

int syncer_reserve(struct syncer *s)
{
	struct segment_file **dirty;
	size_t capacity;
	int r = 0;

	pthread_mutex_lock(&s->mutex);
	if (s->n_dirty == s->dirty_capacity) {
		capacity = s->dirty_capacity ? 2 * s->dirty_capacity : 4;
		dirty = reallocarray(s->dirty, capacity, sizeof(*dirty));
		if (dirty) {
			s->dirty = dirty;
			s->dirty_capacity = capacity;
		} else {
			r = -ENOMEM;
		}
	}
	pthread_mutex_unlock(&s->mutex);
	return r;
}

void syncer_note(struct syncer *s, struct segment_file *f, uint64_t revision)
{
	pthread_mutex_lock(&s->mutex);
	s->written++;
	s->written_revision = revision;
	/* What the thread is at may not get this write with it. */
	if (s->n_dirty == s->n_syncing || s->dirty[s->n_dirty - 1] != f) {
		s->dirty[s->n_dirty++] = segment_file_ref(f);
	}
	pthread_mutex_unlock(&s->mutex);
}

void syncer_note_directory(struct syncer *s)
{
	pthread_mutex_lock(&s->mutex);
	s->written++;
	s->directory_dirty = true;
	pthread_mutex_unlock(&s->mutex);
}

/* Room for one more waiter. */
static int reserve_waiter(struct syncer *s)
{
	struct sync_waiter *waiters;
	size_t capacity;

	if (s->tail < s->waiters_capacity) {
		return 0;
	}
	if (s->head > s->tail / 2) {
		memmove(s->waiters, s->waiters + s->head, (s->tail - s->head) * sizeof(*waiters));
		s->tail -= s->head;
		s->head = 0;
		return 0;
	}
	capacity = s->waiters_capacity ? 2 * s->waiters_capacity : 16;
	waiters = reallocarray(s->waiters, capacity, sizeof(*waiters));
	if (!waiters) {
		return -ENOMEM;
	}
	s->waiters = waiters;
	s->waiters_capacity = capacity;
	return 0;
}

void syncer_request(struct syncer *s, backend_done *done, void *arg)
{
	bool clean;
	int error;

	if (reserve_waiter(s) < 0) {
		done(arg, -ENOMEM);
		return;
	}
	pthread_mutex_lock(&s->mutex);
	error = s->error;
	clean = s->synced == s->written && s->head == s->tail;
	if (!clean && !error) {
		s->wanted = s->written;
		s->waiters[s->tail++] = (struct sync_waiter){s->written, done, arg};
		pthread_cond_signal(&s->wake);
	}
	pthread_mutex_unlock(&s->mutex);
	if (error) {
		done(arg, -EIO);
	} else if (clean) {
		done(arg, 0);
	}
}

void syncer_begin_at(struct syncer *s, uint64_t revision)
{
	pthread_mutex_lock(&s->mutex);
	s->synced_revision = revision;
	pthread_mutex_unlock(&s->mutex);
}

void syncer_kick(struct syncer *s)
{
	pthread_mutex_lock(&s->mutex);
	s->wanted = s->written;
	pthread_cond_signal(&s->wake);
	pthread_mutex_unlock(&s->mutex);
}

int syncer_error(struct syncer *s)
{
	int error;

	pthread_mutex_lock(&s->mutex);
	error = s->error;
	pthread_mutex_unlock(&s->mutex);
	return error;
}

uint64_t syncer_rounds(struct syncer *s)
{
	uint64_t rounds;

	pthread_mutex_lock(&s->mutex);
	rounds = s->rounds;
	pthread_mutex_unlock(&s->mutex);
	return rounds;
}

uint64_t syncer_revision(struct syncer *s)
{
	uint64_t revision;

	pthread_mutex_lock(&s->mutex);
	revision = s->synced_revision;
	pthread_mutex_unlock(&s->mutex);
	return revision;
}

void syncer_collect(struct syncer *s)
{
	struct sync_waiter w;
	uint64_t synced;
	int error;

	pthread_mutex_lock(&s->mutex);
	synced = s->synced;
	error = s->error;
	pthread_mutex_unlock(&s->mutex);
	while (s->head < s->tail && (error || s->waiters[s->head].sequence <= synced)) {
		/* Out before it is called: it may well ask for the next sync. */
		w = s->waiters[s->head++];
		if (s->head == s->tail) {
			s->head = 0;
			s->tail = 0;
		}
		w.done(w.arg, w.sequence <= synced ? 0 : -EIO);
	}
}
