/* SPDX-License-Identifier: MIT
 * Copyright (c) 2026 The cubbyfs authors */

/* A turn of the loop waits in ppoll(2), to the nanosecond, until the store
 * wants to be called or something comes in; it then answers what the kernel has
 * queued, up to a batch, and calls the store.
 *
 * Who has an answer often asks again at once, and to be woken takes longer than to look a few
 * times more. So after requests it looks for some microseconds before it waits; but not where that
 * would take the only processor from those who are to ask.
 *
 * store_tick is called after every batch, since a request may have set a TTL
 * that is due before all others. While it has more to do at once (it compacts
 * in slices) requests go first, for as long as a slice: neither starves, and no
 * deadline is late by more. */

#include "fs/loop.h"

#include "base/clock.h"
#include "base/log.h"
#include "fs/announcer.h"
#include "fs/events.h"
#include "fs/holder.h"
#include "fs/ops.h"
#include "fs/session.h"

#include <errno.h>
#include <poll.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#define BATCH 64
#define SLICE (NSEC_PER_MSEC / 5)
#define LOOK (NSEC_PER_MSEC / 50)
#define GRACE (2 * NSEC_PER_SEC)
#define N_FDS 6

struct state {
	const struct loop *loop;
	struct fuse_session *fuse;
	bool announced;
	bool working; /* the store has more to do at once */
	bool looks;   /* for more requests before it waits */
	int64_t due;  /* by when store_tick has to be called */
	int64_t end;  /* when to give up waiting for the mount to end; INT64_MAX: not ending */
	enum loop_result result;
	struct pollfd fds[N_FDS];
};

static int64_t now(void)
{
	return clock_elapsed(&clock_system);
}

static void tick(struct state *st)
{
	int64_t wait = store_tick(st->loop->store);

	wait = clock_sooner(wait, events_tick(st->loop->events));
	wait = clock_sooner(wait, announcer_tick(st->loop->announcer));
	st->working = wait == 0;
	st->due = wait < 0 ? INT64_MAX : now() + (wait ? wait : SLICE);
}

/* Right after the handshake, before the first request: what that does is to be announced, and
 * who mounted us counts on our being there from the first answer on. */
static void announce(struct state *st)
{
	if (!st->announced && session_ready(st->loop->session)) {
		st->announced = true;
		if (st->loop->ready) {
			st->loop->ready(st->loop->arg);
		}
		st->fds[4].fd = announcer_mounts_fd(st->loop->announcer);
	}
}

/* Answers what is queued. Returns whether there may be more. */
static bool serve(struct state *st)
{
	for (int n = 0; n < BATCH && now() < st->due; n++) {
		int r = session_serve(st->loop->session);

		if (r < 0 && r != -EAGAIN) {
			if (r != -ENODEV) {
				log_error("/dev/fuse: %s", strerror(-r));
			}
			fuse_session_exit(st->fuse);
		}
		if (r < 0) {
			return false;
		}
		announce(st);
	}
	return true;
}

/* What the supervisor wants. It has taken the mount away when it tells us to end. */
static void take_command(struct state *st)
{
	switch (st->loop->command(st->loop->arg)) {
	case LOOP_GO_ON:
		break;
	case LOOP_END:
		if (st->end != INT64_MAX) {
			fuse_session_exit(st->fuse); /* told twice */
			break;
		}
		st->end = now() + GRACE;
		events_end(st->loop->events);
		break;
	case LOOP_HAND_OVER:
		st->result = LOOP_HANDED_OVER;
		fuse_session_exit(st->fuse);
		break;
	}
}

/* Until the store or the end wants its turn; NULL: for ever. */
static const struct timespec *timeout(const struct state *st, bool at_once, struct timespec *out)
{
	int64_t due = st->due < st->end ? st->due : st->end;
	int64_t wait = 0;

	if (!at_once && due == INT64_MAX) {
		return NULL;
	}
	if (!at_once) {
		wait = due - now();
		wait = wait > 0 ? wait : 0;
	}
	*out = (struct timespec){.tv_sec = wait / NSEC_PER_SEC, .tv_nsec = wait % NSEC_PER_SEC};
	return out;
}

/* The mounts have changed. What the kernel has queued is read before the last
 * hold on a mount that has gone is given up, which ends the connection: the
 * releases of keys that were closed just before (`: > k; umount`) commit them. */
static void look_at_mounts(struct state *st)
{
	while (!fuse_session_exited(st->fuse) && serve(st)) {
		if (now() >= st->due) {
			tick(st);
		}
	}
	if (announcer_look(st->loop->announcer)) {
		events_hang_up(st->loop->events);
	}
}

/* Whether a request has come, and been answered, in the time in which it pays to look. */
static bool look(struct state *st)
{
	int64_t end = now() + LOOK < st->due ? now() + LOOK : st->due;

	while (!fuse_session_exited(st->fuse) && now() < end) {
		if (session_serve(st->loop->session) == 1) {
			return true;
		}
	}
	return false;
}

/* *more: requests may be waiting that poll need not be asked about. */
static void turn(struct state *st, bool *more)
{
	struct pollfd *fds = st->fds;
	struct timespec t;
	bool requests;

	if (ppoll(fds, N_FDS, timeout(st, *more || st->working, &t), NULL) < 0) {
		return; /* EINTR, ENOMEM: tried again */
	}
	if (fds[1].revents) {
		take_command(st);
	}
	requests = *more || fds[0].revents;
	*more = requests && (serve(st) || (st->looks && !st->working && look(st)));
	if (fds[2].revents) {
		store_dispatch(st->loop->store);
	}
	if (fds[3].revents) {
		announcer_dispatch(st->loop->announcer);
	}
	if (fds[4].revents) {
		look_at_mounts(st);
	}
	if (fds[5].revents) {
		holders_dispatch(st->loop->holders);
	}
	if (!st->working || !requests || now() >= st->due) {
		tick(st);
	}
	store_publish(st->loop->store);
}

enum loop_result loop_run(const struct loop *l)
{
	struct state st = {.loop = l, .fuse = session_fuse(l->session), .end = INT64_MAX};
	struct pollfd *fds = st.fds;
	bool more = false;

	st.looks = sysconf(_SC_NPROCESSORS_ONLN) > 1;
	fds[0] = (struct pollfd){.fd = fuse_session_fd(st.fuse), .events = POLLIN};
	fds[1] = (struct pollfd){.fd = l->command_fd, .events = POLLIN};
	fds[2] = (struct pollfd){.fd = store_poll_fd(l->store), .events = POLLIN};
	fds[3] = (struct pollfd){.fd = announcer_poll_fd(l->announcer), .events = POLLIN};
	fds[4] = (struct pollfd){.fd = -1, .events = POLLPRI};
	fds[5] = (struct pollfd){.fd = holders_poll_fd(l->holders), .events = POLLIN};
	announce(&st); /* at once, if the session was taken over */
	tick(&st);
	while (!fuse_session_exited(st.fuse) && now() < st.end) {
		turn(&st, &more);
	}
	if (st.result == LOOP_ENDED) {
		events_end(l->events);
		store_end_locks(l->store);
	}
	return st.result;
}
