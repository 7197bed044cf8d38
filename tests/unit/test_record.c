/* SPDX-License-Identifier: MIT
 * Copyright (c) 2026 The cubbyfs authors */

/* One transition, one line, and back. */
#include "base/cleanup.h"
#include "store/base64.h"
#include "store/canonical.h"
#include "store/json.h"
#include "store/record.h"
#include "store/text.h"
#include "stride.h"

#include <errno.h>
#include <json-c/json.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <zlib.h>

#include <cmocka.h>

static void same_bytes(struct bytes a, struct bytes b)
{
	assert_int_equal(a.size, b.size);
	if (a.size > 0) {
		assert_memory_equal(a.data, b.data, a.size);
	}
}

static void same_place(const struct place *a, const struct place *b)
{
	assert_int_equal(a->parent, b->parent);
	same_bytes(a->path, b->path);
}

static void same_holding(const struct holding *a, const struct holding *b)
{
	assert_true(a->token == b->token);
	same_bytes(a->holder, b->holder);
	assert_int_equal(a->keepalive, b->keepalive);
}

static void same_change(const struct change *a, const struct change *b)
{
	assert_int_equal(a->type, b->type);
	assert_int_equal(a->fields, b->fields);
	assert_true(a->ino == b->ino);
	same_place(&a->place, &b->place);
	same_place(&a->to, &b->to);
	assert_int_equal(a->mode, b->mode);
	assert_int_equal(a->uid, b->uid);
	assert_int_equal(a->gid, b->gid);
	assert_true(a->rdev == b->rdev);
	same_bytes(a->value, b->value);
	assert_true(a->offset == b->offset);
	assert_true(a->mtime == b->mtime);
	assert_true(a->atime == b->atime);
	assert_true(a->expires == b->expires);
	assert_true(a->ttl == b->ttl);
	same_holding(&a->lock, &b->lock);
	assert_true(a->age == b->age);
	assert_int_equal(a->n_xattrs, b->n_xattrs);
	for (size_t i = 0; i < a->n_xattrs; i++) {
		same_bytes(a->xattrs[i].name, b->xattrs[i].name);
		same_bytes(a->xattrs[i].value, b->xattrs[i].value);
		assert_int_equal(a->xattrs[i].removed, b->xattrs[i].removed);
	}
	assert_true(a->version == b->version);
	assert_true(a->created == b->created);
	assert_true(a->changed == b->changed);
	same_bytes(a->action, b->action);
	assert_int_equal(a->n_links, b->n_links);
	for (size_t i = 0; i < a->n_links; i++) {
		same_place(&a->links[i].place, &b->links[i].place);
		assert_true(a->links[i].expires == b->links[i].expires);
		assert_true(a->links[i].ttl == b->links[i].ttl);
		same_holding(&a->links[i].lock, &b->links[i].lock);
	}
}

static void same_transition(const struct transition *a, const struct transition *b)
{
	assert_true(a->revision == b->revision);
	assert_true(a->at == b->at);
	assert_int_equal(a->by, b->by);
	assert_int_equal(a->lease, b->lease);
	same_bytes(a->action, b->action);
	assert_int_equal(a->n_changes, b->n_changes);
	for (size_t i = 0; i < a->n_changes; i++) {
		same_change(&a->changes[i], &b->changes[i]);
	}
}

/* json-c writes the line in just the same way. */
static void same_as_json_c(struct bytes line)
{
	struct json_object *o;
	size_t size;
	const char *text;

	assert_int_equal(json_parse(line, &o), 0);
	text = json_object_to_json_string_length(
		o, JSON_C_TO_STRING_PLAIN | JSON_C_TO_STRING_NOSLASHESCAPE, &size);
	same_bytes(bytes_of(text, size), line);
	json_object_put(o);
}

/* What record_encode writes is read in the quick way, and that is the general one's. */
static void same_by_both_ways(struct record_decoder *d, struct bytes line)
{
	struct bytes text = bytes_of(line.data, line.size - RECORD_END_SIZE);
	const struct transition *general;
	struct transition quick;
	struct arena arena = {0};

	assert_int_equal(canonical_decode(&arena, text, &quick), 0);
	assert_int_equal(record_decode_generally(d, line, &general), RECORD_OK);
	assert_true(quick.synced == general->synced);
	same_transition(&quick, general);
	arena_finish(&arena);
}

