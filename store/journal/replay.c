/* SPDX-License-Identifier: MIT
 * Copyright (c) 2026 The cubbyfs authors */

/* Reading it all back.
 *
 * The newest snapshot, then every log that has something newer, line by line.
 * A line is believed if its checksum is right and its revision is past the last
 * one. All else is damage: the bytes are kept aside in damaged/, counted,
 * logged, and left behind. Revisions that are missing between two lines, or
 * between the last line of a log and the name of the next one, are counted as
 * well; that is how a file that is missing as a whole shows.
 *
 * Lost revisions are not given out again. Damaged lines at the end of the log
 * each had one, so the count goes on after as many.
 *
 * Damage, or a gap, where the log was never said to be on the disk (see
 * watermark.h) is what a power cut leaves: there the log ends. What follows, in
 * that file and in later ones, is kept aside, whole or not, because what came
 * before it is not there.
 *
 * At last the end of the last log is made ready for the next line: what is
 * torn is cut off, a missing newline is added. Where that cannot be done, the
 * file is left as it is, and the next line begins a new one. What is cut off must
 * be gone for certain before that, or it could come back behind new lines. */
#include "store/journal/journal.h"

#include "base/cleanup.h"
#include "base/log.h"
#include "store/journal/ahead.h"
#include "store/journal/refresh.h"
#include "store/journal/scan.h"
#include "store/journal/watermark.h"
#include "store/record.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <json-c/json.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

/* Lines that the log tells of one by one. */
#define LOGGED_MAX 10
/* Names to try for one piece of damage. */
#define ASIDE_MAX 100

struct replay {
	struct journal *j;
	backend_replay_fn *fn;
	void *arg;
	struct record_decoder *decoder;
	struct ahead ahead;
	bool stopped; /* fn said so */
	bool said;    /* why it fails */

	/* Of the file under way. */
	struct segment *segment;
	char name[SEGMENT_NAME_SIZE];
	int fd;
	uint64_t count;       /* transitions taken */
	uint64_t last_offset; /* where the last one was */
	uint64_t promised;    /* by the footer; UINT64_MAX: none */
	uint64_t trailing;    /* damaged lines after the last transition */
	uint64_t position;    /* the last revision seen, or the one before the file's first */
	bool damaged;
	struct scan *scan;
	bool covered; /* what is damaged is in the snapshot */

	uint64_t snapshot; /* its revision */
	uint64_t synced;   /* the highest revision that was said to be on the disk */
	struct refresh refresh;
	bool searched;     /* for it, everywhere */
	bool unreadable;   /* the medium fails: nothing is taken for torn */
	bool cut;          /* the log ends before the end of its files */
	uint64_t bytes_before, bytes_total;
	unsigned logged;
	uint64_t unlogged;
};

/* The sentence goes to who opens the store, or, where he has no use for it, to the
 * log. Returns `error`. */
static int __attribute__((format(printf, 3, 4)))
fail(struct replay *p, int error, const char *format, ...)
{
	char **out = p->j->config.error;
	_cleanup_free_ char *text = NULL;
	va_list args;

	if (p->said) {
		return error;
	}
	p->said = true;
	va_start(args, format);
	if (vasprintf(&text, format, args) < 0) {
		text = NULL;
	}
	va_end(args);
	if (out && !*out) {
		*out = text;
		text = NULL;
	} else if (text) {
		log_error("%s", text);
	}
	return error;
}

static void note_ino(struct replay *p, uint64_t ino)
{
	/* One that is out of all bounds would end all. */
	if (ino >= p->j->next_ino && ino < INO_LIMIT) {
		p->j->next_ino = ino + 1;
	}
}

static void note_transition(struct replay *p, const struct transition *t)
{
	for (size_t i = 0; i < t->n_changes; i++) {
		note_ino(p, t->changes[i].ino);
	}
	if (transition_time(t) > p->j->last_at) {
		p->j->last_at = transition_time(t);
	}
}

