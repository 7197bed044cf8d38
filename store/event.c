/* SPDX-License-Identifier: MIT
 * Copyright (c) 2026 The cubbyfs authors */

/* The live events, and the line that an event is. Where there is no watcher, a
 * commit costs nothing but the look whether there is one. */
#include "store/event.h"

#include "base/clock.h"
#include "store/base64.h"
#include "store/internal.h"
#include "store/text.h"

#include <inttypes.h>

void store_watch(struct store *s, store_event_fn *fn, void *arg)
{
	s->watcher.fn = fn;
	s->watcher.arg = arg;
	if (!fn) {
		difference_finish(&s->watcher.difference);
	}
}

uint64_t store_revision(const struct store *s)
{
	return s->tree.revision;
}

void store_apply(struct store *s, const struct transition *t, struct prepared *prepared,
	struct moment now)
{
	struct watcher *w = &s->watcher;

	store_note_time(s, t, now);
	if (!w->fn || t->revision == 0) {
		tree_apply(&s->tree, t, prepared, now);
		return;
	}
	difference_begin(&w->difference, &s->tree, t);
	tree_apply(&s->tree, t, prepared, now);
	difference_end(&w->difference, &s->tree, t, w->fn, w->arg);
}

/* --- lines ------------------------------------------------------------------ */

static const char *const type_names[] = {
	[STORE_EVENT_CREATED] = "created",
	[STORE_EVENT_UPDATED] = "updated",
	[STORE_EVENT_DELETED] = "deleted",
	[STORE_EVENT_EXPIRED] = "expired",
};

/* How a byte is escaped, if it has to be: the letter, 'u' for a number. */
static char escape_of(unsigned char c)
{
	switch (c) {
	case '"':
	case '\\':
		return (char)c;
	case '\b':
		return 'b';
	case '\f':
		return 'f';
	case '\n':
		return 'n';
	case '\r':
		return 'r';
	case '\t':
		return 't';
	default:
		return c < 0x20 || c == 0x7f ? 'u' : 0;
	}
}

static int append_string(struct buffer *out, struct bytes text)
{
	size_t from = 0;
	int rc = buffer_append(out, "\"", 1);

	for (size_t i = 0; i < text.size && rc == 0; i++) {
		char escape = escape_of((unsigned char)text.data[i]);

		if (!escape) {
			continue;
		}
		rc = buffer_append(out, text.data + from, i - from);
		from = i + 1;
		if (rc == 0) {
			rc = escape == 'u' ?
				buffer_printf(out, "\\u%04x", (unsigned char)text.data[i]) :
				buffer_append(out, (const char[]){'\\', escape}, 2);
		}
	}
	if (rc == 0 && text.size > from) {
		rc = buffer_append(out, text.data + from, text.size - from);
	}
	return rc ? rc : buffer_append(out, "\"", 1);
}

static int append_text(struct buffer *out, struct bytes text)
{
	int rc;

	if (text_is_utf8(text)) {
		return append_string(out, text);
	}
	rc = buffer_append_string(out, "{\"base64\":\"");
	rc = rc ? rc : base64_encode(text, out);
	return rc ? rc : buffer_append_string(out, "\"}");
}

static int append_field(struct buffer *out, const char *name, struct bytes text)
{
	int rc = buffer_printf(out, ",\"%s\":", name);

	return rc ? rc : append_text(out, text);
}

static int append_value(struct buffer *out, const char *name, bool has, const struct value *value)
{
	return has ? append_field(out, name, value_bytes(value)) :
		     buffer_printf(out, ",\"%s\":null", name);
}

static int append_place(struct buffer *out, struct bytes path)
{
	const char *slash = path.size ? memrchr(path.data, '/', path.size) : NULL;
	size_t above = slash ? (size_t)(slash - path.data) : 0;
	size_t below = slash ? above + 1 : 0;
	int rc = append_field(out, "scope", bytes_of(path.data, above));

	return rc ? rc :
		    append_field(out, "key",
			    bytes_of(path.data ? path.data + below : "", path.size - below));
}

static int append_event(const struct store_event *e, struct buffer *out)
{
	char at[CLOCK_RFC3339_SIZE];
	int rc;

	if (e->type == STORE_EVENT_LOST) {
		return buffer_printf(out,
			"{\"message_type\":\"lost\",\"from\":%" PRIu64 ",\"first\":%" PRIu64 "}\n",
			e->from, e->revision);
	}
	clock_rfc3339(e->at, at);
	rc = buffer_printf(out, "{\"message_type\":\"state\",\"event_type\":\"%s\"",
		type_names[e->type]);
	rc = rc ? rc : append_place(out, e->path);
	rc = rc ? rc : append_value(out, "old_value", e->has_old, e->old_value);
	rc = rc ? rc : append_value(out, "new_value", e->has_new, e->new_value);
	rc = rc ? rc :
		  buffer_printf(out, ",\"revision\":%" PRIu64 ",\"at\":\"%s\",\"by\":%" PRIu32,
			  e->revision, at, e->by);
	if (e->action.size > 0) {
		rc = rc ? rc : append_field(out, "action", e->action);
	}
	if (e->is_namespace) {
		rc = rc ? rc : buffer_append_string(out, ",\"namespace\":true");
	}
	if (e->more) {
		rc = rc ? rc : buffer_append_string(out, ",\"more\":true");
	}
	return rc ? rc : buffer_append_string(out, "}\n");
}

int event_encode(const struct store_event *event, struct buffer *out)
{
	size_t size = out->size;
	int rc = append_event(event, out);

	if (rc) {
		out->size = size;
	}
	return rc;
}