static void round_trip(struct record_decoder *d, const struct transition *t)
{
	struct buffer line = {0};
	const struct transition *back;

	assert_int_equal(record_encode(t, &line), 0);
	assert_int_equal(line.data[line.size - 1], '\n');
	assert_null(memchr(line.data, '\n', line.size - 1));
	assert_null(memchr(line.data, 0, line.size));
	assert_int_equal(record_decode(d, bytes_of(line.data, line.size - 1), &back), RECORD_OK);
	same_transition(t, back);
	assert_true(t->synced == back->synced);
	same_as_json_c(bytes_of(line.data, line.size - 1));
	same_by_both_ways(d, bytes_of(line.data, line.size - 1));
	buffer_finish(&line);
}

/* ---- random transitions, with a seed of their own ---- */

static uint64_t random_state;

static uint64_t random_number(void)
{
	random_state ^= random_state << 13;
	random_state ^= random_state >> 7;
	random_state ^= random_state << 17;
	return random_state;
}

static bool chance(unsigned percent)
{
	return random_number() % 100 < percent;
}

static uint64_t random_u64(void)
{
	static const uint64_t ends[] = {1, INT64_MAX, (uint64_t)INT64_MAX + 1, UINT64_MAX};

	return chance(30) ? ends[random_number() % 4] : random_number() >> (random_number() % 63);
}

static int64_t random_i64(void)
{
	static const int64_t ends[] = {INT64_MIN, -1, 0, INT64_MAX};

	return chance(30) ? ends[random_number() % 4] : (int64_t)random_number();
}

#define POOL_SIZE 65536

static char pool[POOL_SIZE];
static size_t pool_used;

static struct bytes random_bytes(size_t max)
{
	static const char *const texts[] = {"plain", "with \"quotes\" and \\", "new\nline\ttab",
		"\xc3\xa4\xe2\x82\xac\xf0\x9f\x97\x84", "nul\0in it", "/slash/", "\x7f"};
	size_t size = random_number() % (max + 1);
	char *p = pool + pool_used;

	if (chance(50)) {
		const char *text = texts[random_number() % 7];

		return bytes_of(text, strlen(text) + (text[0] == 'n' && text[1] == 'u' ? 6 : 0));
	}
	if (size > POOL_SIZE - pool_used) {
		return bytes_of("full", 4);
	}
	for (size_t i = 0; i < size; i++) {
		p[i] = (char)random_number();
	}
	pool_used += size;
	return bytes_of(p, size);
}

static struct bytes some_bytes(size_t max)
{
	struct bytes b = random_bytes(max);

	return b.size ? b : bytes_of("x", 1);
}

static struct place random_place(void)
{
	return chance(5) ? (struct place){0} : (struct place){random_u64(), random_bytes(300)};
}

static struct xattr_change xattr_pool[64];
static struct link link_pool[64];
static size_t xattrs_used, links_used;

/* The token is never 0: that is none at all, in a snapshot's links. */
static struct holding random_holding(void)
{
	return (struct holding){
		.token = random_u64() | 1,
		.holder = random_bytes(100),
		.keepalive = chance(50),
	};
}

static struct change random_change(void)
{
	struct change c = {
		.type = (enum change_type)(random_number() % 7),
		.fields = (unsigned)random_number() & 0x3ff,
		.ino = random_u64(),
		.place = random_place(),
		.xattrs = xattr_pool + xattrs_used,
		.links = link_pool + links_used,
	};