static int take_header(struct replay *p, const struct header *h, uint64_t offset, size_t size)
{
	bool snapshot = p->segment->kind == SEGMENT_SNAPSHOT;

	if (strcmp(h->kind, "end") == 0 && snapshot) {
		p->promised = h->count;
		p->segment->end = offset;
		return 0;
	}
	if (strcmp(h->kind, snapshot ? "snapshot" : "log") != 0) {
		return SCAN_BAD;
	}
	if (h->version != JOURNAL_VERSION) {
		return fail(p, -EPROTONOSUPPORT,
			"%s/%s has format version %" PRIu64
			" in its first line, this program knows version %d: use a newer cubbyfs",
			p->j->directory, p->name, h->version, JOURNAL_VERSION);
	}
	if (offset == 0) {
		p->segment->start = size + 1;
	}
	if (h->next_ino > p->j->next_ino && h->next_ino <= INO_LIMIT) {
		p->j->next_ino = h->next_ino;
	}
	if (h->at > p->j->last_at && h->at <= TIME_LIMIT) {
		p->j->last_at = h->at;
	}
	return 0;
}

static int deliver(struct replay *p, const struct transition *t, uint64_t offset)
{
	int r;

	p->count++;
	p->last_offset = offset;
	p->trailing = 0;
	p->position = t->revision;
	if (t->synced > p->synced && t->synced < t->revision) {
		p->synced = t->synced;
	}
	if (p->segment->kind == SEGMENT_LOG) {
		refresh_note(&p->refresh,
			&(struct refresh_place){t->revision, p->segment->base, offset},
			p->synced > p->snapshot ? p->synced : p->snapshot);
	}
	note_transition(p, t);
	r = p->fn(p->arg, t);
	if (r < 0) {
		p->stopped = true;
		return r;
	}
	return 0;
}

/* Whether the revision, which is not there, ever was on the disk: 0, SCAN_CUT if
 * it may well not have been, or a negative errno. */
static int doubt_revision(struct replay *p, uint64_t revision)
{
	struct journal *j = p->j;
	uint64_t found;
	int r;

	if (revision <= p->snapshot || revision <= p->synced || p->unreadable) {
		return 0;
	}
	if (!p->searched) {
		r = watermark_read(j->disk, j->directory, &j->segments, &found);
		if (r < 0) {
			return r;
		}
		p->searched = true;
		p->synced = found > p->synced ? found : p->synced;
	}
	return revision <= p->synced ? 0 : SCAN_CUT;
}

static int doubt(void *arg)
{
	struct replay *p = arg;

	p->covered = p->segment->kind == SEGMENT_LOG && p->position < p->snapshot;
	if (p->segment->kind != SEGMENT_LOG || p->scan->unreadable > 0) {
		return 0;
	}
	return doubt_revision(p, p->position + 1);
}

static void take_ahead(void *arg, struct bytes lines)
{
	struct replay *p = arg;

	ahead_begin(&p->ahead, lines);
}

static int decode(struct replay *p, struct bytes line, const struct transition **out)
{
	*out = ahead_take(&p->ahead, line);
	return *out ? RECORD_OK : record_decode(p->decoder, line, out);
}

static int take_line(void *arg, struct bytes line, uint64_t offset, uint64_t number)
{
	struct replay *p = arg;
	const struct transition *t;
	struct json_object *object;
	struct header header;
	int r;

	(void)number;
	r = decode(p, line, &t);
	if (r == RECORD_UNKNOWN) {
		r = record_decode_object(p->decoder, line, &object);
		if (r != RECORD_OK) {
			return r < 0 ? r : SCAN_BAD;
		}
		return header_decode(object, &header) ? take_header(p, &header, offset, line.size)
						      : SCAN_BAD;
	}
	if (r != RECORD_OK || !transition_is_possible(t)) {
		return r < 0 ? r : SCAN_BAD;
	}
	if (p->segment->kind == SEGMENT_SNAPSHOT) {
		return t->revision <= p->segment->base ? deliver(p, t, offset) : SCAN_BAD;
	}
	if (t->revision <= p->snapshot) {
		p->trailing = 0;
		p->last_offset = offset;
		p->position = t->revision;
		return 0; /* the snapshot has it */
	}
	if (t->revision <= p->j->last_revision ||
		t->revision - p->j->last_revision > REVISION_GAP_MAX) {
		return SCAN_BAD; /* a line that stands twice, or nowhere */
	}
	if (t->revision > p->j->last_revision + 1 && p->scan->unreadable == 0) {
		r = doubt_revision(p, p->j->last_revision + 1);
		if (r != 0) {
			return r;
		}
	}
	p->j->usage.missing_revisions += t->revision - p->j->last_revision - 1;
	p->j->last_revision = t->revision;
	return deliver(p, t, offset);
}

