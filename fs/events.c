/* SPDX-License-Identifier: MIT
 * Copyright (c) 2026 The cubbyfs authors */

/* Streams share one ring of recent events, encoded once. A stream's position in it
 * is a number that counts events, so a new event costs nothing for each stream, and
 * one that was evicted is noticed when it is wanted. A stream that reads a line in
 * pieces holds on to it; else the ring alone does.
 *
 * The ring is bounded in bytes. A reader who has fallen behind its oldest event gets
 * a `lost` line, and goes on with the first revision that the ring has whole. The
 * newest event stays, however large it is, so that a large value can be watched.
 * The ring exists while a stream is open and a little longer, for one that is
 * opened again at once; when it does not, a commit pays nothing.
 *
 * Who asks for what is older than the ring gets it from the log (event_replay), a
 * slice at a time, and no faster than he reads. The replay reads on while the log
 * grows; when it has come to the end, the ring takes over. Both number what they
 * tell by revision, so what the stream has had is skipped: no event is lost on
 * the way, and none comes twice.
 *
 * `more` is about what the stream gets: who has a filter and had the last event of a
 * revision that passes it must not get that again when he resumes.
 *
 * Nothing is answered from within a commit: events_tick does that, after each
 * batch of requests. Notifying a poll writes a message that wakes the waiters of the
 * file; the kernel takes no lock of an inode for that (unlike for the invalidation
 * of a cache), so the loop may do it. An INTERRUPT comes in as a request of its own
 * on the same thread: libfuse calls `interrupted` while it holds a lock of the
 * request that was interrupted, which answering that request does not need. */

#include "fs/events.h"

#include "base/cleanup.h"
#include "base/clock.h"
#include "base/keep.h"
#include "base/log.h"
#include "fs/filter.h"
#include "fs/ops.h"
#include "fs/pattern.h"
#include "fs/ring.h"
#include "fs/session.h"
#include "store/event.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <poll.h>
#include <stdlib.h>

#define MAX_STREAMS 256
/* That read from the log at the same time: each has a state of its own in memory. */
#define MAX_REPLAYS 16
/* How a line ends that is not the last of its revision. */
#define MORE ",\"more\":true}\n"
#define NO_MORE "}\n"
/* Read from the log ahead of the reader. */
#define AHEAD ((size_t)256 << 10)
/* One revision's events that are read from the log. */
#define MAX_REVISION ((size_t)64 << 20)
#define LINGER (10 * NSEC_PER_SEC)
#define SLICE NSEC_PER_MSEC
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

/* --- the ring ------------------------------------------------------------- */

static void on_event(void *arg, const struct store_event *e)
{
	struct events *ev = arg;
	struct line *l;

	ev->fresh = true;
	if (e->type == STORE_EVENT_LOST) {
		ring_lose(&ev->ring, e->revision - 1);
		return;
	}
	l = line_create(&ev->scratch, e);
	if (!l || !ring_add(&ev->ring, l)) {
		line_unref(l);
		ring_lose(&ev->ring, e->revision);
	}
}

static void watch(struct events *ev)
{
	if (!ev->watching) {
		ev->watching = true;
		ev->ring.revision = store_revision(ev->store);
		ev->ring.whole_from = ev->ring.revision + 1;
		store_watch(ev->store, on_event, ev);
	}
}

static void unwatch(struct events *ev)
{
	if (ev->watching) {
		ev->watching = false;
		store_watch(ev->store, NULL, NULL);
		ring_drop(&ev->ring);
		buffer_finish(&ev->scratch);
	}
}

/* --- streams: what is next ---------------------------------------------------- */

static size_t text_size(const struct stream *s)
{
	return s->text.size - s->text_start;
}

static void text_drop(struct stream *s, size_t size)
{
	s->text_start += size;
	if (s->text_start == s->text.size) {
		s->text.size = s->text_start = 0;
		if (s->text.capacity > 4 * AHEAD) {
			buffer_finish(&s->text);
		}
	}
}

/* The first revision of which the stream has not had all. */
static uint64_t next_revision(const struct stream *s)
{
	return s->has_more ? s->last : s->last + 1;
}