	if (c.type == CHANGE_RENAME || c.type == CHANGE_EXCHANGE) {
		c.to = random_place();
	}
	if (c.type == CHANGE_APPEND) {
		c.fields &= ~HAS_VALUE;
		c.value = random_bytes(100);
		c.offset = random_u64();
	}
	if (c.fields & HAS_MODE) {
		c.mode = (uint32_t)random_number() & (chance(50) ? 0177777 : UINT32_MAX);
	}
	if (c.fields & HAS_OWNER) {
		c.uid = (uint32_t)random_u64();
		c.gid = (uint32_t)random_u64();
	}
	if (c.fields & HAS_VALUE) {
		c.value = random_bytes(1000);
	}
	c.rdev = c.fields & HAS_RDEV ? random_u64() : 0;
	c.mtime = c.fields & HAS_MTIME ? random_i64() : 0;
	c.atime = c.fields & HAS_ATIME ? random_i64() : 0;
	c.age = c.fields & HAS_AGE ? random_i64() : 0;
	if (c.fields & HAS_EXPIRES) {
		c.expires = random_i64();
		c.ttl = chance(50) ? random_i64() : 0;
	}
	if (c.fields & HAS_LOCK) {
		c.lock = random_holding();
	}
	if (c.fields & HAS_HISTORY) {
		c.version = random_u64();
		c.created = random_i64();
		c.changed = random_i64();
		c.action = random_bytes(20);
		for (c.n_links = 0; chance(40) && links_used < 64; c.n_links++) {
			link_pool[links_used++] = (struct link){
				.place = random_place(),
				.expires = chance(50) ? random_i64() : 0,
				.ttl = chance(50) ? random_i64() : 0,
				.lock = chance(50) ? random_holding() : (struct holding){0},
			};
		}
	}
	for (c.n_xattrs = 0; chance(40) && xattrs_used < 64; c.n_xattrs++) {
		struct xattr_change *x = &xattr_pool[xattrs_used++];

		*x = (struct xattr_change){.name = some_bytes(50), .removed = chance(30)};
		x->value = x->removed ? bytes_of(NULL, 0) : random_bytes(100);
	}
	return c;
}

static void random_transitions(void **state)
{
	struct record_decoder *d;
	struct change changes[8];

	(void)state;
	random_state = 0x9e3779b97f4a7c15;
	assert_int_equal(record_decoder_create(&d), 0);
	for (unsigned i = 0; i < 20000; i += stride_of(5, 20)) {
		struct transition t = {
			.revision = random_u64(),
			.at = random_i64(),
			.by = chance(50) ? (uint32_t)random_u64() : 0,
			.lease = chance(50) ? (int64_t)random_u64() : 0,
			.synced = chance(20) ? random_u64() : 0,
			.action = chance(30) ? random_bytes(256) : bytes_of(NULL, 0),
			.changes = changes,
			.n_changes = chance(70) ? 1 : 1 + random_number() % 8,
		};

		pool_used = 0;
		xattrs_used = 0;
		links_used = 0;
		for (size_t k = 0; k < t.n_changes; k++) {
			changes[k] = random_change();
		}
		round_trip(d, &t);
	}
	record_decoder_destroy(d);
}

static struct transition simple(struct change *c, struct bytes value)
{
	*c = (struct change){
		.type = CHANGE_PUT,
		.fields = HAS_MODE | HAS_VALUE,
		.ino = 21,
		.place = {1, bytes_of_string("app/mode")},
		.mode = 0100644,
		.value = value,
	};
	return (struct transition){.revision = 17, .at = 5, .changes = c, .n_changes = 1};
}

static void every_byte(void **state)
{
	struct record_decoder *d;
	struct transition t;
	struct change c;
	char all[256], pair[2];

	(void)state;
	assert_int_equal(record_decoder_create(&d), 0);
	for (int i = 0; i < 256; i++) {
		all[i] = (char)i;
		t = simple(&c, bytes_of(&all[i], 1));
		round_trip(d, &t);
		t = simple(&c, bytes_of(all, (size_t)i + 1));
		round_trip(d, &t);
		for (int k = 0; k < 256; k++) {
			pair[0] = (char)i;
			pair[1] = (char)k;
			t = simple(&c, bytes_of(pair, 2));
			c.place.path = bytes_of(pair, 2);
			round_trip(d, &t);
		}
	}
	record_decoder_destroy(d);
}