/* ---- damage ---- */

/* Whether the file holds just these bytes of the other. */
static bool same_bytes(struct replay *p, int fd, const struct scan_damage *d)
{
	const struct disk_ops *ops = p->j->disk->ops;
	char a[4096], b[4096];

	if (ops->size(p->j->disk, fd) != (off_t)d->size) {
		return false;
	}
	for (uint64_t at = 0; at < d->size;) {
		size_t wanted = d->size - at < sizeof(a) ? (size_t)(d->size - at) : sizeof(a);
		ssize_t n = ops->read(p->j->disk, p->fd, a, wanted, (off_t)(d->offset + at));

		if (n <= 0 || ops->read(p->j->disk, fd, b, (size_t)n, (off_t)at) != n ||
			memcmp(a, b, (size_t)n) != 0) {
			return false;
		}
		at += (uint64_t)n;
	}
	return true;
}

static int copy_bytes(struct replay *p, int fd, const struct scan_damage *d)
{
	struct disk *disk = p->j->disk;
	char data[4096];
	int r = 0;

	for (uint64_t at = 0; at < d->size && r == 0;) {
		size_t wanted = d->size - at < sizeof(data) ? (size_t)(d->size - at) : sizeof(data);
		ssize_t n = disk->ops->read(disk, p->fd, data, wanted, (off_t)(d->offset + at));

		if (n == -EIO) {
			memset(data, 0xff, wanted); /* as scan.c saw it */
			n = (ssize_t)wanted;
		}
		if (n <= 0) {
			return n < 0 ? (int)n : -EIO;
		}
		r = disk_write_all(disk, fd, data, (size_t)n, (off_t)at);
		at += (uint64_t)n;
	}
	/* The original of a torn end is about to go. */
	return r == 0 && d->torn ? disk->ops->sync(disk, fd) : r;
}

/* Copies the damage to a file of its own, unless an earlier mount has. What is torn
 * is about to go: its copy is on the disk when this returns. */
static int keep_aside(struct replay *p, const struct scan_damage *d)
{
	struct disk *disk = p->j->disk;
	_cleanup_free_ char *directory = journal_path(p->j->directory, JOURNAL_DAMAGED);
	int fd, r;

	r = directory ? disk->ops->mkdir(disk, directory, 0700) : -ENOMEM;
	for (int i = 0; i < ASIDE_MAX && r == 0; i++) {
		_cleanup_free_ char *path = NULL;

		r = i == 0 ? asprintf(&path, "%s/%s-%" PRIu64, directory, p->name, d->offset)
			   : asprintf(&path, "%s/%s-%" PRIu64 ".%d", directory, p->name, d->offset,
				     i);
		if (r < 0) {
			path = NULL;
			return -ENOMEM;
		}
		r = 0;
		fd = disk->ops->open(disk, path, O_RDWR | O_CREAT | O_EXCL, 0600);
		if (fd >= 0) {
			r = copy_bytes(p, fd, d);
			disk->ops->close(disk, fd);
			if (r < 0) {
				(void)disk->ops->unlink(disk, path);
			} else if (d->torn) {
				r = disk->ops->sync_directory(disk, directory);
			}
			return r;
		}
		if (fd != -EEXIST) {
			return fd;
		}
		fd = disk->ops->open(disk, path, O_RDONLY, 0);
		if (fd >= 0) {
			bool same = same_bytes(p, fd, d);

			disk->ops->close(disk, fd);
			if (same) {
				return 0;
			}
		}
	}
	return r < 0 ? r : -EEXIST;
}

