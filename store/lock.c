/* SPDX-License-Identifier: MIT
 * Copyright (c) 2026 The cubbyfs authors */

/* What makes a lock of a name.
 *
 * Taking one is nothing but the exclusive creation of a name, which the log
 * orders like everything else: the second finds the name taken. What is added
 * is a deadline, and who holds it. The token is the revision of the acquisition,
 * so it grows from holder to holder, whatever happens in between.
 *
 * A holder that comes too late must not do any harm. What it does by name and token
 * (refresh, release) is compared with the token that stands. What it writes
 * through a descriptor goes to its own node, which by then is no lock any more,
 * and fails. */
#include "store/lock.h"

#include "base/cleanup.h"
#include "store/internal.h"

#include <errno.h>
#include <stdlib.h>

#define MOUNT_WIDE_SUFFIX ".lock"
#define LOOK_AFTER NSEC_PER_SEC

struct lock *lock_create(const struct holding *h)
{
	size_t size = h->holder.size < LOCK_HOLDER_MAX ? h->holder.size : LOCK_HOLDER_MAX;
	struct lock *l = malloc(sizeof(*l) + size);

	if (!l) {
		return NULL;
	}
	*l = (struct lock){
		.token = h->token,
		.keepalive = h->keepalive,
		.holder_size = (uint16_t)size,
	};
	if (size > 0) {
		memcpy(l->holder, h->holder.data, size);
	}
	return l;
}

void lock_destroy(struct lock *l)
{
	free(l);
}

struct bytes lock_holder(const struct lock *l)
{
	return bytes_of(l->holder, l->holder_size);
}

/* --- in the tree ------------------------------------------------------------ */

struct lock *tree_lock(const struct tree *t, const struct entry *e)
{
	const struct deadline *d = expiry_get(&t->expiry, e);

	return d ? d->lock : NULL;
}

struct lock *tree_lock_of(const struct tree *t, const struct node *n, int64_t elapsed)
{
	struct lock *newest = NULL;

	if (t->locks.n_items == 0) {
		return NULL;
	}
	for (uint32_t i = 0; i < n->nlink; i++) {
		const struct entry *e = node_name(n, i);

		struct lock *l = tree_alive(t, e, elapsed) ? tree_lock(t, e) : NULL;

		if (l && (!newest || l->token > newest->token)) {
			newest = l;
		}
	}
	return newest;
}

struct entry *tree_lock_by_token(const struct tree *t, const struct node *n, uint64_t token,
	int64_t elapsed)
{
	for (uint32_t i = 0; i < n->nlink; i++) {
		struct entry *e = node_name(n, i);

		const struct lock *l = tree_alive(t, e, elapsed) ? tree_lock(t, e) : NULL;

		if (l && l->token == token) {
			return e;
		}
	}
	return NULL;
}

/* --- taking -------------------------------------------------------------------- */

static bool ends_in(struct bytes name, const char *suffix)
{
	size_t size = strlen(suffix);

	return name.size >= size && memcmp(name.data + name.size - size, suffix, size) == 0;
}

/* What becomes of `name` if it is made exclusively: the TTL of a lock in ns, or -1. */
static int64_t ttl_of(const struct store *s, const struct node *parent, struct bytes name)
{
	const struct policy *p = node_directory(parent)->policy;
	int64_t ttl = s->config.lock_ttl > 0 ? s->config.lock_ttl : -1;
	const char *suffix = MOUNT_WIDE_SUFFIX;

	if (p && p->lock_ttl >= 0) {
		ttl = p->lock_ttl;
		suffix = "";
	}
	if (p && p->lock_suffix) {
		suffix = p->lock_suffix;
	}
	return ttl >= 0 && ends_in(name, suffix) ? ttl : -1;
}

/* liblockfile (dotlockfile, lockfile-progs) makes one such name, `.lkPID…`, and links it
 * to that of the lock for as long as it has to wait. */
static bool is_hitching_post(struct bytes name)
{
	return name.size > 3 && memcmp(name.data, ".lk", 3) == 0 && name.data[3] >= '0' &&
		name.data[3] <= '9';
}

static bool keeps_alive(const struct store *s, const struct node *parent, struct bytes name)
{
	const struct policy *p = node_directory(parent)->policy;

	if (is_hitching_post(name)) {
		return true;
	}
	return p && p->lock_keepalive >= 0 ? p->lock_keepalive : s->config.lock_keepalive;
}

/* Who the caller is, in words. Asked for once, however often the op is planned. */
static int name_holder(struct op *op)
{
	const struct store_config *config = &op->s->config;
	struct buffer text = {0};
	int rc;

	if (op->holder) {
		return 0;
	}
	rc = config->holder ? config->holder(config->arg, &op->caller, &text) :
			      buffer_printf(&text, "{\"pid\":%ld,\"uid\":%lu}",
				      (long)store_process(op->s, &op->caller),
				      (unsigned long)op->caller.uid);
	if (rc) {
		buffer_finish(&text);
		return rc;
	}
	op->holder = text.data;
	op->holder_size = text.size;
	return 0;
}

static int take(struct op *op, const struct node *parent, struct bytes name, int64_t ttl,
	struct change *c)
{
	int rc = name_holder(op);

	if (rc) {
		return rc;
	}
	c->fields |= HAS_EXPIRES | HAS_LOCK;
	c->expires = op->moment.lease + ttl;
	c->ttl = ttl;
	c->lock = (struct holding){
		.holder = bytes_of(op->holder, op->holder_size),
		.keepalive = keeps_alive(op->s, parent, name),
	};
	return 0;
}

int lock_plan(struct op *op, const struct node *parent, struct bytes name, struct change *c)
{
	int64_t ttl = ttl_of(op->s, parent, name);

	return ttl >= 0 ? take(op, parent, name, ttl, c) : 0;
}

