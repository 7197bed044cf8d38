/* SPDX-License-Identifier: MIT
 * Copyright (c) 2026 The cubbyfs authors */

/* Compaction: the state as it is takes the place of the log that led to it.
 *
 * begin leaves the log for a new one, so that all up to the snapshot's revision
 * is in files that do not change any more and all after it is in files that
 * stay. The loop encodes the state, chunk by chunk, while appends go on, and
 * hands the chunks to a thread; that writes them to R.snap.tmp, and at the end
 *
 *   1. syncs the file,
 *   2. renames it to R.snap,
 *   3. syncs the directory,
 *   4. removes what is older, the oldest first,
 *   5. syncs the directory.
 *
 * A crash before 2 leaves a .tmp file, which the next open removes, and the
 * old log. After 2 there are both; the snapshot wins, and all the logs that it
 * covers are skipped and removed. Whether the rename of 2 survives a power cut
 * does not matter before 3, as nothing is removed before. A failure leaves the
 * old log too, and is no failure of the log.
 *
 * The thread syncs as it goes: a gigabyte of dirty pages at the end would make
 * every other fdatasync wait behind it. */
#include "store/journal/journal.h"

#include "base/cleanup.h"
#include "base/log.h"
#include "store/record.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <signal.h>
#include <stdlib.h>

#define CHUNK_SIZE (256 * 1024)
/* What may wait for the disk before others than urgent puts are refused. */
#define WAITING_MAX (4 * 1024 * 1024)
#define SYNC_EVERY (UINT64_C(16) << 20)

struct chunk {
	struct chunk *next;
	struct buffer bytes;
};

struct compaction {
	/* Set by begin, read by both. */
	struct disk *disk;
	const char *directory; /* the journal's, which outlives this */
	int event_fd;
	uint64_t revision;
	char *path, *final_path;
	char **obsolete; /* paths, oldest first */
	size_t n_obsolete;
	pthread_t thread;

	pthread_mutex_t mutex;
	pthread_cond_t wake;
	/* Under the mutex. */
	struct chunk *first, *last;
	uint64_t waiting; /* bytes */
	bool ended;       /* all chunks are there */
	bool aborted;
	bool finished; /* the thread is about to end */
	int error;

	/* The thread's. */
	int fd;
	uint64_t written, synced;

	/* The loop's. */
	struct buffer current;
	uint64_t count;
	uint64_t start, end, size;
	bool ending; /* `done` is owed */
	backend_done *done;
	void *arg;
};

/* ---- the thread ---- */

static int write_chunk(struct compaction *c, const struct chunk *chunk)
{
	int r = disk_write_all(
		c->disk, c->fd, chunk->bytes.data, chunk->bytes.size, (off_t)c->written);

	if (r < 0) {
		return r;
	}
	c->written += chunk->bytes.size;
	if (c->written - c->synced >= SYNC_EVERY) {
		r = c->disk->ops->sync(c->disk, c->fd);
		c->synced = c->written;
	}
	return r;
}

static int take_over(struct compaction *c)
{
	const struct disk_ops *ops = c->disk->ops;
	int r;

	r = ops->sync(c->disk, c->fd);
	if (r == 0) {
		r = ops->rename(c->disk, c->path, c->final_path);
	}
	if (r == 0) {
		r = ops->sync_directory(c->disk, c->directory);
	}
	if (r < 0) {
		return r;
	}
	for (size_t i = 0; i < c->n_obsolete; i++) {
		/* One that stays is removed when the store is opened again. */
		(void)ops->unlink(c->disk, c->obsolete[i]);
	}
	(void)ops->sync_directory(c->disk, c->directory);
	return 0;
}

static void free_chunk(struct chunk *chunk)
{
	if (chunk) {
		buffer_finish(&chunk->bytes);
		free(chunk);
	}
}

static void *run(void *arg)
{
	struct compaction *c = arg;
	struct chunk *chunk;
	bool over = false;
	int r = 0;

	pthread_mutex_lock(&c->mutex);
	while (!over) {
		while (!c->first && !c->ended && !c->aborted) {
			pthread_cond_wait(&c->wake, &c->mutex);
		}
		chunk = c->first;
		if (chunk) {
			c->first = chunk->next;
			c->waiting -= chunk->bytes.size;
		}
		over = c->aborted || !chunk;
		pthread_mutex_unlock(&c->mutex);
		/* After an error the rest is still taken, and dropped. */
		if (chunk && r == 0 && !over) {
			r = write_chunk(c, chunk);
		}
		free_chunk(chunk);
		pthread_mutex_lock(&c->mutex);
		c->error = r;
	}
	if (c->aborted && r == 0) {
		r = -ECANCELED;
	}
	pthread_mutex_unlock(&c->mutex);
	if (r == 0) {
		r = take_over(c);
	}
	c->disk->ops->close(c->disk, c->fd);
	if (r < 0) {
		(void)c->disk->ops->unlink(c->disk, c->path);
	}
	pthread_mutex_lock(&c->mutex);
	c->error = r;
	c->finished = true;
	pthread_mutex_unlock(&c->mutex);
	journal_notify(c->event_fd);
	return NULL;
}