/* Revisions up to `first` cannot be told. */
static int tell_loss(struct stream *s, uint64_t from, uint64_t first)
{
	const struct store_event lost = {
		.type = STORE_EVENT_LOST, .from = from, .revision = first};
	int rc = event_encode(&lost, &s->text);

	if (rc == 0) {
		s->last = first - 1;
		s->has_more = false;
	}
	return rc;
}

/* Goes on in the ring, after what the stream has had. */
static int enter_ring(struct stream *s)
{
	const struct ring *r = &s->ev->ring;
	uint64_t next = next_revision(s);
	int rc = 0;

	if (next < r->whole_from) {
		rc = tell_loss(s, next, r->whole_from);
	}
	if (rc == 0) {
		s->at = ring_after(r, s->last);
	}
	return rc;
}

static bool wants(const struct stream *s, struct bytes path)
{
	return !s->pattern || pattern_matches(bytes_of_string(s->pattern), path);
}

/* What a match takes beyond looking, so that no pattern holds the loop for long. */
static unsigned match_cost(const struct stream *s, struct bytes path)
{
	return s->pattern ? (unsigned)(strlen(s->pattern) * path.size / 1024) : 0;
}

static void pass(struct stream *s, const struct line *l)
{
	s->at++;
	s->last = l->revision;
	s->has_more = l->more;
}

/* Moves on to the next event that the stream wants. False if there is none yet;
 * looks at so many events at most, and then *looked is 0. */
static bool has_next(struct stream *s, unsigned *looked)
{
	const struct ring *r = &s->ev->ring;

	if (!s->partial && text_size(s) == 0 && !s->replay && s->at < r->first &&
		enter_ring(s) < 0) {
		return false;
	}
	if (s->partial || text_size(s) > 0) {
		return true;
	}
	if (s->replay) {
		return false;
	}
	for (; s->at < ring_end(r) && *looked > 0; --*looked) {
		const struct line *l = ring_line(r, s->at);
		unsigned cost = match_cost(s, line_path(l));

		*looked -= cost < *looked ? cost : *looked - 1;
		if (l->revision >= next_revision(s) && wants(s, line_path(l))) {
			return true;
		}
		if (l->revision >= next_revision(s)) {
			pass(s, l);
		} else {
			s->at++; /* the log has told it */
		}
	}
	return false;
}

/* Whether a read has something to say, be it that this is the end. */
static bool is_ready(struct stream *s, unsigned *looked)
{
	return has_next(s, looked) || s->ended;
}

/* --- streams: the log --------------------------------------------------------- */

/* The line at the end was not the last of its revision. 0 or -ENOMEM. */
static int add_more(struct buffer *text)
{
	int rc = buffer_reserve(text, text->size + sizeof(MORE));

	if (rc == 0) {
		text->size -= strlen(NO_MORE);
		buffer_append(text, MORE, strlen(MORE));
	}
	return rc;
}

static void on_past_event(void *arg, const struct store_event *e)
{
	struct stream *s = arg;
	bool failed = false;

	if (e->type == STORE_EVENT_LOST) {
		s->last = e->revision - 1;
		s->has_more = false;
		(void)event_encode(e, &s->text);
		return;
	}
	if (s->skip > 0 && e->revision == s->skip_revision && wants(s, e->path)) {
		s->skip--;
	} else if (s->too_large != e->revision && wants(s, e->path)) {
		struct store_event last = *e;

		last.more = false;
		failed = text_size(s) > MAX_REVISION ||
			(s->told == e->revision && add_more(&s->text)) ||
			event_encode(&last, &s->text) != 0;
		s->told = e->revision;
	}
	if (failed) {
		s->too_large = e->revision;
		(void)tell_loss(s, e->revision, e->revision + 1);
	}
	s->last = e->revision;
	s->has_more = e->more;
}

static bool wants_replay(const struct stream *s)
{
	return s->replay && text_size(s) < AHEAD;
}

/* 0, or -ENOMEM: to be tried again. */
static int replay_some(struct stream *s)
{
	int rc = event_replay_step(s->replay, SLICE, on_past_event, s);

	if (rc == 0) {
		return 0;
	}
	event_replay_destroy(s->replay);
	s->replay = NULL;
	s->too_large = 0;
	if (rc > 0 && s->last < store_revision(s->ev->store)) {
		s->last = store_revision(s->ev->store); /* no event to tell of */
	}
	/* After a failure the ring says what is lost. */
	return enter_ring(s);
}

