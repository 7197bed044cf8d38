/* SPDX-License-Identifier: MIT
 * Copyright (c) 2026 The cubbyfs authors */

#include "store/journal/check.h"

#include "base/cleanup.h"
#include "store/journal/scan.h"
#include "store/journal/segment.h"
#include "store/journal/watermark.h"
#include "store/record.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <json-c/json.h>
#include <stdio.h>
#include <stdlib.h>

/* A compaction may remove what was just listed. */
#define TRIES 10

#define KEPT_ASIDE "mounting the store keeps these bytes aside in damaged/ and uses the rest"

struct check {
	struct disk *disk;
	const char *directory;
	const struct check_callbacks *callbacks;
	struct check_summary *out;
	struct record_decoder *decoder;
	struct segment_list segments;
	int *fds; /* of those; -1: not to be read */
	uint64_t bytes_before, bytes_total;

	/* Of the file under way. */
	const struct segment *segment;
	char name[SEGMENT_NAME_SIZE];
	bool header;
	uint64_t count, promised;
	uint64_t damaged;
	const char *reason; /* why the last bad line is bad, if it is intact */
	uint64_t position;  /* as in replay.c */
	struct scan *scan;
	bool covered; /* what is damaged is in the snapshot */

	uint64_t snapshot;
	uint64_t last;
	uint64_t said_synced; /* by the file `synced`, to have been on the disk */
	uint64_t synced;      /* by that or a line */
	bool searched;        /* for that, everywhere */
};

static void report(struct check *c, const struct check_problem *p)
{
	c->out->problems++;
	if (c->callbacks->problem) {
		c->callbacks->problem(c->callbacks->arg, p);
	}
}

static int take_header(struct check *c, const struct header *h, uint64_t offset)
{
	bool snapshot = c->segment->kind == SEGMENT_SNAPSHOT;

	if (snapshot && strcmp(h->kind, "end") == 0) {
		c->promised = h->count;
		return 0;
	}
	if (strcmp(h->kind, snapshot ? "snapshot" : "log") != 0) {
		c->reason = "a line that belongs to another kind of file";
		return SCAN_BAD;
	}
	c->header |= offset == 0;
	if (h->version != JOURNAL_VERSION) {
		return -EPROTONOSUPPORT;
	}
	if (h->base != c->segment->base) {
		report(c, &(struct check_problem){
				  .file = c->name,
				  .line = 1,
				  .what = "the first line names another revision than the file",
				  .remedy = "give the file its name back; the name is what counts",
			  });
	}
	return 0;
}

static void take_gap(struct check *c, uint64_t revision, uint64_t offset, uint64_t number)
{
	_cleanup_free_ char *what = NULL;

	if (revision <= c->last + 1) {
		return;
	}
	if (asprintf(&what, "revisions %" PRIu64 " to %" PRIu64 " are missing", c->last + 1,
		    revision - 1) < 0) {
		what = NULL;
	}
	report(c, &(struct check_problem){
			  .file = c->name,
			  .line = number,
			  .offset = offset,
			  .what = what ? what : "revisions are missing",
			  .remedy = "restore the file from a backup if these changes are needed; "
				    "the rest is usable, and compaction closes the gap",
		  });
}

/* As in replay.c: 0, SCAN_CUT where the log ends, or a negative errno. */
static int doubt_revision(struct check *c, uint64_t revision)
{
	uint64_t found;
	int r;

	if (revision <= c->snapshot || revision <= c->synced ||
		(c->scan && c->scan->unreadable > 0)) {
		return 0;
	}
	if (!c->searched) {
		r = watermark_read(c->disk, c->directory, &c->segments, &found);
		if (r < 0) {
			return r;
		}
		c->searched = true;
		c->synced = found > c->synced ? found : c->synced;
	}
	return revision <= c->synced ? 0 : SCAN_CUT;
}

static int doubt(void *arg)
{
	struct check *c = arg;

	c->covered = c->segment->kind == SEGMENT_LOG && c->position < c->snapshot;
	return c->segment->kind == SEGMENT_LOG ? doubt_revision(c, c->position + 1) : 0;
}

