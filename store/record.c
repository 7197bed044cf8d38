/* SPDX-License-Identifier: MIT
 * Copyright (c) 2026 The cubbyfs authors */

/* How a line is made and read.
 *
 * json-c does the JSON. What it does not do is say when it ran out of memory
 * while it was writing: the text just lacks a piece. Such a line would get a
 * right checksum for a wrong value, so the encoder keeps count of the bytes
 * that the line must have, field by field, and takes no other.
 *
 * A transition of one change is flat; one of several has "changes", a list of
 * objects with the same fields. A field that has its default is left out. */
#include "store/record.h"

#include "base/cleanup.h"
#include "store/json.h"
#include "store/text.h"

#include <errno.h>
#include <inttypes.h>
#include <json-c/json.h>
#include <zlib.h>

#define JSON_FLAGS (JSON_C_TO_STRING_PLAIN | JSON_C_TO_STRING_NOSLASHESCAPE)
#define ADD_FLAGS (JSON_C_OBJECT_ADD_KEY_IS_NEW | JSON_C_OBJECT_ADD_CONSTANT_KEY)

static const char *const type_names[] = {
	[CHANGE_PUT] = "put",
	[CHANGE_APPEND] = "append",
	[CHANGE_LINK] = "link",
	[CHANGE_REMOVE] = "remove",
	[CHANGE_EXPIRE] = "expire",
	[CHANGE_RENAME] = "rename",
	[CHANGE_EXCHANGE] = "exchange",
};

#define N_TYPES (sizeof(type_names) / sizeof(type_names[0]))

/* ---- checksums ---- */