/* --- streams: outliving the process --------------------------------------------- */

/* Followed by the pattern, and by the rest of a line if `rest_at` is INLINE. A long line that is
 * given in pieces is kept once, in an object of its own. */
struct kept_stream {
	uint64_t opened, revision, answered, poll_handle;
	uint64_t rest_at;
	uint32_t lines, pattern_size;
	bool was_read, has_pattern;
};

#define INLINE UINT64_MAX
#define BEFORE (UINT64_C(1) << 63) /* the number of the object that says how it was before */

static void keep_mark(const struct stream *s, uint64_t id, bool with_rest)
{
	const struct mark *m = &s->given;
	struct bytes pattern = bytes_of_string(s->pattern ? s->pattern : "");
	struct keep *k = s->ev->keep;
	struct kept_stream kept;

	memset(&kept, 0, sizeof(kept));
	kept.opened = s->opened;
	kept.revision = m->revision;
	kept.lines = m->lines;
	kept.rest_at = m->rest.size > 0 && !with_rest ? m->rest_at : INLINE;
	kept.answered = s->answered;
	kept.poll_handle = s->poll_handle;
	kept.pattern_size = (uint32_t)pattern.size;
	kept.was_read = s->was_read;
	kept.has_pattern = s->pattern != NULL;
	keep_put(k, KEEP_STREAM, id, bytes_of(&kept, sizeof(kept)));
	keep_write(k, KEEP_STREAM, id, sizeof(kept), pattern);
	if (with_rest) {
		keep_write(k, KEEP_STREAM, id, sizeof(kept) + pattern.size, m->rest);
	}
}

static void keep_stream(const struct stream *s)
{
	keep_mark(s, s->handle, false);
}

/* A line was given whole, or its last piece. */
static void mark_line(struct stream *s, uint64_t revision, bool more)
{
	if (revision != s->given.revision + 1 || !more) {
		s->given.lines = 0;
	}
	if (more) {
		s->given.revision = revision - 1;
		s->given.lines++;
	} else if (revision > s->given.revision) {
		s->given.revision = revision;
	}
	s->given.rest.size = 0;
}

/* The same for a line of text: what it says of itself. No value can have such a piece in
 * it, for its quotes would be escaped. */
static void mark_text(struct stream *s, const char *line, size_t size)
{
	static const char name[] = "\"revision\":", first[] = "\"first\":"; /* of a lost one */
	const char *at = memmem(line, size, name, strlen(name));
	bool more = size >= strlen(MORE) &&
		memcmp(line + size - strlen(MORE), MORE, strlen(MORE)) == 0;

	if (at) {
		mark_line(s, strtoull(at + strlen(name), NULL, 10), more);
	} else if ((at = memmem(line, size, first, strlen(first)))) {
		mark_line(s, strtoull(at + strlen(first), NULL, 10) - 1, false);
	}
}

/* Where it is, of the line that is being given in pieces. */
static struct bytes rest_of_line(const struct stream *s)
{
	const char *start = s->text.data + s->text_start, *end;

	if (s->partial) {
		return bytes_of(
			s->partial->data + s->partial_start, s->partial->size - s->partial_start);
	}
	end = s->in_line ? memchr(start, '\n', text_size(s)) : NULL;
	return end ? bytes_of(start, (size_t)(end - start) + 1) : bytes_of(NULL, 0);
}

/* `old`: how much was left before of the line that is being given, if that is the same one;
 * else 0. */
static void keep_rest(struct stream *s, size_t old)
{
	struct keep *k = s->ev->keep;

	s->given.rest = rest_of_line(s);
	if (old > 0) {
		s->given.rest_at += old - s->given.rest.size;
	} else if (s->given.rest.size > 0) {
		s->given.rest_at = 0;
		keep_put(k, KEEP_REST, s->handle, s->given.rest);
	} else if (s->rest_is_kept) {
		keep_drop(k, KEEP_REST, s->handle);
	}
	s->rest_is_kept = s->given.rest.size > 0;
}

/* --- streams: answers --------------------------------------------------------- */

/* Adds bytes to an answer: a whole line, or the beginning of one that is larger than
 * the answer may be. How many went in; 0: the answer is full. */
