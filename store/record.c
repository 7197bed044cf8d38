/* SPDX-License-Identifier: MIT
 * Copyright (c) 2026 The cubbyfs authors */

/* Checksums, and how a line is read; record_encode.c writes them.
 *
 * Nearly all lines are as record_encode has written them, and canonical.c reads
 * those. The general way is for the others: a line of another version with fields that
 * this one does not know, or one that a person has changed. It makes json-c's
 * objects of the line and a transition of those. */
#include "store/record.h"

#include "store/canonical.h"
#include "store/json.h"
#include "store/text.h"

#include <errno.h>
#include <json-c/json.h>
#include <libdeflate.h>
#include <stdlib.h>

/* ---- checksums ---- */

static uint32_t checksum(const char *data, size_t size)
{
	return libdeflate_crc32(0, data, size);
}

bool record_intact(struct bytes line)
{
	const char *end;
	uint32_t stored = 0;

	if (line.size < RECORD_END_SIZE + 1 || line.data[0] != '{') {
		return false;
	}
	end = line.data + line.size - RECORD_END_SIZE;
	if (memcmp(end, RECORD_END, 8) != 0 || memcmp(end + 16, "\"}", 2) != 0) {
		return false;
	}
	for (int i = 8; i < 16; i++) {
		char c = end[i];

		if (c >= '0' && c <= '9') {
			stored = stored << 4 | (uint32_t)(c - '0');
		} else if (c >= 'a' && c <= 'f') {
			stored = stored << 4 | (uint32_t)(c - 'a' + 10);
		} else {
			return false;
		}
	}
	return stored == checksum(line.data, line.size - RECORD_END_SIZE);
}

int record_end(struct buffer *out, size_t start)
{
	uint32_t sum = checksum(out->data + start, out->size - start);
	char end[] = RECORD_END "00000000\"}\n";

	for (int i = 0; i < 8; i++) {
		end[8 + i] = "0123456789abcdef"[sum >> (28 - 4 * i) & 15];
	}
	return buffer_append(out, end, sizeof(end) - 1);
}

int record_encode_object(struct json_object *object, struct buffer *out)
{
	size_t start = out->size;
	struct bytes text;
	int r = json_write(object, &text);

	r = r < 0 ? r : buffer_append(out, text.data, text.size - 1);
	r = r < 0 ? r : record_end(out, start);
	if (r < 0) {
		out->size = start;
	}
	return r;
}

/* ---- decoding ---- */

struct record_decoder {
	struct json_object *root; /* of the last line */
	struct arena arena;	  /* what the last transition takes beyond it */
	struct transition transition;
};

static void *allocate(void *arg, size_t size)
{
	struct record_decoder *d = arg;

	return arena_allocate(&d->arena, size);
}

static void *allocate_zeroed(struct record_decoder *d, size_t count, size_t size)
{
	return arena_allocate_zeroed(&d->arena, count, size);
}

/* Forgets the last line. */
static void reset(struct record_decoder *d)
{
	json_object_put(d->root);
	d->root = NULL;
	arena_reset(&d->arena);
}

int record_decoder_create(struct record_decoder **out)
{
	struct record_decoder *d = calloc(1, sizeof(*d));

	if (!d) {
		return -ENOMEM;
	}
	*out = d;
	return 0;
}

void record_decoder_destroy(struct record_decoder *d)
{
	if (!d) {
		return;
	}
	reset(d);
	arena_finish(&d->arena);
	free(d);
}

static bool get_unsigned(struct json_object *o, uint64_t max, uint64_t *out)
{
	if (!json_object_is_type(o, json_type_int) || json_object_get_int64(o) < 0) {
		return false;
	}
	*out = json_object_get_uint64(o);
	return *out <= max;
}

static bool get_signed(struct json_object *o, int64_t *out)
{
	if (!json_object_is_type(o, json_type_int)) {
		return false;
	}
	*out = json_object_get_int64(o);
	return *out < 0 || json_object_get_uint64(o) <= INT64_MAX;
}

static bool get_u32(struct json_object *o, uint32_t *out)
{
	uint64_t n;

	if (!get_unsigned(o, UINT32_MAX, &n)) {
		return false;
	}
	*out = (uint32_t)n;
	return true;
}