static void take_damage(void *arg, const struct scan_damage *d)
{
	struct replay *p = arg;
	struct backend_usage *u = &p->j->usage;
	int kept;

	/* A log that a snapshot stands for, and that is still there because its
	 * follower's name was lost with the power. */
	if (p->covered) {
		return;
	}
	kept = p->j->config.read_only ? -EROFS : keep_aside(p, d);

	if (d->torn) {
		u->torn_bytes += d->size;
	} else {
		p->damaged = true;
		u->damaged_lines += d->lines;
		u->damaged_bytes += d->size;
		if (d->offset >= p->last_offset) {
			p->trailing += d->lines - (d->offset == 0); /* the header had none */
		}
	}
	if (p->logged >= LOGGED_MAX) {
		p->unlogged++;
		return;
	}
	p->logged++;
	log_warning("%s/%s: %" PRIu64 " bytes at byte %" PRIu64 " (line %" PRIu64 ") are %s; %s%s",
		p->j->directory, p->name, d->size, d->offset, d->line,
		d->torn ? "the torn end of the log" : "damaged",
		kept == 0 ? "kept aside in " JOURNAL_DAMAGED "/" : "they could not be kept aside: ",
		kept == 0 ? "" : strerror(-kept));
}

/* ---- files ---- */

static void take_progress(void *arg, uint64_t done)
{
	struct replay *p = arg;

	if (p->j->config.progress) {
		p->j->config.progress(p->j->config.arg, p->bytes_before + done, p->bytes_total);
	}
}

/* One file. A file that cannot be opened is damage too, all of it. */
static int scan_segment(struct replay *p, struct segment *s, bool last, struct scan *out)
{
	struct journal *j = p->j;
	int r;

	p->segment = s;
	p->count = 0;
	p->last_offset = 0;
	p->promised = UINT64_MAX;
	p->position = s->base > 0 ? s->base - 1 : 0;
	p->damaged = false;
	p->covered = false;
	p->scan = out;
	ahead_begin(&p->ahead, bytes_of(NULL, 0));
	segment_name(p->name, s->kind, s->named);
	s->start = 0;
	s->end = 0;
	*out = (struct scan){
		.disk = j->disk,
		.last = last,
		.line = take_line,
		.damage = take_damage,
		.doubt = doubt,
		.ahead = take_ahead,
		.progress = take_progress,
		.arg = p,
	};
	if (s->named != s->base) {
		log_warning("%s/%s was swapped with another log: it begins with revision %" PRIu64,
			j->directory, p->name, s->base);
		j->usage.damaged_lines++;
	}
	p->fd = segment_open(j->disk, j->directory, s, O_RDONLY);
	if (p->fd < 0) {
		if (p->fd != -ENOENT && p->fd != -EIO && !journal_is_no_file(p->fd)) {
			return fail(p, p->fd, "cannot open %s/%s: %s", j->directory, p->name,
				journal_file_error(p->fd));
		}
		log_warning("%s/%s cannot be read: %s", j->directory, p->name,
			journal_file_error(p->fd));
		j->usage.damaged_lines++;
		out->unreadable = 1;
		p->unreadable = true;
		return 0;
	}
	out->fd = p->fd;
	r = scan_run(out);
	j->disk->ops->close(j->disk, p->fd);
	if (r < 0) {
		return p->stopped ? r
				  : fail(p, r, "cannot read %s/%s: %s", j->directory, p->name,
					    strerror(-r));
	}
	s->size = out->size;
	p->cut |= out->cut;
	p->unreadable |= out->unreadable > 0;
	if (s->end == 0) {
		s->end = last || out->cut || out->zeros ? out->end : out->size;
	}
	p->bytes_before += out->size;
	return 0;
}