static size_t take(struct buffer *out, size_t limit, const char *data, size_t size)
{
	if (out->size + size > limit) {
		size = out->size == 0 ? limit : 0;
	}
	return buffer_append(out, data, size) ? 0 : size;
}

static bool take_partial(struct stream *s, struct buffer *out, size_t limit)
{
	struct line *l = s->partial;
	size_t n = take(out, limit, l->data + s->partial_start, l->size - s->partial_start);

	s->partial_start += n;
	if (s->partial_start < l->size) {
		return false;
	}
	line_unref(l);
	s->partial = NULL;
	return true;
}

static bool take_text(struct stream *s, struct buffer *out, size_t limit)
{
	while (text_size(s) > 0) {
		const char *start = s->text.data + s->text_start;
		const char *end = memchr(start, '\n', text_size(s));
		size_t size = end ? (size_t)(end - start) + 1 : text_size(s);
		size_t n = take(out, limit, start, size);

		if (n > 0 && !s->in_line) {
			mark_text(s, start, size);
		}
		s->in_line = n > 0 ? n < size : s->in_line;
		text_drop(s, n);
		if (n < size) {
			return false;
		}
	}
	return true;
}

/* Whether a line that says `more` is the last one of its revision for this stream. */
static bool is_last(const struct stream *s, const struct line *l)
{
	const struct ring *r = &s->ev->ring;

	if (!l->more || !s->pattern) {
		return false;
	}
	for (uint64_t i = s->at + 1; i < ring_end(r) && ring_line(r, i)->revision == l->revision;
		i++) {
		if (wants(s, line_path(ring_line(r, i)))) {
			return false;
		}
	}
	return true;
}

/* It then goes without that, by way of the stream's own text. 0 or -ENOMEM. */
static int add_last(struct stream *s, const struct line *l)
{
	size_t size = l->size - strlen(MORE);
	int rc = buffer_reserve(&s->text, s->text.size + l->size);

	if (rc == 0) {
		buffer_append(&s->text, l->data, size);
		buffer_append(&s->text, NO_MORE, strlen(NO_MORE));
		pass(s, l);
	}
	return rc;
}

/* What the stream has, as far as it goes into `size` bytes. */
static void collect(struct stream *s, struct buffer *out, size_t size)
{
	size_t limit = size >= PIECE ? size - 1 : size;
	unsigned looked = MAX_LOOK;

	out->size = 0;
	if ((s->partial && !take_partial(s, out, limit)) || !take_text(s, out, limit)) {
		return;
	}
	while (out->size < limit && has_next(s, &looked)) {
		struct line *l;
		size_t n;

		if (text_size(s) > 0) {
			if (!take_text(s, out, limit)) {
				return;
			}
			continue;
		}
		l = ring_line(&s->ev->ring, s->at);
		if (is_last(s, l)) {
			if (add_last(s, l)) {
				return;
			}
			continue;
		}
		n = take(out, limit, l->data, l->size);
		if (n == 0) {
			return;
		}
		pass(s, l);
		mark_line(s, l->revision, l->more);
		if (n < l->size) {
			l->refs++;
			s->partial = l;
			s->partial_start = n;
			return;
		}
	}
}

static void answer(struct stream *s, fuse_req_t req, size_t size)
{
	struct buffer *out = &s->ev->scratch;

	size_t left = s->given.rest.size;
	bool ends = left <= (size >= PIECE ? size - 1 : size); /* the line that is being given */

	s->answered = session_request(frontend_of(req)->session);
	keep_mark(s, s->handle | BEFORE, ends);
	collect(s, out, size);
	keep_rest(s, ends ? 0 : left);
	keep_stream(s);
	if (out->size == 0 && !s->ended) {
		fuse_reply_err(req, ENOMEM);
	} else {
		fuse_reply_buf(req, out->data, out->size);
	}
}

static void drop_waiter(struct waiter *w)
{
	struct waiter **at = &w->stream->waiters;

	while (*at != w) {
		at = &(*at)->next;
	}
	*at = w->next;
	free(w);
}

static void interrupted(fuse_req_t req, void *arg)
{
	drop_waiter(arg);
	fuse_reply_err(req, EINTR);
}

