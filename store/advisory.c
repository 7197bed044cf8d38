/* SPDX-License-Identifier: MIT
 * Copyright (c) 2026 The cubbyfs authors */

/* What Linux does for a local file system (fs/locks.c), by our own means.
 *
 * Each node that has locks has a list of ranges for each kind, and a queue. An
 * owner's ranges never overlap, and those that touch and are of one type are
 * one. flock(2) is the same with one range over everything; only its conversion
 * differs: what is held is given up first, and is gone if the new one can't be
 * had.
 *
 * Who comes gets the lock if no lock is in the way, whoever waits: as on Linux,
 * since a reader that already is in (through another descriptor, or in another
 * process that its own waits for) would else wait behind a writer that waits
 * for it. When something is given up the queue is gone through from its head
 * and the locks are handed over there and then, so that nobody who comes later
 * can take what somebody waits for.
 *
 * Deadlocks. A request that would wait is refused if, following who is in whose
 * way, one gets back to its owner. That is done for record locks only. An open
 * file description that owns record locks (F_OFD_SETLKW) looks just like a process
 * to us, so it is told of a deadlock too, where Linux lets it hang. As on Linux
 * the threads of a process are one owner: one of them might have resolved it.
 *
 * Nothing is changed before all memory is there; a request that waits keeps
 * what its lock will need: the range itself, and one for the part that is left
 * of a range that it splits. */
#include "store/advisory.h"

#include "base/cleanup.h"
#include "base/keep.h"
#include "store/quota.h"

#include <errno.h>
#include <stdlib.h>

/* Ranges that are looked at for a deadlock; more are not worth a pause. */
#define MAX_SEARCH 50000

struct range {
	struct range *next;
	uint64_t start, end; /* inclusive */
	uint64_t owner, handle;
	struct account *account; /* NULL: it is not counted */
	pid_t pid;
	bool exclusive;
	uint64_t id; /* in the keep */
};

/* As it is there. */
struct kept_range {
	uint64_t ino, kind;
	uint64_t start, end, owner, handle;
	int64_t pid;
	uint64_t exclusive;
	uint64_t uid, is_counted;
};

/* A new range, and what is left of one that it splits. */
struct spares {
	struct range *first, *second;
};

struct locked {
	struct table_link by_ino;
	uint64_t ino;
	struct range *ranges[2]; /* by enum store_lock_kind */
	struct advisory_waiter *queue, **tail;
};

struct advisory_waiter {
	struct table_link by_ticket, by_owner;
	struct advisory_waiter *next; /* in the queue, or to be answered */
	struct locked *node;
	uint64_t ino, ticket;
	struct store_lock lock;
	struct account *account; /* while it waits */
	struct spares spares;
	struct store_reply reply;
	int rc;
	uint64_t search;                  /* the last that has come by */
	struct advisory_waiter *to_visit; /* by that */
};

/* --- the keep --------------------------------------------------------------- */

static void range_keep(struct advisory *a, uint64_t ino, enum store_lock_kind kind, struct range *r)
{
	const struct kept_range kept = {
		.ino = ino,
		.kind = kind,
		.start = r->start,
		.end = r->end,
		.owner = r->owner,
		.handle = r->handle,
		.pid = r->pid,
		.exclusive = r->exclusive,
		.uid = r->account ? r->account->uid : 0,
		.is_counted = r->account != NULL,
	};

	if (r->id == 0) {
		r->id = ++a->next_range;
	}
	keep_put(a->keep, KEEP_RANGE, r->id, bytes_of(&kept, sizeof(kept)));
}

/* --- ranges ----------------------------------------------------------------- */

static bool overlaps(const struct range *r, const struct store_lock *l)
{
	return r->start <= l->end && r->end >= l->start;
}

static bool touches(const struct range *r, const struct store_lock *l)
{
	return (l->end == UINT64_MAX || r->start <= l->end + 1) &&
	       (r->end == UINT64_MAX || l->start <= r->end + 1);
}