static int take_transition(
	struct check *c, const struct transition *t, uint64_t offset, uint64_t number)
{
	int r;

	if (c->segment->kind == SEGMENT_SNAPSHOT) {
		if (t->revision > c->segment->base) {
			c->reason = "its revision is past the snapshot's";
			return SCAN_BAD;
		}
		c->count++;
		return 0;
	}
	if (t->revision <= c->snapshot) {
		c->position = t->revision;
		return 0;
	}
	if (t->revision <= c->last) {
		c->reason = "its revision is not after the one before";
		return SCAN_BAD;
	}
	if (t->revision - c->last > REVISION_GAP_MAX) {
		c->reason = "its revision is too far ahead of the one before";
		return SCAN_BAD;
	}
	if (t->revision > c->last + 1) {
		r = doubt_revision(c, c->last + 1);
		if (r != 0) {
			return r;
		}
	}
	take_gap(c, t->revision, offset, number);
	c->last = t->revision;
	c->position = t->revision;
	return 0;
}

static int take_line(void *arg, struct bytes line, uint64_t offset, uint64_t number)
{
	struct check *c = arg;
	const struct transition *t;
	struct json_object *object;
	struct header header;
	int r;

	c->reason = NULL;
	r = record_decode(c->decoder, line, &t);
	if (r == RECORD_OK && !transition_is_possible(t)) {
		c->reason = "intact, but with a number that cannot be";
		return SCAN_BAD;
	}
	if (r == RECORD_OK) {
		return take_transition(c, t, offset, number);
	}
	if (r != RECORD_UNKNOWN) {
		return r < 0 ? r : SCAN_BAD;
	}
	r = record_decode_object(c->decoder, line, &object);
	if (r == RECORD_OK && header_decode(object, &header)) {
		return take_header(c, &header, offset);
	}
	c->reason = "intact, but nothing that this version knows";
	return r < 0 ? r : SCAN_BAD;
}

/* Whether a daemon is at work on the store. */
static bool is_held(struct check *c)
{
	_cleanup_free_ char *path = journal_path(c->directory, JOURNAL_LOCK);
	int fd = path ? c->disk->ops->open(c->disk, path, O_RDONLY, 0) : -1;
	bool held;

	if (fd < 0) {
		return false;
	}
	held = c->disk->ops->lock(c->disk, fd) == -EWOULDBLOCK;
	c->disk->ops->close(c->disk, fd);
	return held;
}

static void take_damage(void *arg, const struct scan_damage *d)
{
	struct check *c = arg;
	struct check_problem p = {
		.file = c->name,
		.line = d->line,
		.offset = d->offset,
		.size = d->size,
		.what = c->reason ? c->reason : "the checksum does not match",
		.remedy = KEPT_ASIDE,
	};

	if (c->covered) {
		c->damaged += d->lines;
		return;
	}
	if (d->torn) {
		if (is_held(c)) {
			return; /* being written just now */
		}
		p.what = "the last line is not complete";
		p.remedy = "mounting the store keeps it aside in damaged/ and cuts it off";
		if (c->scan->cut) {
			p.what = "what follows was not on the disk yet, and is not complete";
		}
	}
	c->damaged += d->lines;
	c->reason = NULL;
	report(c, &p);
}

static void take_progress(void *arg, uint64_t done)
{
	struct check *c = arg;

	if (c->callbacks->progress) {
		c->callbacks->progress(c->callbacks->arg, c->bytes_before + done, c->bytes_total);
	}
}

static void report_file(struct check *c, const char *what, const char *remedy)
{
	report(c, &(struct check_problem){.file = c->name, .what = what, .remedy = remedy});
}

/* A log behind the end; one without lines is no loss. */
static void report_behind(struct check *c, const struct segment *s, int fd)
{
	char data[512];
	ssize_t n = s->size > sizeof(data) ? -1
					   : c->disk->ops->read(c->disk, fd, data, sizeof(data), 0);

	segment_name(c->name, s->kind, s->base);
	if (n < 0 || memmem(data, (size_t)n, RECORD_START, strlen(RECORD_START))) {
		report_file(c, "it was not on the disk yet, and what comes before it is missing",
			"mounting the store keeps it aside in damaged/");
	}
}

