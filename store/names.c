/* SPDX-License-Identifier: MIT
 * Copyright (c) 2026 The cubbyfs authors */

/* What makes, moves and removes names. */
#include "store/internal.h"
#include "store/lasting.h"

#include "base/cleanup.h"

#include <errno.h>
#include <fcntl.h>

/* The namespace that a plan needs, with room for one more name in it. */
static int find_room(struct op *op, uint64_t ino, bool is_directory, struct node **out)
{
	int rc = store_namespace(op->s, ino, out);

	return rc ? rc : quota_may_add(op->s, *out, is_directory);
}

/* Checks that a name is free, and clears away one that has expired. */
static int claim(struct op *op, const struct node *parent, struct bytes name)
{
	if (tree_find(&op->s->tree, parent, name, op->s->now.elapsed)) {
		return STORE_EXISTS;
	}
	return op_clear(op, parent, name);
}

static void fill_result(struct op *op, uint64_t ino)
{
	struct node *n = tree_node(&op->s->tree, ino);

	if (n) {
		op->result.ino = ino;
		op->result.lasts = lasting_node(op->s, n);
		store_fill_stat(op->s, n, &op->result.stat);
	}
}

static void made(struct op *op)
{
	fill_result(op, op->made);
}

/* --- making ---------------------------------------------------------------- */

/* A new node: mode (with its type), device number or symlink target. */
static int plan_make(struct op *op)
{
	struct bytes name = bytes_of_string(op->name);
	struct node *parent;
	struct change *c;
	int64_t ttl;
	int rc = find_room(op, op->parent, S_ISDIR(op->mode), &parent);

	rc = rc ? rc : quota_may_grow(op->s, parent, 0, op->data.size);
	rc = rc ? rc : claim(op, parent, name);
	if (rc) {
		return rc;
	}
	op->made = op_number(op);
	c = op_change(op, CHANGE_PUT, op->made);
	if (!c) {
		return -ENOMEM;
	}
	c->fields = HAS_MODE | HAS_OWNER;
	c->mode = op->mode;
	c->uid = op->caller.uid;
	c->gid = op->caller.gid;
	/* As in a set-group-id directory of any local file system. */
	if (parent->mode & S_ISGID) {
		c->gid = node_gid(parent);
		if (S_ISDIR(op->mode)) {
			c->mode |= S_ISGID;
		}
	}
	if (S_ISCHR(op->mode) || S_ISBLK(op->mode)) {
		c->fields |= HAS_RDEV;
		c->rdev = op->rdev;
	}
	if (S_ISREG(op->mode) || S_ISLNK(op->mode)) {
		c->fields |= HAS_VALUE;
		c->value = buffer_bytes(&op->data);
	}
	ttl = S_ISREG(op->mode) ? store_default_ttl(parent) : -1;
	if (ttl >= 0) {
		c->fields |= HAS_EXPIRES;
		c->expires = op->moment.lease + ttl;
		c->ttl = ttl;
	}
	rc = lock_plan(op, parent, name, c);
	return rc ? rc : op_new_place(op, parent, name, &c->place);
}

static void make(struct store *s, const struct store_caller *caller, uint64_t parent,
	const char *name, mode_t mode, dev_t rdev, struct bytes target, struct store_reply reply)
{
	int rc = store_check_name(name);
	struct op *op;

	if (rc) {
		reply_with(reply, rc, NULL);
		return;
	}
	store_sweep_name(s, parent, name);
	op = op_create(s, caller, plan_make, NULL, name, NULL, reply);
	if (!op) {
		return;
	}
	op->applied = made;
	op->remember = true;
	op->parent = parent;
	op->mode = mode;
	op->rdev = rdev;
	if (buffer_append(&op->data, target.data, target.size)) {
		op_refuse(op, -ENOMEM);
		return;
	}
	op_submit(op);
}

void store_mknod(struct store *s, const struct store_caller *caller, uint64_t parent,
	const char *name, mode_t mode, dev_t rdev, struct store_reply reply)
{
	if (S_ISLNK(mode)) {
		reply_with(reply, STORE_INVALID, NULL);
		return;
	}
	if (!(mode & S_IFMT)) {
		mode |= S_IFREG;
	}
	make(s, caller, parent, name, mode, rdev, bytes_of("", 0), reply);
}

void store_symlink(struct store *s, const struct store_caller *caller, uint64_t parent,
	const char *name, const char *target, struct store_reply reply)
{
	make(s, caller, parent, name, S_IFLNK | 0777, 0, bytes_of_string(target), reply);
}

/* --- a key that its maker has not closed yet -------------------------------- */

/* The key of this name that the caller's process is making, if there is no
 * other by it. */
