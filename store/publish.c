/* SPDX-License-Identifier: MIT
 * Copyright (c) 2026 The cubbyfs authors */

/* Advisory locks and what is staged.
 *
 * On a local file system a write can be seen at once, so who reads under a lock
 * what another has written under it needs nothing more. Here a write is staged
 * until a close, and a descriptor may be kept open over many turns with the lock.
 * So unlocking publishes: what the process has written is committed first, then
 * the lock is given up. On a log that answers later the request is kept
 * meanwhile, as a publication.
 *
 * A stage is a copy of the whole value. Where locks are on bytes, two processes
 * may each hold one of the same key and write under locks that do not
 * overlap; the second to commit must not undo what the first has done. So what is
 * published is the difference to what the stage began as, put on top of the
 * present value. Under a lock on everything the two are the same; but what was
 * written before the lock was had is put on top of the present value too, for the
 * reads that come. */
#include "store/internal.h"

#include "base/cleanup.h"

#include <errno.h>
#include <stdlib.h>

/* One handle's commit. */
struct published {
	struct publication *publication;
	uint64_t handle;
};

struct publication {
	struct publication *next;
	struct store *s;
	uint64_t ino;
	struct store_lock lock; /* to be set when all is committed */
	uint64_t ticket;        /* 0: it does not wait then */
	bool cancelled;
	struct store_reply reply;
	size_t n_left; /* commits that are under way, and one while they are begun */
	size_t n_handles;
	struct published handles[];
};

/* --- answers -------------------------------------------------------------------- */

static void granted(struct store *s, uint64_t ino, const struct store_lock *lock)
{
	struct handle *h = lock->type == STORE_UNLOCK ? NULL : handle_find(s, lock->handle);

	/* Numbers of handles that are not ours may be the same. */
	if (h && h->node->ino == ino) {
		handle_begin_anew(h);
		handle_rebase(s, h); /* it may have been written to before */
	}
}

/* Those who need not wait any more. One of them may unlock in turn: then the call
 * that is at it already goes on with who that lets in. */
static void answer_waiters(struct store *s)
{
	struct advisory_answer a;

	if (s->answering) {
		return;
	}
	s->answering = true;
	while (advisory_take(&s->advisory, &a)) {
		if (a.rc == 0) {
			granted(s, a.ino, &a.lock);
		}
		reply_with(a.reply, a.rc, &(struct store_result){.ino = a.ino});
	}
	s->answering = false;
}

/* As store_setlk. */
static uint64_t set(struct store *s, uint64_t ino, const struct store_lock *lock, uint64_t ticket,
	struct store_reply reply)
{
	int rc = advisory_set(&s->advisory, ino, lock, ticket, reply);

	if (rc != ADVISORY_WAITS) {
		ticket = 0;
		if (rc == 0) {
			granted(s, ino, lock);
		}
		reply_with(reply, rc, &(struct store_result){.ino = ino});
	}
	answer_waiters(s);
	return ticket && advisory_waits(&s->advisory, ticket) ? ticket : 0;
}

/* --- publishing ------------------------------------------------------------------- */

static uint64_t go_on(struct publication *p)
{
	struct publication **at = &p->s->publications;
	struct publication copy = *p;

	while (*at != p) {
		at = &(*at)->next;
	}
	*at = p->next;
	free(p);
	if (copy.cancelled) {
		reply_with(copy.reply, STORE_INTERRUPTED, NULL);
		return 0;
	}
	return set(copy.s, copy.ino, &copy.lock, copy.ticket, copy.reply);
}

static void committed(void *arg, int rc, const struct store_result *result)
{
	struct published *item = arg;
	struct publication *p = item->publication;
	struct handle *h = handle_find(p->s, item->handle);

	(void)result;
	if (h) {
		handle_begin_anew(h); /* it may have been merged */
	}
	if (rc && h) {
		h->error = rc; /* what it held is lost, as close will say too */
	}
	if (--p->n_left == 0) {
		go_on(p);
	}
}

/* Whether what h holds goes out when the caller unlocks through `handle`. */
static bool is_published(const struct handle *h, pid_t process, uint64_t handle)
{
	return h->written && (h->id == handle || (process > 0 && (h->process == process ||
									 h->writer == process)));
}

static bool gives_up(const struct store *s, uint64_t ino, const struct store_lock *lock)
{
	return lock->type != STORE_LOCK_EXCLUSIVE &&
	       advisory_holds(&s->advisory, ino, lock, lock->type == STORE_LOCK_SHARED);
}