static bool is_in_the_way(const struct range *r, const struct store_lock *l)
{
	return r->owner != l->owner && overlaps(r, l) &&
	       (r->exclusive || l->type == STORE_LOCK_EXCLUSIVE);
}

static bool is_blocked(const struct locked *n, const struct store_lock *l)
{
	for (const struct range *r = n->ranges[l->kind]; r; r = r->next) {
		if (is_in_the_way(r, l)) {
			return true;
		}
	}
	return false;
}

/* Whether it leaves something on both sides of a range of its owner's. */
static bool splits(const struct locked *n, const struct store_lock *l)
{
	for (const struct range *r = n->ranges[l->kind]; r; r = r->next) {
		if (r->owner == l->owner && r->start < l->start && r->end > l->end) {
			return true;
		}
	}
	return false;
}

/* --- users ------------------------------------------------------------------- */

static struct account *charge(struct account *account)
{
	if (account) {
		account->locks++;
	}
	return account;
}

static void discharge(struct advisory *a, struct account *account)
{
	if (account) {
		account->locks--;
		quota_settle(a->quota, account);
	}
}

static void range_destroy(struct advisory *a, struct range *r)
{
	keep_drop(a->keep, KEEP_RANGE, r->id);
	discharge(a, r->account);
	free(r);
	a->n_locks--;
}

/* Whether it makes the owner's ranges more: it neither joins one nor takes the place of one. */
static bool adds(const struct locked *n, const struct store_lock *l)
{
	bool exclusive = l->type == STORE_LOCK_EXCLUSIVE;

	for (const struct range *r = n->ranges[l->kind]; r; r = r->next) {
		if (r->owner == l->owner && ((r->exclusive == exclusive && touches(r, l)) ||
						    (r->start >= l->start && r->end <= l->end))) {
			return false;
		}
	}
	return true;
}

/* Whether the user has no more to come. */
static bool is_past_limit(struct advisory *a, uid_t uid)
{
	const struct account *account = a->quota ? quota_find(a->quota, uid) : NULL;

	return account && quota_is_full(a->quota, account->locks, 1, a->quota->max_locks);
}

/* --- changing ------------------------------------------------------------------ */

static void spares_finish(struct spares *s)
{
	free(s->first);
	free(s->second);
	*s = (struct spares){0};
}

/* 0 or -ENOLCK. */
static int spares_init(struct spares *s, bool first, bool second)
{
	s->first = first ? malloc(sizeof(*s->first)) : NULL;
	s->second = second ? malloc(sizeof(*s->second)) : NULL;
	if ((first && !s->first) || (second && !s->second)) {
		spares_finish(s);
		return -ENOLCK;
	}
	return 0;
}

/* Takes l's bytes out of *at, a range of its owner's, which may go or be split.
 * Returns where to go on. */
static struct range **cut(struct advisory *a, uint64_t ino, struct range **at, const struct store_lock *l, struct spares *spares)
{
	struct range *r = *at, *rest;

	if (r->start < l->start && r->end > l->end) {
		rest = steal_pointer(&spares->second);
		*rest = *r;
		charge(rest->account);
		rest->start = l->end + 1;
		rest->id = 0;
		r->end = l->start - 1;
		r->next = rest;
		a->n_locks++;
		range_keep(a, ino, l->kind, r);
		range_keep(a, ino, l->kind, rest);
		return &rest->next;
	}
	if (r->start < l->start) {
		r->end = l->start - 1;
	} else if (r->end > l->end) {
		r->start = l->end + 1;
	} else {
		*at = r->next;
		range_destroy(a, r);
		return at;
	}
	range_keep(a, ino, l->kind, r);
	return &r->next;
}

/* Makes it so. Returns whether something was given up that may have been in
 * others' way. */
