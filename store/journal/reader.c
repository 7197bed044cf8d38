/* SPDX-License-Identifier: MIT
 * Copyright (c) 2026 The cubbyfs authors */

/* The log as one text for readers: the snapshot, if there is one, then the
 * logs, without their first and last lines.
 *
 * A reader opens every file when it begins and keeps them, so a compaction
 * that removes them takes nothing away from it. The last one grows; when the
 * journal leaves it for a new one, its size is settled and the new one is added
 * to each reader at once, so that a compaction cannot come between. */
#include "store/journal/journal.h"

#include "base/cleanup.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>

struct piece {
	struct segment_file *file;
	uint64_t start; /* in the file */
	uint64_t size;  /* of the last piece, while it grows: as of its sealing */
	uint64_t at;    /* in the log */
};

struct backend_log {
	struct journal *j;
	struct backend_log *next;
	struct piece *pieces;
	size_t count, capacity;
	uint64_t first; /* revision after the snapshot, or 1 */
	bool growing;   /* the last piece is the journal's active file */
	int error;      /* a piece is missing from here on */
};

static uint64_t piece_size(const struct backend_log *l, size_t i)
{
	const struct piece *p = &l->pieces[i];

	return l->growing && i == l->count - 1 ? l->j->end - p->start : p->size;
}

uint64_t journal_log_first(struct backend_log *log)
{
	return log->first;
}

uint64_t journal_log_size(struct backend_log *log)
{
	size_t last = log->count - 1;

	return log->count == 0 ? 0 : log->pieces[last].at + piece_size(log, last);
}

/* Takes the reference over, also when it fails. */
static int add_piece(struct backend_log *l, struct segment_file *file, uint64_t start, uint64_t end)
{
	struct piece *pieces;
	size_t capacity;

	if (l->count == l->capacity) {
		capacity = l->capacity ? 2 * l->capacity : 8;
		pieces = reallocarray(l->pieces, capacity, sizeof(*pieces));
		if (!pieces) {
			segment_file_unref(file);
			return -ENOMEM;
		}
		l->pieces = pieces;
		l->capacity = capacity;
	}
	l->pieces[l->count] = (struct piece){
		.file = file,
		.start = start,
		.size = end > start ? end - start : 0,
		.at = journal_log_size(l),
	};
	l->count++;
	return 0;
}

static int add_segment(struct backend_log *l, const struct segment *s)
{
	struct journal *j = l->j;
	struct segment_file *file;
	int fd = segment_open(j->disk, j->directory, s, O_RDONLY), r;

	if (fd < 0) {
		return fd;
	}
	r = segment_file_create(&file, j->disk, fd);
	return r < 0 ? r : add_piece(l, file, s->start, s->end);
}

/* All of one kind that are sealed. */
static int add_segments(struct backend_log *l, enum segment_kind kind)
{
	struct journal *j = l->j;
	size_t sealed = j->segments.count - (j->active ? 1 : 0);
	int r = 0;

	for (size_t i = 0; i < sealed && r == 0; i++) {
		const struct segment *s = &j->segments.items[i];

		if (s->kind == kind && !s->stale) {
			r = add_segment(l, s);
			l->first = kind == SEGMENT_SNAPSHOT ? s->base + 1 : l->first;
			r = disk_is_no_file(r) ? 0 : r; /* it was said to be missing before */
		}
	}
	return r;
}

static int add_active(struct backend_log *l)
{
	struct journal *j = l->j;
	int r;

	if (!j->active) {
		return 0;
	}
	r = add_piece(
		l, segment_file_ref(j->active), j->segments.items[j->segments.count - 1].start, 0);
	l->growing = r == 0;
	return r;
}

static void destroy(struct backend_log *l)
{
	for (size_t i = 0; i < l->count; i++) {
		segment_file_unref(l->pieces[i].file);
	}
	free(l->pieces);
	free(l);
}

int journal_log_open(struct backend *b, struct backend_log **out)
{
	struct journal *j = journal_of(b);
	struct backend_log *l;
	int r;

	l = calloc(1, sizeof(*l));
	if (!l) {
		return -ENOMEM;
	}
	l->j = j;
	l->first = 1;
	r = add_segments(l, SEGMENT_SNAPSHOT);
	if (r == 0) {
		r = add_segments(l, SEGMENT_LOG);
	}
	if (r == 0) {
		r = add_active(l);
	}
	if (r < 0) {
		destroy(l);
		return r;
	}
	l->next = j->logs;
	j->logs = l;
	*out = l;
	return 0;
}

/* The last piece that begins at or before the offset. */
static size_t find_piece(const struct backend_log *l, uint64_t offset)
{
	size_t low = 0, high = l->count;

	while (high - low > 1) {
		size_t middle = low + (high - low) / 2;

		if (l->pieces[middle].at <= offset) {
			low = middle;
		} else {
			high = middle;
		}
	}
	return low;
}

ssize_t journal_log_read(struct backend_log *log, void *data, size_t size, uint64_t offset)
{
	const struct piece *p;
	uint64_t left;
	size_t i;

	if (offset >= journal_log_size(log)) {
		return log->error;
	}
	i = find_piece(log, offset);
	p = &log->pieces[i];
	offset -= p->at;
	left = piece_size(log, i) - offset;
	if (size > left) {
		size = (size_t)left;
	}
	return p->file->disk->ops->read(
		p->file->disk, p->file->fd, data, size, (off_t)(p->start + offset));
}

void journal_log_close(struct backend_log *log)
{
	struct backend_log **at = &log->j->logs;

	while (*at != log) {
		at = &(*at)->next;
	}
	*at = log->next;
	destroy(log);
}

void journal_logs_seal(struct journal *j)
{
	for (struct backend_log *l = j->logs; l; l = l->next) {
		if (l->growing) {
			l->pieces[l->count - 1].size = piece_size(l, l->count - 1);
			l->growing = false;
		}
	}
}

void journal_logs_attach(struct journal *j)
{
	for (struct backend_log *l = j->logs; l; l = l->next) {
		if (l->error == 0) {
			l->error = add_active(l);
		}
	}
}
