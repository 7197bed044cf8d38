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

#include "base/clock.h"
#include "base/keep.h"
#include "fs/filter.h"
#include "fs/session.h"
#include "fs/stream.h"
#include "store/event.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdlib.h>

#define MAX_STREAMS 256
/* That read from the log at the same time: each has a state of its own in memory. */
#define MAX_REPLAYS 16
#define LINGER (10 * NSEC_PER_SEC)

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

/* --- who waits ------------------------------------------------------------- */

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

	while (s->waiters && stream_is_ready(s, &looked)) {
		struct waiter w = *s->waiters;

		drop_waiter(s->waiters);
		stream_answer(s, w.req, w.size);
	}
	if (s->poll && stream_is_ready(s, &looked)) {
		fuse_lowlevel_notify_poll(s->poll);
		fuse_pollhandle_destroy(s->poll);
		s->poll = NULL;
		s->poll_handle = 0;
		stream_keep(s);
	}
	return looked > 0;
}

/* --- the filter --------------------------------------------------------------- */

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
	rc = rc ? rc : stream_seek(s, f.since, MAX_REPLAYS);
	if (rc) {
		free(f.pattern);
		return rc;
	}
	free(s->pattern);
	s->pattern = f.pattern;
	s->given = (struct mark){.revision = f.since};
	stream_keep(s);
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
	stream_keep(s);
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

void events_wake(struct events *ev, struct session *session)
{
	for (struct stream *s = ev->streams; s; s = s->next) {
		if (s->poll_handle && !s->poll) {
			session_wake_poll(session, s->poll_handle);
			s->poll_handle = 0;
			stream_keep(s);
		}
	}
}

/* --- requests, once it is open ---------------------------------------------------- */

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
	stream_drop_kept(s);
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
		stream_take_back(s);
	}
	if (!s->was_read) {
		s->was_read = true;
		stream_keep(s);
	}
	if (!s->waiters && stream_is_ready(s, &looked)) {
		stream_answer(s, req, size);
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
		stream_keep(s);
	}
	ready |= stream_is_ready(s, &looked) ? POLLIN | POLLRDNORM : 0;
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

	for (unsigned i = 0; i < ev->n_streams && !stream_wants_replay(s); i++) {
		s = s->next ? s->next : ev->streams;
	}
	if (s && stream_wants_replay(s)) {
		ev->turn = s->next;
		(void)stream_replay_some(s);
		ev->fresh = true;
	}
	for (s = ev->streams; s && !busy; s = s->next) {
		busy = stream_wants_replay(s);
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
	stream_restore_all(ev, create);
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