static int check_file(struct check *c, const struct segment *s, int fd, bool last)
{
	struct scan scan = {
		.disk = c->disk,
		.fd = fd,
		.last = last,
		.line = take_line,
		.damage = take_damage,
		.doubt = doubt,
		.progress = take_progress,
		.arg = c,
	};
	int r;

	c->segment = s;
	c->header = false;
	c->count = 0;
	c->promised = UINT64_MAX;
	c->damaged = 0;
	c->covered = false;
	c->reason = NULL;
	c->position = s->base > 0 ? s->base - 1 : 0;
	c->scan = NULL;
	segment_name(c->name, s->kind, s->base);
	if (s->kind == SEGMENT_LOG && s->base > c->last + 1) {
		r = doubt_revision(c, c->last + 1);
		if (r == SCAN_CUT) {
			report_behind(c, s, fd);
		}
		if (r != 0) {
			return r;
		}
	}
	c->scan = &scan;
	if (s->kind == SEGMENT_LOG && s->base > 0) {
		take_gap(c, s->base, 0, 0);
		if (s->base - 1 > c->last) {
			c->last = s->base - 1;
		}
	}
	r = scan_run(&scan);
	c->scan = NULL;
	if (r < 0) {
		return r;
	}
	c->out->files++;
	c->out->lines += scan.lines;
	c->out->bytes += scan.size;
	c->bytes_before += scan.size;
	if (scan.unreadable > 0) {
		report_file(c, "parts of it cannot be read from the disk",
			"copy the store to another disk while the rest can still be read");
	}
	if (!c->header && scan.lines > 0 && c->damaged == 0) {
		report_file(c, "it has no first line that names it",
			"its lines are used all the same; compact the store");
	}
	if (s->kind == SEGMENT_SNAPSHOT && c->promised != c->count && c->damaged == 0) {
		report_file(c, "it is not complete",
			"what it has is used; restore the file from a backup");
	}
	return scan.cut ? SCAN_CUT : 0;
}

static void report_missing_end(struct check *c)
{
	if (!watermark_is_possible(c->said_synced, c->last)) {
		snprintf(c->name, sizeof(c->name), "%s", JOURNAL_SYNCED);
		report_file(c, "it names a revision that the log cannot have had",
			"it is not believed, and is written anew when the store is unmounted");
	}
	if (watermark_is_possible(c->synced, c->last) && c->synced > c->last && !is_held(c)) {
		segment_name(c->name, SEGMENT_LOG, c->last + 1);
		take_gap(c, c->synced + 1, 0, 0);
		c->last = c->synced;
	}
}

static void close_all(struct check *c)
{
	for (size_t i = 0; c->fds && i < c->segments.count; i++) {
		if (c->fds[i] >= 0) {
			c->disk->ops->close(c->disk, c->fds[i]);
		}
	}
	free(c->fds);
	c->fds = NULL;
	segment_list_finish(&c->segments);
}

/* Opens all that is of use at one time. -ENOENT: it changed meanwhile. */
static int open_all(struct check *c)
{
	int r;

	r = segment_list_read(&c->segments, c->disk, c->directory);
	if (r < 0) {
		return r;
	}
	segment_list_mark_stale(&c->segments);
	c->fds = malloc((c->segments.count + 1) * sizeof(int));
	if (!c->fds) {
		return -ENOMEM;
	}
	for (size_t i = 0; i < c->segments.count; i++) {
		c->fds[i] = -1;
	}
	c->bytes_total = 0;
	for (size_t i = 0; i < c->segments.count; i++) {
		struct segment *s = &c->segments.items[i];
		_cleanup_free_ char *path = NULL;

		segment_name(c->name, s->kind, s->base);
		path = s->stale ? NULL : journal_path(c->directory, c->name);
		if (s->stale) {
			continue;
		}
		c->fds[i] = path ? c->disk->ops->open(c->disk, path, O_RDONLY, 0) : -ENOMEM;
		if (c->fds[i] < 0) {
			return c->fds[i];
		}
		s->size = (uint64_t)c->disk->ops->size(c->disk, c->fds[i]);
		c->bytes_total += s->size;
	}
	return 0;
}

