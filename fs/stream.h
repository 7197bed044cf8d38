/* SPDX-License-Identifier: MIT
 * Copyright (c) 2026 The cubbyfs authors */

/* A stream of events: what the files about it share (events.c, stream.c, stream_keep.c); nobody
 * else includes it. */
#pragma once

#include "fs/ops.h"
#include "fs/ring.h"

struct event_replay;

/* How a line ends that is not the last of its revision. */
#define MORE ",\"more\":true}\n"
/* Events that are looked at for one answer, at most. */
#define MAX_LOOK 2048
/* A read(2) that is larger comes in pieces. If a piece was answered in full, the
 * kernel would ask for the next one, and wait for it. */
#define PIECE 65536

struct waiter {
	struct waiter *next;
	struct stream *stream;
	fuse_req_t req;
	size_t size;
};

/* A position that the log can find again. */
struct mark {
	uint64_t revision; /* up to this he has had all */
	uint32_t lines;	   /* of the one after it so many lines */
	struct bytes rest; /* and of the next line all but these bytes; borrowed */
	uint64_t rest_at;  /* where they begin in the object that has them (KEEP_REST) */
};

struct stream {
	struct stream *next;
	struct events *ev;
	uint64_t handle;
	uint64_t opened; /* the revision then */
	char *pattern;   /* NULL: all */
	bool was_read, ended;

	/* What is ahead of the ring: of the log, and lost lines. */
	struct buffer text;
	size_t text_start;
	struct event_replay *replay; /* NULL: none */
	uint64_t too_large;	     /* the revision that is too large to be told */
	uint64_t told;		     /* the revision of the last event in the text */

	uint64_t at;   /* the number of the next event */
	uint64_t last; /* the revision of the last one that was passed */
	bool has_more; /* it was not the last of its revision */
	struct line *partial; /* a line that was not read to its end */
	size_t partial_start;

	struct waiter *waiters;
	struct fuse_pollhandle *poll;
	uint64_t poll_handle; /* the kernel's, of the same; of one before us if poll is NULL */

	/* What was given to the reader: see "outliving the process". */
	struct mark given;
	uint64_t answered; /* the last request that was */
	uint64_t skip_revision;
	uint32_t skip; /* lines of that revision that he has had */
	bool in_line;  /* the text begins in the middle of one */
	bool rest_is_kept;
};

struct events {
	struct store *store;
	struct keep *keep;
	struct stream *streams;
	struct stream *turn; /* whose replay is next; NULL: the first */
	unsigned n_streams;
	uint64_t next_handle;
	bool watching, fresh, ended;
	int64_t idle_since;
	struct ring ring;
	struct buffer scratch;
};

static inline size_t stream_text_size(const struct stream *s)
{
	return s->text.size - s->text_start;
}

/* --- stream.c: what it has to say --------------------------------------------- */

/* Whether a read has something to say, be it that this is the end. Looks at so many events at
 * most, and then *looked is 0. */
bool stream_is_ready(struct stream *s, unsigned *looked);

/* Answers a read of so many bytes with what there is. */
void stream_answer(struct stream *s, fuse_req_t req, size_t size);

/* Goes back, or forward, to what comes after revision `since`. 0, a store outcome or a negative
 * errno: -ENOBUFS if as many streams as may be read from the log. */
int stream_seek(struct stream *s, uint64_t since, unsigned max_replays);

/* Whether it would read from the log now; a slice of that. 0, or -ENOMEM: to be tried again. */
bool stream_wants_replay(const struct stream *s);
int stream_replay_some(struct stream *s);

/* --- stream_keep.c: how it outlives the process -------------------------------- */

/* Keeps it as it is. */
void stream_keep(const struct stream *s);
/* Keeps, before an answer, how it was; `with_rest`: with what is left of the line that is being
 * given in pieces, which ends with this answer. */
void stream_keep_before(const struct stream *s, bool with_rest);
/* `old`: how much was left before of the line that is being given, if that is the same one;
 * else 0. */
void stream_keep_rest(struct stream *s, size_t old);
/* It is no more. */
void stream_drop_kept(const struct stream *s);

/* A line was given whole, or its last piece. */
void stream_mark_line(struct stream *s, uint64_t revision, bool more);
/* The same for a line of text: what it says of itself. */
void stream_mark_text(struct stream *s, const char *line, size_t size);

/* The last answer did not get through. */
void stream_take_back(struct stream *s);
/* Makes those that another process has kept, each with create. */
void stream_restore_all(
	struct events *ev, struct stream *(*create)(struct events *ev, uint64_t handle));