static bool get_mode(struct json_object *o, uint32_t *out)
{
	const char *text;
	uint64_t n = 0;

	if (!json_object_is_type(o, json_type_string)) {
		return false;
	}
	text = json_object_get_string(o);
	for (; *text >= '0' && *text <= '7' && n <= UINT32_MAX; text++) {
		n = n << 3 | (uint64_t)(*text - '0');
	}
	*out = (uint32_t)n;
	return *text == 0 && n <= UINT32_MAX;
}

static bool get_type(struct json_object *o, enum change_type *out)
{
	if (!json_object_is_type(o, json_type_string)) {
		return false;
	}
	for (size_t i = 0; i < N_CHANGE_TYPES; i++) {
		if (strcmp(json_object_get_string(o), change_type_names[i]) == 0) {
			*out = (enum change_type)i;
			return true;
		}
	}
	return false;
}

/* From here on: 0, -ENOMEM, or -EINVAL for what this version does not know. */

static int get_text(struct record_decoder *d, struct json_object *o, struct bytes *out)
{
	return text_from_json(o, allocate, d, out);
}

static int ok(bool good)
{
	return good ? 0 : -EINVAL;
}

static int get_xattrs(struct record_decoder *d, struct json_object *o, struct change *c)
{
	struct xattr_change *list;
	size_t n;
	int r;

	if (!json_object_is_type(o, json_type_array)) {
		return -EINVAL;
	}
	n = json_object_array_length(o);
	list = allocate_zeroed(d, n, sizeof(*list));
	if (!list) {
		return -ENOMEM;
	}
	for (size_t i = 0; i < n; i++) {
		struct json_object *pair = json_object_array_get_idx(o, i);
		struct json_object *value;

		if (!json_object_is_type(pair, json_type_array) ||
			json_object_array_length(pair) != 2) {
			return -EINVAL;
		}
		r = get_text(d, json_object_array_get_idx(pair, 0), &list[i].name);
		value = json_object_array_get_idx(pair, 1);
		list[i].removed = !value;
		if (r == 0 && value) {
			r = get_text(d, value, &list[i].value);
		}
		if (r < 0) {
			return r;
		}
	}
	c->xattrs = list;
	c->n_xattrs = n;
	return 0;
}

static int get_lock(struct record_decoder *d, struct json_object *o, struct holding *out)
{
	int r = 0;

	if (!json_object_is_type(o, json_type_object)) {
		return -EINVAL;
	}
	json_object_object_foreach(o, key, value)
	{
		if (strcmp(key, "token") == 0) {
			r = ok(get_unsigned(value, UINT64_MAX, &out->token));
		} else if (strcmp(key, "holder") == 0) {
			r = get_text(d, value, &out->holder);
		} else if (strcmp(key, "keepalive") == 0) {
			out->keepalive = json_object_get_boolean(value);
			r = ok(json_object_is_type(value, json_type_boolean));
		}
		if (r < 0) {
			break;
		}
	}
	return r;
}

static int get_links(struct record_decoder *d, struct json_object *o, struct change *c)
{
	struct link *list;
	size_t n;
	int r = 0;

	if (!json_object_is_type(o, json_type_array)) {
		return -EINVAL;
	}
	n = json_object_array_length(o);
	list = allocate_zeroed(d, n, sizeof(*list));
	if (!list) {
		return -ENOMEM;
	}
	for (size_t i = 0; i < n && r == 0; i++) {
		struct json_object *item = json_object_array_get_idx(o, i);
		struct link *l = &list[i];

		if (!json_object_is_type(item, json_type_object)) {
			return -EINVAL;
		}
		json_object_object_foreach(item, key, value)
		{
			if (strcmp(key, "in") == 0) {
				r = ok(get_unsigned(value, UINT64_MAX, &l->place.parent));
			} else if (strcmp(key, "path") == 0) {
				r = get_text(d, value, &l->place.path);
			} else if (strcmp(key, "expires") == 0) {
				r = ok(get_signed(value, &l->expires));
			} else if (strcmp(key, "ttl") == 0) {
				r = ok(get_signed(value, &l->ttl));
			} else if (strcmp(key, "lock") == 0) {
				r = get_lock(d, value, &l->lock);
			}
			if (r < 0) {
				break;
			}
		}
	}
	c->links = list;
	c->n_links = n;
	return r;
}

