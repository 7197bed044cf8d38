/* SPDX-License-Identifier: MIT
 * Copyright (c) 2026 The cubbyfs authors */

/* Extended attributes: those of design 1.3, each a row of a table, and users'
 * own.
 *
 * Only what is kept with a node is listed: users' own attributes and the
 * policy of a namespace. The others are views of a key's state, and what
 * copies attributes (cp -a, rsync -X, tar --xattrs) would only trip over them. */
#include "store/internal.h"

#include "base/cleanup.h"
#include "store/permission.h"
#include "store/update.h"

#include <ctype.h>
#include <errno.h>
#include <inttypes.h>
#include <sys/xattr.h>

#define ACTION_MAX 256

static bool has_prefix(struct bytes b, const char *prefix)
{
	size_t n = strlen(prefix);

	return b.size >= n && memcmp(b.data, prefix, n) == 0;
}

/* --- reading ------------------------------------------------------------------ */

static int put_time(int64_t wall, struct buffer *out)
{
	char text[CLOCK_RFC3339_SIZE];

	clock_rfc3339(wall, text);
	return buffer_append_string(out, text);
}

/* The deadline of the name that is a lock, or else the soonest of a node's names. */
static const struct deadline *deadline_of(const struct store *s, const struct node *n)
{
	const struct lock *lock = tree_lock_of(&s->tree, n, s->now.elapsed);
	const struct deadline *soonest = NULL;

	if (lock) {
		return expiry_get(&s->tree.expiry, lock->entry);
	}
	for (uint32_t i = 0; i < n->nlink; i++) {
		const struct entry *e = node_name(n, i);

		const struct deadline *d = expiry_get(&s->tree.expiry, e);

		if (d && (!soonest || d->at < soonest->at)) {
			soonest = d;
		}
	}
	return soonest;
}

static int get_ttl(struct store *s, const struct node *n, struct buffer *out)
{
	const struct deadline *d = deadline_of(s, n);
	int64_t left;

	if (!d) {
		return STORE_NO_ATTRIBUTE;
	}
	left = d->at == DEADLINE_NEVER ? d->ttl :
		d->at > s->now.elapsed ? d->at - s->now.elapsed : 0;
	return buffer_printf(out, "%" PRId64 ".%06" PRId64, left / NSEC_PER_SEC,
		left % NSEC_PER_SEC / 1000);
}

static int get_expires(struct store *s, const struct node *n, struct buffer *out)
{
	const struct deadline *d = deadline_of(s, n);

	/* While its holder is kept alive, nobody knows. */
	return d && d->at != DEADLINE_NEVER ?
		put_time(d->at + s->wall_offset, out) : STORE_NO_ATTRIBUTE;
}

static int get_created(struct store *s, const struct node *n, struct buffer *out)
{
	(void)s;
	return put_time(n->created, out);
}

static int get_modified(struct store *s, const struct node *n, struct buffer *out)
{
	(void)s;
	return put_time(n->mtime, out);
}

static int get_revision(struct store *s, const struct node *n, struct buffer *out)
{
	(void)s;
	return buffer_printf(out, "%" PRIu64, n->is_pending ? 0 : (uint64_t)n->revision);
}

static int get_version(struct store *s, const struct node *n, struct buffer *out)
{
	(void)s;
	return buffer_printf(out, "%" PRIu64, (uint64_t)n->version);
}

static int get_action(struct store *s, const struct node *n, struct buffer *out)
{
	(void)s;
	if (!node_extra(n) || !node_extra(n)->action) {
		return STORE_NO_ATTRIBUTE;
	}
	return buffer_append_string(out, node_extra(n)->action);
}

static int get_token(struct store *s, const struct node *n, struct buffer *out)
{
	const struct lock *l = tree_lock_of(&s->tree, n, s->now.elapsed);

	return l ? buffer_printf(out, "%" PRIu64, l->token) : STORE_NO_ATTRIBUTE;
}

static int get_holder(struct store *s, const struct node *n, struct buffer *out)
{
	const struct lock *l = tree_lock_of(&s->tree, n, s->now.elapsed);

	return l ? buffer_append(out, l->holder, l->holder_size) : STORE_NO_ATTRIBUTE;
}