/* ---- the loop's side ---- */

static void destroy(struct compaction *c)
{
	while (c->first) {
		struct chunk *chunk = c->first;

		c->first = chunk->next;
		free_chunk(chunk);
	}
	for (size_t i = 0; i < c->n_obsolete; i++) {
		free(c->obsolete[i]);
	}
	free(c->obsolete);
	free(c->path);
	free(c->final_path);
	buffer_finish(&c->current);
	pthread_mutex_destroy(&c->mutex);
	pthread_cond_destroy(&c->wake);
	free(c);
}

static bool is_obsolete(const struct segment *s, uint64_t revision)
{
	return s->base <= revision || s->kind == SEGMENT_UNFINISHED;
}

static char *path_of(struct journal *j, enum segment_kind kind, uint64_t base)
{
	char name[SEGMENT_NAME_SIZE];

	segment_name(name, kind, base);
	return journal_path(j->directory, name);
}

static int plan(struct journal *j, struct compaction *c)
{
	c->path = path_of(j, SEGMENT_UNFINISHED, c->revision);
	c->final_path = path_of(j, SEGMENT_SNAPSHOT, c->revision);
	c->obsolete = calloc(j->segments.count + 1, sizeof(*c->obsolete));
	if (!c->path || !c->final_path || !c->obsolete) {
		return -ENOMEM;
	}
	for (size_t i = 0; i < j->segments.count; i++) {
		const struct segment *s = &j->segments.items[i];

		if (!is_obsolete(s, c->revision) ||
			(s->kind == SEGMENT_SNAPSHOT && s->base == c->revision)) {
			continue; /* the last is replaced by the rename */
		}
		c->obsolete[c->n_obsolete] = path_of(j, s->kind, s->named);
		if (!c->obsolete[c->n_obsolete]) {
			return -ENOMEM;
		}
		c->n_obsolete++;
	}
	return 0;
}

static int begin_file(struct journal *j, struct compaction *c, uint64_t next_ino)
{
	struct header header = {
		.kind = "snapshot",
		.version = JOURNAL_VERSION,
		.base = c->revision,
		.next_ino = next_ino > j->next_ino ? next_ino : j->next_ino,
		.at = journal_time(j),
	};
	int r = header_encode(&header, &c->current);

	if (r < 0) {
		return r;
	}
	c->start = c->current.size;
	c->fd = disk_make(j->disk, c->path, O_WRONLY);
	return c->fd < 0 ? c->fd : 0;
}

static int begin_thread(struct compaction *c)
{
	sigset_t all, old;
	int r;

	sigfillset(&all);
	pthread_sigmask(SIG_SETMASK, &all, &old);
	r = pthread_create(&c->thread, NULL, run, c);
	pthread_sigmask(SIG_SETMASK, &old, NULL);
	return -r;
}

int journal_snapshot_begin(struct backend *b, uint64_t revision, uint64_t next_ino)
{
	struct journal *j = journal_of(b);
	struct compaction *c;
	int r;

	if (j->failed || j->config.read_only || !j->replayed) {
		return -EROFS;
	}
	if (j->compaction) {
		return BACKEND_BUSY;
	}
	if (revision != j->last_revision) {
		return -EINVAL;
	}
	/* The log up to here must be in files of its own. */
	if (j->active && j->segments.items[j->segments.count - 1].base <= revision) {
		r = journal_begin_segment(j);
		if (r < 0) {
			return r;
		}
	}
	c = calloc(1, sizeof(*c));
	if (!c) {
		return -ENOMEM;
	}
	c->disk = j->disk;
	c->directory = j->directory;
	c->event_fd = j->event_fd;
	c->revision = revision;
	pthread_mutex_init(&c->mutex, NULL);
	pthread_cond_init(&c->wake, NULL);
	r = plan(j, c);
	if (r == 0) {
		r = begin_file(j, c, next_ino);
	}
	if (r == 0) {
		r = begin_thread(c);
		if (r < 0) {
			j->disk->ops->close(j->disk, c->fd);
			(void)j->disk->ops->unlink(j->disk, c->path);
		}
	}
	if (r < 0) {
		destroy(c);
		return r;
	}
	j->compaction = c;
	return 0;
}

