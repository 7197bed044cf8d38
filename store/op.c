/* SPDX-License-Identifier: MIT
 * Copyright (c) 2026 The cubbyfs authors */

#include "store/op.h"

#include "base/cleanup.h"
#include "base/log.h"
#include "store/internal.h"
#include "store/place.h"

#include <errno.h>

void staged_finish(struct staged *s)
{
	free(s->action);
	xattr_destroy_all(s->xattrs);
	xattr_destroy_all(s->removed);
	*s = (struct staged){0};
}

void reply_with(struct store_reply reply, int rc, const struct store_result *result)
{
	if (reply.done) {
		reply.done(reply.arg, rc, rc == 0 ? result : NULL);
	}
}

void op_reset(struct op *op)
{
	if (op->prepared) {
		tree_unprepare(op->prepared, op->n_changes);
		free(op->prepared);
		op->prepared = NULL;
	}
	for (size_t i = 0; i < op->n_kept; i++) {
		free(op->kept[i]);
	}
	op->n_kept = 0;
	op->n_changes = 0;
	op->local = false;
	op->made = 0;
	value_unref(op->planned);
	op->planned = NULL;
}

static void op_destroy(struct op *op)
{
	op_reset(op);
	free(op->kept);
	free(op->changes);
	free(op->name);
	free(op->to_name);
	free(op->holder);
	buffer_finish(&op->data);
	value_unref(op->value);
	value_unref(op->base);
	staged_finish(&op->staged);
	if (op->node) {
		tree_unref(&op->s->tree, op->node, 1);
	}
	free(op);
}

struct op *op_create(struct store *s, const struct store_caller *caller,
	int (*plan)(struct op *op), struct node *node, const char *name, const char *to_name,
	struct store_reply reply)
{
	struct op *op = calloc(1, sizeof(*op));

	if (op) {
		op->s = s;
		op->plan = plan;
		op->caller = *caller;
		op->reply = reply;
		op->node = node;
		if (node) {
			tree_ref(node);
		}
		op->name = name ? strdup(name) : NULL;
		op->to_name = to_name ? strdup(to_name) : NULL;
		op->durable = s->config.sync;
		if ((!name || op->name) && (!to_name || op->to_name)) {
			return op;
		}
		op_destroy(op);
	}
	reply_with(reply, -ENOMEM, NULL);
	return NULL;
}

static void op_end(struct op *op, int rc)
{
	struct store_reply reply = op->reply;
	struct store_result result = op->result;

	if (op->ended) {
		op->ended(op, rc);
	}
	if (rc == 0 && op->remember) {
		store_remember(op->s, result.ino);
	}
	op_destroy(op);
	reply_with(reply, rc, &result);
}

void op_refuse(struct op *op, int rc)
{
	op_end(op, rc);
}

/* --- for plans ------------------------------------------------------------ */

struct change *op_change(struct op *op, enum change_type type, uint64_t ino)
{
	struct change *c;

	if (op->n_changes == op->capacity) {
		size_t capacity = op->capacity ? op->capacity * 2 : 1;

		c = realloc(op->changes, capacity * sizeof(*c));
		if (!c) {
			return NULL;
		}
		op->changes = c;
		op->capacity = capacity;
	}
	c = &op->changes[op->n_changes++];
	*c = (struct change){.type = type, .ino = ino};
	return c;
}

uint64_t op_number(struct op *op)
{
	struct tree *t = &op->s->tree;

	/* On a shared log somebody else may have taken it meanwhile. */
	if (op->reserved == 0 || tree_node(t, op->reserved)) {
		op->reserved = t->next_ino++;
	}
	return op->reserved;
}

int op_keep(struct op *op, void *memory)
{
	void **kept;

	if (!memory) {
		return -ENOMEM;
	}
	kept = realloc(op->kept, (op->n_kept + 1) * sizeof(*kept));
	if (!kept) {
		free(memory);
		return -ENOMEM;
	}
	op->kept = kept;
	op->kept[op->n_kept++] = memory;
	return 0;
}