/* --- setting --------------------------------------------------------------------- */

/* Each answers the reply. */

static void set_attributes(struct store *s, const struct store_caller *caller, struct node *n,
	struct staged *staged, struct store_reply reply);

/* Where an attribute goes: with what is staged, or into a commit of its own. */
static struct staged *stage_of(struct store *s, const struct store_caller *caller,
	struct node *n)
{
	struct handle *h = node_handles(n) ? handle_of(s, caller, n) : NULL;

	return h ? &h->staged : NULL;
}

static void set_ttl(struct store *s, const struct store_caller *caller, struct node *n,
	struct bytes value, struct store_reply reply)
{
	struct staged *stage = stage_of(s, caller, n), own = {.has_ttl = true};

	if (!parse_duration(value, &own.ttl)) {
		reply_with(reply, STORE_INVALID, NULL);
	} else if (stage) {
		stage->has_ttl = true;
		stage->ttl = own.ttl;
		reply_with(reply, 0, &(struct store_result){.ino = n->ino});
	} else {
		set_attributes(s, caller, n, &own, reply);
	}
}

static void remove_ttl(struct store *s, const struct store_caller *caller, struct node *n,
	struct store_reply reply)
{
	struct staged *stage = stage_of(s, caller, n), own = {.has_ttl = true, .ttl = -1};

	if (stage) {
		stage->has_ttl = true;
		stage->ttl = -1;
		reply_with(reply, 0, &(struct store_result){.ino = n->ino});
	} else if (!deadline_of(s, n)) {
		reply_with(reply, STORE_NO_ATTRIBUTE, NULL);
	} else {
		set_attributes(s, caller, n, &own, reply);
	}
}

static void set_action(struct store *s, const struct store_caller *caller, struct node *n,
	struct bytes value, struct store_reply reply)
{
	struct staged *stage = stage_of(s, caller, n), own = {0};

	if (value.size > ACTION_MAX || (value.size > 0 && memchr(value.data, 0, value.size))) {
		reply_with(reply, STORE_INVALID, NULL);
		return;
	}
	own.action = strndup(value.size > 0 ? value.data : "", value.size);
	if (!own.action) {
		reply_with(reply, -ENOMEM, NULL);
	} else if (stage) {
		free(stage->action);
		stage->action = own.action;
		reply_with(reply, 0, &(struct store_result){.ino = n->ino});
	} else {
		set_attributes(s, caller, n, &own, reply);
	}
}

static int plan_increment(struct op *op)
{
	struct buffer out = {0};
	struct value *value;
	int rc;

	if (!store_usable(op->s, op->node)) {
		return STORE_NOT_FOUND;
	}
	rc = update_increment(value_bytes(node_value(op->node)), buffer_bytes(&op->data), &out);
	value = rc ? NULL : value_take(&out);
	buffer_finish(&out);
	return rc ? rc : value ? plan_value(op, value, true) : -ENOMEM;
}

static int plan_update(struct op *op)
{
	struct buffer out = {0};
	struct value *value;
	int rc;

	if (!store_usable(op->s, op->node)) {
		return STORE_NOT_FOUND;
	}
	rc = update_apply(value_bytes(node_value(op->node)), buffer_bytes(&op->data), &out);
	value = rc ? NULL : value_take(&out);
	buffer_finish(&out);
	return rc ? rc : value ? plan_value(op, value, true) : -ENOMEM;
}

static int plan_cas(struct op *op)
{
	struct value *value;

	if (!op->node->is_pending && !store_usable(op->s, op->node)) {
		return STORE_NOT_FOUND;
	}
	value = value_create(buffer_bytes(&op->data));
	return value ? plan_value(op, value, false) : -ENOMEM;
}