static void keep(struct stream *s, fuse_req_t req, size_t size)
{
	struct waiter *w = malloc(sizeof(*w));
	struct waiter **tail = &s->waiters;

	if (!w) {
		fuse_reply_err(req, ENOMEM);
		return;
	}
	*w = (struct waiter){.stream = s, .req = req, .size = size};
	while (*tail) {
		tail = &(*tail)->next;
	}
	*tail = w;
	/* Calls it at once if that has happened already. */
	fuse_req_interrupt_func(req, interrupted, w);
}

/* Answers who waits, and wakes who polls, if there is something. */
static bool serve(struct stream *s)
{
	unsigned looked = MAX_LOOK;

	while (s->waiters && is_ready(s, &looked)) {
		struct waiter w = *s->waiters;

		drop_waiter(s->waiters);
		answer(s, w.req, w.size);
	}
	if (s->poll && is_ready(s, &looked)) {
		fuse_lowlevel_notify_poll(s->poll);
		fuse_pollhandle_destroy(s->poll);
		s->poll = NULL;
		s->poll_handle = 0;
		keep_stream(s);
	}
	return looked > 0;
}

/* --- the filter --------------------------------------------------------------- */

static unsigned count_replays(const struct events *ev)
{
	unsigned n = 0;

	for (const struct stream *s = ev->streams; s; s = s->next) {
		n += s->replay != NULL;
	}
	return n;
}

/* Goes back, or forward, to what comes after revision `since`. */
static int seek(struct stream *s, uint64_t since, unsigned max_replays)
{
	struct stream before = *s;
	struct event_replay *replay = NULL;
	uint64_t revision = store_revision(s->ev->store);
	int rc = 0;

	if (since < revision && since + 1 < s->ev->ring.whole_from) {
		if (!s->replay && count_replays(s->ev) >= max_replays) {
			return -ENOBUFS;
		}
		rc = event_replay_create(&replay, s->ev->store, since);
		if (rc && rc != STORE_UNSUPPORTED) {
			return rc;
		}
	}
	s->text.size = s->text_start = 0;
	s->told = 0;
	s->last = since;
	s->has_more = false;
	rc = 0;
	if (since > revision) {
		/* Of a state that is no more: what was not on the disk at a power cut. */
		rc = tell_loss(s, since + 1, revision + 1);
	}
	if (rc == 0 && !replay) {
		rc = enter_ring(s);
	}
	if (rc) {
		s->text.size = before.text.size;
		s->text_start = before.text_start;
		s->last = before.last;
		s->has_more = before.has_more;
		s->at = before.at;
		return rc;
	}
	event_replay_destroy(s->replay);
	s->replay = replay;
	return 0;
}

static struct stream *find(struct events *ev, uint64_t handle)
{
	struct stream *s = ev->streams;

	while (s && s->handle != handle) {
		s = s->next;
	}
	return s;
}

int events_write(struct events *ev, uint64_t handle, struct bytes line)
{
	struct stream *s = find(ev, handle);
	struct filter f = {0};
	int rc;

	if (!s || s->was_read) {
		return s ? -EBUSY : STORE_BAD_HANDLE;
	}
	f.since = s->opened;
	rc = filter_parse(&f, line);
	rc = rc ? rc : seek(s, f.since, MAX_REPLAYS);
	if (rc) {
		free(f.pattern);
		return rc;
	}
	free(s->pattern);
	s->pattern = f.pattern;
	s->given = (struct mark){.revision = f.since};
	keep_stream(s);
	return 0;
}

/* --- requests ----------------------------------------------------------------- */

/* NULL without memory. */
static struct stream *create(struct events *ev, uint64_t handle)
{
	struct stream *s = calloc(1, sizeof(*s));

	if (!s) {
		return NULL;
	}
	watch(ev);
	s->ev = ev;
	s->handle = handle;
	s->ended = ev->ended;
	s->at = ring_end(&ev->ring);
	s->opened = s->last = s->given.revision = store_revision(ev->store);
	s->next = ev->streams;
	ev->streams = s;
	ev->n_streams++;
	return s;
}

int events_open(struct events *ev, uint64_t *handle)
{
	struct stream *s;

	if (ev->n_streams >= MAX_STREAMS) {
		return -EMFILE;
	}
	s = create(ev, ev->next_handle);
	if (!s) {
		return -ENOMEM;
	}
	*handle = ev->next_handle++;
	keep_stream(s);
	return 0;
}