static uint32_t checksum(const char *data, size_t size)
{
	return (uint32_t)crc32_z(crc32_z(0, NULL, 0), (const unsigned char *)data, size);
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

/* Appends `text`, an object, with the checksum as its last field. */
static int append_line(const char *text, size_t size, struct buffer *out)
{
	size_t start = out->size;
	int r;

	if (size > RECORD_MAX - RECORD_END_SIZE) {
		return -EFBIG;
	}
	r = buffer_reserve(out, start + size + RECORD_END_SIZE + 2);
	if (r < 0) {
		return r;
	}
	buffer_append(out, text, size - 1);
	return buffer_printf(
		out, ",\"crc\":\"%08" PRIx32 "\"}\n", checksum(out->data + start, size - 1));
}

int record_encode_object(struct json_object *object, struct buffer *out)
{
	struct bytes text;
	int r = json_write(object, &text);

	return r < 0 ? r : append_line(text.data, text.size, out);
}

/* ---- encoding ---- */

struct encoder {
	size_t length; /* that the text will have */
	bool failed;   /* without memory */
};

static struct json_object *new_object(struct encoder *e)
{
	struct json_object *o = json_object_new_object();

	e->failed |= !o;
	e->length += 1; /* two braces, and one comma less than fields */
	return o;
}

static struct json_object *new_array(struct encoder *e, size_t n)
{
	struct json_object *o = json_object_new_array_ext((int)n);

	e->failed |= !o;
	e->length += 1;
	return o;
}

/* Adds a field of `length` bytes; takes the value over. */
static void add(struct encoder *e, struct json_object *object, const char *key,
	struct json_object *value, size_t length)
{
	e->length += strlen(key) + strlen("\"\":,") + length;
	if (e->failed || !value || json_object_object_add_ex(object, key, value, ADD_FLAGS) != 0) {
		json_object_put(value);
		e->failed = true;
	}
}

static void add_element(
	struct encoder *e, struct json_object *array, struct json_object *value, size_t length)
{
	e->length += strlen(",") + length;
	if (e->failed || json_object_array_add(array, value) != 0) {
		json_object_put(value);
		e->failed = true;
	}
}

static size_t digits(uint64_t n)
{
	size_t count = 1;

	for (; n >= 10; n /= 10) {
		count++;
	}
	return count;
}

static void add_unsigned(struct encoder *e, struct json_object *object, const char *key, uint64_t n)
{
	add(e, object, key, json_object_new_uint64(n), digits(n));
}

static void add_signed(struct encoder *e, struct json_object *object, const char *key, int64_t n)
{
	size_t length = n < 0 ? 1 + digits(-(uint64_t)n) : digits((uint64_t)n);

	add(e, object, key, json_object_new_int64(n), length);
}

static void add_text(
	struct encoder *e, struct json_object *object, const char *key, struct bytes text)
{
	size_t length = 0;
	struct json_object *value = text_to_json(text, &length);

	add(e, object, key, value, length);
}

static void add_text_element(struct encoder *e, struct json_object *array, struct bytes text)
{
	size_t length = 0;
	struct json_object *value = text_to_json(text, &length);

	e->failed |= !value;
	add_element(e, array, value, length);
}

static void add_place(struct encoder *e, struct json_object *object, const char *parent_key,
	const char *path_key, const struct place *place)
{
	if (place->parent != 0) {
		add_unsigned(e, object, parent_key, place->parent);
	}
	if (place->path.size != 0) {
		add_text(e, object, path_key, place->path);
	}
}

static void add_lock(struct encoder *e, struct json_object *object, const struct holding *lock)
{
	struct json_object *item = new_object(e);

	/* Always there, so that the object is never empty. */
	add_text(e, item, "holder", lock->holder);
	if (lock->token != 0) {
		add_unsigned(e, item, "token", lock->token);
	}
	if (lock->keepalive) {
		add(e, item, "keepalive", json_object_new_boolean(1), strlen("true"));
	}
	add(e, object, "lock", item, 0);
}

static void add_xattrs(struct encoder *e, struct json_object *object, const struct change *c)
{
	struct json_object *list = new_array(e, c->n_xattrs);

	for (size_t i = 0; i < c->n_xattrs && !e->failed; i++) {
		struct json_object *pair = new_array(e, 2);

		add_text_element(e, pair, c->xattrs[i].name);
		if (c->xattrs[i].removed) {
			add_element(e, pair, NULL, strlen("null"));
		} else {
			add_text_element(e, pair, c->xattrs[i].value);
		}
		add_element(e, list, pair, 0);
	}
	add(e, object, "xattrs", list, 0);
}

static void add_links(struct encoder *e, struct json_object *object, const struct change *c)
{
	struct json_object *list = new_array(e, c->n_links);

	for (size_t i = 0; i < c->n_links && !e->failed; i++) {
		const struct link *l = &c->links[i];
		struct json_object *item = new_object(e);

		/* Always there, so that the object is never empty. */
		add_unsigned(e, item, "in", l->place.parent);
		if (l->place.path.size != 0) {
			add_text(e, item, "path", l->place.path);
		}
		if (l->expires != 0) {
			add_signed(e, item, "expires", l->expires);
		}
		if (l->ttl != 0) {
			add_signed(e, item, "ttl", l->ttl);
		}
		if (l->lock.token != 0) {
			add_lock(e, item, &l->lock);
		}
		add_element(e, list, item, 0);
	}
	add(e, object, "links", list, 0);
}

static void add_change(struct encoder *e, struct json_object *object, const struct change *c)
{
	const char *name = type_names[c->type];
	char mode[16];
	int n;

	add(e, object, "op", json_object_new_string(name), strlen(name) + 2);
	if (c->ino != 0) {
		add_unsigned(e, object, "ino", c->ino);
	}
	add_place(e, object, "in", "path", &c->place);
	add_place(e, object, "to_in", "to", &c->to);
	if (c->fields & HAS_MODE) {
		n = snprintf(mode, sizeof(mode), "%06o", (unsigned)c->mode);
		add(e, object, "mode", json_object_new_string(mode), (size_t)n + 2);
	}
	if (c->fields & HAS_OWNER) {
		add_unsigned(e, object, "uid", c->uid);
		add_unsigned(e, object, "gid", c->gid);
	}
	if (c->fields & HAS_RDEV) {
		add_unsigned(e, object, "rdev", c->rdev);
	}
	if (c->fields & HAS_MTIME) {
		add_signed(e, object, "mtime", c->mtime);
	}
	if (c->fields & HAS_ATIME) {
		add_signed(e, object, "atime", c->atime);
	}
	if (c->fields & HAS_AGE) {
		add_signed(e, object, "age", c->age);
	}
	if (c->fields & HAS_EXPIRES) {
		add_signed(e, object, "expires", c->expires);
		if (c->ttl != 0) {
			add_signed(e, object, "ttl", c->ttl);
		}
	}
	if (c->fields & HAS_LOCK) {
		add_lock(e, object, &c->lock);
	}
	if (c->fields & HAS_HISTORY) {
		add_unsigned(e, object, "version", c->version);
		add_signed(e, object, "created", c->created);
		add_signed(e, object, "changed", c->changed);
		if (c->action.size != 0) {
			add_text(e, object, "last_action", c->action);
		}
	}
	if (c->n_links != 0) {
		add_links(e, object, c);
	}
	if (c->n_xattrs != 0) {
		add_xattrs(e, object, c);
	}
	if (c->offset != 0) {
		add_unsigned(e, object, "offset", c->offset);
	}
	if ((c->fields & HAS_VALUE) || c->type == CHANGE_APPEND) {
		add_text(e, object, "value", c->value);
	}
}

/* What no line could hold, and json-c's counts could not either. */
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

int record_encode(const struct transition *t, struct buffer *out)
{
	struct encoder e = {0};
	struct json_object *root, *list;
	const char *text;
	size_t size = 0;
	int r;

	if (too_large(t)) {
		return -EFBIG;
	}
	root = new_object(&e);
	add_unsigned(&e, root, "rev", t->revision);
	add_signed(&e, root, "at", t->at);
	if (t->lease != 0) {
		add_signed(&e, root, "lease", t->lease);
	}
	if (t->by != 0) {
		add_unsigned(&e, root, "by", t->by);
	}
	if (t->synced != 0) {
		add_unsigned(&e, root, "synced", t->synced);
	}
	if (t->action.size != 0) {
		add_text(&e, root, "action", t->action);
	}
	if (t->n_changes == 1) {
		add_change(&e, root, &t->changes[0]);
	} else {
		list = new_array(&e, t->n_changes);
		for (size_t i = 0; i < t->n_changes && !e.failed; i++) {
			struct json_object *item = new_object(&e);

			add_change(&e, item, &t->changes[i]);
			add_element(&e, list, item, 0);
		}
		add(&e, root, "changes", list, 0);
	}
	text = e.failed ? NULL : json_object_to_json_string_length(root, JSON_FLAGS, &size);
	if (text && e.length > RECORD_MAX - RECORD_END_SIZE) {
		r = -EFBIG;
	} else if (!text || size != e.length) {
		r = -ENOMEM;
	} else {
		r = append_line(text, size, out);
	}
	json_object_put(root);
	return r;
}

/* ---- decoding ---- */

struct block {
	struct block *next;
	size_t size, used;
	_Alignas(16) char data[];
};

struct record_decoder {
	struct json_object *root; /* of the last line */
	struct block *blocks;     /* what the last transition takes beyond it */
	struct transition transition;
};

#define BLOCK_SIZE 4096

static void *allocate(void *arg, size_t size)
{
	struct record_decoder *d = arg;
	struct block *b = d->blocks;
	size_t wanted;
	void *p;

	size = (size + 15) & ~(size_t)15;
	if (!b || b->size - b->used < size) {
		wanted = size > BLOCK_SIZE ? size : BLOCK_SIZE;
		b = malloc(sizeof(*b) + wanted);
		if (!b) {
			return NULL;
		}
		*b = (struct block){.next = d->blocks, .size = wanted};
		d->blocks = b;
	}
	p = b->data + b->used;
	b->used += size;
	return p;
}

static void *allocate_zeroed(struct record_decoder *d, size_t count, size_t size)
{
	void *p = allocate(d, count * size);

	if (p) {
		memset(p, 0, count * size);
	}
	return p;
}

/* Forgets the last line; keeps one block for the next, if it is small. */
static void reset(struct record_decoder *d, bool all)
{
	json_object_put(d->root);
	d->root = NULL;
	while (d->blocks) {
		struct block *b = d->blocks;

		if (!all && !b->next && b->size == BLOCK_SIZE) {
			b->used = 0;
			break;
		}
		d->blocks = b->next;
		free(b);
	}
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
	reset(d, true);
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
	for (size_t i = 0; i < N_TYPES; i++) {
		if (strcmp(json_object_get_string(o), type_names[i]) == 0) {
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

int record_decode_object(struct record_decoder *d, struct bytes line, struct json_object **out)
{
	int r;

	reset(d, false);
	if (line.size > RECORD_MAX || !record_intact(line)) {
		return RECORD_DAMAGED;
	}
	r = json_parse(line, &d->root);
	if (r < 0) {
		return r == -ENOMEM ? r : RECORD_DAMAGED;
	}
	if (!json_object_is_type(d->root, json_type_object)) {
		return RECORD_DAMAGED;
	}
	*out = d->root;
	return RECORD_OK;
}

int record_decode(struct record_decoder *d, struct bytes line, const struct transition **out)
{
	struct json_object *root;
	int r = record_decode_object(d, line, &root);

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