static bool put(
	struct advisory *a, struct locked *n, const struct store_lock *l, struct spares *spares)
{
	bool exclusive = l->type == STORE_LOCK_EXCLUSIVE, loosened = false;
	struct range **at = &n->ranges[l->kind];
	uint64_t start = l->start, end = l->end;
	struct range *r;

	while ((r = *at)) {
		if (r->owner == l->owner && l->type != STORE_UNLOCK && r->exclusive == exclusive &&
			touches(r, l)) {
			start = r->start < start ? r->start : start;
			end = r->end > end ? r->end : end;
			*at = r->next;
			range_destroy(a, r);
		} else if (r->owner == l->owner && overlaps(r, l)) {
			loosened |= !exclusive;
			at = cut(a, n->ino, at, l, spares);
		} else {
			at = &r->next;
		}
	}
	if (l->type != STORE_UNLOCK) {
		r = steal_pointer(&spares->first);
		*r = (struct range){
			.start = start,
			.end = end,
			.owner = l->owner,
			.handle = l->handle,
			.account = charge(a->quota ? quota_account(a->quota, l->uid) : NULL),
			.pid = l->pid,
			.exclusive = exclusive,
		};
		*at = r;
		a->n_locks++;
		range_keep(a, n->ino, l->kind, r);
	}
	spares_finish(spares);
	return loosened;
}

/* --- nodes ------------------------------------------------------------------- */

static struct locked *find(const struct advisory *a, uint64_t ino)
{
	struct table_link *l = table_first(&a->nodes, hash_number(ino));

	for (; l; l = table_next(l)) {
		struct locked *n = container_of(l, struct locked, by_ino);

		if (n->ino == ino) {
			return n;
		}
	}
	return NULL;
}

static struct locked *find_or_create(struct advisory *a, uint64_t ino)
{
	struct locked *n = find(a, ino);

	if (!n) {
		n = calloc(1, sizeof(*n));
		if (n) {
			n->ino = ino;
			n->tail = &n->queue;
			table_insert(&a->nodes, &n->by_ino, hash_number(ino));
		}
	}
	return n;
}

static void drop_if_idle(struct advisory *a, struct locked *n)
{
	if (!n->queue && !n->ranges[STORE_LOCK_FLOCK] && !n->ranges[STORE_LOCK_RECORD]) {
		table_remove(&a->nodes, &n->by_ino);
		free(n);
	}
}

int advisory_restore(struct advisory *a, uint64_t id, struct bytes kept)
{
	struct kept_range k;
	struct locked *n;
	struct range *r;

	if (kept.size != sizeof(k)) {
		return -EPROTO;
	}
	memcpy(&k, kept.data, sizeof(k));
	n = k.kind <= STORE_LOCK_RECORD ? find_or_create(a, k.ino) : NULL;
	r = n ? malloc(sizeof(*r)) : NULL;
	if (!r) {
		return -ENOMEM;
	}
	*r = (struct range){
		.next = n->ranges[k.kind],
		.start = k.start,
		.end = k.end,
		.owner = k.owner,
		.handle = k.handle,
		.pid = (pid_t)k.pid,
		.exclusive = k.exclusive,
		.id = id,
		.account = charge(k.is_counted && a->quota ?
				quota_account(a->quota, (uid_t)k.uid) : NULL),
	};
	n->ranges[k.kind] = r;
	a->n_locks++;
	a->next_range = id > a->next_range ? id : a->next_range;
	return 0;
}

/* --- waiting ----------------------------------------------------------------- */

static struct advisory_waiter *find_waiter(const struct advisory *a, uint64_t ticket)
{
	struct table_link *l = table_first(&a->tickets, hash_number(ticket));

	for (; l; l = table_next(l)) {
		struct advisory_waiter *w = container_of(l, struct advisory_waiter, by_ticket);

		if (w->ticket == ticket) {
			return w;
		}
	}
	return NULL;
}

static void waiter_destroy(struct advisory_waiter *w)
{
	if (w) {
		spares_finish(&w->spares);
		free(w);
	}
}