static int replay_snapshot(struct replay *p, struct segment *s)
{
	struct scan scan;
	int r = scan_segment(p, s, false, &scan);

	if (r < 0) {
		return r;
	}
	p->snapshot = s->base;
	p->j->last_revision = s->base;
	if (p->fd < 0) {
		p->damaged = true; /* was said */
	} else if (p->promised != p->count && !p->damaged) {
		/* Whole lines are missing, or the last one. */
		p->damaged = true;
		p->j->usage.damaged_lines += p->promised == UINT64_MAX || p->promised < p->count
						     ? 1
						     : p->promised - p->count;
		log_warning("%s/%s is not complete", p->j->directory, p->name);
	}
	if (!p->damaged) {
		p->j->usage.snapshot_bytes = s->size;
		if (p->j->config.snapshot) {
			p->j->config.snapshot(p->j->config.arg);
		}
	}
	return 0;
}

/* Cuts off what is torn. */
static int cut_end(struct journal *j, int fd, const struct scan *scan)
{
	int r = 0;

	if (scan->size > scan->end) {
		r = j->disk->ops->truncate(j->disk, fd, (off_t)scan->end);
		if (r == 0) {
			r = j->disk->ops->sync(j->disk, fd);
		}
	}
	return r;
}

/* The same for a last log that the next line does not go to, since a snapshot's name comes after
 * its own: with a log behind it, what is torn would be damage, and whole lines in it would be back.
 */
static int end_log(struct journal *j, const struct segment *s, const struct scan *scan)
{
	int fd, r;

	if (scan->unreadable > 0 || scan->size <= scan->end) {
		return 0;
	}
	fd = segment_open(j->disk, j->directory, s, O_RDWR);
	if (fd < 0) {
		return fd;
	}
	r = cut_end(j, fd, scan);
	j->disk->ops->close(j->disk, fd);
	return r;
}

/* Readies the end of the last log for the next line. */
static int mend(struct journal *j, struct segment *s, const struct scan *scan)
{
	struct segment_file *file;
	uint64_t end = scan->end;
	int fd, r;

	if (scan->unreadable > 0) {
		return -EIO;
	}
	fd = segment_open(j->disk, j->directory, s, O_RDWR);
	if (fd < 0) {
		return fd;
	}
	r = cut_end(j, fd, scan);
	if (r == 0 && scan->needs_newline) {
		r = disk_write_all(j->disk, fd, "\n", 1, (off_t)end);
		end++;
	}
	if (r == 0 && end == 0) {
		r = journal_write_header(j, fd, s->base, &end);
		s->start = end;
	}
	if (r < 0) {
		j->disk->ops->close(j->disk, fd);
		return r;
	}
	r = segment_file_create(&file, j->disk, fd);
	if (r < 0) {
		return r;
	}
	j->active = file;
	j->end = j->written = end;
	s->size = end;
	s->end = end;
	return 0;
}

static void drop(struct journal *j, size_t i)
{
	char name[SEGMENT_NAME_SIZE];
	_cleanup_free_ char *path = NULL;

	if (!j->config.read_only) {
		segment_name(name, j->segments.items[i].kind, j->segments.items[i].named);
		path = journal_path(j->directory, name);
		if (path) {
			(void)j->disk->ops->unlink(j->disk, path);
		}
	}
	segment_list_remove(&j->segments, i);
}

/* A snapshot that was never done is of no use, and in the way of the order. */
static void drop_unfinished(struct journal *j)
{
	for (size_t i = j->segments.count; i-- > 0;) {
		if (j->segments.items[i].kind == SEGMENT_UNFINISHED) {
			drop(j, i);
		}
	}
}

/* Takes what a snapshot replaced out of the list, and removes it; but if that
 * snapshot is damaged, it may still be of use to somebody, and stays until the
 * next compaction. */