static struct node *being_made(struct store *s, const struct store_caller *caller, uint64_t parent,
	const char *name)
{
	struct bytes b = bytes_of_string(name);
	struct pending *p;
	struct node *dir;

	store_now(s);
	if (s->tree.pending.n_items == 0 || store_namespace(s, parent, &dir) ||
		tree_find(&s->tree, dir, b, s->now.elapsed)) {
		return NULL;
	}
	p = tree_find_pending(&s->tree, dir, b);
	return p && handle_is_maker(s, caller, p->node) ? p->node : NULL;
}

static void made_now(void *arg, int rc, const struct store_result *result)
{
	struct op *op = arg;
	struct handle *h = handle_find(op->s, op->handle);

	(void)result;
	if (rc && h) {
		h->error = rc; /* what it held is lost, as close will say too */
	}
	if (rc) {
		op_refuse(op, rc);
	} else {
		op_submit(op);
	}
}

/* Who renames or links a key that he is making means it to be there: it is
 * committed, and then the op goes on. */
static void make_and_submit(struct store *s, const struct store_caller *caller, struct node *n,
	struct op *op)
{
	struct handle *h = n && n->is_pending ? handle_of(s, caller, n) : NULL;

	/* Its commit is not yet what the request wants. */
	struct store_caller maker = *caller;

	maker.request = 0;
	if (h) {
		op->handle = h->id;
		handle_commit(s, &maker, h, STORE_NOTICE_MODIFIED, false, NULL,
			(struct store_reply){.done = made_now, .arg = op});
	} else {
		op_submit(op);
	}
}

/* --- linking ----------------------------------------------------------------- */

static int plan_link(struct op *op)
{
	struct bytes name = bytes_of_string(op->name);
	struct node *n = op->node, *parent;
	struct change *c;
	int rc = find_room(op, op->parent, false, &parent);

	if (rc) {
		return rc;
	}
	if (node_is_directory(n)) {
		return STORE_DENIED;
	}
	if (!tree_name(&op->s->tree, n, op->moment.elapsed)) {
		return STORE_NOT_FOUND;
	}
	if (n->nlink >= STORE_LINK_MAX) {
		return STORE_TOO_MANY_LINKS;
	}
	rc = claim(op, parent, name);
	if (rc) {
		return rc;
	}
	c = op_change(op, CHANGE_LINK, n->ino);
	if (!c) {
		return -ENOMEM;
	}
	op->made = n->ino;
	rc = lock_plan(op, parent, name, c);
	return rc ? rc : op_new_place(op, parent, name, &c->place);
}

void store_link(struct store *s, const struct store_caller *caller, uint64_t ino,
	uint64_t parent, const char *name, struct store_reply reply)
{
	struct node *n = tree_node(&s->tree, ino);
	int rc = n ? store_check_name(name) : STORE_NOT_FOUND;
	struct op *op;

	if (rc) {
		reply_with(reply, rc, NULL);
		return;
	}
	store_sweep_name(s, parent, name);
	op = op_create(s, caller, plan_link, n, name, NULL, reply);
	if (op) {
		op->applied = made;
		op->remember = true;
		op->parent = parent;
		make_and_submit(s, caller, n, op);
	}
}

/* --- removing ------------------------------------------------------------------ */

static int plan_remove(struct op *op)
{
	struct bytes name = bytes_of_string(op->name);
	bool directory = S_ISDIR(op->mode);
	struct node *parent;
	struct change *c;
	struct entry *e;
	int rc = store_namespace(op->s, op->parent, &parent);

	if (rc) {
		return rc;
	}
	e = tree_find(&op->s->tree, parent, name, op->moment.elapsed);
	if (!e) {
		return STORE_NOT_FOUND;
	}
	if (directory != node_is_directory(entry_node(e))) {
		return directory ? STORE_NOT_DIRECTORY : STORE_IS_DIRECTORY;
	}
	if (directory && (node_directory(entry_node(e))->n_pending > 0 ||
				 !tree_is_empty(&op->s->tree, entry_node(e), op->moment.elapsed))) {
		return STORE_NOT_EMPTY;
	}
	c = op_change(op, CHANGE_REMOVE, entry_node(e)->ino);
	return c ? op_place(op, parent, name, &c->place) : -ENOMEM;
}

static void remove_name(struct store *s, const struct store_caller *caller, uint64_t parent,
	const char *name, mode_t type, struct store_reply reply)
{
	int rc = store_check_name(name);
	struct op *op;

	if (rc) {
		reply_with(reply, rc, NULL);
		return;
	}
	op = op_create(s, caller, plan_remove, NULL, name, NULL, reply);
	if (op) {
		op->parent = parent;
		op->mode = type;
		op_submit(op);
	}
}