/* With all that its lock will need; NULL without memory. */
static struct advisory_waiter *waiter_create(
	struct locked *n, const struct store_lock *l, uint64_t ticket, struct store_reply reply)
{
	struct advisory_waiter *w = calloc(1, sizeof(*w));

	if (w && spares_init(&w->spares, true, true)) {
		free(w);
		w = NULL;
	}
	if (w) {
		w->node = n;
		w->ino = n->ino;
		w->lock = *l;
		w->ticket = ticket;
		w->reply = reply;
	}
	return w;
}

static void enqueue(struct advisory *a, struct advisory_waiter *w)
{
	*w->node->tail = w;
	w->node->tail = &w->next;
	table_insert(&a->tickets, &w->by_ticket, hash_number(w->ticket));
	table_insert(&a->owners, &w->by_owner, hash_number(w->lock.owner));
	w->account = charge(a->quota ? quota_account(a->quota, w->lock.uid) : NULL);
	a->n_waiters++;
}

/* Takes *at out of its node's queue, to be answered. */
static void decide(struct advisory *a, struct advisory_waiter **at, int rc)
{
	struct advisory_waiter *w = *at;

	*at = w->next;
	if (!w->next) {
		w->node->tail = at;
	}
	w->next = NULL;
	w->node = NULL;
	w->rc = rc;
	spares_finish(&w->spares);
	table_remove(&a->tickets, &w->by_ticket);
	table_remove(&a->owners, &w->by_owner);
	discharge(a, steal_pointer(&w->account));
	a->n_waiters--;
	*a->answers_tail = w;
	a->answers_tail = &w->next;
}

/* Something was given up: hands it over to those who wait for it. */
static void wake(struct advisory *a, struct locked *n)
{
	struct advisory_waiter **at = &n->queue;

	while (*at) {
		struct advisory_waiter *w = *at;
		bool loosened;

		if (is_blocked(n, &w->lock)) {
			at = &w->next;
			continue;
		}
		loosened = put(a, n, &w->lock, &w->spares);
		decide(a, at, 0);
		if (loosened) {
			at = &n->queue; /* those who were passed over may have it now */
		}
	}
}

/* --- deadlocks --------------------------------------------------------------- */

struct search {
	struct advisory *a;
	uint64_t owner; /* who must not be found */
	struct advisory_waiter *to_visit;
	unsigned looked;
};

static void visit_requests_of(struct search *s, uint64_t owner)
{
	struct table_link *l = table_first(&s->a->owners, hash_number(owner));

	for (; l; l = table_next(l)) {
		struct advisory_waiter *w = container_of(l, struct advisory_waiter, by_owner);

		if (w->lock.owner == owner && w->lock.kind == STORE_LOCK_RECORD &&
			w->search != s->a->search) {
			w->search = s->a->search;
			w->to_visit = s->to_visit;
			s->to_visit = w;
		}
	}
}

/* Whether the owner himself is in the way of l; what the others who are wait for
 * will be looked at. */
static bool look(struct search *s, const struct locked *n, const struct store_lock *l)
{
	for (const struct range *r = n->ranges[STORE_LOCK_RECORD]; r; r = r->next) {
		s->looked++;
		if (!is_in_the_way(r, l)) {
			continue;
		}
		if (r->owner == s->owner) {
			return true;
		}
		visit_requests_of(s, r->owner);
	}
	return false;
}

static bool would_close_circle(
	struct advisory *a, const struct locked *n, const struct store_lock *l)
{
	struct search s = {.a = a, .owner = l->owner};
	bool found;

	a->search++;
	found = look(&s, n, l);
	while (!found && s.to_visit && s.looked < MAX_SEARCH) {
		struct advisory_waiter *w = s.to_visit;

		s.to_visit = w->to_visit;
		found = look(&s, w->node, &w->lock);
	}
	return found;
}

/* --- the face ----------------------------------------------------------------- */