/* Of the handles that there are now; NULL without memory. */
static struct publication *publication_create(struct store *s, const struct store_caller *caller,
	uint64_t ino, const struct store_lock *lock)
{
	struct node *n = tree_node(&s->tree, ino);
	pid_t process = n && node_handles(n) && caller->pid > 0 ? store_process(s, caller) : 0;
	struct publication *p;
	size_t count = 0;

	for (struct handle *h = n ? node_handles(n) : NULL; h; h = h->next) {
		count += is_published(h, process, lock->handle);
	}
	p = calloc(1, sizeof(*p) + count * sizeof(p->handles[0]));
	if (!p) {
		return NULL;
	}
	p->s = s;
	p->ino = ino;
	p->lock = *lock;
	for (struct handle *h = n && count > 0 ? node_handles(n) : NULL; h; h = h->next) {
		if (is_published(h, process, lock->handle)) {
			p->handles[p->n_handles++] = (struct published){p, h->id};
		}
	}
	return p;
}

static uint64_t publish(struct publication *p, const struct store_caller *caller)
{
	struct store *s = p->s;
	uint64_t ticket = p->ticket;

	p->next = s->publications;
	s->publications = p;
	p->n_left = 1;
	for (size_t i = 0; i < p->n_handles; i++) {
		struct handle *h = handle_find(s, p->handles[i].handle);

		if (h && h->written) {
			p->n_left++;
			h->merges = true;
			/* The close that tells of it is still to come. */
			handle_commit(s, caller, h, STORE_NOTICE_MODIFIED, false, NULL,
				(struct store_reply){.done = committed, .arg = &p->handles[i]});
		}
	}
	return --p->n_left == 0 ? go_on(p) : ticket;
}

/* --- the face ----------------------------------------------------------------------- */

void store_getlk(
	struct store *s, uint64_t ino, const struct store_lock *lock, struct store_lock *found)
{
	if (!advisory_test(&s->advisory, ino, lock, found)) {
		*found = (struct store_lock){.kind = lock->kind, .type = STORE_UNLOCK};
	}
}

uint64_t store_setlk(struct store *s, const struct store_caller *caller, uint64_t ino,
	const struct store_lock *lock, bool wait, struct store_reply reply)
{
	uint64_t ticket = wait ? advisory_ticket(&s->advisory) : 0;
	struct store_lock counted = *lock;
	struct publication *p;

	counted.uid = caller->uid;
	lock = &counted;
	if (lock->start > lock->end) {
		reply_with(reply, STORE_INVALID, NULL);
		return 0;
	}
	if (!gives_up(s, ino, lock)) {
		return set(s, ino, lock, ticket, reply);
	}
	p = publication_create(s, caller, ino, lock);
	if (!p) {
		reply_with(reply, -ENOLCK, NULL);
		return 0;
	}
	p->ticket = ticket;
	p->reply = reply;
	return publish(p, caller);
}

void store_cancel_lock(struct store *s, uint64_t ticket)
{
	if (advisory_cancel(&s->advisory, ticket, STORE_INTERRUPTED)) {
		answer_waiters(s);
		return;
	}
	for (struct publication *p = ticket ? s->publications : NULL; p; p = p->next) {
		p->cancelled |= p->ticket == ticket;
	}
}

void store_unlock_owner(struct store *s, const struct store_caller *caller, uint64_t ino,
	uint64_t owner, struct store_reply reply)
{
	const struct store_lock all = {
		.kind = STORE_LOCK_RECORD,
		.type = STORE_UNLOCK,
		.end = UINT64_MAX,
		.owner = owner,
	};
	struct publication *p;

	if (!gives_up(s, ino, &all)) {
		reply_with(reply, 0, &(struct store_result){.ino = ino});
		return;
	}
	p = publication_create(s, caller, ino, &all);
	if (!p) {
		set(s, ino, &all, 0, reply); /* nobody would ever unlock it */
		return;
	}
	p->reply = reply;
	publish(p, caller);
}

void store_drop_locks(struct store *s, uint64_t ino, uint64_t handle)
{
	advisory_release(&s->advisory, ino, handle);
	answer_waiters(s);
}

bool store_has_records(const struct store *s, uint64_t ino)
{
	return advisory_has_records(&s->advisory, ino);
}

void store_end_locks(struct store *s)
{
	advisory_end(&s->advisory, -ENOTCONN);
	answer_waiters(s);
}

/* --- the end of a handle -------------------------------------------------------------- */

struct locks_of {
	struct store *s;
	uint64_t ino, handle;
};

void *store_locks_of(struct store *s, uint64_t ino, uint64_t handle)
{
	struct locks_of *l;

	if (!advisory_is_used(&s->advisory, ino, handle)) {
		return NULL;
	}
	l = malloc(sizeof(*l));
	if (!l) {
		store_drop_locks(s, ino, handle); /* rather too early than never */
		return NULL;
	}
	*l = (struct locks_of){.s = s, .ino = ino, .handle = handle};
	return l;
}

void store_drop_locks_of(void *locks)
{
	_cleanup_free_ struct locks_of *l = locks;

	if (l) {
		store_drop_locks(l->s, l->ino, l->handle);
	}
}
