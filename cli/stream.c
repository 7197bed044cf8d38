/* SPDX-License-Identifier: MIT
 * Copyright (c) 2026 The cubbyfs authors */

/* A revision can have several lines, and all but its last say `more`. If the
 * stream breaks between them, it is asked for the whole revision again, and as
 * many of its lines as were given out are left out. This holds too where the
 * pattern hides the last line: then the revision is never whole, and is asked
 * for again for nothing. */

#include "cli/stream.h"

#include "base/cleanup.h"

#include <errno.h>
#include <json-c/json.h>
#include <limits.h>

#define READ_SIZE ((size_t)128 << 10)

void stream_init(struct stream *s)
{
	*s = (struct stream){.fd = -1};
}

void stream_finish(struct stream *s)
{
	stream_disconnect(s);
	buffer_finish(&s->buffer);
}

void stream_seek(struct stream *s, uint64_t revision)
{
	s->has_revision = true;
	s->revision = revision;
	s->seen = 0;
	s->skip = 0;
	s->whole = true;
}

bool stream_since(const struct stream *s, uint64_t *since)
{
	*since = s->whole || s->revision == 0 ? s->revision : s->revision - 1;
	return s->has_revision;
}

static int ask(struct stream *s, const char *pattern)
{
	_cleanup_buffer_ struct buffer line = {0};
	struct json_object *request = json_object_new_object();
	uint64_t since;
	int rc;

	if (!request) {
		return -ENOMEM;
	}
	if (pattern) {
		/* as it is: a path need not be UTF-8 */
		json_object_object_add(request, "pattern", json_object_new_string(pattern));
	}
	if (stream_since(s, &since)) {
		json_object_object_add(request, "since", json_object_new_uint64(since));
	}
	rc = buffer_printf(&line, "%s\n",
		json_object_to_json_string_ext(
			request, JSON_C_TO_STRING_PLAIN | JSON_C_TO_STRING_NOSLASHESCAPE));
	json_object_put(request);
	if (rc) {
		return rc;
	}
	if (write(s->fd, line.data, line.size) != (ssize_t)line.size) {
		return errno ? -errno : -EIO;
	}
	return 0;
}

int stream_connect(struct stream *s, int fd, const char *pattern)
{
	int rc;

	stream_disconnect(s);
	s->fd = fd;
	if (s->whole) {
		s->skip = 0;
	} else if (s->skip < s->seen) {
		s->skip = s->seen;
	}
	s->seen = 0;
	errno = 0;
	rc = ask(s, pattern);
	if (rc) {
		stream_disconnect(s);
	}
	return rc;
}

void stream_disconnect(struct stream *s)
{
	if (s->fd >= 0) {
		close(steal_fd(&s->fd));
	}
	json_object_put(s->object);
	s->object = NULL;
	s->buffer.size = 0;
	s->start = 0;
	s->scanned = 0;
}

int stream_fill(struct stream *s)
{
	ssize_t count;
	int rc;

	if (s->start) {
		s->buffer.size -= s->start;
		memmove(s->buffer.data, s->buffer.data + s->start, s->buffer.size);
		s->scanned -= s->start;
		s->start = 0;
	}
	rc = buffer_reserve(&s->buffer, s->buffer.size + READ_SIZE);
	if (rc) {
		return rc;
	}
	count = read(s->fd, s->buffer.data + s->buffer.size, READ_SIZE);
	if (count < 0) {
		return errno == EAGAIN || errno == EINTR ? STREAM_EMPTY : -errno;
	}
	s->buffer.size += (size_t)count;
	return count ? 0 : STREAM_ENDED;
}

static uint64_t number_of(struct json_object *object, const char *name)
{
	return json_object_get_uint64(json_object_object_get(object, name));
}

/* Takes note of where the line is. False if it was given out before. */
static bool take_note(struct stream *s, struct json_object *object)
{
	uint64_t revision = number_of(object, "revision");

	if (!s->has_revision || revision != s->revision) {
		s->has_revision = true;
		s->revision = revision;
		s->seen = 0;
		s->skip = 0;
	}
	s->seen++;
	s->whole = !json_object_get_boolean(json_object_object_get(object, "more"));
	return s->seen > s->skip;
}

static int parse(struct stream *s, struct stream_line *line)
{
	struct json_tokener *tokener = json_tokener_new();
	const char *kind;

	if (!tokener) {
		return -ENOMEM;
	}
	json_object_put(s->object);
	s->object = line->text.size > INT_MAX - 1
			    ? NULL
			    : json_tokener_parse_ex(tokener, line->text.data, (int)line->text.size);
	json_tokener_free(tokener);
	if (!json_object_is_type(s->object, json_type_object)) {
		return -EPROTO;
	}
	kind = json_object_get_string(json_object_object_get(s->object, "message_type"));
	line->object = s->object;
	line->lost = kind && strcmp(kind, "lost") == 0;
	return kind ? 0 : -EPROTO;
}

int stream_next(struct stream *s, struct stream_line *line)
{
	for (;;) {
		char *start = s->buffer.data + s->start;
		char *newline = NULL;
		int rc;

		if (s->scanned < s->buffer.size) {
			newline = memchr(
				s->buffer.data + s->scanned, '\n', s->buffer.size - s->scanned);
		}
		if (!newline) {
			s->scanned = s->buffer.size;
			return STREAM_EMPTY;
		}
		*line = (struct stream_line){.text = bytes_of(start, (size_t)(newline - start))};
		s->start = (size_t)(newline + 1 - s->buffer.data);
		s->scanned = s->start;
		rc = parse(s, line);
		if (rc) {
			return rc;
		}
		if (line->lost) {
			line->from = number_of(s->object, "from");
			line->first = number_of(s->object, "first");
			return line->first ? 0 : -EPROTO;
		}
		if (take_note(s, s->object)) {
			return 0;
		}
	}
}
