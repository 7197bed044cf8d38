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
 * Two threads. When somebody waits for the disk, the thread that has the loop syncs, there and
 * then, and answers: to have another do that would take two wake-ups, each as long as a quick
 * disk's sync. Its partner takes the loop over if that lasts (RELIEF), or at once if there is more
 * to do or others have asked for something during one of the last syncs; who comes back from the
 * disk and finds the loop taken is the partner from then on. All that the loop touches is under one
 * mutex, which is let go only to wait for requests and to sync.
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
#include <pthread.h>
#include <signal.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/timerfd.h>
#include <time.h>
#include <unistd.h>

#define BATCH 64
#define SLICE (NSEC_PER_MSEC / 5)
#define LOOK (NSEC_PER_MSEC / 50)
#define GRACE (2 * NSEC_PER_SEC)
/* How long nobody but who waits for the disk may be there, before somebody else looks. */
#define RELIEF NSEC_PER_MSEC
/* How long others are reckoned with who came while the disk was waited for. */
#define CROWD (50 * NSEC_PER_MSEC)
#define N_FDS 7

struct state {
	const struct loop *loop;
	struct fuse_session *fuse;
	pthread_mutex_t mutex; /* of all below, and all that the loop touches */
	bool is_taken;         /* somebody has the loop */
	int relief;            /* a timerfd that the partner waits for */
	uint64_t n_served;     /* requests */
	int64_t crowded;       /* until then others are reckoned with */
	int nudge;             /* an eventfd: who has the loop is to look at `due` again */
	int64_t waits;         /* until when it waits; INT64_MAX: for good */
	bool more;             /* requests may be waiting that poll need not be asked about */
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

/* Answers a request. False: there is none, or the session has ended. */
static bool serve_one(struct state *st)
{
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
	st->n_served += (uint64_t)r;
	announce(st);
	return true;
}

/* Answers what is queued. Returns whether there may be more. */
static bool serve(struct state *st)
{
	for (int n = 0; n < BATCH && now() < st->due; n++) {
		if (!serve_one(st)) {
			return false;
		}
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

/* Whether it pays to look for requests before waiting for them. */
static bool looks_for_more(const struct state *st)
{
	return st->looks && !st->working && !store_sync_due(st->loop->store);
}

/* Whether a request has come, and been answered, in the time for that. */
static bool look(struct state *st)
{
	int64_t end = now() + LOOK < st->due ? now() + LOOK : st->due;

	while (!fuse_session_exited(st->fuse) && now() < end) {
		if (serve_one(st)) {
			return true;
		}
	}
	return false;
}

/* Waits for something to do, without the mutex. */
static bool wait_for_events(struct state *st)
{
	bool at_once = st->more || st->working;
	struct timespec t;
	const struct timespec *wait = timeout(st, at_once, &t);
	int n;

	st->waits = at_once ? 0 : st->due < st->end ? st->due : st->end;
	pthread_mutex_unlock(&st->mutex);
	n = ppoll(st->fds, N_FDS, wait, NULL);
	pthread_mutex_lock(&st->mutex);
	return n >= 0; /* EINTR, ENOMEM: it is tried again */
}

static void turn(struct state *st)
{
	struct pollfd *fds = st->fds;
	uint64_t count;
	bool requests;

	if (!wait_for_events(st)) {
		return;
	}
	if (fds[1].revents) {
		take_command(st);
	}
	requests = st->more || fds[0].revents;
	st->more = requests && (serve(st) || (looks_for_more(st) && look(st)));
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
	if (fds[6].revents && read(st->nudge, &count, sizeof(count)) < 0) {
		/* Taken already. */
	}
	if (!st->working || !requests || now() >= st->due) {
		tick(st);
	}
	store_publish(st->loop->store);
}

static void call_partner(const struct state *st, int64_t in)
{
	const struct itimerspec t = {.it_value.tv_nsec = in};

	(void)timerfd_settime(st->relief, 0, &t, NULL);
}

/* Syncs, and lets the partner have the loop meanwhile. Whether it is ours still. */
static bool sync_once(struct state *st, bool is_ours)
{
	uint64_t before = st->n_served;

	if (is_ours) {
		bool at_once = st->more || st->working || now() < st->crowded;

		st->is_taken = false;
		call_partner(st, at_once ? 1 : RELIEF);
	}
	pthread_mutex_unlock(&st->mutex);
	store_sync(st->loop->store);
	pthread_mutex_lock(&st->mutex);
	is_ours = !st->is_taken;
	st->is_taken = true;
	if (st->n_served > before || (is_ours && !fuse_session_exited(st->fuse) && serve_one(st))) {
		st->crowded = now() + CROWD;
	}
	store_dispatch(st->loop->store);
	return is_ours;
}

/* For who has the loop. */
static void sync_and_answer(struct state *st)
{
	struct store *store = st->loop->store;
	const uint64_t one = 1;
	bool is_ours = true;

	do {
		is_ours = sync_once(st, is_ours);
		tick(st); /* which may want another one */
	} while (store_sync_due(store));
	store_publish(store);
	if (is_ours) {
		st->is_taken = false;
	} else if (st->due < st->waits && write(st->nudge, &one, sizeof(one)) < 0) {
		/* It has been told already. */
	}
}

static bool is_over(const struct state *st)
{
	return fuse_session_exited(st->fuse) || now() >= st->end;
}

/* As the partner. */
static void rest(struct state *st)
{
	uint64_t count;

	pthread_mutex_unlock(&st->mutex);
	if (read(st->relief, &count, sizeof(count)) < 0) {
		/* Interrupted: looked at again. */
	}
	pthread_mutex_lock(&st->mutex);
}

static void *run(void *arg)
{
	struct state *st = arg;

	pthread_mutex_lock(&st->mutex);
	while (!is_over(st)) {
		if (st->is_taken) {
			rest(st);
			continue;
		}
		st->is_taken = true;
		turn(st);
		if (store_sync_due(st->loop->store)) {
			sync_and_answer(st);
		} else {
			st->is_taken = false;
		}
	}
	call_partner(st, 1);
	pthread_mutex_unlock(&st->mutex);
	return NULL;
}

/* Signals are the main thread's. */
static bool start_partner(struct state *st, pthread_t *out)
{
	sigset_t all, old;
	int r;

	sigfillset(&all);
	pthread_sigmask(SIG_SETMASK, &all, &old);
	r = pthread_create(out, NULL, run, st);
	pthread_sigmask(SIG_SETMASK, &old, NULL);
	if (r) {
		log_warning("cannot start a thread (%s): clients wait while the disk is written to",
			strerror(r));
	}
	return r == 0;
}

enum loop_result loop_run(const struct loop *l)
{
	struct state st = {.loop = l, .fuse = session_fuse(l->session), .end = INT64_MAX};
	struct pollfd *fds = st.fds;
	pthread_t partner;
	bool has_partner;

	pthread_mutex_init(&st.mutex, NULL);
	st.nudge = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	st.relief = timerfd_create(CLOCK_MONOTONIC, TFD_CLOEXEC);
	st.looks = sysconf(_SC_NPROCESSORS_ONLN) > 1;
	fds[0] = (struct pollfd){.fd = fuse_session_fd(st.fuse), .events = POLLIN};
	fds[1] = (struct pollfd){.fd = l->command_fd, .events = POLLIN};
	fds[2] = (struct pollfd){.fd = store_poll_fd(l->store), .events = POLLIN};
	fds[3] = (struct pollfd){.fd = announcer_poll_fd(l->announcer), .events = POLLIN};
	fds[4] = (struct pollfd){.fd = -1, .events = POLLPRI};
	fds[5] = (struct pollfd){.fd = holders_poll_fd(l->holders), .events = POLLIN};
	fds[6] = (struct pollfd){.fd = st.nudge, .events = POLLIN};
	announce(&st); /* at once, if the session was taken over */
	tick(&st);
	has_partner = st.nudge >= 0 && st.relief >= 0 && start_partner(&st, &partner);
	run(&st);
	if (has_partner) {
		pthread_join(partner, NULL);
	}
	if (st.result == LOOP_ENDED) {
		events_end(l->events);
		store_end_locks(l->store);
	}
	if (st.nudge >= 0) {
		close(st.nudge);
	}
	if (st.relief >= 0) {
		close(st.relief);
	}
	pthread_mutex_destroy(&st.mutex);
	return st.result;
}