static void operate(struct store *s, const struct store_caller *caller, struct node *n,
	int (*plan)(struct op *op), struct bytes value, struct store_reply reply)
{
	struct op *op = op_create(s, caller, plan, n, NULL, NULL, reply);

	if (!op) {
		return;
	}
	if (buffer_append(&op->data, value.data, value.size)) {
		op_refuse(op, -ENOMEM);
		return;
	}
	op->announces = true;
	op->notice = STORE_NOTICE_WRITTEN;
	op_submit(op);
}

static void set_increment(struct store *s, const struct store_caller *caller, struct node *n,
	struct bytes value, struct store_reply reply)
{
	operate(s, caller, n, plan_increment, value, reply);
}

static void set_update(struct store *s, const struct store_caller *caller, struct node *n,
	struct bytes value, struct store_reply reply)
{
	operate(s, caller, n, plan_update, value, reply);
}

/* `REVISION:VALUE` sets the value, together with what else the process has
 * staged; `REVISION` alone commits the value that it has staged. Either way, if
 * the revision has moved on, what was staged is thrown away. */
static void set_cas(struct store *s, const struct store_caller *caller, struct node *n,
	struct bytes value, struct store_reply reply)
{
	const char *colon = value.size ? memchr(value.data, ':', value.size) : NULL;
	struct bytes number = bytes_of(value.data,
		colon ? (size_t)(colon - value.data) : value.size);
	struct handle *h = node_handles(n) ? handle_of(s, caller, n) : NULL;
	struct op *op;
	uint64_t revision;

	if (!parse_unsigned(number, &revision) || (!colon && !h)) {
		reply_with(reply, STORE_INVALID, NULL);
		return;
	}
	if (!colon) {
		handle_commit(s, caller, h, STORE_NOTICE_WRITTEN, false, &revision, reply);
		return;
	}
	op = op_create(s, caller, plan_cas, n, NULL, NULL, reply);
	if (!op) {
		return;
	}
	op->conditional = true;
	op->revision = revision;
	number.size++;
	if (buffer_append(&op->data, value.data + number.size, value.size - number.size)) {
		op_refuse(op, -ENOMEM);
		return;
	}
	if (h) {
		handle_hand_over(s, h, op);
		h->makes = false;
	}
	op->announces = true;
	op->notice = STORE_NOTICE_WRITTEN;
	op_submit(op);
}

/* The change of the lock that the op's token holds, or the errno that says that it does
 * not any more. */
static int plan_held(struct op *op, enum change_type type, struct change **c, struct entry **e)
{
	*e = tree_lock_by_token(&op->s->tree, op->node, op->revision, op->moment.elapsed);
	if (!*e) {
		return STORE_LOST;
	}
	*c = op_change(op, type, op->node->ino);
	return *c ? op_place(op, entry_parent((*e)), entry_name(*e), &(*c)->place) : -ENOMEM;
}

static int plan_refresh(struct op *op)
{
	struct change *c;
	struct entry *e;
	int rc = plan_held(op, CHANGE_PUT, &c, &e);

	if (rc == 0) {
		c->fields |= HAS_EXPIRES;
		c->ttl = expiry_get(&op->s->tree.expiry, e)->ttl;
		c->expires = op->moment.lease + c->ttl;
	}
	return rc;
}

static int plan_release(struct op *op)
{
	struct change *c;
	struct entry *e;

	return plan_held(op, CHANGE_REMOVE, &c, &e);
}

/* The kernel may still have the name, if it has become a lock just now by a rename. Where nobody has
 * the node open, it is not to be found by that any more. */
static void released(struct op *op)
{
	struct node *n = op->node;

	n->is_expired |= n->nlink == 0 && node_n_open(n) == 0;
}

static void act_on_lock(struct store *s, const struct store_caller *caller, struct node *n,
	struct bytes value, bool release, struct store_reply reply)
{
	struct op *op;
	uint64_t token;

	if (!parse_unsigned(value, &token)) {
		reply_with(reply, STORE_INVALID, NULL);
		return;
	}
	op = op_create(s, caller, release ? plan_release : plan_refresh, n, NULL, NULL, reply);
	if (op) {
		op->revision = token;
		op->applied = release ? released : NULL;
		op->announces = release;
		op->notice = STORE_NOTICE_REMOVED;
		op_submit(op);
	}
}