int op_place(struct op *op, const struct node *parent, struct bytes name, struct place *out)
{
	struct buffer path = {0};
	int rc = tree_path(parent, name, &path);

	if (rc) {
		buffer_finish(&path);
		return rc;
	}
	rc = op_keep(op, path.data);
	if (rc == 0) {
		out->parent = parent->ino;
		out->path = buffer_bytes(&path);
	}
	return rc;
}

int op_new_place(struct op *op, const struct node *parent, struct bytes name, struct place *out)
{
	int rc = op_place(op, parent, name, out);

	return rc ? rc : out->path.size > STORE_PATH_MAX ? STORE_NAME_TOO_LONG : 0;
}

int op_clear(struct op *op, const struct node *parent, struct bytes name)
{
	struct entry *e = tree_entry(&op->s->tree, parent, name);
	struct change *c;

	if (!e || tree_alive(&op->s->tree, e, op->s->now.elapsed)) {
		return 0;
	}
	c = op_change(op, CHANGE_EXPIRE, entry_node(e)->ino);
	return c ? op_place(op, parent, name, &c->place) : -ENOMEM;
}

/* --- the way into the log --------------------------------------------------- */

static void on_sync(void *arg, int status)
{
	struct op *op = arg;

	store_synced(op->s, status);
	op_end(op, status);
}

/* The change that the notice is of: the first that sets a value or takes a name. */
static const struct change *change_to_tell(const struct op *op)
{
	for (size_t i = 0; i < op->n_changes; i++) {
		const struct change *c = &op->changes[i];

		if (op->notice == STORE_NOTICE_REMOVED ?
				c->type == CHANGE_EXPIRE || c->type == CHANGE_REMOVE :
			    c->type == CHANGE_APPEND || (c->fields & HAS_VALUE)) {
			return c;
		}
	}
	return NULL;
}

/* Tells that a name is about to go, and before it all that is below it. */
static void tell_removal(struct store *s, const struct change *c, struct moment now)
{
	struct node *parent = tree_node(&s->tree, c->place.parent);
	struct entry *top = parent && node_is_directory(parent) ?
		tree_entry(&s->tree, parent, place_name(&c->place)) : NULL;
	_cleanup_buffer_ struct buffer path = {0};
	bool in_expired;

	if (!top || entry_node(top)->ino != c->ino) {
		return;
	}
	in_expired = node_names(parent) && !tree_alive(&s->tree, node_names(parent), now.elapsed);
	for (struct entry *e = tree_lowest(top); e; e = tree_after(e, top)) {
		path.size = 0;
		if (tree_path(entry_parent(e), entry_name(e), &path)) {
			log_error("out of memory: a removal is not told");
			continue;
		}
		tree_ref(entry_node(e));
		s->listener->notice(s->listener->arg, &(struct store_notice){
			.kind = STORE_NOTICE_REMOVED,
			.ino = entry_node(e)->ino,
			.parent = entry_parent(e)->ino,
			.path = buffer_bytes(&path),
			.mode = entry_node(e)->mode,
			.below_expired = in_expired || e != top,
		});
	}
}

/* Applies, and tells the listener of it, who may keep what was removed. */
static void apply_and_tell(struct op *op)
{
	struct store *s = op->s;
	const struct change *c = op->announces && s->listener && !op->local ?
		change_to_tell(op) : NULL;
	uint64_t unresolved = s->tree.unresolved;
	struct node *n;

	if (c && op->notice == STORE_NOTICE_REMOVED) {
		tell_removal(s, c, op->moment);
		c = NULL;
	}
	n = c ? tree_node(&s->tree, c->ino) : NULL;
	store_apply(s, &op->transition, op->prepared, op->moment);
	if (s->tree.unresolved != unresolved) {
		/* A plan was for a tree that is not this one: our mistake. */
		log_error("%s: revision %llu could not be applied as planned; please report this",
			s->location, (unsigned long long)op->transition.revision);
	}
	if (n) {
		s->listener->notice(s->listener->arg, &(struct store_notice){
			.kind = op->notice,
			.ino = c->ino,
			.parent = c->place.parent,
			.path = c->place.path,
			.mode = n->mode,
		});
	}
}

