/* SPDX-License-Identifier: MIT
 * Copyright (c) 2026 The cubbyfs authors */

/* How a line is written.
 *
 * A transition of one change is flat; one of several has "changes", a list of
 * objects with the same fields. A field that has its default is left out, and
 * the order is always the same: canonical.c reads by it, so it is a part of
 * this program, though not of the format. */
#include "store/canonical.h"
#include "store/record.h"
#include "store/text.h"

#include <errno.h>
#include <stdio.h>

struct writer {
	struct buffer *out;
	int error; /* the first */
};

static void put(struct writer *w, const char *data, size_t size)
{
	if (w->error == 0) {
		w->error = buffer_append(w->out, data, size);
	}
}

/* Text that is written as it is. */
#define put_literal(w, literal) put(w, "" literal, sizeof(literal) - 1)

/* The name of a field that is not the first, in quotes, between a comma and a colon. */
#define put_key(w, key) put_literal(w, ",\"" key "\":")

static void put_unsigned(struct writer *w, uint64_t n)
{
	char digits[20];
	size_t at = sizeof(digits);

	do {
		digits[--at] = (char)('0' + n % 10);
		n /= 10;
	} while (n > 0);
	put(w, digits + at, sizeof(digits) - at);
}

static void put_signed(struct writer *w, int64_t n)
{
	if (n < 0) {
		put_literal(w, "-");
	}
	put_unsigned(w, n < 0 ? -(uint64_t)n : (uint64_t)n);
}

static void put_text(struct writer *w, struct bytes text)
{
	if (w->error == 0) {
		w->error = text_write(text, w->out);
	}
}

static void put_mode(struct writer *w, uint32_t mode)
{
	char digits[16];
	int n = snprintf(digits, sizeof(digits), "\"%06o\"", (unsigned)mode);

	put(w, digits, (size_t)n);
}

static void put_lock(struct writer *w, const struct holding *lock)
{
	put_key(w, "lock");
	/* Always there, so that the object is never empty. */
	put_literal(w, "{\"holder\":");
	put_text(w, lock->holder);
	if (lock->token != 0) {
		put_key(w, "token");
		put_unsigned(w, lock->token);
	}
	if (lock->keepalive) {
		put_literal(w, ",\"keepalive\":true");
	}
	put_literal(w, "}");
}

static void put_links(struct writer *w, const struct change *c)
{
	put_key(w, "links");
	for (size_t i = 0; i < c->n_links; i++) {
		const struct link *l = &c->links[i];

		put(w, i ? "," : "[", 1);
		/* Always there, so that the object is never empty. */
		put_literal(w, "{\"in\":");
		put_unsigned(w, l->place.parent);
		if (l->place.path.size != 0) {
			put_key(w, "path");
			put_text(w, l->place.path);
		}
		if (l->expires != 0) {
			put_key(w, "expires");
			put_signed(w, l->expires);
		}
		if (l->ttl != 0) {
			put_key(w, "ttl");
			put_signed(w, l->ttl);
		}
		if (l->lock.token != 0) {
			put_lock(w, &l->lock);
		}
		put_literal(w, "}");
	}
	put_literal(w, "]");
}

static void put_xattrs(struct writer *w, const struct change *c)
{
	put_key(w, "xattrs");
	for (size_t i = 0; i < c->n_xattrs; i++) {
		put(w, i ? ",[" : "[[", 2);
		put_text(w, c->xattrs[i].name);
		put_literal(w, ",");
		if (c->xattrs[i].removed) {
			put_literal(w, "null");
		} else {
			put_text(w, c->xattrs[i].value);
		}
		put_literal(w, "]");
	}
	put_literal(w, "]");
}

static void put_attributes(struct writer *w, const struct change *c)
{
	if (c->fields & HAS_MODE) {
		put_key(w, "mode");
		put_mode(w, c->mode);
	}
	if (c->fields & HAS_OWNER) {
		put_key(w, "uid");
		put_unsigned(w, c->uid);
		put_key(w, "gid");
		put_unsigned(w, c->gid);
	}
	if (c->fields & HAS_RDEV) {
		put_key(w, "rdev");
		put_unsigned(w, c->rdev);
	}
	if (c->fields & HAS_MTIME) {
		put_key(w, "mtime");
		put_signed(w, c->mtime);
	}
	if (c->fields & HAS_ATIME) {
		put_key(w, "atime");
		put_signed(w, c->atime);
	}
	if (c->fields & HAS_AGE) {
		put_key(w, "age");
		put_signed(w, c->age);
	}
	if (c->fields & HAS_EXPIRES) {
		put_key(w, "expires");
		put_signed(w, c->expires);
		if (c->ttl != 0) {
			put_key(w, "ttl");
			put_signed(w, c->ttl);
		}
	}
}

