/* SPDX-License-Identifier: MIT
 * Copyright (c) 2026 The cubbyfs authors */

/* What the announcer has to do, one by one: a change, and the calls that raise its events. */
#pragma once

#include "base/table.h"
#include "store/store.h"

struct keep;

enum job_kind {
	JOB_MODIFY, /* IN_MODIFY */
	JOB_WRITE,  /* IN_OPEN, IN_MODIFY, IN_CLOSE_WRITE */
	JOB_REMOVE, /* IN_DELETE */
	JOB_MAKE,   /* IN_CREATE, and IN_OPEN, IN_CLOSE_WRITE for a key */
	JOB_RENEW,  /* none; the name is looked up */
};

enum job_state { WAITING, UNDER_WAY, DONE };

struct job {
	struct job *next;
	struct table_link by_ino; /* of all but JOB_MAKE, JOB_RENEW */
	uint64_t id;		  /* in the keep */
	uint64_t answered;	  /* the request that has announced it; 0: none yet */
	enum job_state state;	  /* under the lock */
	enum job_kind kind;
	uint64_t ino;
	uint64_t parent; /* JOB_REMOVE, JOB_MAKE, JOB_RENEW */
	mode_t mode;
	unsigned tries;
	bool misled;	/* the path led elsewhere */
	bool looked_up; /* JOB_REMOVE: the name */
	int error;   /* errno of its call */
	char *path;
	const char *name; /* in path */
	struct stat stat; /* JOB_REMOVE */
	/* JOB_REMOVE in a namespace that has expired: the namespaces of the path, by
	 * number. Other ones may have their names by then. NULL: those that are there. */
	uint64_t *way;
	size_t n_way;
};

/* A job for what the notice tells. NULL without memory. */
struct job *job_create(enum job_kind kind, const struct store_notice *n);
void job_destroy(struct job *j);

/* Another path. 0 or -ENOMEM, and it has the old one. */
int job_set_path(struct job *j, struct bytes path);

/* Where its way goes on from `parent` under `name`; 0: it does not. */
uint64_t job_next(const struct job *j, uint64_t parent, const char *name);

/* Makes its calls below `root`, a descriptor of the mount's root. In the announcer's thread.
 * 0 or an errno; ENOENT if the way is not there any more. */
int job_carry_out(const struct job *j, int root);

/* Puts it into the keep as it is. */
void job_keep(const struct job *j, struct keep *keep);
/* And takes it out again. NULL without memory. */
struct job *job_restore(uint64_t id, struct bytes kept);
