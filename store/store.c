/* SPDX-License-Identifier: MIT
 * Copyright (c) 2026 The cubbyfs authors */

/* Opening, closing, and what is due by the clock.
 *
 * TTLs. A deadline is kept in the log on the wall clock, and here on a clock
 * that runs by itself (clock_elapsed): while the store is open no setting of
 * the wall clock makes a TTL longer or shorter. When it is opened, the wall
 * clock counts from the newest time that the log knows of, so that a clock that
 * was set back meanwhile does not revive a key. Expired is what is past its
 * deadline, whether or not it has been swept away yet; sweeping writes a
 * transition for each key, some at a time. */
#include "store/internal.h"

#include "base/cleanup.h"
#include "base/log.h"
#include "store/handover.h"
#include "store/json.h"
#include "store/notice.h"

#include <errno.h>
#include <inttypes.h>
#include <json-c/json.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/vfs.h>

#define COMMIT_DEFAULT NSEC_PER_SEC
#define COMPACT_MIN_DEFAULT (UINT64_C(8) << 20)
#define LOCK_WAIT_DEFAULT (2 * NSEC_PER_SEC)
#define LOCKS_NAME "locks"
#define LOCKS_MODE (S_IFDIR | S_ISVTX | 0777)
#define LOCKS_TTL_DEFAULT (30 * NSEC_PER_SEC)
#define EXPIRE_BATCH 64
#define WALL_JITTER NSEC_PER_MSEC

void store_config_init(struct store_config *config)
{
	*config = (struct store_config){
		.max_value = STORE_MAX_VALUE_DEFAULT,
		.commit = COMMIT_DEFAULT,
		.compact_min = COMPACT_MIN_DEFAULT,
		.lock_wait = LOCK_WAIT_DEFAULT,
		.locks_ttl = LOCKS_TTL_DEFAULT,
		.mode = 0755,
		.uid = getuid(),
		.gid = getgid(),
	};
}

/* --- what the files of the store share ----------------------------------- */

/* What a line can say: a clock that is set to somewhere else stands still there. */
static int64_t within_limits(int64_t wall)
{
	return wall < 0 ? 0 : wall < TIME_LIMIT ? wall : TIME_LIMIT;
}

void store_now(struct store *s)
{
	int64_t floor, offset;

	s->now.wall = within_limits(clock_wall(s->config.clock));
	s->now.elapsed = clock_elapsed(s->config.clock);
	offset = s->now.wall - s->now.elapsed;
	if (llabs(offset - s->wall_offset) > WALL_JITTER) {
		s->wall_offset = offset;
	}
	floor = within_limits(s->lease_floor + s->now.elapsed);
	s->now.lease = s->now.wall > floor ? s->now.wall : floor;
}

void store_note_time(struct store *s, const struct transition *t, struct moment now)
{
	/* A clock that is only slewed shall not have every line say so. */
	int64_t floor = transition_time(t) - now.elapsed - WALL_JITTER;

	if (floor > s->lease_floor) {
		s->lease_floor = floor;
	}
}

pid_t store_process(struct store *s, const struct store_caller *caller)
{
	return s->config.process_of ? s->config.process_of(caller->pid) : caller->pid;
}

uint64_t store_max_value(const struct store *s, const struct node *parent)
{
	const struct policy *p = parent ? node_directory(parent)->policy : NULL;

	return p && p->max_value != UINT64_MAX ? p->max_value : s->config.max_value;
}

struct node *store_home(struct store *s, const struct node *n)
{
	struct entry *e;

	if (n->is_pending) {
		return tree_node(&s->tree, node_pending(n)->parent);
	}
	e = tree_name(&s->tree, n, s->now.elapsed);
	return e ? entry_parent(e) : NULL;
}

int64_t store_default_ttl(const struct node *parent)
{
	const struct policy *p = node_directory(parent)->policy;

	return p ? p->default_ttl : -1;
}

int store_check_name(const char *name)
{
	size_t size = strlen(name);

	if (size > STORE_NAME_MAX) {
		return STORE_NAME_TOO_LONG;
	}
	return size == 0 || memchr(name, '/', size) || strcmp(name, ".") == 0 ||
			strcmp(name, "..") == 0 ?
		STORE_INVALID : 0;
}

int store_namespace(struct store *s, uint64_t ino, struct node **out)
{
	struct node *n = tree_node(&s->tree, ino);

	if (!n || !tree_attached(&s->tree, n)) {
		return STORE_NOT_FOUND;
	}
	if (!node_is_directory(n)) {
		return STORE_NOT_DIRECTORY;
	}
	if (s->tree.n_mortal > 0 &&
		!tree_namespace_alive(&s->tree, n, clock_elapsed(s->config.clock))) {
		return STORE_NOT_FOUND;
	}
	*out = n;
	return 0;
}