static void commit(struct op *op)
{
	struct store *s = op->s;

	apply_and_tell(op);
	free(op->prepared);
	op->prepared = NULL;
	if (op->holder) {
		lock_taken(s, op->transition.revision);
	}
	if (op->applied) {
		op->applied(op);
	}
	if (op->local) {
		op_end(op, 0);
		return;
	}
	if (s->dirty_since == 0) {
		s->dirty_since = op->moment.elapsed;
	}
	if (op->durable) {
		s->ops->sync(s->backend, on_sync, op);
	} else {
		op_end(op, 0);
	}
}

/* The others leave the log as it was (see backend.h). */
static bool is_failure_of_log(int status)
{
	return status != -ENOSPC && status != -ENOMEM && status != -EFBIG && status != -EINVAL;
}

static void on_append(void *arg, int status)
{
	struct op *op = arg;
	struct store *s = op->s;

	s->running = NULL;
	if (status == BACKEND_CONFLICT) {
		op_reset(op);
		op->next = s->queue;
		if (!s->queue) {
			s->queue_tail = &op->next;
		}
		s->queue = op;
	} else if (status != 0) {
		if (is_failure_of_log(status) && !s->failed) {
			s->failed = status;
			log_error("%s: writing failed (%s); read-only from now on", s->location,
				strerror(-status));
		}
		op_end(op, status);
	} else {
		commit(op);
	}
	op_pump(s);
}

static int plan(struct op *op)
{
	struct store *s = op->s;
	int rc;

	store_now(s);
	op->moment = s->now;
	rc = op->plan(op);
	if (rc) {
		return rc;
	}
	op->transition = (struct transition){
		.revision = op->local ? 0 : s->tree.revision + 1,
		.at = op->moment.wall,
		.lease = op->moment.lease > op->moment.wall ? op->moment.lease : 0,
		.by = op->caller.uid,
		.action = bytes_of_string(op->staged.action ? op->staged.action : ""),
		.changes = op->changes,
		.n_changes = op->n_changes,
	};
	op->prepared = calloc(op->n_changes, sizeof(*op->prepared));
	if (!op->prepared) {
		return -ENOMEM;
	}
	for (size_t i = 0; i < op->n_changes && op->planned; i++) {
		if (op->changes[i].type == CHANGE_APPEND || (op->changes[i].fields & HAS_VALUE)) {
			op->prepared[i].value = steal_pointer(&op->planned);
		}
	}
	rc = tree_prepare(&s->tree, &op->transition, op->prepared);
	if (rc) {
		free(op->prepared);
		op->prepared = NULL;
	}
	return rc;
}

static void start(struct op *op)
{
	struct store *s = op->s;
	int rc = s->failed || s->config.read_only ? -EROFS : 0;

	if (rc == 0) {
		rc = plan(op);
	}
	if (rc == OP_NOTHING) {
		op_end(op, 0);
	} else if (rc) {
		op_end(op, rc);
	} else if (op->local) {
		commit(op);
	} else {
		s->running = op;
		s->ops->append(s->backend, &op->transition, on_append, op);
	}
}

void op_pump(struct store *s)
{
	if (s->pumping) {
		return;
	}
	s->pumping = true;
	while (s->queue && !s->running) {
		struct op *op = s->queue;

		s->queue = op->next;
		if (!s->queue) {
			s->queue_tail = &s->queue;
		}
		op->next = NULL;
		start(op);
	}
	s->pumping = false;
}

void op_submit(struct op *op)
{
	struct store *s = op->s;

	*s->queue_tail = op;
	s->queue_tail = &op->next;
	op_pump(s);
}
