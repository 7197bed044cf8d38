/* SPDX-License-Identifier: MIT
 * Copyright (c) 2026 The cubbyfs authors */

/* What is done to a side, and timed. */
#pragma once

#include "bench/samples.h"
#include "bench/side.h"

/* What a workload is told. All sizes in bytes, times in seconds. */
struct task {
	const struct side *side; /* NULL: of workloads that need none */
	const char *where;
	enum durability durability;
	const char *prefix; /* of the keys: "100" */
	size_t keys;        /* how many there are */
	size_t stride;      /* every how many is used: the same number of keys of a larger store */
	size_t size;        /* of values */
	size_t calls;       /* at most */
	double seconds;     /* at most */
	double ttl;
	unsigned writers;
	bool cold; /* the kernel's names and attributes are dropped before each call */
	bool attributes;
	const char *mode;  /* which variant */
	const char *store; /* the journal's directory */
};

/* What it tells. */
struct report {
	struct samples samples; /* owned */
	size_t calls;           /* all that were made, warming up too */
	size_t counted;         /* the timed ones */
	int64_t wall;           /* ns from the first of them to the end of the last */
	/* Further numbers, by name. */
	struct {
		const char *name; /* borrowed */
		double value;
	} extra[8];
	unsigned n_extra;
};

void report_extra(struct report *r, const char *name, double value);

struct workload {
	const char *name;
	/* 0 or a negative errno; -EOPNOTSUPP if the side has no such call. */
	int (*run)(const struct task *t, struct report *r);
};

/* NULL-terminated tables, one per file. */
extern const struct workload workloads_call[];  /* get, set, stat, ...: one process */
extern const struct workload workloads_crowd[]; /* several at once */
extern const struct workload workloads_wake[];  /* until somebody else has noticed */
extern const struct workload workloads_pause[]; /* while the journal is compacted */
extern const struct workload workloads_disk[];  /* what the disk itself costs */
extern const struct workload workloads_parse[]; /* what reading the journal costs */

/* The key of the nth call: every key in turn, in an order that is no order. */
void task_key(const struct task *t, size_t call, char out[KEY_NAME_SIZE]);

/* A value of t->size bytes, owned by the caller; NULL: no memory. */
char *task_value(const struct task *t);

/* Makes each value another one, as far as it has room: SQLite, for one, writes nothing when
 * what is set is there already. */
void task_stamp(char *value, size_t size, uint64_t number);

/* Calls at most this many without timing them first. */
size_t task_warm_up(const struct task *t);