static void drop_stale(struct journal *j, bool remove)
{
	for (size_t i = j->segments.count; i-- > 0;) {
		if (j->segments.items[i].stale && (remove || j->config.read_only)) {
			drop(j, i);
		}
	}
}

static uint64_t size_of(struct journal *j, const struct segment *s)
{
	int fd = segment_open(j->disk, j->directory, s, O_RDONLY);
	off_t size;

	if (fd < 0) {
		return 0;
	}
	size = j->disk->ops->size(j->disk, fd);
	j->disk->ops->close(j->disk, fd);
	return size < 0 ? 0 : (uint64_t)size;
}

/* Whether the log, open as p->fd, has nothing but a first line. */
static bool is_empty(struct replay *p, const struct segment *s)
{
	char data[512];
	ssize_t n = s->size > sizeof(data)
			    ? -1
			    : p->j->disk->ops->read(p->j->disk, p->fd, data, sizeof(data), 0);

	return n >= 0 && !memmem(data, (size_t)n, RECORD_START, strlen(RECORD_START));
}

/* A log behind the end: its lines are kept aside, and it goes. */
static int drop_log(struct replay *p, struct segment *s)
{
	struct journal *j = p->j;
	_cleanup_free_ char *path = NULL;

	p->segment = s;
	p->covered = false;
	segment_name(p->name, s->kind, s->named);
	path = journal_path(j->directory, p->name);
	p->fd = segment_open(j->disk, j->directory, s, O_RDONLY);
	if (!path || p->fd < 0) {
		return path ? p->fd : -ENOMEM;
	}
	if (!is_empty(p, s)) {
		take_damage(p, &(struct scan_damage){
				       .size = s->size, .line = 1, .lines = 1, .torn = true});
	}
	j->disk->ops->close(j->disk, p->fd);
	return j->config.read_only ? 0 : j->disk->ops->unlink(j->disk, path);
}

/* All logs from the nth on; the newest first, so that what is left after a crash
 * has no hole. */
static int drop_logs(struct replay *p, size_t from)
{
	struct journal *j = p->j;
	int r = 0;

	for (size_t i = j->segments.count; i-- > from && r == 0;) {
		if (j->segments.items[i].kind != SEGMENT_LOG || j->segments.items[i].stale) {
			continue;
		}
		r = drop_log(p, &j->segments.items[i]);
		if (r == 0) {
			segment_list_remove(&j->segments, i);
		}
	}
	if (r == 0 && !j->config.read_only) {
		r = j->disk->ops->sync_directory(j->disk, j->directory);
	}
	return r;
}

/* The log ends before the nth file. A failure is one of the log: what is still
 * there must not be followed by anything. */
static int cut_logs(struct replay *p, size_t from, struct segment **last)
{
	struct journal *j = p->j;
	int r = drop_logs(p, from);

	if (r < 0 && !j->config.read_only) {
		journal_fail(j, r, "cutting off the torn end");
	}
	*last = NULL;
	for (size_t i = 0; i < from; i++) {
		if (j->segments.items[i].kind == SEGMENT_LOG && !j->segments.items[i].stale) {
			*last = &j->segments.items[i];
		}
	}
	return r == -ENOMEM ? r : 0;
}

/* *last: what is read last, and is the last of all that are left. */
static int replay_logs(struct replay *p, struct scan *last_scan, struct segment **last)
{
	struct journal *j = p->j;
	int r;

	*last = NULL;
	for (size_t i = 0; i < j->segments.count; i++) {
		struct segment *s = &j->segments.items[i];

		if (s->kind == SEGMENT_LOG && !s->stale) {
			*last = s;
		}
	}
	for (size_t i = 0; i < j->segments.count; i++) {
		struct segment *s = &j->segments.items[i];

		if (s->kind != SEGMENT_LOG || s->stale) {
			continue;
		}
		if (s->base > j->last_revision + 1) {
			r = doubt_revision(p, j->last_revision + 1);
			if (r == SCAN_CUT) {
				p->cut = true;
				return cut_logs(p, i, last);
			}
			if (r < 0) {
				return r;
			}
			j->usage.missing_revisions += s->base - j->last_revision - 1;
			j->last_revision = s->base - 1;
		}
		p->trailing = 0;
		r = scan_segment(p, s, s == *last, last_scan);
		if (r < 0) {
			return r;
		}
		if (last_scan->cut) {
			return cut_logs(p, i + 1, last);
		}
	}
	return 0;
}

