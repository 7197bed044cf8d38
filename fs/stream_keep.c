/* SPDX-License-Identifier: MIT
 * Copyright (c) 2026 The cubbyfs authors */

#include "fs/stream.h"

#include "base/keep.h"
#include "base/log.h"
#include "store/event.h"

#include <limits.h>
#include <stdlib.h>
#include <string.h>

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

void stream_keep(const struct stream *s)
{
	keep_mark(s, s->handle, false);
}

void stream_mark_line(struct stream *s, uint64_t revision, bool more)
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

/* No value can have such a piece in it, for its quotes would be escaped. */
void stream_mark_text(struct stream *s, const char *line, size_t size)
{
	static const char name[] = "\"revision\":", first[] = "\"first\":"; /* of a lost one */
	const char *at = memmem(line, size, name, strlen(name));
	bool more = size >= strlen(MORE) &&
		memcmp(line + size - strlen(MORE), MORE, strlen(MORE)) == 0;

	if (at) {
		stream_mark_line(s, strtoull(at + strlen(name), NULL, 10), more);
	} else if ((at = memmem(line, size, first, strlen(first)))) {
		stream_mark_line(s, strtoull(at + strlen(first), NULL, 10) - 1, false);
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
	end = s->in_line ? memchr(start, '\n', stream_text_size(s)) : NULL;
	return end ? bytes_of(start, (size_t)(end - start) + 1) : bytes_of(NULL, 0);
}

void stream_keep_rest(struct stream *s, size_t old)
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

void stream_keep_before(const struct stream *s, bool with_rest)
{
	keep_mark(s, s->handle | BEFORE, with_rest);
}

void stream_drop_kept(const struct stream *s)
{
	struct keep *k = s->ev->keep;

	keep_drop(k, KEEP_STREAM, s->handle);
	keep_drop(k, KEEP_STREAM, s->handle | BEFORE);
	keep_drop(k, KEEP_REST, s->handle);
}

/* --- taking over --------------------------------------------------------------- */

/* Goes on from a mark that was kept. */
static int go_on(struct stream *s, const struct kept_stream *kept, struct bytes rest)
{
	struct buffer text = {0};
	int rc = stream_seek(s, kept->revision, UINT_MAX);

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
	stream_keep_rest(s, 0);
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

struct restoration {
	struct events *ev;
	struct stream *(*create)(struct events *ev, uint64_t handle);
};

static void restore(void *arg, uint64_t id, struct bytes b)
{
	const struct restoration *r = arg;
	struct events *ev = r->ev;
	struct kept_stream kept;
	struct bytes pattern;
	struct stream *s;

	if ((id & BEFORE) || !kept_stream(ev, id, &b, &kept, &pattern)) {
		return;
	}
	s = r->create(ev, id);
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

void stream_take_back(struct stream *s)
{
	struct kept_stream kept;
	struct bytes b, pattern;

	if (keep_find(s->ev->keep, KEEP_STREAM, s->handle | BEFORE, &b) &&
		kept_stream(s->ev, s->handle, &b, &kept, &pattern) && go_on(s, &kept, b)) {
		log_error("out of memory: a stream of events has come to its end");
		s->ended = true;
	}
}

void stream_restore_all(
	struct events *ev, struct stream *(*create)(struct events *ev, uint64_t handle))
{
	struct restoration r = {.ev = ev, .create = create};

	keep_each(ev->keep, KEEP_STREAM, restore, &r);
}
