/* SPDX-License-Identifier: MIT
 * Copyright (c) 2026 The cubbyfs authors */

/* From a change until somebody who sleeps has learned of it. A thread with a connection
 * of its own waits; its clock is read when it has woken. */

#include "bench/workload.h"

#include "base/cleanup.h"

#include <errno.h>
#include <semaphore.h>
#include <string.h>

struct sleeper {
	const struct task *task;
	const char *key; /* NULL: any */
	enum side_event event;
	size_t events; /* how many to wait for; the last one counts */
	sem_t ready, woken;
	int result;
	int64_t at; /* when it woke */
	size_t rounds;
};

static void *sleep_and_tell(void *arg)
{
	struct sleeper *s = arg;
	const struct side *side = s->task->side;
	void *self = NULL;

	s->result = side->open(&self, s->task->where, s->task->durability);
	if (s->result == 0) {
		s->result = side->watch(self, s->key);
	}
	sem_post(&s->ready);
	for (size_t i = 0; i < s->rounds && s->result == 0; i++) {
		for (size_t k = 0; k < s->events && s->result == 0; k++) {
			s->result = side->wait(self, s->event);
		}
		s->at = now_ns();
		sem_post(&s->woken);
	}
	side->close(self);
	return NULL;
}

/* -ETIMEDOUT after ten seconds. */
static int await(sem_t *semaphore)
{
	struct timespec until;
	int r;

	clock_gettime(CLOCK_REALTIME, &until);
	until.tv_sec += 10;
	do {
		r = sem_timedwait(semaphore, &until) < 0 ? -errno : 0;
	} while (r == -EINTR);
	return r;
}

static int sleeper_start(struct sleeper *s, pthread_t *thread)
{
	int r;

	sem_init(&s->ready, 0, 0);
	sem_init(&s->woken, 0, 0);
	r = -pthread_create(thread, NULL, sleep_and_tell, s);
	if (r < 0) {
		return r;
	}
	r = await(&s->ready);
	return r ? r : s->result;
}

/* `change` makes the change and returns the moment from which the time runs. */
struct waking {
	int (*change)(const struct task *t, void *self, char *value, int64_t *from);
	enum side_event event;
	bool any;
};

static int wake_all(
	const struct waking *w, struct sleeper *s, void *self, char *value, struct report *r)
{
	int64_t from = 0;
	int rc = 0;

	for (size_t i = 0; i < s->rounds && rc == 0; i++) {
		rc = w->change(s->task, self, value, &from);
		rc = rc ? rc : await(&s->woken);
		rc = rc ? rc : s->result;
		/* the first one is not warm */
		if (rc == 0 && i > 0) {
			samples_add(&r->samples, s->at - from);
			r->counted++;
			r->wall += s->at - from;
		}
		r->calls++;
	}
	return rc;
}

static int run_waking(const struct task *t, struct report *r, const struct waking *w)
{
	struct sleeper s = {
		.task = t,
		.key = w->any ? NULL : "watched",
		.event = w->event,
		.events = 1,
		.rounds = t->calls + 1,
	};
	_cleanup_free_ char *value = task_value(t);
	pthread_t thread;
	void *self;
	int rc;

	if (!value) {
		return -ENOMEM;
	}
	rc = t->side->open(&self, t->where, t->durability);
	if (rc < 0) {
		return rc;
	}
	rc = t->side->set(self, "watched", value, t->size);
	rc = rc ? rc : sleeper_start(&s, &thread);
	if (rc == 0) {
		rc = wake_all(w, &s, self, value, r);
	}
	if (rc == 0) {
		pthread_join(thread, NULL);
	}
	/* else the thread ends with us */
	t->side->close(self);
	return rc;
}

static int change_set(const struct task *t, void *self, char *value, int64_t *from)
{
	task_stamp(value, t->size, (uint64_t)now_ns());
	*from = now_ns();
	return t->side->set(self, "watched", value, t->size);
}

static int run_wakeup(const struct task *t, struct report *r)
{
	if (!t->side->watch) {
		return -EOPNOTSUPP;
	}
	return run_waking(t, r, &(struct waking){.change = change_set, .event = SIDE_KEY_SET});
}

static int change_expiring(const struct task *t, void *self, char *value, int64_t *from)
{
	*from = now_ns() + (int64_t)(t->ttl * 1e9);
	return t->side->set_expiring(self, "short-lived", value, t->size, t->ttl);
}

static int run_expiry(const struct task *t, struct report *r)
{
	if (!t->side->watch || !t->side->set_expiring) {
		return -EOPNOTSUPP;
	}
	return run_waking(t, r,
		&(struct waking){.change = change_expiring, .event = SIDE_KEY_GONE, .any = true});
}

/* --- many at once ------------------------------------------------------------- */

/* t->calls keys get one deadline, t->ttl from now; what counts is how long after it
 * the last one has been told of, through their number. */
static int run_expiries(const struct task *t, struct report *r)
{
	struct sleeper s = {
		.task = t,
		.event = SIDE_KEY_GONE,
		.events = t->calls,
		.rounds = 1,
	};
	_cleanup_free_ char *value = task_value(t);
	char key[KEY_NAME_SIZE];
	pthread_t thread;
	int64_t deadline, left = 1;
	void *self;
	int rc;

	if (!t->side->watch || !t->side->set_expiring) {
		return -EOPNOTSUPP;
	}
	if (!value) {
		return -ENOMEM;
	}
	rc = t->side->open(&self, t->where, t->durability);
	if (rc < 0) {
		return rc;
	}
	rc = sleeper_start(&s, &thread);
	deadline = now_ns() + (int64_t)(t->ttl * 1e9);
	for (size_t i = 0; i < t->calls && rc == 0; i++) {
		key_name(key, "burst", i);
		left = deadline - now_ns();
		rc = left <= 0
			     ? -ETIMEDOUT
			     : t->side->set_expiring(self, key, value, t->size, (double)left / 1e9);
	}
	rc = rc ? rc : await(&s.woken);
	rc = rc ? rc : s.result;
	if (rc == 0) {
		pthread_join(thread, NULL);
		r->calls = r->counted = t->calls;
		r->wall = s.at - deadline;
		samples_add(&r->samples, r->wall / (int64_t)t->calls);
	}
	t->side->close(self);
	return rc;
}

const struct workload workloads_wake[] = {
	{"wakeup", run_wakeup},
	{"expiry", run_expiry},
	{"expiries", run_expiries},
	{NULL, NULL},
};