static void set_refresh(struct store *s, const struct store_caller *caller, struct node *n,
	struct bytes value, struct store_reply reply)
{
	act_on_lock(s, caller, n, value, false, reply);
}

static void set_release(struct store *s, const struct store_caller *caller, struct node *n,
	struct bytes value, struct store_reply reply)
{
	act_on_lock(s, caller, n, value, true, reply);
}

/* --- the table ------------------------------------------------------------------------ */

/* What has it: keys; namespaces; locks, of whatever type. */
#define KEYS (1u << 0)
#define NAMESPACES (1u << 1)
#define LOCKS (1u << 2)
#define ALL (KEYS | NAMESPACES | LOCKS)

static const struct attribute {
	const char *name; /* after "user.cubby." */
	unsigned on;
	bool ends; /* a name, now or later: who sets it must be allowed to remove that */
	int (*get)(struct store *s, const struct node *n, struct buffer *out);
	void (*set)(struct store *s, const struct store_caller *caller, struct node *n,
		struct bytes value, struct store_reply reply);
	void (*remove)(struct store *s, const struct store_caller *caller, struct node *n,
		struct store_reply reply);
} attributes[] = {
	{"ttl", KEYS | LOCKS, true, get_ttl, set_ttl, remove_ttl},
	{"expires", KEYS | LOCKS, false, get_expires, NULL, NULL},
	{"created", ALL, false, get_created, NULL, NULL},
	{"modified", ALL, false, get_modified, NULL, NULL},
	{"revision", ALL, false, get_revision, NULL, NULL},
	{"version", KEYS, false, get_version, NULL, NULL},
	{"action", KEYS, false, get_action, set_action, NULL},
	{"increment", KEYS, false, NULL, set_increment, NULL},
	{"update", KEYS, false, NULL, set_update, NULL},
	{"cas", KEYS, false, NULL, set_cas, NULL},
	/* To somebody whose lock has gone, whatever is there now. */
	{"token", ALL, false, get_token, NULL, NULL},
	{"holder", ALL, false, get_holder, NULL, NULL},
	{"refresh", ALL, false, NULL, set_refresh, NULL},
	{"release", ALL, true, NULL, set_release, NULL},
};

static unsigned kind_of(const struct store *s, const struct node *n)
{
	unsigned kind = S_ISREG(n->mode) ? KEYS : node_is_directory(n) ? NAMESPACES : 0;

	return kind | (tree_lock_of(&s->tree, n, s->now.elapsed) ? LOCKS : 0);
}

/* The row of a name that has the prefix; NULL if there is none for this kind of
 * node. */
static const struct attribute *find_attribute(const struct store *s, const struct node *n,
	struct bytes name)
{
	size_t prefix = strlen(XATTR_CUBBY);

	name = bytes_of(name.data + prefix, name.size - prefix);
	for (size_t i = 0; i < sizeof(attributes) / sizeof(attributes[0]); i++) {
		const struct attribute *a = &attributes[i];

		if (bytes_equal(name, bytes_of_string(a->name)) &&
			(a->on & kind_of(s, n))) {
			return a;
		}
	}
	return NULL;
}

/* --- users' own, and policies ------------------------------------------------------------ */

static int plan_set_attributes(struct op *op)
{
	struct bytes name;
	bool there;

	if (!store_usable(op->s, op->node)) {
		return STORE_NOT_FOUND;
	}
	if (op->flags) {
		name = xattr_name(op->staged.xattrs ? op->staged.xattrs : op->staged.removed);
		there = xattr_find(node_xattrs(op->node), name) != NULL;
		if (op->flags & XATTR_CREATE && there) {
			return STORE_EXISTS;
		}
		if (op->flags & XATTR_REPLACE && !there) {
			return STORE_NO_ATTRIBUTE;
		}
	}
	return plan_attributes(op, false);
}

/* Commits attributes that are not staged; takes `staged` over. */
static void set_attributes_flags(struct store *s, const struct store_caller *caller,
	struct node *n, struct staged *staged, int flags, struct store_reply reply)
{
	struct op *op = op_create(s, caller, plan_set_attributes, n, NULL, NULL, reply);