static void destroy(struct stream *s)
{
	for (struct waiter *w = s->waiters, *next; w; w = next) {
		next = w->next;
		fuse_reply_err(w->req, EINTR);
		free(w);
	}
	if (s->poll) {
		fuse_pollhandle_destroy(s->poll);
	}
	event_replay_destroy(s->replay);
	line_unref(s->partial);
	buffer_finish(&s->text);
	free(s->pattern);
	free(s);
}

/* --- taking over --------------------------------------------------------------- */

/* Goes on from a mark that was kept. */
static int go_on(struct stream *s, const struct kept_stream *kept, struct bytes rest)
{
	struct buffer text = {0};
	int rc = seek(s, kept->revision, UINT_MAX);

	rc = rc ? rc : buffer_append(&text, rest.data, rest.size);
	rc = rc ? rc : buffer_append(&text, s->text.data, s->text.size);
	if (rc) {
		buffer_finish(&text);
		return rc;
	}
	buffer_finish(&s->text);
	line_unref(s->partial);
	s->partial = NULL;
	s->text = text;
	s->in_line = rest.size > 0;
	s->skip_revision = kept->revision + 1;
	s->skip = kept->lines;
	s->given = (struct mark){.revision = kept->revision, .lines = kept->lines};
	keep_rest(s, 0);
	return 0;
}

static bool kept_stream(const struct events *ev, uint64_t handle, struct bytes *b,
	struct kept_stream *kept, struct bytes *pattern)
{
	struct bytes rest;

	if (b->size < sizeof(*kept)) {
		return false;
	}
	memcpy(kept, b->data, sizeof(*kept));
	*pattern = bytes_of(b->data + sizeof(*kept), kept->pattern_size);
	*b = bytes_of(b->data + sizeof(*kept) + kept->pattern_size,
		b->size - sizeof(*kept) - kept->pattern_size);
	if (kept->rest_at != INLINE) {
		if (!keep_find(ev->keep, KEEP_REST, handle, &rest) || rest.size < kept->rest_at) {
			return false;
		}
		*b = bytes_of(rest.data + kept->rest_at, rest.size - kept->rest_at);
	}
	return true;
}

static void restore(void *arg, uint64_t id, struct bytes b)
{
	struct events *ev = arg;
	struct kept_stream kept;
	struct bytes pattern;
	struct stream *s;

	if ((id & BEFORE) || !kept_stream(ev, id, &b, &kept, &pattern)) {
		return;
	}
	s = create(ev, id);
	if (s && kept.has_pattern) {
		s->pattern = strndup(pattern.size ? pattern.data : "", pattern.size);
	}
	if (!s || (kept.has_pattern && !s->pattern) || go_on(s, &kept, b)) {
		log_error("out of memory: a stream of events has come to its end");
		if (s) {
			s->ended = true;
		}
		return;
	}
	s->opened = kept.opened;
	s->was_read = kept.was_read;
	s->answered = kept.answered;
	s->poll_handle = kept.poll_handle;
	ev->next_handle = id >= ev->next_handle ? id + 1 : ev->next_handle;
	ev->fresh = true;
}

/* The last answer did not get through. */
static void take_back(struct stream *s)
{
	struct kept_stream kept;
	struct bytes b, pattern;

	if (keep_find(s->ev->keep, KEEP_STREAM, s->handle | BEFORE, &b) &&
		kept_stream(s->ev, s->handle, &b, &kept, &pattern) && go_on(s, &kept, b)) {
		log_error("out of memory: a stream of events has come to its end");
		s->ended = true;
	}
}

void events_wake(struct events *ev, struct session *session)
{
	for (struct stream *s = ev->streams; s; s = s->next) {
		if (s->poll_handle && !s->poll) {
			session_wake_poll(session, s->poll_handle);
			s->poll_handle = 0;
			keep_stream(s);
		}
	}
}

