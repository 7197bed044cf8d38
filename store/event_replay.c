/* SPDX-License-Identifier: MIT
 * Copyright (c) 2026 The cubbyfs authors */

/* The events of the past, out of the log.
 *
 * The old value of a key is not in the line that sets it, and what a rename moves
 * is not in its line. So the log is replayed from its beginning into a tree of its
 * own, which at each line is the state as it was then; from the revision asked for
 * on the differences are told. It takes memory for one more state and the time of a
 * replay, in slices.
 *
 * What a snapshot at the beginning of the log stands for has no events. A gap in
 * the revisions, which is what is left of a damaged line, is told as a loss. */
#include "store/event.h"

#include "base/cleanup.h"
#include "store/internal.h"
#include "store/record.h"

#include <errno.h>

#define READ_SIZE ((size_t)256 << 10)

struct event_replay {
	struct store *s;
	struct backend_log *log;
	struct tree tree;
	struct record_decoder *decoder;
	struct difference difference;

	struct buffer text; /* what was read, from the line under way on */
	size_t looked_at;   /* of it: there is no newline up to here */
	uint64_t offset;    /* in the log, of the end of the text */

	uint64_t since;
	uint64_t base; /* what the snapshot stands for ends here */
	uint64_t last; /* revision that was told, or need not be */
	bool begun;
};

int event_replay_create(struct event_replay **out, struct store *s, uint64_t since)
{
	struct event_replay *r;
	int rc;

	if (!s->ops->log_open) {
		return STORE_UNSUPPORTED;
	}
	r = calloc(1, sizeof(*r));
	if (!r) {
		return -ENOMEM;
	}
	r->s = s;
	r->since = since;
	rc = tree_init(&r->tree, s->config.uid, s->config.gid, s->config.mode, 0);
	r->tree.replaying = true;
	rc = rc ? rc : record_decoder_create(&r->decoder);
	rc = rc ? rc : s->ops->log_open(s->backend, &r->log);
	if (rc) {
		event_replay_destroy(r);
		return rc;
	}
	r->base = s->ops->log_first(r->log) - 1;
	r->last = since > r->base ? since : r->base;
	*out = r;
	return 0;
}

void event_replay_destroy(struct event_replay *r)
{
	if (!r) {
		return;
	}
	if (r->log) {
		r->s->ops->log_close(r->log);
	}
	record_decoder_destroy(r->decoder);
	difference_finish(&r->difference);
	buffer_finish(&r->text);
	if (r->tree.root) {
		tree_finish(&r->tree);
	}
	free(r);
}

uint64_t event_replay_first(const struct event_replay *r)
{
	return (r->since > r->base ? r->since : r->base) + 1;
}

static void tell_loss(uint64_t from, uint64_t first, store_event_fn *fn, void *arg)
{
	fn(arg, &(struct store_event){.type = STORE_EVENT_LOST, .from = from, .revision = first});
}

static int apply(struct event_replay *r, const struct transition *t, bool told, store_event_fn *fn,
	void *arg)
{
	int rc;

	if (told) {
		difference_begin(&r->difference, &r->tree, t);
	}
	rc = tree_replay(&r->tree, t, (struct moment){0});
	if (told) {
		difference_end(&r->difference, &r->tree, t, fn, arg);
	}
	return rc;
}

static int take_line(struct event_replay *r, struct bytes line, store_event_fn *fn, void *arg)
{
	const struct transition *t;
	int rc = record_decode(r->decoder, line, &t);
	bool is_snapshot;

	if (rc != RECORD_OK || !transition_is_possible(t)) {
		return rc < 0 ? rc : 0; /* the gap will tell */
	}
	is_snapshot = t->revision <= r->base;
	if (is_snapshot ? !(t->changes[0].fields & HAS_HISTORY) :
			  t->revision <= r->tree.revision) {
		return 0; /* the snapshot has it; or it stands there twice */
	}
	if (t->revision <= r->last) {
		return apply(r, t, false, fn, arg);
	}
	if (t->revision > r->last + 1) {
		tell_loss(r->last + 1, t->revision, fn, arg);
	}
	r->last = t->revision;
	return apply(r, t, true, fn, arg);
}

/* Takes the next whole line of what was read. 1 if there is none. */
static int next_line(struct event_replay *r, size_t *start, store_event_fn *fn, void *arg)
{
	size_t from = *start > r->looked_at ? *start : r->looked_at;
	const char *end = r->text.size > from ?
		memchr(r->text.data + from, '\n', r->text.size - from) : NULL;
	struct bytes line;

	if (!end) {
		r->looked_at = r->text.size;
		return 1;
	}
	line = bytes_of(r->text.data + *start, (size_t)(end - r->text.data) - *start);
	*start += line.size + 1;
	return take_line(r, line, fn, arg);
}

/* Lets go of the lines that were taken. */
static void drop_text(struct event_replay *r, size_t size)
{
	if (size > 0) {
		memmove(r->text.data, r->text.data + size, r->text.size - size);
		r->text.size -= size;
		r->looked_at = r->looked_at > size ? r->looked_at - size : 0;
	}
}

/* 1 at the end of the log. */
static int read_more(struct event_replay *r)
{
	ssize_t n;
	int rc = buffer_reserve(&r->text, r->text.size + READ_SIZE);

	if (rc) {
		return rc;
	}
	n = r->s->ops->log_read(r->log, r->text.data + r->text.size, READ_SIZE, r->offset);
	if (n < 0) {
		return (int)n;
	}
	r->text.size += (size_t)n;
	r->offset += (uint64_t)n;
	return n == 0;
}

int event_replay_step(struct event_replay *r, int64_t budget, store_event_fn *fn, void *arg)
{
	int64_t end = clock_elapsed(&clock_system) + budget;
	size_t start = 0;
	int rc = 0;

	if (!r->begun) {
		r->begun = true;
		if (r->since < r->base) {
			tell_loss(r->since + 1, r->base + 1, fn, arg);
		}
	}
	do {
		rc = next_line(r, &start, fn, arg);
		if (rc == 1) {
			drop_text(r, start);
			start = 0;
			rc = read_more(r);
		}
	} while (rc == 0 && clock_elapsed(&clock_system) < end);
	drop_text(r, start);
	if (rc == 1 && r->last < r->s->tree.revision) {
		tell_loss(r->last + 1, r->s->tree.revision + 1, fn, arg);
		r->last = r->s->tree.revision;
	}
	return rc;
}
