/* SPDX-License-Identifier: MIT
 * Copyright (c) 2026 The cubbyfs authors */

#include "store/op.h"

#include "base/cleanup.h"
#include "base/log.h"
#include "store/handover.h"
#include "store/internal.h"
#include "store/lasting.h"
#include "store/notice.h"

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
	buffer_finish(&op->notices);
	value_unref(op->value);
	value_unref(op->base);
	staged_finish(&op->staged);
	if (op->node) {
		tree_unref(&op->s->tree, op->node);
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
	struct store *s = op->s;
	uint64_t request = op->guarded ? op->caller.request : 0;

	if (op->ended) {
		op->ended(op, rc);
	}
	if (rc == 0 && op->remember) {
		store_remember(op->s, result.ino);
	}
	op_destroy(op);
	reply_with(reply, rc, &result);
	handover_answered(s, request);
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
	struct entry *e = tree_entry(parent, name);
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

static void apply_and_tell(struct op *op)
{
	struct store *s = op->s;
	uint64_t unresolved = s->tree.unresolved;

	store_apply(s, &op->transition, op->prepared, op->moment);
	if (s->tree.unresolved != unresolved) {
		/* A plan was for a tree that is not this one: our mistake. */
		log_error("%s: revision %llu could not be applied as planned; please report this",
			s->location, (unsigned long long)op->transition.revision);
	}
	notices_tell(s, buffer_bytes(&op->notices));
	handover_applied(op);
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

static void put_first(struct op *op)
{
	struct store *s = op->s;

	op->next = s->queue;
	if (!s->queue) {
		s->queue_tail = &op->next;
	}
	s->queue = op;
}

static void on_append(void *arg, int status)
{
	struct op *op = arg;
	struct store *s = op->s;

	s->running = NULL;
	if (status == BACKEND_CONFLICT) {
		handover_refused(op);
		op_reset(op);
		put_first(op);
	} else if (status != 0) {
		if (is_failure_of_log(status) && !s->failed) {
			s->failed = status;
			log_error("%s: writing failed (%s); read-only from now on", s->location,
				strerror(-status));
		}
		handover_refused(op);
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

/* The sweep goes before the op, whatever waits already. */
static void sweep_and_restart(struct op *op)
{
	struct op *sweep = store_sweep_op(op->s, op->node);

	op_reset(op);
	op->swept = true;
	put_first(op);
	if (sweep) {
		put_first(sweep);
	}
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
	} else if (rc == OP_SWEEP) {
		sweep_and_restart(op);
	} else if (rc) {
		op_end(op, rc);
	} else if (op->local) {
		lasting_warn(op);
		commit(op);
	} else {
		s->running = op;
		lasting_warn(op);
		notices_collect(op);
		handover_intend(op);
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
