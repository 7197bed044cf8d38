/* SPDX-License-Identifier: MIT
 * Copyright (c) 2026 The cubbyfs authors */

/* One process, one call after the other. */

#include "bench/workload.h"

#include "base/cleanup.h"

#include <errno.h>
#include <fcntl.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

struct calling {
	const struct task *task;
	void *self;
	char *value;  /* of task->size bytes */
	char *answer; /* as much room and one more */
	uint64_t sets;
};

/* Before, between and after the calls: not timed. May be NULL. */
struct call {
	bool (*has)(const struct side *side);
	int (*before)(struct calling *c, const char *key);
	int (*timed)(struct calling *c, const char *key);
	int (*after)(struct calling *c, const char *key);
	const char *prefix; /* NULL: the task's */
};

static int call_once(struct calling *c, const struct call *call, size_t number, int64_t *ns)
{
	char key[KEY_NAME_SIZE];
	int64_t start;
	int r = 0;

	if (call->prefix) {
		key_name(key, call->prefix, number % 100000);
	} else {
		task_key(c->task, number, key);
	}
	if (call->before) {
		r = call->before(c, key);
	}
	if (r == 0) {
		start = now_ns();
		r = call->timed(c, key);
		*ns = now_ns() - start;
	}
	if (r == 0 && call->after) {
		r = call->after(c, key);
	}
	return r;
}

static int call_all(struct calling *c, const struct call *call, struct report *r)
{
	const struct task *t = c->task;
	size_t warm_up = task_warm_up(t), n = 0;
	int64_t end, ns = 0;
	int rc = 0;

	/* Half the time at most, where calls are slow. */
	end = now_ns() + (int64_t)(t->seconds * 0.5e9);
	for (; n < warm_up && rc == 0 && now_ns() < end; n++) {
		rc = call_once(c, call, n, &ns);
	}
	end = now_ns() + (int64_t)(t->seconds * 1e9);
	while (rc == 0 && r->counted < t->calls && (r->counted < 1 || now_ns() < end)) {
		rc = call_once(c, call, n++, &ns);
		if (rc == 0) {
			samples_add(&r->samples, ns);
			r->counted++;
			r->wall += ns;
		}
	}
	r->calls = n;
	return rc;
}

static int run(const struct task *t, struct report *r, const struct call *call)
{
	_cleanup_free_ char *value = task_value(t);
	_cleanup_free_ char *answer = malloc(t->size + 1);
	struct calling c = {
		.task = t,
		.value = value,
		.answer = answer,
		.sets = (uint64_t)now_ns(), /* nor does a run begin with what the last one set */
	};
	int rc;

	if (!call->has(t->side)) {
		return -EOPNOTSUPP;
	}
	if (!value || !answer) {
		return -ENOMEM;
	}
	rc = t->side->open(&c.self, t->where, t->durability);
	if (rc < 0) {
		return rc;
	}
	rc = call_all(&c, call, r);
	t->side->close(c.self);
	return rc;
}

/* --- the calls -------------------------------------------------------------- */

static int call_get(struct calling *c, const char *key)
{
	size_t got = 0;
	int r = c->task->side->get(c->self, key, c->answer, c->task->size + 1, &got);

	return r ? r : got == c->task->size ? 0 : -EBADMSG;
}

static bool has_get(const struct side *s)
{
	return s->get;
}

static int run_get(const struct task *t, struct report *r)
{
	return run(t, r, &(struct call){.has = has_get, .timed = call_get});
}

static int call_set(struct calling *c, const char *key)
{
	task_stamp(c->value, c->task->size, c->sets++);
	return c->task->side->set(c->self, key, c->value, c->task->size);
}

static bool has_set(const struct side *s)
{
	return s->set;
}

static int run_set(const struct task *t, struct report *r)
{
	return run(t, r, &(struct call){.has = has_set, .timed = call_set});
}

static int call_stat(struct calling *c, const char *key)
{
	return c->task->side->stat(c->self, key);
}

static bool has_stat(const struct side *s)
{
	return s->stat;
}

static int run_stat(const struct task *t, struct report *r)
{
	return run(t, r, &(struct call){.has = has_stat, .timed = call_stat});
}

static int call_create(struct calling *c, const char *key)
{
	return c->task->side->create(c->self, key, c->value, c->task->size);
}

static int call_remove(struct calling *c, const char *key)
{
	return c->task->side->remove(c->self, key);
}

static bool has_create(const struct side *s)
{
	return s->create && s->remove;
}

static int run_create(const struct task *t, struct report *r)
{
	return run(t, r,
		&(struct call){
			.has = has_create,
			.timed = call_create,
			.after = call_remove,
			.prefix = "new",
		});
}

static int run_delete(const struct task *t, struct report *r)
{
	return run(t, r,
		&(struct call){
			.has = has_create,
			.before = call_create,
			.timed = call_remove,
			.prefix = "new",
		});
}

#define COUNTER "counter"

static int call_increment(struct calling *c, const char *key)
{
	(void)key;
	return c->task->side->increment(c->self, COUNTER);
}

static bool has_increment(const struct side *s)
{
	return s->increment;
}

static int run_increment(const struct task *t, struct report *r)
{
	void *self;
	int rc;

	if (!has_increment(t->side)) {
		return -EOPNOTSUPP;
	}
	rc = t->side->open(&self, t->where, t->durability);
	if (rc < 0) {
		return rc;
	}
	rc = t->side->set(self, COUNTER, "0", 1);
	t->side->close(self);
	return rc ? rc : run(t, r, &(struct call){.has = has_increment, .timed = call_increment});
}

/* Names, inodes and attributes; what is in the page cache stays. */
static int drop_caches(struct calling *c, const char *key)
{
	_cleanup_fd_ int fd = -1;

	(void)key;
	if (!c->task->cold) {
		return 0;
	}
	fd = open("/proc/sys/vm/drop_caches", O_WRONLY | O_CLOEXEC);
	return fd < 0 || write(fd, "2", 1) != 1 ? -errno : 0;
}

static int call_list(struct calling *c, const char *key)
{
	size_t count;
	int r = c->task->side->list(c->self, c->task->attributes, &count);

	(void)key;
	return r ? r : count == c->task->keys ? 0 : -EBADMSG;
}

static bool has_list(const struct side *s)
{
	return s->list;
}

static int run_list(const struct task *t, struct report *r)
{
	return run(
		t, r, &(struct call){.has = has_list, .before = drop_caches, .timed = call_list});
}

/* Makes the keys that the others take to be there. */
static int run_fill(const struct task *t, struct report *r)
{
	_cleanup_free_ char *value = task_value(t);
	char key[KEY_NAME_SIZE];
	void *self;
	int64_t start = now_ns();
	int rc;

	if (!value) {
		return -ENOMEM;
	}
	rc = t->side->open(&self, t->where, t->durability);
	if (rc < 0) {
		return rc;
	}
	if (t->side->fill) {
		rc = t->side->fill(self, t->prefix, t->keys, value, t->size);
	} else {
		for (size_t i = 0; i < t->keys && rc == 0; i++) {
			key_name(key, t->prefix, i);
			rc = t->side->set(self, key, value, t->size);
		}
	}
	t->side->close(self);
	r->calls = r->counted = t->keys;
	r->wall = now_ns() - start;
	return rc;
}

const struct workload workloads_call[] = {
	{"get", run_get},
	{"set", run_set},
	{"stat", run_stat},
	{"create", run_create},
	{"delete", run_delete},
	{"increment", run_increment},
	{"list", run_list},
	{"fill", run_fill},
	{NULL, NULL},
};
