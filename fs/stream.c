/* SPDX-License-Identifier: MIT
 * Copyright (c) 2026 The cubbyfs authors */

#include "fs/stream.h"

#include "fs/pattern.h"
#include "fs/session.h"
#include "store/event.h"

#include "base/clock.h"

#include <errno.h>
#include <string.h>

#define NO_MORE "}\n"
/* Read from the log ahead of the reader. */
#define AHEAD ((size_t)256 << 10)
/* One revision's events that are read from the log. */
#define MAX_REVISION ((size_t)64 << 20)
#define SLICE NSEC_PER_MSEC

/* --- what is next ---------------------------------------------------- */

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

	if (!s->partial && stream_text_size(s) == 0 && !s->replay && s->at < r->first &&
		enter_ring(s) < 0) {
		return false;
	}
	if (s->partial || stream_text_size(s) > 0) {
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

bool stream_is_ready(struct stream *s, unsigned *looked)
{
	return has_next(s, looked) || s->ended;
}

/* --- the log --------------------------------------------------------- */

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
		failed = stream_text_size(s) > MAX_REVISION ||
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

bool stream_wants_replay(const struct stream *s)
{
	return s->replay && stream_text_size(s) < AHEAD;
}

int stream_replay_some(struct stream *s)
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

/* --- answers --------------------------------------------------------- */

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
	while (stream_text_size(s) > 0) {
		const char *start = s->text.data + s->text_start;
		const char *end = memchr(start, '\n', stream_text_size(s));
		size_t size = end ? (size_t)(end - start) + 1 : stream_text_size(s);
		size_t n = take(out, limit, start, size);

		if (n > 0 && !s->in_line) {
			stream_mark_text(s, start, size);
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

		if (stream_text_size(s) > 0) {
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
		stream_mark_line(s, l->revision, l->more);
		if (n < l->size) {
			l->refs++;
			s->partial = l;
			s->partial_start = n;
			return;
		}
	}
}

void stream_answer(struct stream *s, fuse_req_t req, size_t size)
{
	struct buffer *out = &s->ev->scratch;
	size_t left = s->given.rest.size;
	bool ends = left <= (size >= PIECE ? size - 1 : size); /* the line that is being given */

	s->answered = session_request(frontend_of(req)->session);
	stream_keep_before(s, ends);
	collect(s, out, size);
	stream_keep_rest(s, ends ? 0 : left);
	stream_keep(s);
	if (out->size == 0 && !s->ended) {
		fuse_reply_err(req, ENOMEM);
	} else {
		fuse_reply_buf(req, out->data, out->size);
	}
}

/* --- where to begin --------------------------------------------------------------- */

static unsigned count_replays(const struct events *ev)
{
	unsigned n = 0;

	for (const struct stream *s = ev->streams; s; s = s->next) {
		n += s->replay != NULL;
	}
	return n;
}

int stream_seek(struct stream *s, uint64_t since, unsigned max_replays)
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