static void large_values(void **state)
{
	struct record_decoder *d;
	const size_t size = 3 << 20;
	char *data = malloc(size);
	struct transition t;
	struct change c;

	(void)state;
	assert_int_equal(record_decoder_create(&d), 0);
	memset(data, '"', size);
	t = simple(&c, bytes_of(data, size));
	round_trip(d, &t);
	memset(data, 1, size);
	round_trip(d, &t);
	for (size_t i = 0; i < size; i++) {
		data[i] = (char)(i * 2654435761U >> 13);
	}
	round_trip(d, &t);
	c.value.size--;
	round_trip(d, &t);
	c.value.size--;
	round_trip(d, &t);
	record_decoder_destroy(d);
	free(data);
}

static void too_large(void **state)
{
	struct buffer line = {0};
	struct transition t;
	struct change c;

	(void)state;
	/* Refused before a byte of it is looked at. */
	t = simple(&c, bytes_of("", RECORD_MAX + 1));
	assert_int_equal(record_encode(&t, &line), -EFBIG);
	assert_int_equal(line.size, 0);
}

static void line_reads_well(void **state)
{
	struct buffer line = {0};
	struct transition t;
	struct change c;
	const char *wanted =
		"{\"rev\":17,\"at\":5,\"by\":1000,\"op\":\"put\",\"ino\":21,\"in\":1,"
		"\"path\":\"app/mode\",\"mode\":\"100644\",\"value\":\"say \\\"hi\\\"\\n\","
		"\"crc\":\"668e1229\"}\n";

	(void)state;
	t = simple(&c, bytes_of_string("say \"hi\"\n"));
	t.by = 1000;
	assert_int_equal(record_encode(&t, &line), 0);
	assert_int_equal(buffer_append(&line, "", 1), 0);
	/* The checksum is part of the format: it stays what it was. */
	assert_string_equal(line.data, wanted);
	buffer_finish(&line);
}

static void damage_is_seen(void **state)
{
	struct record_decoder *d;
	struct buffer line = {0};
	const struct transition *back;
	struct transition t;
	struct change c;

	(void)state;
	assert_int_equal(record_decoder_create(&d), 0);
	t = simple(&c, bytes_of_string("value"));
	assert_int_equal(record_encode(&t, &line), 0);
	line.size--;
	for (size_t i = 0; i < line.size * 8; i++) {
		line.data[i / 8] ^= (char)(1 << i % 8);
		assert_false(record_intact(buffer_bytes(&line)));
		assert_int_equal(record_decode(d, buffer_bytes(&line), &back), RECORD_DAMAGED);
		line.data[i / 8] ^= (char)(1 << i % 8);
	}
	for (size_t i = 0; i < line.size; i++) {
		assert_int_equal(record_decode(d, bytes_of(line.data, i), &back), RECORD_DAMAGED);
	}
	assert_int_equal(record_decode(d, buffer_bytes(&line), &back), RECORD_OK);
	buffer_finish(&line);
	record_decoder_destroy(d);
}

static void decode_json(const char *json, int wanted)
{
	struct json_object *o = json_tokener_parse(json);
	struct record_decoder *d;
	struct buffer line = {0};
	const struct transition *t;

	assert_non_null(o);
	assert_int_equal(record_encode_object(o, &line), 0);
	json_object_put(o);
	assert_int_equal(record_decoder_create(&d), 0);
	assert_int_equal(record_decode(d, bytes_of(line.data, line.size - 1), &t), wanted);
	record_decoder_destroy(d);
	buffer_finish(&line);
}

