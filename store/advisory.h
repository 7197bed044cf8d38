/* SPDX-License-Identifier: MIT
 * Copyright (c) 2026 The cubbyfs authors */

/* Advisory locks as plain data: who holds which bytes of which node, and who
 * waits. Nodes are numbers: a lock keeps no node alive.
 *
 * The table owns what it is given. It calls nobody: who waited and is to be
 * answered is taken out with advisory_take, by its owner, at his time. */
#pragma once

#include "base/table.h"
#include "store/store.h"

struct advisory_waiter;
struct quota;

struct advisory {
	struct quota *quota; /* borrowed; what users may have. NULL: as much as they like */
	struct table nodes;
	struct table tickets, owners; /* of those who wait */
	uint64_t last_ticket;
	uint64_t search; /* for a deadlock: the number of the last one */
	struct advisory_waiter *answers, **answers_tail;
	size_t n_locks, n_waiters;
	struct keep *keep;   /* where the locks outlive the process; NULL: nowhere. Borrowed */
	uint64_t next_range; /* number of an object in it */
};

/* 0 or -ENOMEM. */
int advisory_init(struct advisory *a, struct quota *quota);
/* Those who wait are forgotten; see advisory_end. */
void advisory_finish(struct advisory *a);

/* A lock that another process has left in the keep. 0, -ENOMEM or -EPROTO. */
int advisory_restore(struct advisory *a, uint64_t id, struct bytes kept);

/* A number for a request that may wait. Never 0. */
uint64_t advisory_ticket(struct advisory *a);

/* The lock that is in the way, the one that begins first. False: none. */
bool advisory_test(const struct advisory *a, uint64_t ino, const struct store_lock *lock,
	struct store_lock *found);

/* What advisory_set returns when the request waits. */
#define ADVISORY_WAITS (-100000)

/* Locks or unlocks. 0, STORE_LOCKED, STORE_DEADLOCK, -ENOLCK (no memory, or the user has
 * as many as he may have; nothing has changed), or with a ticket (0: it does not wait)
 * ADVISORY_WAITS; only then is the reply kept. To unlock all of what an owner has never
 * fails. */
int advisory_set(struct advisory *a, uint64_t ino, const struct store_lock *lock, uint64_t ticket,
	struct store_reply reply);

/* Takes back a request that waits; it is to be answered with rc. False: it does
 * not wait any more. */
bool advisory_cancel(struct advisory *a, uint64_t ticket, int rc);

/* Whether the request still waits. */
bool advisory_waits(const struct advisory *a, uint64_t ticket);

/* All who wait are to be answered with rc. */
void advisory_end(struct advisory *a, int rc);

/* Drops what was locked through a handle of the node. */
void advisory_release(struct advisory *a, uint64_t ino, uint64_t handle);

/* Whether the owner has a lock of that kind on some of these bytes; `exclusive`:
 * an exclusive one. */
bool advisory_holds(
	const struct advisory *a, uint64_t ino, const struct store_lock *lock, bool exclusive);
/* Whether anything was locked through the handle. */
bool advisory_is_used(const struct advisory *a, uint64_t ino, uint64_t handle);
/* Whether anybody has a record lock on the node, or waits for one. */
bool advisory_has_records(const struct advisory *a, uint64_t ino);

/* Who has waited and is to be answered next, in the order in which it was
 * decided. False: nobody. */
struct advisory_answer {
	uint64_t ino;
	struct store_lock lock;
	int rc;
	struct store_reply reply;
};
bool advisory_take(struct advisory *a, struct advisory_answer *out);