/* --- opening ------------------------------------------------------------- */

static int replay_one(void *arg, const struct transition *t)
{
	struct store *s = arg;

	return tree_replay(&s->tree, t, s->now);
}

static int replay(struct store *s)
{
	uint64_t next_ino = 0, last_revision = 0;
	int64_t last_at = 0;
	int rc;

	s->tree.replaying = true;
	rc = s->ops->replay(s->backend, replay_one, s, &next_ino, &last_at, &last_revision);
	if (rc) {
		return rc;
	}
	if (next_ino > s->tree.next_ino) {
		s->tree.next_ino = next_ino;
	}
	if (last_revision > s->tree.revision) {
		s->tree.revision = last_revision;
	}
	store_now(s);
	if (s->now.wall < last_at) {
		log_warning("%s: the clock was set back; TTLs go on from the last change",
			s->location);
	}
	s->lease_floor = last_at - s->now.elapsed;
	store_now(s);
	return tree_replayed(&s->tree, s->now);
}

static void foreign(void *arg, const struct transition *t)
{
	struct store *s = arg;
	struct prepared *prepared = calloc(t->n_changes, sizeof(*prepared));

	store_now(s);
	if (!prepared || tree_prepare(&s->tree, t, prepared)) {
		/* The state is behind the log for good: no more writes on it. */
		log_error("%s: out of memory for a change of another machine", s->location);
		s->failed = -ENOMEM;
	} else {
		store_apply(s, t, prepared, s->now);
	}
	free(prepared);
}

static void progress(void *arg, uint64_t done, uint64_t total)
{
	struct store *s = arg;

	tree_expect(&s->tree, done, total);
	if (s->config.progress) {
		s->config.progress(s->config.arg, done, total);
	}
}

static void on_snapshot(void *arg)
{
	struct store *s = arg;

	compaction_learn(s, s->tree.live_bytes);
}

static void soon(void *arg, const struct transition *t, bool near)
{
	struct store *s = arg;

	tree_prefetch(&s->tree, t, near);
}

static int explain(char **error, const char *location, const char *what)
{
	if (asprintf(error, "%s: %s", location, what) < 0) {
		*error = NULL;
	}
	return STORE_INVALID;
}

static int open_backend(struct store *s, char **error)
{
	const char *location = s->location;
	struct backend_config config = {
		.disk = s->config.disk,
		.clock = s->config.clock,
		.segment_size = s->config.segment_size,
		.read_only = s->config.read_only,
		.lends_thread = s->config.lends_thread,
		.lock_wait = s->config.lock_wait,
		.foreign = foreign,
		.soon = soon,
		.progress = progress,
		.snapshot = on_snapshot,
		.arg = s,
		.error = error,
	};

	s->ops = s->config.backend ? s->config.backend : backend_find(s->location, &location);
	if (!s->ops) {
		return explain(error, s->location, "no backend for this is built in");
	}
	return s->ops->open(&s->backend, location, &config, error);
}

/* op->node, a namespace, as it is. */
static int plan_namespace(struct op *op)
{
	const struct node *n = op->node;
	const struct entry *e;
	struct change *c = op_change(op, CHANGE_PUT, n->ino);

	if (!c) {
		return -ENOMEM;
	}
	c->fields = HAS_MODE | HAS_OWNER | HAS_MTIME | HAS_ATIME | HAS_HISTORY;
	c->mode = n->mode;
	c->uid = node_uid(n);
	c->gid = node_gid(n);
	c->mtime = n->mtime;
	c->atime = node_atime(n);
	c->created = n->created;
	c->changed = n->changed;
	c->version = n->version;
	if (n == op->s->tree.root) {
		return 0;
	}
	e = node_first_name(n);
	return e ? op_place(op, entry_parent(e), entry_name(e), &c->place) : OP_NOTHING;
}

/* The root of a new store, and a lock namespace in it. All may use that, as they may
 * /run/lock; it is an ordinary namespace that can be changed and removed. */