void store_unlink(struct store *s, const struct store_caller *caller, uint64_t parent,
	const char *name, struct store_reply reply)
{
	struct node *n = being_made(s, caller, parent, name);

	/* If its first commit is under way, the removal comes after that. */
	if (n && node_pending(n)->n_commits == 0) {
		/* What is written to it goes where any unlinked file's bytes go. */
		tree_unpend(&s->tree, n);
		reply_with(reply, 0, &(struct store_result){.ino = n->ino});
		return;
	}
	remove_name(s, caller, parent, name, S_IFREG, reply);
}

void store_rmdir(struct store *s, const struct store_caller *caller, uint64_t parent,
	const char *name, struct store_reply reply)
{
	remove_name(s, caller, parent, name, S_IFDIR, reply);
}

/* --- renaming ------------------------------------------------------------------- */

static bool is_below(const struct node *n, const struct node *above)
{
	while (n && n != above) {
		n = !n->is_pending && node_first_name(n) ? entry_parent(node_first_name(n)) : NULL;
	}
	return n != NULL;
}

/* May `from` take the place of `to`? */
static int may_replace(struct op *op, const struct node *from, const struct node *to)
{
	if (node_is_directory(to)) {
		if (!node_is_directory(from)) {
			return STORE_IS_DIRECTORY;
		}
		return node_directory(to)->n_pending == 0 &&
				       tree_is_empty(&op->s->tree, to, op->moment.elapsed)
			       ? 0
			       : STORE_NOT_EMPTY;
	}
	return node_is_directory(from) ? STORE_NOT_DIRECTORY : 0;
}

/* May e come into the namespace, where `instead` (NULL: nothing) goes away? What is counted
 * elsewhere, because its first name is there, brings nothing along. */
static int may_bring(struct op *op, const struct entry *e, const struct node *parent,
	const struct entry *instead)
{
	const struct node *n = entry_node(e);
	uint64_t before = instead && node_first_name(entry_node(instead)) == instead
				  ? node_bytes(entry_node(instead))
				  : 0;
	int rc = 0;

	if (entry_parent(e) == parent) {
		return 0;
	}
	if (!node_is_directory(n) && (!instead || node_is_directory(entry_node(instead)))) {
		rc = quota_may_enter(op->s, parent);
	}
	return rc ? rc
		  : quota_may_bring(
			    op->s, parent, before, node_first_name(n) == e ? node_bytes(n) : 0);
}

/* Half of an exchange: what e is under its other name, if it is a lock. */
static int plan_arrival(struct op *op, const struct entry *e, const struct node *to_parent,
	struct bytes to_name)
{
	struct change *c;
	int rc;

	if (!tree_lock(&op->s->tree, e)) {
		return 0;
	}
	c = op_change(op, CHANGE_PUT, entry_node(e)->ino);
	if (!c) {
		return -ENOMEM;
	}
	rc = op_place(op, to_parent, to_name, &c->place);
	return rc ? rc : lock_plan_move(op, e, false, false, to_parent, to_name, c);
}

/* May all that is below n be there? */
static int check_paths(const struct node *n, const struct node *parent, struct bytes name)
{
	return tree_longest_path(parent, name.size, n) > STORE_PATH_MAX ? STORE_NAME_TOO_LONG : 0;
}

static int plan_rename(struct op *op)
{
	struct bytes name = bytes_of_string(op->name);
	struct bytes to_name = bytes_of_string(op->to_name);
	bool exchange = op->flags & RENAME_EXCHANGE;
	int64_t elapsed = op->moment.elapsed;
	struct node *parent, *to_parent;
	struct entry *from, *to;
	struct change *c;
	int rc = store_namespace(op->s, op->parent, &parent);

	rc = rc ? rc : store_namespace(op->s, op->to_parent, &to_parent);
	if (rc) {
		return rc;
	}
	from = tree_find(&op->s->tree, parent, name, elapsed);
	to = tree_find(&op->s->tree, to_parent, to_name, elapsed);
	if (!from || (exchange && !to)) {
		return STORE_NOT_FOUND;
	}
	if (to && (op->flags & RENAME_NOREPLACE)) {
		return STORE_EXISTS;
	}
	if (to && entry_node(to) == entry_node(from)) {
		return OP_NOTHING;
	}
	if ((node_is_directory(entry_node(from)) && is_below(to_parent, entry_node(from))) ||
		(exchange && node_is_directory(entry_node(to)) &&
			is_below(parent, entry_node(to)))) {
		return STORE_INVALID;
	}
	if (to && !exchange) {
		rc = may_replace(op, entry_node(from), entry_node(to));
	}
	rc = rc ? rc : may_bring(op, from, to_parent, to);
	rc = rc || !exchange ? rc : may_bring(op, to, parent, from);
	rc = rc || to ? rc : op_clear(op, to_parent, to_name);
	if (rc) {
		return rc;
	}
	c = op_change(op, exchange ? CHANGE_EXCHANGE : CHANGE_RENAME, entry_node(from)->ino);
	if (!c) {
		return -ENOMEM;
	}
	rc = op_place(op, parent, name, &c->place);
	rc = rc ? rc : op_place(op, to_parent, to_name, &c->to);
	rc = rc ? rc : check_paths(entry_node(from), to_parent, to_name);
	rc = rc || !exchange ? rc : check_paths(entry_node(to), parent, name);
	if (rc) {
		return rc;
	}
	if (!exchange) {
		return lock_plan_move(op, from, op->flags & RENAME_NOREPLACE,
			to && !tree_lock(&op->s->tree, to), to_parent, to_name, c);
	}
	rc = plan_arrival(op, from, to_parent, to_name);
	return rc ? rc : plan_arrival(op, to, parent, name);
}