	if (!op) {
		staged_finish(staged);
		return;
	}
	op->staged = *staged;
	op->flags = flags;
	op_submit(op);
}

static void set_attributes(struct store *s, const struct store_caller *caller, struct node *n,
	struct staged *staged, struct store_reply reply)
{
	set_attributes_flags(s, caller, n, staged, 0, reply);
}

/* Whether the caller sees the attribute: staged, or with the node. */
static bool is_there(const struct handle *h, const struct node *n, struct bytes name)
{
	if (h && xattr_find(h->staged.xattrs, name)) {
		return true;
	}
	return !(h && xattr_find(h->staged.removed, name)) && xattr_find(node_xattrs(n), name);
}

static void set_own(struct store *s, const struct store_caller *caller, struct node *n,
	struct bytes name, const struct bytes *value, int flags, struct store_reply reply)
{
	struct handle *h = node_handles(n) ? handle_of(s, caller, n) : NULL;
	struct staged own = {0}, *to = h ? &h->staged : &own;
	struct xattr *x = xattr_create(name, value ? *value : bytes_of("", 0));
	struct xattr **list = value ? &to->xattrs : &to->removed;
	bool there = is_there(h, n, name);

	if (!x || (there && (flags & XATTR_CREATE)) || (!there && (flags & XATTR_REPLACE))) {
		free(x);
		reply_with(reply, !x ? -ENOMEM : there ? STORE_EXISTS : STORE_NO_ATTRIBUTE, NULL);
		return;
	}
	if (h && handle_stage_xattr(s, h, name, value)) {
		free(x);
		reply_with(reply, STORE_FULL, NULL);
		return;
	}
	xattr_drop(&to->xattrs, name);
	xattr_drop(&to->removed, name);
	x->next = *list;
	*list = x;
	if (h) {
		reply_with(reply, 0, &(struct store_result){.ino = n->ino});
	} else {
		set_attributes_flags(s, caller, n, &own, flags, reply);
	}
}

/* --- the public face ------------------------------------------------------------------------ */

/* The name spaces of xattr(7). Who may use which, the kernel checks; "system."
 * is for what the kernel interprets, which nobody does here. */
static int check_name(struct bytes name)
{
	static const char *const spaces[] = {"user.", "trusted.", "security."};

	for (size_t i = 0; i < sizeof(spaces) / sizeof(spaces[0]); i++) {
		if (has_prefix(name, spaces[i])) {
			return name.size > strlen(spaces[i]) ? 0 : STORE_INVALID;
		}
	}
	return STORE_UNSUPPORTED;
}

/* Finds the node; for a name of ours, the row or (with *policy) that it is one. */
static int resolve(struct store *s, const struct store_caller *caller, uint64_t ino,
	struct bytes name, struct node **n, const struct attribute **row, bool *policy)
{
	int rc;

	*n = tree_node(&s->tree, ino);
	*row = NULL;
	*policy = false;
	store_now(s);
	if (!*n || (!store_usable(s, *n) && !handle_makes_anew(s, handle_of(s, caller, *n)))) {
		return *n ? store_gone(s, *n) : STORE_NOT_FOUND;
	}
	rc = check_name(name);
	if (rc) {
		return rc;
	}
	if (!has_prefix(name, XATTR_CUBBY)) {
		return 0;
	}
	*policy = node_is_directory(*n) && policy_knows(name);
	*row = *policy ? NULL : find_attribute(s, *n, name);
	return *policy || *row ? 0 : STORE_NO_ATTRIBUTE;
}

/* The kernel has asked whether the caller may write to the file. But with that alone, in
 * a sticky directory, one could end another's key and take its name. */
static int may_end(const struct store *s, const struct store_caller *caller,
	const struct node *n)
{
	const struct entry *lock = NULL;
	int rc = 0;

	for (uint32_t i = 0; i < n->nlink && !lock; i++) {
		const struct entry *e = node_name(n, i);

		lock = tree_lock(&s->tree, e) ? e : NULL;
	}
	if (lock) {
		return permission_to_remove(s, caller, lock);
	}
	for (uint32_t i = 0; i < n->nlink && !rc; i++) {
		const struct entry *e = node_name(n, i);

		rc = permission_to_remove(s, caller, e);
	}
	return rc;
}