static int plan_new_store(struct op *op)
{
	static const struct xattr_change attribute = {
		.name = {.data = XATTR_CUBBY "lock_ttl", .size = sizeof(XATTR_CUBBY "lock_ttl") - 1},
	};
	struct xattr_change *ttl;
	struct change *c;
	int rc = plan_namespace(op);

	op->data.size = 0;
	rc = rc ? rc : buffer_printf(&op->data, "%" PRId64, op->s->config.locks_ttl / NSEC_PER_SEC);
	c = rc ? NULL : op_change(op, CHANGE_PUT, op_number(op));
	ttl = malloc(sizeof(*ttl));
	if (op_keep(op, ttl) || !c) {
		return -ENOMEM;
	}
	*ttl = attribute;
	ttl->value = buffer_bytes(&op->data);
	/* With HAS_HISTORY, as the root: it is no event. */
	c->fields = HAS_MODE | HAS_OWNER | HAS_MTIME | HAS_ATIME | HAS_HISTORY;
	c->mtime = c->atime = c->created = c->changed = op->node->created;
	c->version = 1;
	c->mode = LOCKS_MODE;
	c->uid = op->caller.uid;
	c->gid = op->caller.gid;
	c->xattrs = ttl;
	c->n_xattrs = 1;
	return op_place(op, op->node, bytes_of_string(LOCKS_NAME), &c->place);
}

static void write_namespace(struct store *s, struct node *n)
{
	const struct store_caller maker = {.uid = s->config.uid, .gid = s->config.gid};
	bool is_new = s->tree.revision == 0 && s->config.locks_ttl > 0;
	struct op *op = op_create(s, &maker, is_new ? plan_new_store : plan_namespace, n, NULL,
		NULL, (struct store_reply){0});

	if (op) {
		op->durable = false;
		op_submit(op);
	}
}

/* The root of a new store is its first revision, so that it stays whose it is,
 * whoever opens the store later. One that was lost is made again. So is what the
 * replay has put back in place: where that was is clear only now. */
static void write_what_is_missing(struct store *s)
{
	struct node *root = s->tree.root, *n;

	if (root->created == 0) {
		root->created = s->now.wall;
		node_set_atime(root, root->created);
		if (root->mtime == 0) {
			root->mtime = root->changed = s->now.wall;
		}
		if (!s->config.read_only) {
			write_namespace(s, root);
		}
	}
	for (size_t i = 0; i < s->tree.n_restored && !s->config.read_only; i++) {
		n = tree_node(&s->tree, s->tree.restored[i]);
		if (n) {
			write_namespace(s, n);
		}
	}
}

int store_open(struct store **out, const struct store_config *config, char **error)
{
	struct store *s = calloc(1, sizeof(*s));
	int rc;

	*error = NULL;
	if (!s) {
		return -ENOMEM;
	}
	s->config = *config;
	s->config.clock = config->clock ? config->clock : &clock_system;
	s->config.max_value = config->max_value ? config->max_value : STORE_MAX_VALUE_DEFAULT;
	s->config.compact_min = config->compact_min ? config->compact_min : COMPACT_MIN_DEFAULT;
	s->queue_tail = &s->queue;
	s->location = strdup(config->location);
	store_now(s);
	s->opened = s->now.elapsed;
	rc = s->location ? handle_table_init(&s->handles, config->keep) : -ENOMEM;
	rc = rc ? rc : quota_init(&s->quota, config);
	rc = rc ? rc : advisory_init(&s->advisory, &s->quota);
	rc = rc ? rc : tree_init(&s->tree, config->uid, config->gid, config->mode, 0);
	s->tree.unwatch = config->unwatch_holder;
	s->tree.unwatch_arg = config->arg;
	rc = rc ? rc : open_backend(s, error);
	rc = rc ? rc : replay(s);
	rc = rc ? rc : handover_restore(s);
	if (rc) {
		if (!*error) {
			explain(error, config->location, rc < 0 ? strerror(-rc) : "cannot be opened");
		}
		store_close(s);
		return rc;
	}
	write_what_is_missing(s);
	rc = lock_revive_all(s);
	if (rc) {
		store_close(s);
		return rc;
	}
	*out = s;
	return 0;
}

int store_close(struct store *s)
{
	int rc = 0;

	if (!s) {
		return 0;
	}
	store_end_locks(s);
	if (s->backend) {
		compaction_stop(s);
		rc = s->ops->close(s->backend);
		s->backend = NULL;
	}
	if (s->handles.by_id.buckets) {
		handle_table_finish(s);
	}
	advisory_finish(&s->advisory);
	quota_finish(&s->quota);
	difference_finish(&s->watcher.difference);
	if (s->tree.root) {
		tree_finish(&s->tree);
	}
	buffer_finish(&s->inherited_notices);
	free(s->location);
	free(s);
	return rc;
}

/* --- the loop -------------------------------------------------------------- */

int store_poll_fd(struct store *s)
{
	return s->ops->poll_fd(s->backend);
}

void store_dispatch(struct store *s)
{
	s->ops->dispatch(s->backend);
}