int advisory_init(struct advisory *a, struct quota *quota)
{
	int rc;

	*a = (struct advisory){.quota = quota};
	a->answers_tail = &a->answers;
	rc = table_init(&a->nodes);
	rc = rc ? rc : table_init(&a->tickets);
	return rc ? rc : table_init(&a->owners);
}

static void locked_destroy(struct advisory *a, struct locked *n)
{
	for (unsigned kind = 0; kind < 2; kind++) {
		for (struct range *r = n->ranges[kind], *next; r; r = next) {
			next = r->next;
			range_destroy(a, r);
		}
	}
	free(n);
}

void advisory_finish(struct advisory *a)
{
	struct advisory_answer ignored;

	advisory_end(a, -ENOTCONN);
	while (advisory_take(a, &ignored)) {
	}
	for (size_t i = 0; i < a->nodes.n_buckets; i++) {
		struct table_link *l;

		while ((l = table_bucket(&a->nodes, i))) {
			table_remove(&a->nodes, l);
			locked_destroy(a, container_of(l, struct locked, by_ino));
		}
	}
	table_finish(&a->nodes);
	table_finish(&a->tickets);
	table_finish(&a->owners);
}

uint64_t advisory_ticket(struct advisory *a)
{
	return ++a->last_ticket;
}

bool advisory_test(const struct advisory *a, uint64_t ino, const struct store_lock *lock,
	struct store_lock *found)
{
	const struct locked *n = find(a, ino);
	const struct range *first = NULL;

	for (const struct range *r = n ? n->ranges[lock->kind] : NULL; r; r = r->next) {
		if (is_in_the_way(r, lock) && (!first || r->start < first->start)) {
			first = r;
		}
	}
	if (!first) {
		return false;
	}
	*found = (struct store_lock){
		.kind = lock->kind,
		.type = first->exclusive ? STORE_LOCK_EXCLUSIVE : STORE_LOCK_SHARED,
		.start = first->start,
		.end = first->end,
		.owner = first->owner,
		.pid = first->pid,
		.handle = first->handle,
	};
	return true;
}

static int unlock(struct advisory *a, struct locked *n, const struct store_lock *l)
{
	bool split = splits(n, l);
	struct spares spares;
	int rc = split && is_past_limit(a, l->uid) ? -ENOLCK : spares_init(&spares, false, split);

	if (rc == 0 && put(a, n, l, &spares)) {
		wake(a, n);
	}
	return rc;
}

static int lock_now(struct advisory *a, struct locked *n, const struct store_lock *l)
{
	struct spares spares;
	int rc = adds(n, l) && is_past_limit(a, l->uid) ?
		-ENOLCK : spares_init(&spares, true, splits(n, l));

	if (rc == 0 && put(a, n, l, &spares)) {
		wake(a, n);
	}
	return rc;
}

/* flock(2) gives up what it has before it looks for what it wants. */
static void give_up(struct advisory *a, struct locked *n, const struct store_lock *l)
{
	struct store_lock all = *l;
	struct spares none = {0};

	all.type = STORE_UNLOCK;
	if (put(a, n, &all, &none)) {
		wake(a, n);
	}
}

static int lock_later(struct advisory *a, struct locked *n, const struct store_lock *l,
	uint64_t ticket, struct store_reply reply)
{
	struct advisory_waiter *w = NULL;

	if (ticket) {
		if (is_past_limit(a, l->uid)) {
			return -ENOLCK;
		}
		if (l->kind == STORE_LOCK_RECORD && would_close_circle(a, n, l)) {
			return STORE_DEADLOCK;
		}
		w = waiter_create(n, l, ticket, reply);
		if (!w) {
			return -ENOLCK;
		}
		enqueue(a, w);
	}
	if (l->kind == STORE_LOCK_FLOCK) {
		give_up(a, n, l);
	}
	return w ? ADVISORY_WAITS : STORE_LOCKED;
}