void store_setxattr(struct store *s, const struct store_caller *caller, uint64_t ino,
	const char *name, struct bytes value, int flags, struct store_reply reply)
{
	struct bytes b = bytes_of_string(name);
	const struct attribute *row;
	struct node *n;
	bool policy;
	int rc = resolve(s, caller, ino, b, &n, &row, &policy);

	if (rc == STORE_NO_ATTRIBUTE) {
		rc = STORE_INVALID; /* a name in our space that means nothing here */
	} else if (rc == 0 && policy) {
		rc = policy_set(NULL, b, value) == 0 ? 0 : STORE_INVALID;
	} else if (rc == 0 && row && !row->set) {
		rc = STORE_DENIED;
	} else if (rc == 0 && (s->failed || s->config.read_only)) {
		rc = -EROFS;
	} else if (rc == 0 && row && row->ends) {
		rc = may_end(s, caller, n);
	}
	if (rc) {
		reply_with(reply, rc, NULL);
	} else if (row) {
		row->set(s, caller, n, value, reply);
	} else {
		set_own(s, caller, n, b, &value, flags, reply);
	}
}

void store_removexattr(struct store *s, const struct store_caller *caller, uint64_t ino,
	const char *name, struct store_reply reply)
{
	struct bytes b = bytes_of_string(name);
	const struct attribute *row;
	struct node *n;
	bool policy;
	int rc = resolve(s, caller, ino, b, &n, &row, &policy);

	if (rc == 0 && row && !row->remove) {
		rc = STORE_DENIED;
	}
	if (rc) {
		reply_with(reply, rc, NULL);
	} else if (row) {
		row->remove(s, caller, n, reply);
	} else {
		set_own(s, caller, n, b, NULL, XATTR_REPLACE, reply);
	}
}

int store_getxattr(struct store *s, const struct store_caller *caller, uint64_t ino,
	const char *name, struct buffer *out)
{
	struct bytes b = bytes_of_string(name), value;
	const struct attribute *row;
	struct xattr *x = NULL;
	struct handle *h;
	struct node *n;
	bool policy;
	int rc = resolve(s, caller, ino, b, &n, &row, &policy);

	out->size = 0;
	if (rc) {
		return rc;
	}
	if (row) {
		return row->get ? row->get(s, n, out) : STORE_NO_ATTRIBUTE;
	}
	h = node_handles(n) ? handle_of(s, caller, n) : NULL;
	if (h) {
		x = xattr_find(h->staged.xattrs, b);
	}
	if (!x && !(h && xattr_find(h->staged.removed, b))) {
		x = xattr_find(node_xattrs(n), b);
	}
	if (!x) {
		return STORE_NO_ATTRIBUTE;
	}
	value = xattr_value(x);
	return buffer_append(out, value.data, value.size);
}

int store_listxattr(struct store *s, const struct store_caller *caller, uint64_t ino,
	struct buffer *out)
{
	struct node *n = tree_node(&s->tree, ino);
	struct handle *h;

	out->size = 0;
	store_now(s);
	if (!n || !store_usable(s, n)) {
		return STORE_NOT_FOUND;
	}
	h = node_handles(n) ? handle_of(s, caller, n) : NULL;
	for (const struct xattr *x = h ? h->staged.xattrs : NULL; x; x = x->next) {
		if (buffer_append(out, x->name, x->name_size + 1u)) {
			return -ENOMEM;
		}
	}
	for (const struct xattr *x = node_xattrs(n); x; x = x->next) {
		if (h && (xattr_find(h->staged.xattrs, xattr_name(x)) ||
				 xattr_find(h->staged.removed, xattr_name(x)))) {
			continue;
		}
		if (buffer_append(out, x->name, x->name_size + 1u)) {
			return -ENOMEM;
		}
	}
	return 0;
}