bool store_sync_due(struct store *s)
{
	return s->ops->sync_due && s->ops->sync_due(s->backend);
}

void store_sync(struct store *s)
{
	s->ops->sync_run(s->backend);
}

void store_synced(struct store *s, int status)
{
	/* Without memory it was not begun. */
	if (status && status != -ENOMEM && !s->failed) {
		s->failed = status;
		log_error("%s: syncing failed (%s); read-only from now on", s->location,
			strerror(-status));
	}
}

static void background_synced(void *arg, int status)
{
	struct store *s = arg;

	s->syncing = false;
	if (status == -ENOMEM && s->dirty_since == 0) {
		s->dirty_since = s->now.elapsed; /* once more, later */
	}
	store_synced(s, status);
}

/* ns until the next sync is due, or -1. */
static int64_t sync_step(struct store *s)
{
	int64_t due;

	if (s->dirty_since == 0 || s->config.commit <= 0 || s->syncing || s->failed) {
		return -1;
	}
	due = s->dirty_since + s->config.commit - s->now.elapsed;
	if (due > 0) {
		return due;
	}
	s->dirty_since = 0;
	s->syncing = true;
	s->ops->sync(s->backend, background_synced, s);
	return -1;
}

int64_t store_tick(struct store *s)
{
	const struct deadline *d;
	int64_t next = -1;

	store_now(s);
	if (store_expire(s, EXPIRE_BATCH)) {
		next = 0;
	} else {
		d = expiry_first(&s->tree.expiry);
		if (d && !s->failed && !s->config.read_only) {
			int64_t at = d->at > s->expire_not_before ? d->at : s->expire_not_before;

			next = at > s->now.elapsed ? at - s->now.elapsed : 0;
		}
	}
	next = clock_sooner(next, lock_look_after(s));
	next = clock_sooner(next, sync_step(s));
	return clock_sooner(next, compaction_step(s));
}

void store_listen(struct store *s, const struct store_listener *listener)
{
	s->listener = listener;
	if (listener) {
		notices_tell(s, buffer_bytes(&s->inherited_notices));
		buffer_finish(&s->inherited_notices);
	}
}

/* --- the whole --------------------------------------------------------------- */

/* What is left of max_bytes, if the medium has more. */
static void limit_blocks(const struct store *s, struct statvfs *out)
{
	uint64_t block = out->f_frsize ? out->f_frsize : out->f_bsize;
	uint64_t limit = s->quota.max_bytes, used = (s->tree.bytes + block - 1) / block;
	uint64_t blocks = limit / block;

	if (limit == UINT64_MAX) {
		return;
	}
	blocks = blocks > used ? blocks - used : 0;
	if (blocks < out->f_bavail) {
		out->f_bavail = out->f_bfree = blocks;
		out->f_blocks = used + blocks;
	}
}

int store_statfs(struct store *s, struct statvfs *out)
{
	struct backend_usage usage = {0};
	uint64_t names = s->tree.n_keys + s->tree.n_namespaces + 1;

	s->ops->usage(s->backend, &usage);
	*out = usage.space;
	if (out->f_bsize == 0) {
		/* In memory: what the machine has. */
		struct statfs memory;

		if (statfs("/proc", &memory)) {
			return -errno;
		}
		out->f_bsize = out->f_frsize = (unsigned long)sysconf(_SC_PAGESIZE);
		out->f_blocks = (fsblkcnt_t)sysconf(_SC_PHYS_PAGES);
		out->f_bfree = out->f_bavail = (fsblkcnt_t)sysconf(_SC_AVPHYS_PAGES);
	}
	out->f_files = names + out->f_bavail;
	out->f_ffree = out->f_favail = out->f_bavail;
	limit_blocks(s, out);
	if (s->quota.max_keys != UINT64_MAX) {
		uint64_t left = s->quota.max_keys > names - 1 ? s->quota.max_keys - (names - 1) : 0;

		out->f_ffree = out->f_favail = left < out->f_bavail ? left : out->f_bavail;
		out->f_files = names + out->f_ffree;
	}
	out->f_namemax = STORE_NAME_MAX;
	return 0;
}

/* What there is no memory for is missing; nobody decides anything by it. */
static void add_number(struct json_object *o, const char *name, uint64_t n)
{
	json_add(o, name, json_object_new_uint64(n));
}

/* null: there is none. */
static void add_limit(struct json_object *o, const char *name, uint64_t n)
{
	if (n == UINT64_MAX) {
		json_object_object_add(o, name, NULL);
	} else {
		add_number(o, name, n);
	}
}

static struct json_object *limits_of(const struct store *s)
{
	struct json_object *o = json_object_new_object();