void events_release(struct events *ev, uint64_t handle)
{
	struct stream **at = &ev->streams;
	struct stream *s;

	while (*at && (*at)->handle != handle) {
		at = &(*at)->next;
	}
	s = *at;
	if (!s) {
		return;
	}
	*at = s->next;
	if (ev->turn == s) {
		ev->turn = s->next;
	}
	keep_drop(ev->keep, KEEP_STREAM, handle);
	keep_drop(ev->keep, KEEP_STREAM, handle | BEFORE);
	keep_drop(ev->keep, KEEP_REST, handle);
	if (--ev->n_streams == 0) {
		ev->idle_since = clock_elapsed(&clock_system);
	}
	destroy(s);
}

void events_read(struct events *ev, uint64_t handle, fuse_req_t req, size_t size, int flags)
{
	struct stream *s = find(ev, handle);
	unsigned looked = MAX_LOOK;

	if (!s) {
		fuse_reply_err(req, EBADF);
		return;
	}
	if (session_is_resent(frontend_of(req)->session) &&
		session_request(frontend_of(req)->session) == s->answered) {
		take_back(s);
	}
	if (!s->was_read) {
		s->was_read = true;
		keep_stream(s);
	}
	if (!s->waiters && is_ready(s, &looked)) {
		answer(s, req, size);
	} else if (flags & O_NONBLOCK) {
		fuse_reply_err(req, EAGAIN);
	} else {
		keep(s, req, size);
	}
	ev->fresh |= looked == 0;
}

unsigned events_poll(
	struct events *ev, uint64_t handle, struct fuse_pollhandle *ph, uint64_t number)
{
	struct stream *s = find(ev, handle);
	unsigned looked = MAX_LOOK;
	unsigned ready = 0;

	if (!s) {
		if (ph) {
			fuse_pollhandle_destroy(ph);
		}
		return POLLERR;
	}
	if (ph) {
		if (s->poll) {
			fuse_pollhandle_destroy(s->poll);
		}
		s->poll = ph;
		s->poll_handle = number;
		keep_stream(s);
	}
	ready |= is_ready(s, &looked) ? POLLIN | POLLRDNORM : 0;
	ready |= s->was_read ? 0 : POLLOUT | POLLWRNORM;
	ready |= s->ended ? POLLHUP : 0;
	ev->fresh |= looked == 0;
	return ready;
}

/* --- the loop ----------------------------------------------------------------- */

/* A slice for one stream that reads from the log. Whether another wants one. */
static bool replay_one(struct events *ev)
{
	struct stream *s = ev->turn ? ev->turn : ev->streams;
	bool busy = false;

	for (unsigned i = 0; i < ev->n_streams && !wants_replay(s); i++) {
		s = s->next ? s->next : ev->streams;
	}
	if (s && wants_replay(s)) {
		ev->turn = s->next;
		(void)replay_some(s);
		ev->fresh = true;
	}
	for (s = ev->streams; s && !busy; s = s->next) {
		busy = wants_replay(s);
	}
	return busy;
}

int64_t events_tick(struct events *ev)
{
	bool busy = ev->n_streams > 0 && replay_one(ev);

	if (ev->fresh) {
		ev->fresh = false;
		for (struct stream *s = ev->streams; s; s = s->next) {
			ev->fresh |= !serve(s);
		}
		busy |= ev->fresh;
	}
	if (ev->watching && ev->n_streams == 0) {
		int64_t left = ev->idle_since + LINGER - clock_elapsed(&clock_system);

		if (left > 0) {
			return left;
		}
		unwatch(ev);
	}
	return busy ? 0 : -1;
}

void events_hang_up(struct events *ev)
{
	for (struct stream *s = ev->streams; s; s = s->next) {
		s->ended = true;
		(void)serve(s);
	}
}

void events_end(struct events *ev)
{
	ev->ended = true;
	events_hang_up(ev);
}

int events_create(struct events **out, struct store *store, struct keep *keep)
{
	struct events *ev = calloc(1, sizeof(*ev));

	if (!ev) {
		return -ENOMEM;
	}
	ev->store = store;
	ev->keep = keep;
	ev->next_handle = 1;
	keep_each(keep, KEEP_STREAM, restore, ev);
	*out = ev;
	return 0;
}

void events_destroy(struct events *ev)
{
	if (!ev) {
		return;
	}
	for (struct stream *s = ev->streams, *next; s; s = next) {
		next = s->next;
		destroy(s);
	}
	unwatch(ev);
	buffer_finish(&ev->scratch);
	free(ev);
}