static void unknown_lines(void **state)
{
	static const char *const unknown[] = {
		"{\"rev\":1}",
		"{\"at\":1,\"op\":\"put\"}",
		"{\"rev\":1,\"op\":\"put\"}",
		"{\"rev\":1,\"at\":1}",
		"{\"rev\":1,\"at\":1,\"op\":\"melt\"}",
		"{\"rev\":-1,\"at\":1,\"op\":\"put\"}",
		"{\"rev\":1.5,\"at\":1,\"op\":\"put\"}",
		"{\"rev\":\"1\",\"at\":1,\"op\":\"put\"}",
		"{\"rev\":1,\"at\":1,\"op\":7}",
		"{\"rev\":1,\"at\":1,\"op\":\"put\",\"uid\":4294967296}",
		"{\"rev\":1,\"at\":1,\"op\":\"put\",\"mode\":420}",
		"{\"rev\":1,\"at\":1,\"op\":\"put\",\"mode\":\"9\"}",
		"{\"rev\":1,\"at\":1,\"op\":\"put\",\"value\":7}",
		"{\"rev\":1,\"at\":1,\"op\":\"put\",\"value\":null}",
		"{\"rev\":1,\"at\":1,\"op\":\"put\",\"value\":{\"base64\":\"A\"}}",
		"{\"rev\":1,\"at\":1,\"op\":\"put\",\"value\":{\"base64\":\"AB==\"}}",
		"{\"rev\":1,\"at\":1,\"op\":\"put\",\"value\":{\"base64\":\"A===\"}}",
		"{\"rev\":1,\"at\":1,\"op\":\"put\",\"value\":{\"base32\":\"AA==\"}}",
		"{\"rev\":1,\"at\":1,\"op\":\"put\",\"xattrs\":{}}",
		"{\"rev\":1,\"at\":1,\"op\":\"put\",\"xattrs\":[[\"a\"]]}",
		"{\"rev\":1,\"at\":1,\"op\":\"put\",\"links\":[1]}",
		"{\"rev\":1,\"at\":1,\"changes\":[]}",
		"{\"rev\":1,\"at\":1,\"changes\":[7]}",
		"{\"rev\":1,\"at\":1,\"changes\":[{}]}",
		"{\"cubbyfs\":\"log\",\"version\":1}",
	};

	(void)state;
	for (size_t i = 0; i < sizeof(unknown) / sizeof(unknown[0]); i++) {
		decode_json(unknown[i], RECORD_UNKNOWN);
	}
	decode_json("{\"rev\":1,\"at\":1,\"op\":\"put\"}", RECORD_OK);
	decode_json("{\"rev\":1,\"at\":1,\"op\":\"put\",\"later\":[1]}", RECORD_OK);
}

/* Lines like those that record_encode writes, but not quite: the quick way leaves them to
 * the general one, or both read the same. */
