/* SPDX-License-Identifier: MIT
 * Copyright (c) 2026 The cubbyfs authors */

/* One pass from left to right, without a tree in between: each field stands at its
 * place or not at all, so what comes next is told by comparing a few bytes, and text
 * without escapes is not even copied.
 *
 * It never decides that a line is bad. At the first byte that is not what the
 * encoder would have written (a space, another order, an unknown field, a number
 * that could be read in two ways) it gives up, and the line goes the general way. So
 * it may be as strict as it likes, and is wrong only if it takes a line for another
 * transition than the general way does; fuzz_record compares the two. */
#include "store/canonical.h"

#include "store/base64.h"
#include "store/text.h"

#include <errno.h>

const char *const change_type_names[N_CHANGE_TYPES] = {
	[CHANGE_PUT] = "put",
	[CHANGE_APPEND] = "append",
	[CHANGE_LINK] = "link",
	[CHANGE_REMOVE] = "remove",
	[CHANGE_EXPIRE] = "expire",
	[CHANGE_RENAME] = "rename",
	[CHANGE_EXCHANGE] = "exchange",
};

struct cursor {
	const char *at, *end;
	struct arena *arena;
	int error; /* 0, CANONICAL_NOT or -ENOMEM; then the rest is of no matter */
};

static void give_up(struct cursor *c)
{
	if (c->error == 0) {
		c->error = CANONICAL_NOT;
	}
	c->at = c->end;
}

static bool take_bytes(struct cursor *c, const char *text, size_t size)
{
	if ((size_t)(c->end - c->at) < size || memcmp(c->at, text, size) != 0) {
		return false;
	}
	c->at += size;
	return true;
}

/* The next bytes, if they are these. */
#define take(c, literal) take_bytes(c, "" literal, sizeof(literal) - 1)

/* They must be. */
#define expect(c, literal)                                                                         \
	do {                                                                                       \
		if (!take(c, literal)) {                                                           \
			give_up(c);                                                                \
		}                                                                                  \
	} while (0)

/* ---- numbers ---- */

static uint64_t get_unsigned(struct cursor *c, uint64_t max)
{
	const char *start = c->at;
	uint64_t n = 0;

	while (c->at < c->end && *c->at >= '0' && *c->at <= '9') {
		uint64_t digit = (uint64_t)(*c->at++ - '0');

		if (c->at - start >= 20 && n > (UINT64_MAX - digit) / 10) {
			give_up(c);
			return 0;
		}
		n = n * 10 + digit;
	}
	/* A zero in front is no JSON. */
	if (c->at == start || (*start == '0' && c->at - start > 1) || c->at - start > 20 || n > max) {
		give_up(c);
	}
	return n;
}

static int64_t get_signed(struct cursor *c)
{
	uint64_t n;

	if (!take(c, "-")) {
		return (int64_t)get_unsigned(c, INT64_MAX);
	}
	n = get_unsigned(c, (uint64_t)INT64_MAX + 1);
	if (n == 0 || c->error) {
		give_up(c);
		return 0;
	}
	return -(int64_t)(n - 1) - 1;
}

static uint32_t get_mode(struct cursor *c)
{
	const char *start;
	uint64_t n = 0;

	expect(c, "\"");
	for (start = c->at; c->at < c->end && *c->at >= '0' && *c->at <= '7'; c->at++) {
		n = n << 3 | (uint64_t)(*c->at - '0');
		if (n > UINT32_MAX) {
			break;
		}
	}
	if (c->at == start) {
		give_up(c);
	}
	expect(c, "\"");
	return (uint32_t)n;
}

/* ---- text ---- */

/* What the character after a backslash stands for; 0: not one that is ever written. */
static char unescape(char c)
{
	switch (c) {
	case 'b':
		return '\b';
	case 'n':
		return '\n';
	case 'r':
		return '\r';
	case 't':
		return '\t';
	case 'f':
		return '\f';
	case '"':
	case '\\':
		return c;
	default:
		return 0;
	}
}