	if (o) {
		add_limit(o, "max_keys", s->quota.max_keys);
		add_limit(o, "max_bytes", s->quota.max_bytes);
		add_limit(o, "max_staged", s->quota.max_staged);
		add_limit(o, "max_open", s->quota.max_open);
		add_limit(o, "max_locks", s->quota.max_locks);
		add_number(o, "users", s->quota.accounts.n_items);
		add_number(o, "refused", s->quota.refused);
	}
	return o;
}

static const char *errno_name(int rc)
{
	return rc ? strerrorname_np(-rc) : NULL;
}

int store_stats(struct store *s, struct buffer *out)
{
	struct backend_usage usage = {0};
	struct json_object *o = json_object_new_object();
	struct json_object *log = json_object_new_object();
	struct json_object *damage = json_object_new_object();
	const char *text;
	int rc = -ENOMEM;

	store_now(s);
	s->ops->usage(s->backend, &usage);
	if (o && log && damage) {
		json_add(o, "store", json_object_new_string(s->location));
		json_add(o, "backend", json_object_new_string(s->ops->name));
		json_add(o, "uptime_seconds",
			json_object_new_double((double)(s->now.elapsed - s->opened) / 1e9));
		if (s->config.stats) {
			s->config.stats(s->config.arg, o);
		}
		add_number(o, "revision", s->tree.revision);
		add_number(o, "keys", s->tree.n_keys);
		add_number(o, "namespaces", s->tree.n_namespaces);
		add_number(o, "bytes", s->tree.bytes);
		add_number(o, "keys_with_ttl", s->tree.expiry.size);
		add_number(o, "locks", s->tree.locks.n_items);
		add_number(o, "expired", s->expired);
		add_number(o, "open_handles", s->handles.by_id.n_items);
		add_number(o, "staged_bytes", s->handles.staged_bytes);
		add_number(o, "advisory_locks", s->advisory.n_locks);
		add_number(o, "lock_waiters", s->advisory.n_waiters);
		json_add(o, "limits", limits_of(s));
		add_number(o, "live_bytes", (uint64_t)compaction_live_bytes(s));
		json_add(o, "read_only",
			json_object_new_boolean(s->failed || s->config.read_only));
		if (s->failed) {
			json_add(o, "failed", json_object_new_string(errno_name(s->failed)));
		} else {
			json_object_object_add(o, "failed", NULL);
		}
		json_add(o, "stale", json_object_new_boolean(0));
		add_number(log, "bytes", usage.bytes);
		add_number(log, "segments", usage.segments);
		add_number(log, "appends", usage.appends);
		add_number(log, "syncs", usage.syncs);
		add_number(log, "compactions", usage.compactions);
		json_add(log, "compacting",
			json_object_new_boolean(s->compaction.active));
		json_add(o, "log", json_object_get(log));
		add_number(damage, "damaged_lines", usage.damaged_lines);
		add_number(damage, "damaged_bytes", usage.damaged_bytes);
		add_number(damage, "torn_bytes", usage.torn_bytes);
		add_number(damage, "missing_revisions", usage.missing_revisions);
		add_number(damage, "unresolved_changes", s->tree.unresolved);
		json_add(o, "damage", json_object_get(damage));
		text = json_object_to_json_string_ext(o,
			JSON_C_TO_STRING_PRETTY | JSON_C_TO_STRING_NOSLASHESCAPE);
		rc = text ? buffer_append_string(out, text) : -ENOMEM;
		rc = rc ? rc : buffer_append(out, "\n", 1);
	}
	json_object_put(o);
	json_object_put(log);
	json_object_put(damage);
	return rc;
}

/* --- the log as text ------------------------------------------------------------ */

struct store_log {
	const struct backend_ops *ops;
	struct backend_log *log;
};

int store_log_open(struct store *s, struct store_log **out)
{
	struct store_log *log;
	int rc;

	if (!s->ops->log_open) {
		return STORE_UNSUPPORTED;
	}
	log = calloc(1, sizeof(*log));
	if (!log) {
		return -ENOMEM;
	}
	log->ops = s->ops;
	rc = s->ops->log_open(s->backend, &log->log);
	if (rc) {
		free(log);
		return rc;
	}
	*out = log;
	return 0;
}

uint64_t store_log_size(struct store_log *log)
{
	return log->ops->log_size(log->log);
}

ssize_t store_log_read(struct store_log *log, void *data, size_t size, uint64_t offset)
{
	return log->ops->log_read(log->log, data, size, offset);
}

void store_log_close(struct store_log *log)
{
	if (log) {
		log->ops->log_close(log->log);
		free(log);
	}
}