static void nearly_canonical(void **state)
{
	static const struct {
		const char *text;
		bool taken;
		int outcome;
	} cases[] = {
#define LINE(fields) "{\"rev\":1,\"at\":2,\"op\":\"put\"" fields
		{LINE(""), true, RECORD_OK},
		{LINE(",\"ino\":0"), true, RECORD_OK},
		{LINE(",\"ino\":18446744073709551615"), true, RECORD_OK},
		{LINE(",\"ino\":18446744073709551616"), false, RECORD_OK}, /* clamped */
		{LINE(",\"ino\":99999999999999999999"), false, RECORD_OK},
		{LINE(",\"ino\":100000000000000000000"), false, RECORD_OK},
		{LINE(",\"ino\":01"), false, RECORD_DAMAGED},
		{LINE(",\"ino\":-1"), false, RECORD_UNKNOWN},
		{LINE(",\"ino\":1e2"), false, RECORD_UNKNOWN},
		{LINE(",\"ino\": 1"), false, RECORD_OK},
		{LINE(" "), false, RECORD_OK},
		{LINE(",\"in\":1,\"ino\":2"), false, RECORD_OK},
		{LINE(",\"ino\":1,\"ino\":2"), false, RECORD_OK},
		{LINE(",\"later\":1"), false, RECORD_OK},
		{LINE(",\"atime\":-9223372036854775808"), true, RECORD_OK},
		{LINE(",\"atime\":-9223372036854775809"), false, RECORD_OK},
		{LINE(",\"atime\":9223372036854775808"), false, RECORD_UNKNOWN},
		{LINE(",\"atime\":-0"), false, RECORD_OK},
		{LINE(",\"uid\":1"), false, RECORD_OK},
		{LINE(",\"uid\":4294967295,\"gid\":4294967296"), false, RECORD_UNKNOWN},
		{LINE(",\"mode\":\"\""), false, RECORD_OK},
		{LINE(",\"mode\":\"37777777777\""), true, RECORD_OK},
		{LINE(",\"mode\":\"77777777777\""), false, RECORD_UNKNOWN},
		{LINE(",\"path\":\"\\u0041\""), false, RECORD_OK},
		{LINE(",\"path\":\"\\u001F\""), false, RECORD_OK},
		{LINE(",\"path\":\"\\u001f\\u0000\""), true, RECORD_OK},
		{LINE(",\"path\":\"\\u001\""), false, RECORD_DAMAGED},
		{LINE(",\"path\":\"\\/\""), false, RECORD_OK},
		{LINE(",\"path\":\"\\x\""), false, RECORD_DAMAGED},
		{LINE(",\"path\":\"12345678901\t\""), false, RECORD_DAMAGED},
		{LINE(",\"path\":\"1234\xff\""), false, RECORD_DAMAGED},
		{LINE(",\"path\":\"\\\xc3\xa4\""), false, RECORD_DAMAGED},
		{LINE(",\"path\":\"\xc3\xa4\\\"\\\\\""), true, RECORD_OK},
		{LINE(",\"path\":\""), false, RECORD_DAMAGED},
		{LINE(",\"path\":\"\\\""), false, RECORD_DAMAGED},
		{LINE(",\"path\":{\"base64\":\"Zg==\"}"), true, RECORD_OK},
		{LINE(",\"path\":{\"base64\":\"\"}"), true, RECORD_OK},
		{LINE(",\"path\":{\"base64\":\"Zh==\"}"), false, RECORD_UNKNOWN},
		{LINE(",\"path\":{\"base64\":\"Zg==\",\"x\":1}"), false, RECORD_OK},
		{LINE(",\"path\":{\"base64\":\"Zg=="), false, RECORD_DAMAGED},
		{LINE(",\"links\":[]"), false, RECORD_OK},
		{LINE(",\"links\":[{\"in\":1},{\"in\":2},{\"in\":3}]"), true, RECORD_OK},
		{LINE(",\"links\":[{\"path\":\"a\"}]"), false, RECORD_OK},
		{LINE(",\"xattrs\":[]"), false, RECORD_OK},
		{LINE(",\"xattrs\":[[\"a\",null],[\"b\",\"c\"]]"), true, RECORD_OK},
		{LINE(",\"xattrs\":[[\"a\",null,1]]"), false, RECORD_UNKNOWN},
		{LINE(",\"lock\":{\"holder\":\"x\",\"keepalive\":true}"), true, RECORD_OK},
		{LINE(",\"lock\":{\"holder\":\"x\",\"keepalive\":false}"), false, RECORD_OK},
		{LINE(",\"version\":1,\"created\":2"), false, RECORD_OK},
		{LINE("}"), false, RECORD_DAMAGED},
		{"{\"rev\":1,\"at\":2,\"changes\":[{\"op\":\"put\"},{\"op\":\"link\"},"
		 "{\"op\":\"append\",\"value\":\"\"}]", true, RECORD_OK},
		{"{\"rev\":1,\"at\":2,\"changes\":[{\"op\":\"put\"}],\"ino\":1", false, RECORD_OK},
		{"{\"rev\":1,\"at\":2,\"changes\":[]", false, RECORD_UNKNOWN},
		{"{\"at\":2,\"rev\":1,\"op\":\"put\"", false, RECORD_OK},
		{"{\"rev\":1,\"at\":2,\"op\":\"puts\"", false, RECORD_UNKNOWN},
		{"{\"rev\":1,\"at\":2", false, RECORD_UNKNOWN},
	};
	struct record_decoder *d, *e;

	(void)state;
	assert_int_equal(record_decoder_create(&d), 0);
	assert_int_equal(record_decoder_create(&e), 0);
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		_cleanup_buffer_ struct buffer line = {0};
		const struct transition *a, *b;
		struct transition quick;
		struct arena arena = {0};
		struct bytes whole;

		assert_int_equal(buffer_append_string(&line, cases[i].text), 0);
		assert_int_equal(record_end(&line, 0), 0);
		whole = bytes_of(line.data, line.size - 1);
		if (canonical_decode(&arena, bytes_of_string(cases[i].text), &quick) !=
				(cases[i].taken ? 0 : CANONICAL_NOT) ||
			record_decode_generally(d, whole, &a) != cases[i].outcome ||
			record_decode(e, whole, &b) != cases[i].outcome) {
			fail_msg("%s", cases[i].text);
		}
		if (cases[i].outcome == RECORD_OK) {
			same_transition(a, b);
		}
		arena_finish(&arena);
	}
	record_decoder_destroy(d);
	record_decoder_destroy(e);
}