static int check_files(struct check *c)
{
	size_t last = SIZE_MAX;
	bool cut = false;
	int r;

	r = synced_read(c->disk, c->directory, &c->said_synced);
	if (r == -ENOMEM) {
		return r;
	}
	c->synced = c->said_synced;

	for (size_t i = 0; i < c->segments.count; i++) {
		if (c->fds[i] >= 0 && c->segments.items[i].kind == SEGMENT_LOG) {
			last = i;
		}
	}
	for (size_t i = 0; i < c->segments.count; i++) {
		const struct segment *s = &c->segments.items[i];

		if (c->fds[i] >= 0 && s->kind == SEGMENT_SNAPSHOT) {
			r = check_file(c, s, c->fds[i], false);
			if (r < 0) {
				return r;
			}
			c->snapshot = s->base;
			c->last = s->base;
		}
	}
	for (size_t i = 0; i < c->segments.count; i++) {
		const struct segment *s = &c->segments.items[i];

		if (c->fds[i] < 0 || s->kind != SEGMENT_LOG) {
			continue;
		}
		if (cut) {
			report_behind(c, s, c->fds[i]);
			continue;
		}
		r = check_file(c, s, c->fds[i], i == last);
		if (r < 0) {
			return r;
		}
		cut = r == SCAN_CUT;
	}
	report_missing_end(c);
	return 0;
}

static int count_name(void *arg, const char *name)
{
	(void)name;
	++*(uint64_t *)arg;
	return 0;
}

static void count_kept_aside(struct check *c)
{
	_cleanup_free_ char *path = journal_path(c->directory, JOURNAL_DAMAGED);

	if (path) {
		/* Mostly there is none. */
		(void)c->disk->ops->list(c->disk, path, count_name, &c->out->kept_aside);
	}
}

static int check_format(struct check *c, char **error)
{
	uint64_t version = 0;
	int r = format_read(c->disk, c->directory, &version);

	if (r < 0 && r != -ENOENT) {
		return r;
	}
	if (version == JOURNAL_VERSION) {
		return 0;
	}
	if (version != 0) {
		if (asprintf(error,
			    "store %s has format version %" PRIu64
			    ", this program knows version %d",
			    c->directory, version, JOURNAL_VERSION) < 0) {
			*error = NULL;
		}
		return -EPROTONOSUPPORT;
	}
	if (c->segments.count == 0) {
		if (asprintf(error, "%s is not a cubbyfs store", c->directory) < 0) {
			*error = NULL;
		}
		return -ENOENT;
	}
	report(c, &(struct check_problem){
			  .file = JOURNAL_FORMAT,
			  .what = r == -ENOENT ? "it is missing" : "it is damaged",
			  .remedy = "mounting the store writes it anew",
		  });
	return 0;
}

static int check_all(struct check *c, char **error)
{
	int r = 0;

	for (int i = 0; i < TRIES; i++) {
		close_all(c);
		r = open_all(c);
		if (r != -ENOENT) {
			break;
		}
	}
	if (r == 0) {
		r = check_format(c, error);
	}
	if (r == 0) {
		r = check_files(c);
	}
	if (r == 0) {
		c->out->last_revision = c->last;
		count_kept_aside(c);
	}
	return r;
}

int journal_check(struct disk *disk, const char *directory, const struct check_callbacks *callbacks,
	struct check_summary *out, char **error)
{
	struct check c = {
		.disk = disk,
		.directory = directory,
		.callbacks = callbacks,
		.out = out,
	};
	int r;

	*out = (struct check_summary){0};
	*error = NULL;
	r = record_decoder_create(&c.decoder);
	if (r == 0) {
		r = check_all(&c, error);
	}
	if (r < 0 && !*error &&
		asprintf(error, "cannot check the store %s: %s", directory, strerror(-r)) < 0) {
		*error = NULL;
	}
	close_all(&c);
	record_decoder_destroy(c.decoder);
	return r;
}