enum field {
	F_OP,
	F_INO,
	F_IN,
	F_PATH,
	F_TO_IN,
	F_TO,
	F_MODE,
	F_UID,
	F_GID,
	F_RDEV,
	F_MTIME,
	F_ATIME,
	F_AGE,
	F_EXPIRES,
	F_TTL,
	F_HOLDING,
	F_VERSION,
	F_CREATED,
	F_CHANGED,
	F_LAST_ACTION,
	F_LINKS,
	F_XATTRS,
	F_OFFSET,
	F_VALUE,
	F_NONE,
};

static const char *const field_names[F_NONE] = {
	"op",
	"ino",
	"in",
	"path",
	"to_in",
	"to",
	"mode",
	"uid",
	"gid",
	"rdev",
	"mtime",
	"atime",
	"age",
	"expires",
	"ttl",
	"lock",
	"version",
	"created",
	"changed",
	"last_action",
	"links",
	"xattrs",
	"offset",
	"value",
};

static enum field field_of(const char *name)
{
	for (int i = 0; i < F_NONE; i++) {
		if (name[0] == field_names[i][0] && strcmp(name, field_names[i]) == 0) {
			return (enum field)i;
		}
	}
	return F_NONE;
}

static int get_change_field(struct record_decoder *d, const char *key, struct json_object *o,
	struct change *c, bool *typed)
{
	switch (field_of(key)) {
	case F_OP:
		*typed = true;
		return ok(get_type(o, &c->type));
	case F_INO:
		return ok(get_unsigned(o, UINT64_MAX, &c->ino));
	case F_IN:
		return ok(get_unsigned(o, UINT64_MAX, &c->place.parent));
	case F_PATH:
		return get_text(d, o, &c->place.path);
	case F_TO_IN:
		return ok(get_unsigned(o, UINT64_MAX, &c->to.parent));
	case F_TO:
		return get_text(d, o, &c->to.path);
	case F_MODE:
		c->fields |= HAS_MODE;
		return ok(get_mode(o, &c->mode));
	case F_UID:
		c->fields |= HAS_OWNER;
		return ok(get_u32(o, &c->uid));
	case F_GID:
		c->fields |= HAS_OWNER;
		return ok(get_u32(o, &c->gid));
	case F_RDEV:
		c->fields |= HAS_RDEV;
		return ok(get_unsigned(o, UINT64_MAX, &c->rdev));
	case F_MTIME:
		c->fields |= HAS_MTIME;
		return ok(get_signed(o, &c->mtime));
	case F_ATIME:
		c->fields |= HAS_ATIME;
		return ok(get_signed(o, &c->atime));
	case F_AGE:
		c->fields |= HAS_AGE;
		return ok(get_signed(o, &c->age));
	case F_EXPIRES:
		c->fields |= HAS_EXPIRES;
		return ok(get_signed(o, &c->expires));
	case F_TTL:
		return ok(get_signed(o, &c->ttl));
	case F_HOLDING:
		c->fields |= HAS_LOCK;
		return get_lock(d, o, &c->lock);
	case F_VERSION:
		c->fields |= HAS_HISTORY;
		return ok(get_unsigned(o, UINT64_MAX, &c->version));
	case F_CREATED:
		return ok(get_signed(o, &c->created));
	case F_CHANGED:
		return ok(get_signed(o, &c->changed));
	case F_LAST_ACTION:
		return get_text(d, o, &c->action);
	case F_LINKS:
		return get_links(d, o, c);
	case F_XATTRS:
		return get_xattrs(d, o, c);
	case F_OFFSET:
		return ok(get_unsigned(o, UINT64_MAX, &c->offset));
	case F_VALUE:
		c->fields |= HAS_VALUE;
		return get_text(d, o, &c->value);
	case F_NONE:
		break;
	}
	return 0; /* of a later version, and of no matter, or the version would say so */
}

static int finish_change(struct change *c, bool typed)
{
	if (c->type == CHANGE_APPEND) {
		c->fields &= ~HAS_VALUE;
	}
	return ok(typed);
}

static int get_changes(
	struct record_decoder *d, struct json_object *o, struct change **out, size_t *n)
{
	struct change *list;
	int r = 0;