int lock_plan_move(struct op *op, const struct entry *e, bool exclusive, bool over_key,
	const struct node *to_parent, struct bytes to_name, struct change *c)
{
	bool is_lock = tree_lock(&op->s->tree, e) != NULL;
	int64_t ttl = (is_lock && !over_key) || exclusive ? ttl_of(op->s, to_parent, to_name) : -1;

	if (ttl >= 0) {
		return take(op, to_parent, to_name, ttl, c);
	}
	if (is_lock) {
		c->fields |= HAS_EXPIRES;
		c->expires = c->ttl = 0;
	}
	return 0;
}

/* --- holders that are kept alive ------------------------------------------------- */

/* While its holder lives a lock has no deadline but for the log, which is told of the
 * end: from then on it is a lock as any other. Whoever opens the store looks whether
 * those that are still kept alive have holders that live. It looks again and again after
 * those whose end nobody will tell (the front end watches only so many processes). */

/* A lock with this token (an exchange takes two at once) whose holder lives, or is to be
 * looked at. What is done with it may end any other, so there is no next one. */
static struct lock *find_kept_alive(const struct store *s, uint64_t token, bool lives)
{
	struct table_link *at = table_first(&s->tree.locks, hash_number(token));

	for (; at; at = table_next(at)) {
		struct lock *l = container_of(at, struct lock, by_token);

		if (l->token == token && l->keepalive && !l->is_ending && l->lives == lives) {
			return l;
		}
	}
	return NULL;
}

/* The lock that op->revision is the token of is kept alive no more. */
static int plan_ended(struct op *op)
{
	struct entry *e = tree_lock_by_token(&op->s->tree, op->node, op->revision,
		op->moment.elapsed);
	const struct lock *l = e ? tree_lock(&op->s->tree, e) : NULL;
	struct change *c;
	char *holder;

	if (!l || !l->keepalive) {
		return OP_NOTHING;
	}
	c = op_change(op, CHANGE_PUT, op->node->ino);
	holder = malloc(l->holder_size + 1u);
	if (op_keep(op, holder) || !c) {
		return -ENOMEM;
	}
	memcpy(holder, l->holder, l->holder_size);
	c->fields = HAS_EXPIRES | HAS_LOCK;
	c->ttl = expiry_get(&op->s->tree.expiry, e)->ttl;
	c->expires = op->moment.lease + c->ttl;
	c->lock = (struct holding){
		.token = l->token,
		.holder = bytes_of(holder, l->holder_size),
	};
	return op_place(op, entry_parent(e), entry_name(e), &c->place);
}

/* From now on, by a whole TTL. */
static void extend(struct store *s, struct lock *l)
{
	int64_t ttl = expiry_get(&s->tree.expiry, l->entry)->ttl;

	tree_set_deadline(&s->tree, l->entry, s->now.elapsed + ttl, ttl);
}

static void start_lease(struct store *s, struct lock *l)
{
	const struct store_caller nobody = {0};
	struct op *op;

	tree_let_go(&s->tree, l);
	l->is_ending = true;
	/* Here at once, whatever becomes of the line in the log. */
	extend(s, l);
	op = op_create(
		s, &nobody, plan_ended, entry_node(l->entry), NULL, NULL, (struct store_reply){0});
	if (op) {
		op->durable = false;
		op->revision = l->token;
		op_submit(op);
	}
}

static void watch(struct store *s, struct lock *l)
{
	int64_t ttl = expiry_get(&s->tree.expiry, l->entry)->ttl;
	enum store_watch found = s->config.watch_holder ?
		s->config.watch_holder(s->config.arg, lock_holder(l), l->token) : STORE_ENDED;

	if (found == STORE_ENDED) {
		start_lease(s, l);
		return;
	}
	l->lives = true;
	l->watched = found == STORE_WATCHED;
	if (!l->watched) {
		s->look_after = s->look_after ? s->look_after : s->now.elapsed + LOOK_AFTER;
	}
	tree_set_deadline(&s->tree, l->entry, DEADLINE_NEVER, ttl);
}

void lock_taken(struct store *s, uint64_t token)
{
	struct lock *l;

	while ((l = find_kept_alive(s, token, false))) {
		watch(s, l);
	}
}

int lock_revive_all(struct store *s)
{
	uint64_t *tokens = calloc(s->tree.locks.n_items + 1, sizeof(*tokens));
	size_t n = 0;

	if (!tokens) {
		return -ENOMEM;
	}
	for (size_t i = 0; i < s->tree.locks.n_buckets; i++) {
		for (struct table_link *at = table_bucket(&s->tree.locks, i); at; at = at->next) {
			struct lock *l = container_of(at, struct lock, by_token);

			if (l->keepalive && !l->watched && !l->is_ending) {
				tokens[n++] = l->token;
				/* None may seem to have expired because one above it is
				 * still to come. */
				l->lives = false;
				extend(s, l);
			}
		}
	}
	for (size_t i = 0; i < n; i++) {
		lock_taken(s, tokens[i]);
	}
	free(tokens);
	return 0;
}

int64_t lock_look_after(struct store *s)
{
	if (s->look_after == 0) {
		return -1;
	}
	if (s->now.elapsed < s->look_after) {
		return s->look_after - s->now.elapsed;
	}
	s->look_after = 0; /* set again by the first that lives */
	if (lock_revive_all(s)) {
		s->look_after = s->now.elapsed + LOOK_AFTER;
	}
	return s->look_after ? LOOK_AFTER : -1;
}

void store_holder_ended(struct store *s, uint64_t token)
{
	struct lock *l;

	store_now(s);
	while ((l = find_kept_alive(s, token, true))) {
		start_lease(s, l);
	}
}
