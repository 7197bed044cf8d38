/* SPDX-License-Identifier: MIT
 * Copyright (c) 2026 The cubbyfs authors */

/* A line of the journal. What decodes encodes again, and that decodes to the same; and
 * what the quick way makes of a line, the general one makes too.
 *
 * Input: the line; see checksum.h. */
#include "checksum.h"
#include "fuzz.h"
#include "store/record.h"

static void same_place(const struct place *a, const struct place *b)
{
	CHECK(a->parent == b->parent && bytes_equal(a->path, b->path));
}

static void same_lock(const struct holding *a, const struct holding *b)
{
	CHECK(a->token == b->token && a->keepalive == b->keepalive);
	CHECK(bytes_equal(a->holder, b->holder));
}

/* What no field says is of no matter, and not encoded. */
static void same_change(const struct change *a, const struct change *b)
{
	CHECK(a->type == b->type && a->fields == b->fields && a->ino == b->ino);
	same_place(&a->place, &b->place);
	same_place(&a->to, &b->to);
	CHECK(!(a->fields & HAS_MODE) || a->mode == b->mode);
	CHECK(!(a->fields & HAS_OWNER) || (a->uid == b->uid && a->gid == b->gid));
	CHECK(!(a->fields & HAS_RDEV) || a->rdev == b->rdev);
	CHECK(!(a->fields & HAS_MTIME) || a->mtime == b->mtime);
	CHECK(!(a->fields & HAS_ATIME) || a->atime == b->atime);
	CHECK(!(a->fields & HAS_AGE) || a->age == b->age);
	CHECK(!(a->fields & HAS_EXPIRES) || (a->expires == b->expires && a->ttl == b->ttl));
	if (a->fields & HAS_LOCK) {
		same_lock(&a->lock, &b->lock);
	}
	if (a->fields & HAS_HISTORY) {
		CHECK(a->version == b->version && a->created == b->created);
		CHECK(a->changed == b->changed && bytes_equal(a->action, b->action));
	}
	CHECK(a->offset == b->offset);
	if ((a->fields & HAS_VALUE) || a->type == CHANGE_APPEND) {
		CHECK(bytes_equal(a->value, b->value));
	}
	CHECK(a->n_xattrs == b->n_xattrs && a->n_links == b->n_links);
	for (size_t i = 0; i < a->n_xattrs; i++) {
		const struct xattr_change *x = &a->xattrs[i], *y = &b->xattrs[i];

		CHECK(bytes_equal(x->name, y->name) && bytes_equal(x->value, y->value));
		CHECK(x->removed == y->removed);
	}
	for (size_t i = 0; i < a->n_links; i++) {
		const struct link *x = &a->links[i], *y = &b->links[i];

		same_place(&x->place, &y->place);
		CHECK(x->expires == y->expires && x->ttl == y->ttl);
		if (x->lock.token) {
			same_lock(&x->lock, &y->lock);
		}
	}
}

static void same(const struct transition *a, const struct transition *b)
{
	CHECK(a->revision == b->revision && a->at == b->at && a->lease == b->lease);
	CHECK(a->by == b->by && bytes_equal(a->action, b->action) && a->synced == b->synced);
	CHECK(a->n_changes == b->n_changes && a->n_changes > 0);
	for (size_t i = 0; i < a->n_changes; i++) {
		same_change(&a->changes[i], &b->changes[i]);
	}
}

static void same_by_both_ways(struct bytes line)
{
	const struct transition *t, *u;
	struct record_decoder *d, *e;
	int r;

	CHECK(record_decoder_create(&d) == 0 && record_decoder_create(&e) == 0);
	r = record_decode(d, line, &t);
	CHECK(r >= 0 && record_decode_generally(e, line, &u) == r);
	if (r == RECORD_OK) {
		same(t, u);
	}
	record_decoder_destroy(d);
	record_decoder_destroy(e);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct buffer line = {0}, again = {0}, third = {0};
	const struct transition *t, *u;
	struct record_decoder *d, *e;
	struct json_object *object;
	int r;

	checksum_mend(bytes_of(data, size), &line);
	CHECK(record_decoder_create(&d) == 0 && record_decoder_create(&e) == 0);
	same_by_both_ways(buffer_bytes(&line));
	r = record_decode_object(d, buffer_bytes(&line), &object);
	CHECK(r == RECORD_OK || r == RECORD_DAMAGED);
	CHECK(r == RECORD_DAMAGED || record_intact(buffer_bytes(&line)));
	r = record_decode(d, buffer_bytes(&line), &t);
	CHECK(r >= 0);
	if (r == RECORD_OK) {
		CHECK(record_encode(t, &again) == 0);
		CHECK(again.size > 0 && again.data[again.size - 1] == '\n');
		CHECK(!memchr(again.data, '\n', again.size - 1));
		CHECK(record_decode(e, bytes_of(again.data, again.size - 1), &u) == RECORD_OK);
		same(t, u);
		CHECK(record_encode(u, &third) == 0);
		CHECK(bytes_equal(buffer_bytes(&again), buffer_bytes(&third)));
	}
	record_decoder_destroy(d);
	record_decoder_destroy(e);
	buffer_finish(&line);
	buffer_finish(&again);
	buffer_finish(&third);
	return 0;
}
