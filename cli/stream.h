/* SPDX-License-Identifier: MIT
 * Copyright (c) 2026 The cubbyfs authors */

/* The lines of .cubby/events, and how far they have been read: whatever becomes
 * of the descriptor, the next one goes on where this one ended, and no line
 * is given out twice.
 *
 * Errors are negative errnos. */
#pragma once

#include "base/bytes.h"

#include <stdbool.h>
#include <stdint.h>

struct json_object;

enum {
	STREAM_EMPTY = 1, /* no whole line, or nothing to read, for now */
	STREAM_ENDED = 2,
};

/* Borrowed until the next call. */
struct stream_line {
	struct bytes text; /* as it came, without the newline */
	struct json_object *object;
	bool lost;            /* no event: some are missing here */
	uint64_t from, first; /* revisions: the first that is missing, the next that is not */
};

struct stream {
	int fd; /* owned; -1: none */
	struct buffer buffer;
	size_t start;   /* what is before it has been given out */
	size_t scanned; /* no newline from start up to here */
	struct json_object *object;

	/* The last line's revision; or, with `whole` and no line, where to start. */
	bool has_revision;
	uint64_t revision;
	uint64_t seen; /* lines of it that came from this descriptor */
	uint64_t skip; /* so many of them were given out before */
	bool whole;    /* its last line has come */
};

void stream_init(struct stream *s);
void stream_finish(struct stream *s);

/* Goes on after that revision. */
void stream_seek(struct stream *s, uint64_t revision);

/* The revision to go on after; false: from now on. */
bool stream_since(const struct stream *s, uint64_t *since);

/* Takes fd, also on failure, and asks it for what matches (NULL: for all). */
int stream_connect(struct stream *s, int fd, const char *pattern);
/* Closes it. A line that had not come whole will come again. */
void stream_disconnect(struct stream *s);

/* Reads once. 0, STREAM_EMPTY if it would block, STREAM_ENDED. */
int stream_fill(struct stream *s);

/* The next line. STREAM_EMPTY: fill first. -EPROTO: it is no such stream. Who takes
 * a `lost` line as it is says so by stream_seek(line->first - 1); who doesn't
 * can connect anew, which goes on before it. */
int stream_next(struct stream *s, struct stream_line *line);