	if (!json_object_is_type(o, json_type_array) || json_object_array_length(o) == 0) {
		return -EINVAL;
	}
	*n = json_object_array_length(o);
	list = allocate_zeroed(d, *n, sizeof(*list));
	if (!list) {
		return -ENOMEM;
	}
	for (size_t i = 0; i < *n && r == 0; i++) {
		struct json_object *item = json_object_array_get_idx(o, i);
		bool typed = false;

		if (!json_object_is_type(item, json_type_object)) {
			return -EINVAL;
		}
		json_object_object_foreach(item, key, value)
		{
			r = get_change_field(d, key, value, &list[i], &typed);
			if (r < 0) {
				return r;
			}
		}
		r = finish_change(&list[i], typed);
	}
	*out = list;
	return r;
}

static int get_transition(struct record_decoder *d)
{
	struct transition *t = &d->transition;
	bool has_revision = false, has_time = false, typed = false;
	struct change *only, *list = NULL;
	size_t n = 0;
	int r = 0;

	*t = (struct transition){0};
	only = allocate_zeroed(d, 1, sizeof(*only));
	if (!only) {
		return -ENOMEM;
	}
	json_object_object_foreach(d->root, key, value)
	{
		if (strcmp(key, "rev") == 0) {
			has_revision = true;
			r = ok(get_unsigned(value, UINT64_MAX, &t->revision));
		} else if (strcmp(key, "at") == 0) {
			has_time = true;
			r = ok(get_signed(value, &t->at));
		} else if (strcmp(key, "lease") == 0) {
			r = ok(get_signed(value, &t->lease));
		} else if (strcmp(key, "by") == 0) {
			r = ok(get_u32(value, &t->by));
		} else if (strcmp(key, "synced") == 0) {
			r = ok(get_unsigned(value, UINT64_MAX, &t->synced));
		} else if (strcmp(key, "action") == 0) {
			r = get_text(d, value, &t->action);
		} else if (strcmp(key, "changes") == 0) {
			r = get_changes(d, value, &list, &n);
		} else {
			r = get_change_field(d, key, value, only, &typed);
		}
		if (r < 0) {
			return r;
		}
	}
	if (list) {
		t->changes = list;
		t->n_changes = n;
	} else {
		t->changes = only;
		t->n_changes = 1;
		r = finish_change(only, typed);
	}
	return r < 0 ? r : ok(has_revision && has_time);
}

static bool is_line(struct bytes line)
{
	return line.size <= RECORD_MAX && record_intact(line);
}

/* Of a line that is whole. */
static int parse(struct record_decoder *d, struct bytes line)
{
	int r = json_parse(line, &d->root);

	if (r < 0) {
		return r == -ENOMEM ? r : RECORD_DAMAGED;
	}
	return json_object_is_type(d->root, json_type_object) ? RECORD_OK : RECORD_DAMAGED;
}

int record_decode_object(struct record_decoder *d, struct bytes line, struct json_object **out)
{
	int r;

	reset(d);
	r = is_line(line) ? parse(d, line) : RECORD_DAMAGED;
	*out = d->root;
	return r;
}

static int decode_generally(
	struct record_decoder *d, struct bytes line, const struct transition **out)
{
	int r = parse(d, line);

	if (r != RECORD_OK) {
		return r;
	}
	r = get_transition(d);
	if (r < 0) {
		return r == -ENOMEM ? r : RECORD_UNKNOWN;
	}
	*out = &d->transition;
	return RECORD_OK;
}

int record_decode_ahead(struct arena *arena, struct bytes line, struct transition *out)
{
	int r;

	if (!is_line(line)) {
		return RECORD_DAMAGED;
	}
	r = canonical_decode(arena, bytes_of(line.data, line.size - RECORD_END_SIZE), out);
	return r == CANONICAL_NOT ? RECORD_UNKNOWN : r;
}

int record_decode(struct record_decoder *d, struct bytes line, const struct transition **out)
{
	int r;

	reset(d);
	r = record_decode_ahead(&d->arena, line, &d->transition);
	if (r == RECORD_UNKNOWN) {
		return decode_generally(d, line, out);
	}
	*out = &d->transition;
	return r;
}

int record_decode_generally(
	struct record_decoder *d, struct bytes line, const struct transition **out)
{
	reset(d);
	return is_line(line) ? decode_generally(d, line, out) : RECORD_DAMAGED;
}