static int hex(char c)
{
	return c >= '0' && c <= '9' ? c - '0' : c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

/* One escape at p; it takes *size bytes. Or -1. */
static int get_escape(const char *p, const char *end, size_t *size)
{
	char c = end - p >= 2 ? unescape(p[1]) : 0;

	*size = 2;
	if (c) {
		return c;
	}
	*size = 6;
	if (end - p < 6 || memcmp(p, "\\u00", 4) != 0 || hex(p[4]) < 0 || hex(p[4]) > 1 ||
		hex(p[5]) < 0) {
		return -1;
	}
	return hex(p[4]) << 4 | hex(p[5]);
}

static struct bytes without_escapes(struct cursor *c, struct bytes text)
{
	const char *end = text.data + text.size;
	char *copy = arena_allocate(c->arena, text.size);
	char *to = copy;

	if (!copy) {
		c->error = -ENOMEM;
		give_up(c);
		return bytes_of(NULL, 0);
	}
	for (const char *p = text.data; p < end;) {
		size_t size = 1;
		int escape;

		if (*p != '\\') {
			*to++ = *p++;
			continue;
		}
		escape = get_escape(p, end, &size);
		if (escape < 0) {
			give_up(c);
			return bytes_of(NULL, 0);
		}
		*to++ = (char)escape;
		p += size;
	}
	return bytes_of(copy, (size_t)(to - copy));
}

#define ONES UINT64_C(0x0101010101010101)
#define HIGHS UINT64_C(0x8080808080808080)
/* Nonzero if a byte of x is zero. */
#define ANY_ZERO(x) (((x) - ONES) & ~(x) & HIGHS)

/* The first byte that is not plain: a quote, a backslash, a control character or part
 * of a longer sequence. Eight at a time. */
static const char *plain_end(const char *p, const char *end)
{
	uint64_t x;

	for (; end - p >= 8; p += 8) {
		memcpy(&x, p, 8);
		/* Below 0x20: no bit of the upper three; from 0x80 on: the highest. */
		if (((x - ONES * 0x20) | x) & HIGHS || ANY_ZERO(x ^ ONES * '"') ||
			ANY_ZERO(x ^ ONES * '\\')) {
			break;
		}
	}
	while (p < end && *p != '"' && *p != '\\' && (unsigned char)*p >= 0x20 &&
		(unsigned char)*p < 0x80) {
		p++;
	}
	return p;
}

static struct bytes get_string(struct cursor *c)
{
	const char *start = c->at;
	bool escapes = false, wide = false;
	struct bytes text;

	for (;;) {
		c->at = plain_end(c->at, c->end);
		if (c->at == c->end || (unsigned char)*c->at < 0x20) {
			give_up(c);
			return bytes_of(NULL, 0);
		}
		if (*c->at == '"') {
			break;
		}
		if (*c->at == '\\') {
			escapes = true;
			c->at++; /* and what follows, which may be a quote */
			if (c->at == c->end) {
				give_up(c);
				return bytes_of(NULL, 0);
			}
		} else {
			wide = true;
		}
		c->at++;
	}
	text = bytes_of(start, (size_t)(c->at - start));
	c->at++;
	if (wide && !text_is_utf8(text)) {
		give_up(c);
		return bytes_of(NULL, 0);
	}
	return escapes ? without_escapes(c, text) : text;
}

static struct bytes get_base64(struct cursor *c)
{
	const char *end = memchr(c->at, '"', (size_t)(c->end - c->at));
	struct bytes encoded = bytes_of(c->at, end ? (size_t)(end - c->at) : 0);
	char *data = arena_allocate(c->arena, encoded.size / 4 * 3);
	size_t size = 0;

	if (!data) {
		c->error = -ENOMEM;
	}
	if (!data || !end || !base64_decode(encoded, data, &size)) {
		give_up(c);
		return bytes_of(NULL, 0);
	}
	c->at = end;
	expect(c, "\"}");
	return bytes_of(data, size);
}

static struct bytes get_text(struct cursor *c)
{
	if (take(c, "\"")) {
		return get_string(c);
	}
	if (take(c, "{\"base64\":\"")) {
		return get_base64(c);
	}
	give_up(c);
	return bytes_of(NULL, 0);
}

/* ---- what has parts ---- */

/* Room for one more item after n in a list that doubles; zeroed. NULL: given up. */
static void *add_item(struct cursor *c, void *list, size_t n, size_t size)
{
	char *grown = list;

	if ((n & (n - 1)) == 0) {
		grown = arena_allocate_zeroed(c->arena, n ? 2 * n : 1, size);
		if (!grown) {
			c->error = -ENOMEM;
			give_up(c);
			return NULL;
		}
		if (n > 0) {
			memcpy(grown, list, n * size);
		}
	}
	return grown;
}

static void get_lock(struct cursor *c, struct holding *out)
{
	expect(c, "{\"holder\":");
	out->holder = get_text(c);
	if (take(c, ",\"token\":")) {
		out->token = get_unsigned(c, UINT64_MAX);
	}
	out->keepalive = take(c, ",\"keepalive\":true");
	expect(c, "}");
}

static void get_links(struct cursor *c, struct change *change)
{
	struct link *list = NULL, *l;
	size_t n = 0;

	expect(c, "[");
	do {
		list = add_item(c, list, n, sizeof(*list));
		if (!list) {
			return;
		}
		l = &list[n++];
		expect(c, "{\"in\":");
		l->place.parent = get_unsigned(c, UINT64_MAX);
		if (take(c, ",\"path\":")) {
			l->place.path = get_text(c);
		}
		if (take(c, ",\"expires\":")) {
			l->expires = get_signed(c);
		}
		if (take(c, ",\"ttl\":")) {
			l->ttl = get_signed(c);
		}
		if (take(c, ",\"lock\":")) {
			get_lock(c, &l->lock);
		}
		expect(c, "}");
	} while (take(c, ","));
	expect(c, "]");
	change->links = list;
	change->n_links = n;
}

static void get_xattrs(struct cursor *c, struct change *change)
{
	struct xattr_change *list = NULL, *x;
	size_t n = 0;

	expect(c, "[");
	do {
		list = add_item(c, list, n, sizeof(*list));
		if (!list) {
			return;
		}
		x = &list[n++];
		expect(c, "[");
		x->name = get_text(c);
		expect(c, ",");
		x->removed = take(c, "null");
		if (!x->removed) {
			x->value = get_text(c);
		}
		expect(c, "]");
	} while (take(c, ","));
	expect(c, "]");
	change->xattrs = list;
	change->n_xattrs = n;
}

static enum change_type get_type(struct cursor *c)
{
	for (int i = 0; i < N_CHANGE_TYPES; i++) {
		const char *name = change_type_names[i];
		size_t size = strlen(name);

		if ((size_t)(c->end - c->at) > size && c->at[size] == '"' &&
			memcmp(c->at, name, size) == 0) {
			c->at += size + 1;
			return (enum change_type)i;
		}
	}
	give_up(c);
	return CHANGE_PUT;
}

/* From the value of "op" on. */
static void get_change(struct cursor *c, struct change *change)
{
	expect(c, "\"op\":\"");
	change->type = get_type(c);
	if (take(c, ",\"ino\":")) {
		change->ino = get_unsigned(c, UINT64_MAX);
	}
	if (take(c, ",\"in\":")) {
		change->place.parent = get_unsigned(c, UINT64_MAX);
	}
	if (take(c, ",\"path\":")) {
		change->place.path = get_text(c);
	}
	if (take(c, ",\"to_in\":")) {
		change->to.parent = get_unsigned(c, UINT64_MAX);
	}
	if (take(c, ",\"to\":")) {
		change->to.path = get_text(c);
	}
	if (take(c, ",\"mode\":")) {
		change->fields |= HAS_MODE;
		change->mode = get_mode(c);
	}
	if (take(c, ",\"uid\":")) {
		change->fields |= HAS_OWNER;
		change->uid = (uint32_t)get_unsigned(c, UINT32_MAX);
		expect(c, ",\"gid\":");
		change->gid = (uint32_t)get_unsigned(c, UINT32_MAX);
	}
	if (take(c, ",\"rdev\":")) {
		change->fields |= HAS_RDEV;
		change->rdev = get_unsigned(c, UINT64_MAX);
	}
	if (take(c, ",\"mtime\":")) {
		change->fields |= HAS_MTIME;
		change->mtime = get_signed(c);
	}
	if (take(c, ",\"atime\":")) {
		change->fields |= HAS_ATIME;
		change->atime = get_signed(c);
	}
	if (take(c, ",\"age\":")) {
		change->fields |= HAS_AGE;
		change->age = get_signed(c);
	}
	if (take(c, ",\"expires\":")) {
		change->fields |= HAS_EXPIRES;
		change->expires = get_signed(c);
		if (take(c, ",\"ttl\":")) {
			change->ttl = get_signed(c);
		}
	}
	if (take(c, ",\"lock\":")) {
		change->fields |= HAS_LOCK;
		get_lock(c, &change->lock);
	}
	if (take(c, ",\"version\":")) {
		change->fields |= HAS_HISTORY;
		change->version = get_unsigned(c, UINT64_MAX);
		expect(c, ",\"created\":");
		change->created = get_signed(c);
		expect(c, ",\"changed\":");
		change->changed = get_signed(c);
		if (take(c, ",\"last_action\":")) {
			change->action = get_text(c);
		}
	}
	if (take(c, ",\"links\":")) {
		get_links(c, change);
	}
	if (take(c, ",\"xattrs\":")) {
		get_xattrs(c, change);
	}
	if (take(c, ",\"offset\":")) {
		change->offset = get_unsigned(c, UINT64_MAX);
	}
	if (take(c, ",\"value\":")) {
		change->fields |= change->type == CHANGE_APPEND ? 0 : HAS_VALUE;
		change->value = get_text(c);
	}
}

static struct change *get_changes(struct cursor *c, size_t *n_out)
{
	struct change *list = NULL;
	size_t n = 0;

	do {
		list = add_item(c, list, n, sizeof(*list));
		if (!list) {
			return NULL;
		}
		expect(c, "{");
		get_change(c, &list[n++]);
		expect(c, "}");
	} while (take(c, ","));
	expect(c, "]");
	*n_out = n;
	return list;
}

int canonical_decode(struct arena *arena, struct bytes text, struct transition *t)
{
	struct cursor c = {.at = text.data, .end = text.data + text.size, .arena = arena};
	struct change *list;

	*t = (struct transition){0};
	expect(&c, "{\"rev\":");
	t->revision = get_unsigned(&c, UINT64_MAX);
	expect(&c, ",\"at\":");
	t->at = get_signed(&c);
	if (take(&c, ",\"lease\":")) {
		t->lease = get_signed(&c);
	}
	if (take(&c, ",\"by\":")) {
		t->by = (uint32_t)get_unsigned(&c, UINT32_MAX);
	}
	if (take(&c, ",\"synced\":")) {
		t->synced = get_unsigned(&c, UINT64_MAX);
	}
	if (take(&c, ",\"action\":")) {
		t->action = get_text(&c);
	}
	expect(&c, ",");
	if (c.error) {
		return c.error;
	}
	if (take(&c, "\"changes\":[")) {
		list = get_changes(&c, &t->n_changes);
	} else {
		list = add_item(&c, NULL, 0, sizeof(*list));
		t->n_changes = 1;
		if (list) {
			get_change(&c, list);
		}
	}
	t->changes = list;
	if (c.error == 0 && c.at != c.end) {
		c.error = CANONICAL_NOT;
	}
	return c.error;
}