void store_rename(struct store *s, const struct store_caller *caller, uint64_t parent,
	const char *name, uint64_t to_parent, const char *to_name, unsigned flags,
	struct store_reply reply)
{
	int rc = store_check_name(name);
	struct op *op;

	rc = rc ? rc : store_check_name(to_name);
	if (flags & ~(unsigned)(RENAME_NOREPLACE | RENAME_EXCHANGE) ||
		flags == (RENAME_NOREPLACE | RENAME_EXCHANGE)) {
		rc = STORE_INVALID;
	}
	if (rc) {
		reply_with(reply, rc, NULL);
		return;
	}
	store_sweep_name(s, to_parent, to_name);
	op = op_create(s, caller, plan_rename, NULL, name, to_name, reply);
	if (op) {
		op->parent = parent;
		op->to_parent = to_parent;
		op->flags = (int)flags;
		make_and_submit(s, caller, being_made(s, caller, parent, name), op);
	}
}

/* --- looking ---------------------------------------------------------------------- */

int store_lookup(struct store *s, const struct store_caller *caller, uint64_t parent,
	const char *name, struct stat *st, bool *lasts)
{
	struct bytes b = bytes_of_string(name);
	struct pending *p;
	struct node *dir, *n = NULL;
	struct entry *e;
	int rc = store_namespace(s, parent, &dir);

	*lasts = false;
	if (rc) {
		return rc;
	}
	if (b.size > STORE_NAME_MAX) {
		return STORE_NAME_TOO_LONG;
	}
	store_now(s);
	e = tree_find(&s->tree, dir, b, s->now.elapsed);
	if (e) {
		n = entry_node(e);
	} else {
		p = tree_find_pending(&s->tree, dir, b);
		n = p && handle_is_maker(s, caller, p->node) ? p->node : NULL;
	}
	if (!n) {
		return STORE_NOT_FOUND;
	}
	rc = store_getattr(s, caller, n->ino, st, lasts);
	if (rc == 0) {
		tree_remember(n);
	}
	return rc;
}

int store_readdir(struct store *s, const struct store_caller *caller, uint64_t ino,
	uint64_t cookie, store_readdir_fn *fn, void *arg)
{
	struct node *dir = tree_node(&s->tree, ino);
	struct entry *e;

	(void)caller;
	if (!dir) {
		return STORE_NOT_FOUND;
	}
	if (!node_is_directory(dir)) {
		return STORE_NOT_DIRECTORY;
	}
	store_now(s);
	for (e = tree_next(dir, cookie); e; e = tree_following(e)) {
		struct store_name name = {
			.name = entry_name(e),
			.ino = entry_node(e)->ino,
			.mode = entry_node(e)->mode,
			.cookie = directory_cookie(e),
		};

		if (tree_alive(&s->tree, e, s->now.elapsed) && !fn(arg, &name)) {
			break;
		}
	}
	return 0;
}

int store_parent(struct store *s, uint64_t ino, uint64_t *parent)
{
	struct node *n = tree_node(&s->tree, ino);

	if (!n || !node_is_directory(n)) {
		return STORE_NOT_FOUND;
	}
	*parent = node_first_name(n) ? entry_parent(node_first_name(n))->ino : INO_ROOT;
	return 0;
}

int store_readlink(struct store *s, uint64_t ino, struct bytes *target)
{
	struct node *n = tree_node(&s->tree, ino);

	if (!n) {
		return STORE_NOT_FOUND;
	}
	if (!S_ISLNK(n->mode)) {
		return STORE_INVALID;
	}
	*target = value_bytes(node_value(n));
	return 0;
}