/* Gives what is encoded to the thread. */
static int hand_over(struct compaction *c)
{
	struct chunk *chunk;

	if (c->current.size == 0) {
		return 0;
	}
	chunk = malloc(sizeof(*chunk));
	if (!chunk) {
		return -ENOMEM;
	}
	chunk->next = NULL;
	chunk->bytes = c->current;
	c->size += c->current.size;
	c->current = (struct buffer){0};
	pthread_mutex_lock(&c->mutex);
	if (c->first) {
		c->last->next = chunk;
	} else {
		c->first = chunk;
	}
	c->last = chunk;
	c->waiting += chunk->bytes.size;
	pthread_cond_signal(&c->wake);
	pthread_mutex_unlock(&c->mutex);
	return 0;
}

int journal_snapshot_put(struct backend *b, const struct transition *t, bool urgent)
{
	struct compaction *c = journal_of(b)->compaction;
	uint64_t waiting;
	int r;

	if (!c || c->ending) {
		return -EINVAL;
	}
	if (c->current.size >= CHUNK_SIZE) {
		pthread_mutex_lock(&c->mutex);
		waiting = c->waiting;
		r = c->error;
		pthread_mutex_unlock(&c->mutex);
		if (r < 0) {
			return r;
		}
		if (waiting >= WAITING_MAX && !urgent) {
			return BACKEND_BUSY;
		}
		r = hand_over(c);
		if (r < 0) {
			return r;
		}
	}
	if (c->current.capacity == 0) {
		/* In one go: growing step by step would copy it several times. */
		r = buffer_reserve(&c->current, CHUNK_SIZE + CHUNK_SIZE / 4);
		if (r < 0) {
			return r;
		}
	}
	r = record_encode(t, &c->current);
	c->count += r == 0;
	return r;
}

void journal_snapshot_end(struct backend *b, backend_done *done, void *arg)
{
	struct compaction *c = journal_of(b)->compaction;
	int r;

	if (!c || c->ending) {
		done(arg, -EINVAL);
		return;
	}
	c->end = c->size + c->current.size;
	r = header_encode(&(struct header){.kind = "end", .count = c->count}, &c->current);
	if (r == 0) {
		r = hand_over(c);
	}
	if (r < 0) {
		journal_snapshot_abort(b);
		done(arg, r);
		return;
	}
	c->ending = true;
	c->done = done;
	c->arg = arg;
	pthread_mutex_lock(&c->mutex);
	c->ended = true;
	pthread_cond_signal(&c->wake);
	pthread_mutex_unlock(&c->mutex);
}

void journal_snapshot_abort(struct backend *b)
{
	struct compaction *c = journal_of(b)->compaction;

	if (!c || c->ending) {
		return;
	}
	pthread_mutex_lock(&c->mutex);
	c->aborted = true;
	pthread_cond_signal(&c->wake);
	pthread_mutex_unlock(&c->mutex);
}

/* The snapshot has taken its place on the disk; now in the list. */
static void replace_segments(struct journal *j, const struct compaction *c)
{
	struct segment s = {
		.kind = SEGMENT_SNAPSHOT,
		.base = c->revision,
		.named = c->revision,
		.size = c->size,
		.start = c->start,
		.end = c->end,
	};
	size_t at = 0;

	for (size_t i = j->segments.count; i-- > 0;) {
		if (is_obsolete(&j->segments.items[i], c->revision)) {
			segment_list_remove(&j->segments, i);
		}
	}
	if (segment_list_add(&j->segments, &s) < 0) {
		/* Then readers of the log don't see it. */
		return;
	}
	memmove(&j->segments.items[at + 1], &j->segments.items[at],
		(j->segments.count - 1 - at) * sizeof(s));
	j->segments.items[at] = s;
}

static void collect(struct journal *j)
{
	struct compaction *c = j->compaction;
	int r;

	pthread_join(c->thread, NULL);
	j->compaction = NULL;
	r = c->error;
	if (r == 0) {
		replace_segments(j, c);
		j->usage.compactions++;
		j->usage.snapshot_bytes = c->size;
	} else if (r != -ECANCELED) {
		log_warning("%s: compaction failed, the log stays as it is: %s", j->directory,
			strerror(-r));
	}
	if (c->ending) {
		c->done(c->arg, r);
	}
	destroy(c);
}

void journal_compaction_collect(struct journal *j)
{
	struct compaction *c = j->compaction;
	bool finished;

	if (!c) {
		return;
	}
	pthread_mutex_lock(&c->mutex);
	finished = c->finished;
	pthread_mutex_unlock(&c->mutex);
	if (finished) {
		collect(j);
	}
}

void journal_compaction_close(struct journal *j)
{
	if (j->compaction) {
		journal_snapshot_abort(&j->base);
		collect(j);
	}
}
