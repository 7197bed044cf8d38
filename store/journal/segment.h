/* SPDX-License-Identifier: MIT
 * Copyright (c) 2026 The cubbyfs authors */

/* The files of a journal: their names, their order, their first and last
 * lines. FORMAT.md says what each is. */
#pragma once

#include "base/bytes.h"
#include "store/disk.h"

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

struct json_object;

#define JOURNAL_VERSION 1

#define JOURNAL_LOCK "lock"
#define JOURNAL_FORMAT "format"
#define JOURNAL_FORMAT_NEW "format.tmp"
#define JOURNAL_SYNCED "synced"
#define JOURNAL_DAMAGED "damaged"

/* An open file that more than one part holds on to: the loop that appends,
 * the thread that syncs, readers of the log. Closed with the last reference. */
struct segment_file {
	struct disk *disk;
	int fd;
	atomic_uint refs;
};

/* Takes the descriptor over, also when it fails with -ENOMEM. */
int segment_file_create(struct segment_file **out, struct disk *disk, int fd);
struct segment_file *segment_file_ref(struct segment_file *f);
void segment_file_unref(struct segment_file *f);

enum segment_kind {
	SEGMENT_LOG,
	SEGMENT_SNAPSHOT,
	SEGMENT_UNFINISHED, /* a snapshot that was never done */
};

struct segment {
	enum segment_kind kind;
	/* The first revision that it may hold; the one a snapshot stands for. */
	uint64_t base;
	uint64_t named;      /* the number in its name: base, unless logs were swapped */
	uint64_t size;       /* in bytes */
	uint64_t start, end; /* where its transitions begin and end */
	bool stale;          /* a newer snapshot took its place */
};

#define SEGMENT_NAME_SIZE 40

void segment_name(char out[static SEGMENT_NAME_SIZE], enum segment_kind kind, uint64_t base);
bool segment_parse(const char *name, enum segment_kind *kind, uint64_t *base);

struct segment_list {
	struct segment *items;
	size_t count, capacity;
};

void segment_list_finish(struct segment_list *l);
/* 0 or -ENOMEM. */
int segment_list_add(struct segment_list *l, const struct segment *s);
void segment_list_remove(struct segment_list *l, size_t index);

/* Adds what the directory holds, sorted by base. Sizes and ends are not
 * known yet. Logs whose names and first lines differ are taken by their first lines
 * if those are just the names of one another: then they were swapped. */
int segment_list_read(struct segment_list *l, struct disk *disk, const char *directory);

/* The newest snapshot, or NULL. All older ones, and all logs that another log
 * follows at or before the revision after the snapshot's, are marked stale:
 * the snapshot has all they have. */
struct segment *segment_list_mark_stale(struct segment_list *l);

/* Its file's descriptor, or a negative errno. */
int segment_open(struct disk *disk, const char *directory, const struct segment *s, int flags);

/* "DIRECTORY/NAME", owned by the caller; NULL without memory. */
char *journal_path(const char *directory, const char *name);

/* What -errno means for a file of a store, and what to do, for people: "it is a
 * directory; move it away". Borrowed; for what needs no advice, strerror(3). */
const char *journal_file_error(int error);
/* There is something in the file's place that is none. */
bool journal_is_no_file(int error);

/* First lines of logs ("log") and snapshots ("snapshot"), last ones of
 * snapshots ("end"), and the lines in the files `format` ("store") and `synced`
 * ("synced"). */
struct header {
	const char *kind; /* decoded: borrowed from the object */
	uint64_t version;
	uint64_t base;
	uint64_t next_ino;
	int64_t at;
	uint64_t count;    /* "end": the transitions before it */
	uint64_t revision; /* "synced": up to which all was on the disk */
};

/* Appends the line. 0 or -ENOMEM. */
int header_encode(const struct header *h, struct buffer *out);
/* False if that is no header of ours. */
bool header_decode(struct json_object *object, struct header *out);

/* The version that the file `format` states; 0 if it states none that can be
 * read. 0 or a negative errno. */
int format_read(struct disk *disk, const char *directory, uint64_t *version);

/* The same of the file `synced`, and its revision. */
int synced_read(struct disk *disk, const char *directory, uint64_t *revision);