/* What follows an opening brace or a comma. */
static void put_change(struct writer *w, const struct change *c)
{
	const char *name = change_type_names[c->type];

	put_literal(w, "\"op\":\"");
	put(w, name, strlen(name));
	put_literal(w, "\"");
	if (c->ino != 0) {
		put_key(w, "ino");
		put_unsigned(w, c->ino);
	}
	if (c->place.parent != 0) {
		put_key(w, "in");
		put_unsigned(w, c->place.parent);
	}
	if (c->place.path.size != 0) {
		put_key(w, "path");
		put_text(w, c->place.path);
	}
	if (c->to.parent != 0) {
		put_key(w, "to_in");
		put_unsigned(w, c->to.parent);
	}
	if (c->to.path.size != 0) {
		put_key(w, "to");
		put_text(w, c->to.path);
	}
	put_attributes(w, c);
	if (c->fields & HAS_LOCK) {
		put_lock(w, &c->lock);
	}
	if (c->fields & HAS_HISTORY) {
		put_key(w, "version");
		put_unsigned(w, c->version);
		put_key(w, "created");
		put_signed(w, c->created);
		put_key(w, "changed");
		put_signed(w, c->changed);
		if (c->action.size != 0) {
			put_key(w, "last_action");
			put_text(w, c->action);
		}
	}
	if (c->n_links != 0) {
		put_links(w, c);
	}
	if (c->n_xattrs != 0) {
		put_xattrs(w, c);
	}
	if (c->offset != 0) {
		put_key(w, "offset");
		put_unsigned(w, c->offset);
	}
	if ((c->fields & HAS_VALUE) || c->type == CHANGE_APPEND) {
		put_key(w, "value");
		put_text(w, c->value);
	}
}

/* What no line could hold. */
static bool too_large(const struct transition *t)
{
	uint64_t sum = t->action.size;

	for (size_t i = 0; i < t->n_changes; i++) {
		const struct change *c = &t->changes[i];

		sum += c->value.size + c->place.path.size + c->to.path.size + c->action.size +
			c->lock.holder.size;
		for (size_t k = 0; k < c->n_xattrs; k++) {
			sum += c->xattrs[k].name.size + c->xattrs[k].value.size;
		}
	}
	return sum > RECORD_MAX;
}

static void put_transition(struct writer *w, const struct transition *t)
{
	put_literal(w, "{\"rev\":");
	put_unsigned(w, t->revision);
	put_key(w, "at");
	put_signed(w, t->at);
	if (t->lease != 0) {
		put_key(w, "lease");
		put_signed(w, t->lease);
	}
	if (t->by != 0) {
		put_key(w, "by");
		put_unsigned(w, t->by);
	}
	if (t->synced != 0) {
		put_key(w, "synced");
		put_unsigned(w, t->synced);
	}
	if (t->action.size != 0) {
		put_key(w, "action");
		put_text(w, t->action);
	}
	if (t->n_changes == 1) {
		put_literal(w, ",");
		put_change(w, &t->changes[0]);
		return;
	}
	put_key(w, "changes");
	for (size_t i = 0; i < t->n_changes; i++) {
		put(w, i ? ",{" : "[{", 2);
		put_change(w, &t->changes[i]);
		put_literal(w, "}");
	}
	put_literal(w, "]");
}

int record_encode(const struct transition *t, struct buffer *out)
{
	struct writer w = {.out = out};
	size_t start = out->size;

	if (too_large(t)) {
		return -EFBIG;
	}
	put_transition(&w, t);
	if (w.error == 0 && out->size - start >= RECORD_MAX - RECORD_END_SIZE) {
		w.error = -EFBIG;
	}
	if (w.error == 0) {
		w.error = record_end(out, start);
	}
	if (w.error) {
		out->size = start;
	}
	return w.error;
}