static int replay_all(struct replay *p)
{
	struct journal *j = p->j;
	struct segment *snapshot, *last = NULL;
	struct scan scan = {0};
	bool whole = true;
	int r;

	r = segment_list_read(&j->segments, j->disk, j->directory);
	if (r < 0) {
		return r;
	}
	r = synced_read(j->disk, j->directory, &p->synced);
	if (r == -ENOMEM) {
		return r;
	}
	if (r < 0 && r != -ENOENT) {
		log_warning("%s/" JOURNAL_SYNCED " cannot be read: %s", j->directory,
			journal_file_error(r));
		j->usage.damaged_lines++;
	}
	r = 0; /* it is unknown then */
	j->said_synced = p->synced;
	drop_unfinished(j);
	snapshot = segment_list_mark_stale(&j->segments);
	for (size_t i = 0; i < j->segments.count; i++) {
		struct segment *s = &j->segments.items[i];

		s->size = size_of(j, s);
		p->bytes_total += s->stale ? 0 : s->size;
	}
	if (snapshot) {
		r = replay_snapshot(p, snapshot);
		whole = !p->damaged;
		p->trailing = 0;
	}
	if (r == 0) {
		r = replay_logs(p, &scan, &last);
	}
	if (r < 0) {
		return r;
	}
	j->last_revision += p->trailing;
	j->usage.missing_revisions += p->trailing;
	if (!watermark_is_possible(p->synced, j->last_revision)) {
		log_warning("%s: revision %" PRIu64 " is said to have been on the disk, which "
			    "can't be",
			j->directory, p->synced);
		j->said_synced = 0;
	} else if (p->synced > j->last_revision) {
		/* An end that was on the disk is gone. */
		j->usage.missing_revisions += p->synced - j->last_revision;
		j->last_revision = p->synced;
	}
	if (p->unlogged > 0) {
		log_warning("%s: %" PRIu64 " more stretches like that", j->directory, p->unlogged);
	}
	if (j->usage.missing_revisions > 0) {
		log_warning("%s: %" PRIu64 " revisions are missing", j->directory,
			j->usage.missing_revisions);
	}
	if (j->config.read_only) {
		drop_stale(j, false);
		return 0;
	}
	if (last && !j->failed) {
		r = last == &j->segments.items[j->segments.count - 1] ? mend(j, last, &scan)
								      : end_log(j, last, &scan);
		if (r < 0 && p->cut) {
			journal_fail(j, r, "cutting off the torn end");
		} else if (r < 0) {
			log_warning("%s: the end of the last file cannot be mended: %s",
				j->directory, strerror(-r));
			/* A new file must have another name. */
			j->last_revision += last->base == j->last_revision + 1;
		}
	}
	drop_stale(j, whole);
	return refresh_logs(&p->refresh, j);
}

int journal_replay(struct backend *b, backend_replay_fn *fn, void *arg, uint64_t *next_ino,
	int64_t *last_at, uint64_t *last_revision)
{
	struct journal *j = journal_of(b);
	struct replay p = {.j = j, .fn = fn, .arg = arg};
	int r;

	r = record_decoder_create(&p.decoder);
	if (r < 0) {
		return r;
	}
	ahead_init(&p.ahead, j->config.soon, j->config.arg);
	r = replay_all(&p);
	ahead_finish(&p.ahead);
	record_decoder_destroy(p.decoder);
	if (r < 0) {
		return r;
	}
	j->replayed = true;
	*next_ino = j->next_ino;
	*last_at = j->last_at;
	*last_revision = j->last_revision;
	return 0;
}
