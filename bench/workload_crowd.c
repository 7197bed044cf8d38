/* SPDX-License-Identifier: MIT
 * Copyright (c) 2026 The cubbyfs authors */

/* Several processes at once. What counts is how many calls all of them got done:
 * the wall time through the number of calls. They start together (a pipe whose
 * other end is closed) and stop together, by the clock. */

#include "bench/workload.h"

#include "base/cleanup.h"

#include <errno.h>
#include <stdint.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>

#define MAX_WRITERS 64
#define MAX_SAMPLES 20000 /* each */

/* Shared memory. */
struct worker {
	int result;
	size_t calls;
	int64_t start, end;
	size_t n_samples;
	int64_t samples[MAX_SAMPLES];
};

struct crowd {
	const struct task *task;
	int (*call)(struct crowd *c, void *self, unsigned number, uint64_t random);
	char *value, *answer;
};

static uint64_t next_random(uint64_t *state)
{
	*state ^= *state << 13;
	*state ^= *state >> 7;
	*state ^= *state << 17;
	return *state;
}

static int call_until(struct crowd *c, void *self, unsigned number, struct worker *w)
{
	const struct task *t = c->task;
	uint64_t random = 88172645463325252u + (uint64_t)now_ns() + 7919u * number;
	int64_t before, after, end;
	int r = 0;

	w->start = after = now_ns();
	end = w->start + (int64_t)(t->seconds * 1e9);
	while (r == 0 && after < end && w->calls < t->calls) {
		before = after;
		r = c->call(c, self, number, next_random(&random));
		after = now_ns();
		w->calls++;
		if (w->n_samples < MAX_SAMPLES) {
			w->samples[w->n_samples++] = after - before;
		}
	}
	w->end = after;
	return r;
}

static void work(struct crowd *c, unsigned number, struct worker *w, int gate, int ready)
{
	const struct side *side = c->task->side;
	void *self;
	char byte = 0;

	w->result = side->open(&self, c->task->where, c->task->durability);
	if (w->result == 0) {
		/* once, to be warm */
		w->result = c->call(c, self, number, number);
	}
	if (write(ready, &byte, 1) != 1 || read(gate, &byte, 1) != 0) {
		_exit(1);
	}
	if (w->result == 0) {
		w->result = call_until(c, self, number, w);
		side->close(self);
	}
	_exit(0);
}

static int start(struct crowd *c, struct worker *workers, pid_t *pids, unsigned *started)
{
	int gate[2], ready[2];
	char byte;
	int r = 0;

	if (pipe(gate) < 0) {
		return -errno;
	}
	if (pipe(ready) < 0) {
		r = -errno;
		close(gate[0]);
		close(gate[1]);
		return r;
	}
	for (unsigned i = 0; i < c->task->writers && r == 0; i++) {
		pids[i] = fork();
		if (pids[i] == 0) {
			close(gate[1]);
			close(ready[0]);
			work(c, i, &workers[i], gate[0], ready[1]);
		}
		r = pids[i] < 0 ? -errno : 0;
		*started += r == 0;
	}
	close(gate[0]);
	close(ready[1]);
	for (unsigned i = 0; i < *started; i++) {
		if (read(ready[0], &byte, 1) <= 0) { /* they have all ended */
			break;
		}
	}
	close(ready[0]);
	close(gate[1]);
	return r;
}

static int run_crowd(const struct task *t, struct report *r, struct crowd *c)
{
	_cleanup_free_ char *value = task_value(t);
	_cleanup_free_ char *answer = malloc(t->size + 1);
	struct worker *workers;
	pid_t pids[MAX_WRITERS];
	unsigned started = 0;
	int64_t first = INT64_MAX, last = 0;
	int status, rc;

	c->task = t;
	c->value = value;
	c->answer = answer;
	if (t->writers == 0 || t->writers > MAX_WRITERS) {
		return -EINVAL;
	}
	workers = mmap(NULL, t->writers * sizeof(*workers), PROT_READ | PROT_WRITE,
		MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	if (!value || !answer || workers == MAP_FAILED) {
		return -ENOMEM;
	}
	rc = start(c, workers, pids, &started);
	for (unsigned i = 0; i < started; i++) {
		struct worker *w = &workers[i];

		if (waitpid(pids[i], &status, 0) < 0 || status != 0) {
			rc = rc ? rc : -ECHILD;
			continue;
		}
		rc = rc ? rc : w->result;
		first = w->start < first ? w->start : first;
		last = w->end > last ? w->end : last;
		r->counted += w->calls;
		for (size_t k = 0; k < w->n_samples; k++) {
			samples_add(&r->samples, w->samples[k]);
		}
	}
	r->calls = r->counted + started;
	r->wall = last - first;
	munmap(workers, t->writers * sizeof(*workers));
	return rc;
}

/* Each a key of its own. */
static int crowd_set(struct crowd *c, void *self, unsigned number, uint64_t random)
{
	const struct task *t = c->task;
	char key[KEY_NAME_SIZE];

	task_stamp(c->value, t->size, random);
	key_name(key, t->prefix, number);
	return t->side->set(self, key, c->value, t->size);
}

static int run_sets(const struct task *t, struct report *r)
{
	return run_crowd(t, r, &(struct crowd){.call = crowd_set});
}

/* Four reads to one set. On a file that is truncated and written a reader may find
 * less than a value: that is that side's own. */
static int crowd_mix(struct crowd *c, void *self, unsigned number, uint64_t random)
{
	const struct task *t = c->task;
	char key[KEY_NAME_SIZE];
	size_t got;

	(void)number;
	task_key(t, random >> 8, key);
	task_stamp(c->value, t->size, random);
	return random % 5 == 0 ? t->side->set(self, key, c->value, t->size)
			       : t->side->get(self, key, c->answer, t->size + 1, &got);
}

static int run_mix(const struct task *t, struct report *r)
{
	return run_crowd(t, r, &(struct crowd){.call = crowd_mix});
}

const struct workload workloads_crowd[] = {
	{"sets", run_sets},
	{"mix", run_mix},
	{NULL, NULL},
};