static void not_json(void **state)
{
	static const char *const lines[] = {"{", "{\"a\":", "{\"a\":{", "{]", "{\"a\" 1"};
	struct record_decoder *d;
	const struct transition *t;

	(void)state;
	assert_int_equal(record_decoder_create(&d), 0);
	for (size_t i = 0; i < sizeof(lines) / sizeof(lines[0]); i++) {
		uLong sum = crc32(0, (const Bytef *)lines[i], (uInt)strlen(lines[i]));
		char text[100];

		snprintf(text, sizeof(text), "%s,\"crc\":\"%08lx\"}", lines[i], sum);
		assert_true(record_intact(bytes_of_string(text)));
		assert_int_equal(record_decode(d, bytes_of_string(text), &t), RECORD_DAMAGED);
	}
	record_decoder_destroy(d);
}

static void utf8(void **state)
{
	static const struct {
		const char *text;
		bool valid;
	} cases[] = {
		{"", true},
		{"ascii", true},
		{"\xc3\xa4", true},
		{"\xed\x9f\xbf", true},
		{"\xee\x80\x80", true},
		{"\xf4\x8f\xbf\xbf", true},
		{"\xc0\x80", false},
		{"\xc1\xbf", false},
		{"\xe0\x9f\xbf", false},
		{"\xed\xa0\x80", false},
		{"\xf0\x8f\xbf\xbf", false},
		{"\xf4\x90\x80\x80", false},
		{"\xf5\x80\x80\x80", false},
		{"\x80", false},
		{"\xff", false},
		{"a\xc3", false},
		{"\xe2\x82", false},
		{"\xe2\x82z", false},
	};

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		assert_int_equal(text_is_utf8(bytes_of_string(cases[i].text)), cases[i].valid);
	}
}

static void base64(void **state)
{
	static const char *const cases[][2] = {{"", ""}, {"f", "Zg=="}, {"fo", "Zm8="},
		{"foo", "Zm9v"}, {"foob", "Zm9vYg=="}, {"fooba", "Zm9vYmE="},
		{"foobar", "Zm9vYmFy"}};
	static const char *const bad[] = {
		"Z", "Zg=", "Zh==", "Zm9=", "=Zg=", "Zg==Zg==", "Z===", "Zm 9", "====", "Zg=a"};
	char out[16];
	size_t size;

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct buffer b = {0};

		assert_int_equal(base64_encode(bytes_of_string(cases[i][0]), &b), 0);
		same_bytes(buffer_bytes(&b), bytes_of_string(cases[i][1]));
		assert_true(base64_decode(bytes_of_string(cases[i][1]), out, &size));
		same_bytes(bytes_of(out, size), bytes_of_string(cases[i][0]));
		buffer_finish(&b);
	}
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		assert_false(base64_decode(bytes_of_string(bad[i]), out, &size));
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(random_transitions),
		cmocka_unit_test(every_byte),
		cmocka_unit_test(large_values),
		cmocka_unit_test(too_large),
		cmocka_unit_test(line_reads_well),
		cmocka_unit_test(damage_is_seen),
		cmocka_unit_test(unknown_lines),
		cmocka_unit_test(nearly_canonical),
		cmocka_unit_test(not_json),
		cmocka_unit_test(utf8),
		cmocka_unit_test(base64),
	};

	return cmocka_run_group_tests_name("record", tests, NULL, NULL);
}