int advisory_set(struct advisory *a, uint64_t ino, const struct store_lock *lock, uint64_t ticket,
	struct store_reply reply)
{
	struct locked *n = lock->type == STORE_UNLOCK ? find(a, ino) : find_or_create(a, ino);
	int rc;

	if (!n) {
		return lock->type == STORE_UNLOCK ? 0 : -ENOLCK;
	}
	if (lock->type == STORE_UNLOCK) {
		rc = unlock(a, n, lock);
	} else if (is_blocked(n, lock)) {
		rc = lock_later(a, n, lock, ticket, reply);
	} else {
		rc = lock_now(a, n, lock);
	}
	drop_if_idle(a, n);
	return rc;
}

bool advisory_cancel(struct advisory *a, uint64_t ticket, int rc)
{
	struct advisory_waiter *w = find_waiter(a, ticket), **at;
	struct locked *n;

	if (!w) {
		return false;
	}
	n = w->node;
	at = &n->queue;
	while (*at != w) {
		at = &(*at)->next;
	}
	decide(a, at, rc);
	drop_if_idle(a, n);
	return true;
}

bool advisory_waits(const struct advisory *a, uint64_t ticket)
{
	return find_waiter(a, ticket) != NULL;
}

void advisory_end(struct advisory *a, int rc)
{
	for (size_t i = 0; i < a->tickets.n_buckets; i++) {
		struct table_link *l;

		while ((l = table_bucket(&a->tickets, i))) {
			advisory_cancel(
				a, container_of(l, struct advisory_waiter, by_ticket)->ticket, rc);
		}
	}
}

void advisory_release(struct advisory *a, uint64_t ino, uint64_t handle)
{
	struct locked *n = find(a, ino);
	bool loosened = false;

	if (!n) {
		return;
	}
	for (struct advisory_waiter **w = &n->queue; *w;) {
		if ((*w)->lock.handle == handle) {
			decide(a, w, STORE_BAD_HANDLE);
		} else {
			w = &(*w)->next;
		}
	}
	for (unsigned kind = 0; kind < 2; kind++) {
		for (struct range **at = &n->ranges[kind]; *at;) {
			struct range *r = *at;

			if (r->handle != handle) {
				at = &r->next;
				continue;
			}
			*at = r->next;
			range_destroy(a, r);
			loosened = true;
		}
	}
	if (loosened) {
		wake(a, n);
	}
	drop_if_idle(a, n);
}

bool advisory_holds(
	const struct advisory *a, uint64_t ino, const struct store_lock *lock, bool exclusive)
{
	const struct locked *n = find(a, ino);

	for (const struct range *r = n ? n->ranges[lock->kind] : NULL; r; r = r->next) {
		if (r->owner == lock->owner && overlaps(r, lock) && (r->exclusive || !exclusive)) {
			return true;
		}
	}
	return false;
}

bool advisory_is_used(const struct advisory *a, uint64_t ino, uint64_t handle)
{
	const struct locked *n = find(a, ino);

	for (unsigned kind = 0; n && kind < 2; kind++) {
		for (const struct range *r = n->ranges[kind]; r; r = r->next) {
			if (r->handle == handle) {
				return true;
			}
		}
	}
	return false;
}

bool advisory_has_records(const struct advisory *a, uint64_t ino)
{
	const struct locked *n = find(a, ino);
	const struct advisory_waiter *w = n ? n->queue : NULL;

	while (w && w->lock.kind != STORE_LOCK_RECORD) {
		w = w->next;
	}
	return w || (n && n->ranges[STORE_LOCK_RECORD]);
}

bool advisory_take(struct advisory *a, struct advisory_answer *out)
{
	struct advisory_waiter *w = a->answers;

	if (!w) {
		return false;
	}
	a->answers = w->next;
	if (!a->answers) {
		a->answers_tail = &a->answers;
	}
	*out = (struct advisory_answer){
		.ino = w->ino, .lock = w->lock, .rc = w->rc, .reply = w->reply};
	waiter_destroy(w);
	return true;
}
