/* SPDX-License-Identifier: MIT
 * Copyright (c) 2026 The cubbyfs authors */

/* Events: what each change tells; that a state which is made of nothing but events is
 * the store's; that the log tells of the past what was told live, from any
 * revision on, over compactions and reopenings. `test_event SEED N` does N runs. */
#include "../conformance/harness.h"

#include "base/cleanup.h"
#include "base/log.h"
#include "fs/pattern.h"
#include "store/event.h"
#include "stride.h"

#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#define MAX_EVENTS 20000

struct told {
	uint64_t revision;
	char *line;
};

/* What is known of the state by its events. */
struct known {
	char *path, *value;
	bool is_namespace;
};

struct story {
	struct told events[MAX_EVENTS];
	size_t n;
	struct known state[600];
	size_t n_state;
	uint64_t last;
	bool more;
	bool follows; /* keeps state */
};

static struct story live, past;

/* --- hearing ------------------------------------------------------------------ */

static struct known *find(struct story *s, const char *path)
{
	for (size_t i = 0; i < s->n_state; i++) {
		if (strcmp(s->state[i].path, path) == 0) {
			return &s->state[i];
		}
	}
	return NULL;
}

static char *text_of(struct bytes b)
{
	char *text = strndup(b.size ? b.data : "", b.size);

	assert_non_null(text);
	return text;
}

static void follow(struct story *s, const struct store_event *e)
{
	_cleanup_free_ char *path = text_of(e->path);
	_cleanup_free_ char *old = text_of(value_bytes(e->has_old ? e->old_value : NULL));
	struct known *k = find(s, path);

	if (*path == 0) {
		return; /* the root is always there */
	}
	if (e->type == STORE_EVENT_CREATED) {
		assert_null(k);
		assert_false(e->has_old);
		k = &s->state[s->n_state++];
		*k = (struct known){.path = strdup(path), .is_namespace = e->is_namespace};
	} else {
		assert_non_null(k);
		assert_int_equal(k->is_namespace, e->is_namespace);
		assert_string_equal(k->value, old);
		free(k->value);
	}
	k->value = text_of(value_bytes(e->has_new ? e->new_value : NULL));
	if (e->type == STORE_EVENT_DELETED || e->type == STORE_EVENT_EXPIRED) {
		assert_false(e->has_new);
		free(k->path);
		free(k->value);
		*k = s->state[--s->n_state];
	}
}

static void hear(void *arg, const struct store_event *e)
{
	_cleanup_buffer_ struct buffer line = {0};
	struct story *s = arg;

	assert_true(s->n < MAX_EVENTS);
	assert_int_equal(event_encode(e, &line), 0);
	assert_int_equal(line.data[line.size - 1], '\n');
	s->events[s->n++] = (struct told){e->revision, text_of(buffer_bytes(&line))};
	if (e->type == STORE_EVENT_LOST) {
		assert_true(e->revision > e->from);
		s->last = e->revision - 1;
		s->more = false;
		return;
	}
	if (s->more) {
		assert_int_equal(e->revision, s->last);
	} else {
		assert_true(e->revision > s->last);
	}
	s->last = e->revision;
	s->more = e->more;
	if (s->follows) {
		follow(s, e);
	}
}

static void forget(struct story *s)
{
	for (size_t i = 0; i < s->n; i++) {
		free(s->events[i].line);
	}
	for (size_t i = 0; i < s->n_state; i++) {
		free(s->state[i].path);
		free(s->state[i].value);
	}
	memset(s, 0, sizeof(*s));
}

static void start(struct bench *b, enum bench_kind kind)
{
	bench_init(b, kind);
	if (kind == BENCH_JOURNAL) {
		b->config.segment_size = 10000;
		b->config.compact_min = 1 << 30;
	}
	bench_open(b);
	live.follows = true;
	store_watch(b->s, hear, &live);
}

static void end(struct bench *b)
{
	bench_finish(b);
	forget(&live);
	forget(&past);
}

/* --- one by one --------------------------------------------------------------- */

/* The events since the last look, as "type path old>new" each, with a + for more. */
static char words[2000];

static void say(void *arg, const struct store_event *e)
{
	static const char *const types[] = {"created", "updated", "deleted", "expired", "lost"};
	_cleanup_free_ char *path = text_of(e->path);
	_cleanup_free_ char *old = text_of(value_bytes(e->old_value));
	_cleanup_free_ char *new = text_of(value_bytes(e->new_value));
	size_t size = strlen(words);

	hear(arg, e);
	snprintf(words + size, sizeof(words) - size, "%s %s %s>%s%s%s\n", types[e->type], path,
		e->has_old ? old : "-", e->has_new ? new : "-", e->is_namespace ? " ns" : "",
		e->more ? " +" : "");
}

static void check_told(const char *wanted)
{
	assert_string_equal(words, wanted);
	words[0] = 0;
}

static void each_change(void **state)
{
	const enum bench_kind *kind = *state;
	struct bench b;
	uint64_t a, ns, handle;

	start(&b, *kind);
	words[0] = 0;
	store_watch(b.s, say, &live);
	assert_int_equal(bench_set(&b, ROOT_INO, "a", "1"), 0);
	check_told("created a ->1\n");
	assert_int_equal(bench_set(&b, ROOT_INO, "a", "2"), 0);
	check_told("updated a 1>2\n");
	a = bench_ino(&b, ROOT_INO, "a");
	assert_int_equal(bench_setxattr(&b, a, "user.cubby.increment", "3"), 0);
	check_told("updated a 2>5\n");
	assert_int_equal(bench_setxattr(&b, a, "user.x", "3"), 0);
	check_told("updated a 5>5\n");
	ns = bench_namespace(&b, ROOT_INO, "ns");
	check_told("created ns ->- ns\n");
	assert_int_equal(bench_link(&b, a, ns, "b"), 0);
	check_told("created ns/b ->5\n");
	assert_int_equal(bench_set(&b, ns, "b", ""), 0);
	check_told("updated a 5> +\nupdated ns/b 5>\n");
	assert_int_equal(bench_open_key(&b, a, O_WRONLY | O_APPEND, &handle), 0);
	assert_int_equal(bench_append(&b, handle, "x"), 0);
	bench_close_key(&b, handle);
	check_told("updated a >x +\nupdated ns/b >x\n");
	assert_int_equal(bench_unlink(&b, ROOT_INO, "a"), 0);
	check_told("deleted a x>-\n");
	assert_int_equal(bench_set(&b, ns, "c", "c"), 0);
	check_told("created ns/c ->c\n");
	assert_int_equal(bench_rename(&b, ns, "b", ns, "d", 0), 0);
	check_told("deleted ns/b x>- +\ncreated ns/d ->x\n");
	assert_int_equal(bench_rename(&b, ns, "d", ns, "c", 0), 0);
	check_told("deleted ns/d x>- +\nupdated ns/c c>x\n");
	assert_int_equal(bench_rename(&b, ROOT_INO, "ns", ROOT_INO, "m", 0), 0);
	check_told("deleted ns/c x>- +\ndeleted ns ->- ns +\n"
		   "created m ->- ns +\ncreated m/c ->x\n");
	assert_int_equal(bench_set(&b, ROOT_INO, "z", "z"), 0);
	words[0] = 0;
	ns = bench_ino(&b, ROOT_INO, "m");
	assert_int_equal(bench_rename(&b, ROOT_INO, "z", ns, "c", RENAME_EXCHANGE), 0);
	check_told("updated m/c x>z +\nupdated z z>x\n");
	assert_int_equal(bench_rename(&b, ROOT_INO, "z", ROOT_INO, "m", RENAME_EXCHANGE), 0);
	check_told("deleted z x>- +\ndeleted m/c z>- +\ndeleted m ->- ns +\n"
		   "created m ->x +\ncreated z ->- ns +\ncreated z/c ->z\n");
	assert_int_equal(bench_symlink(&b, ROOT_INO, "s", "to"), 0);
	check_told("created s ->to\n");
	assert_int_equal(bench_setattr(&b, ROOT_INO, 0, &(struct stat){.st_mode = 0700},
				 STORE_SET_MODE), 0);
	check_told("updated  ->- ns\n");
	/* What nobody sees is no event. */
	assert_int_equal(bench_open_key(&b, bench_ino(&b, ROOT_INO, "m"), O_RDWR, &handle), 0);
	assert_int_equal(bench_unlink(&b, ROOT_INO, "m"), 0);
	check_told("deleted m x>-\n");
	assert_int_equal(bench_write(&b, handle, "gone", 0), 0);
	assert_int_equal(bench_close_key(&b, handle), 0);
	check_told("");
	end(&b);
}

static void expiry(void **state)
{
	const enum bench_kind *kind = *state;
	struct bench b;
	uint64_t ns, k;

	start(&b, *kind);
	words[0] = 0;
	ns = bench_namespace(&b, ROOT_INO, "ns");
	assert_int_equal(bench_set(&b, ns, "k", "1"), 0);
	assert_int_equal(bench_set(&b, ns, "l", "1"), 0);
	for (const char *name = "k"; *name <= 'l'; name = *name == 'k' ? "l" : "m") {
		k = bench_ino(&b, ns, name);
		assert_int_equal(bench_setxattr(&b, k, "user.cubby.ttl", "5"), 0);
	}
	store_watch(b.s, say, &live);
	bench_advance(&b, 6 * SECOND);
	/* Set again before it is swept away. */
	assert_int_equal(bench_set(&b, ns, "k", "2"), 0);
	check_told("expired ns/k 1>- +\ncreated ns/k ->2\n");
	/* Gone with its namespace, or swept away. */
	assert_int_equal(bench_unlink(&b, ns, "k"), 0);
	check_told("deleted ns/k 2>-\n");
	assert_int_equal(bench_rmdir(&b, ROOT_INO, "ns"), 0);
	check_told("expired ns/l 1>- +\ndeleted ns ->- ns\n");
	assert_int_equal(bench_set(&b, ROOT_INO, "k", "3"), 0);
	k = bench_ino(&b, ROOT_INO, "k");
	assert_int_equal(bench_setxattr(&b, k, "user.cubby.ttl", "0"), 0);
	bench_sweep(&b);
	check_told("created k ->3\nupdated k 3>3\nexpired k 3>-\n");
	end(&b);
}

/* --- lines -------------------------------------------------------------------- */

static void encoding(void **state)
{
	struct value *old = value_create(bytes_of("\xff", 1));
	struct value *new = value_create(bytes_of("\"\\/\n\x01\0\xc3\xa4", 8));
	struct store_event e = {
		.type = STORE_EVENT_UPDATED,
		.revision = 7,
		.at = INT64_C(1795190400123456789),
		.by = 1000,
		.path = bytes_of_string("a/b/c"),
		.has_old = true,
		.has_new = true,
		.old_value = old,
		.new_value = new,
		.action = bytes_of_string("why"),
	};
	_cleanup_buffer_ struct buffer out = {0};

	(void)state;
	assert_int_equal(event_encode(&e, &out), 0);
	e = (struct store_event){
		.type = STORE_EVENT_CREATED,
		.path = bytes_of("k\xff", 2),
		.has_new = true,
		.more = true,
	};
	assert_int_equal(event_encode(&e, &out), 0);
	e = (struct store_event){.type = STORE_EVENT_DELETED, .is_namespace = true};
	assert_int_equal(event_encode(&e, &out), 0);
	e = (struct store_event){.type = STORE_EVENT_LOST, .from = 5, .revision = 9};
	assert_int_equal(event_encode(&e, &out), 0);
	assert_int_equal(buffer_append(&out, "", 1), 0);
	assert_string_equal(out.data,
		"{\"message_type\":\"state\",\"event_type\":\"updated\","
		"\"scope\":\"a/b\",\"key\":\"c\",\"old_value\":{\"base64\":\"/w==\"},"
		"\"new_value\":\"\\\"\\\\/\\n\\u0001\\u0000\xc3\xa4\","
		"\"revision\":7,\"at\":\"2026-11-20T16:00:00.123456Z\",\"by\":1000,"
		"\"action\":\"why\"}\n"
		"{\"message_type\":\"state\",\"event_type\":\"created\",\"scope\":\"\","
		"\"key\":{\"base64\":\"a/8=\"},\"old_value\":null,\"new_value\":\"\","
		"\"revision\":0,"
		"\"at\":\"1970-01-01T00:00:00.000000Z\",\"by\":0,\"more\":true}\n"
		"{\"message_type\":\"state\",\"event_type\":\"deleted\","
		"\"scope\":\"\",\"key\":\"\","
		"\"old_value\":null,\"new_value\":null,\"revision\":0,"
		"\"at\":\"1970-01-01T00:00:00.000000Z\",\"by\":0,\"namespace\":true}\n"
		"{\"message_type\":\"lost\",\"from\":5,\"first\":9}\n");
	value_unref(old);
	value_unref(new);
}

static bool matches(const char *pattern, const char *path)
{
	return pattern_matches(bytes_of_string(pattern), bytes_of_string(path));
}

static void patterns(void **state)
{
	_cleanup_buffer_ struct buffer stars = {0}, as = {0};

	(void)state;
	assert_true(matches("a", "a"));
	assert_true(matches("/a/b", "a/b"));
	assert_false(matches("a", "ab"));
	assert_false(matches("a", "a/b"));
	assert_true(matches("config/*", "config/x"));
	assert_true(matches("config/*", "config/.x"));
	assert_false(matches("config/*", "config"));
	assert_false(matches("config/*", "config/x/y"));
	assert_true(matches("*/y*z", "x/yz"));
	assert_true(matches("*/y*z", "x/yzz"));
	assert_true(matches("*a*b?", "xaxbxabc"));
	assert_false(matches("*a*b?", "xaxbxab"));
	assert_true(matches("[a-c]x[!d]", "bxe"));
	assert_false(matches("[a-c]x[!d]", "bxd"));
	assert_true(matches("[[:digit:]]", "7"));
	assert_true(matches("[]]", "]"));
	assert_false(matches("[/]", "/"));
	assert_true(matches("[", "["));
	assert_true(matches("\\*", "*"));
	assert_false(matches("\\*", "a"));
	assert_true(matches("**", "a/b/c"));
	assert_true(matches("**/c", "c"));
	assert_true(matches("**/c", "a/b/c"));
	assert_true(matches("a/**/d", "a/d"));
	assert_true(matches("a/**/d", "a/b/c/d"));
	assert_false(matches("a/**/d", "a/b/c"));
	assert_true(matches("a/**/c/*", "a/c/c/x"));
	assert_true(matches("ns.*", "ns/a"));
	assert_true(matches("ns.*", "ns/a/b"));
	assert_true(matches("ns.*", "ns.txt"));
	assert_false(matches("ns.*", "ns"));
	assert_false(matches("ns.*", "nsx/a"));
	assert_true(matches("a/*.*", "a/b/c"));
	assert_true(matches("**/ns.*", "a/b/ns/c/d"));
	assert_true(matches("a/**/ns.*", "a/b/b/ns/c"));
	assert_true(matches("**.*", "a"));
	assert_false(matches("**/ns.*", "a/b/ns"));
	assert_true(matches("a/.*", "a/.b"));
	assert_false(matches("a/.*", "a/b"));
	assert_false(matches("ns\\.*", "ns\\/a"));
	assert_false(matches("*", ""));
	assert_true(matches("**", ""));
	/* Would take for ever if it were tried in all ways. */
	for (int i = 0; i < 1000; i++) {
		assert_int_equal(buffer_append_string(&stars, i % 100 == 99 ? "a*/**/" : "a*"), 0);
		assert_int_equal(buffer_append_string(&as, i % 100 == 99 ? "a/" : "aaa"), 0);
	}
	assert_int_equal(buffer_append_string(&stars, "b"), 0);
	assert_false(pattern_matches(buffer_bytes(&stars), buffer_bytes(&as)));
}

/* --- the past ----------------------------------------------------------------- */

static void replay_to_end(struct event_replay *r, struct story *s)
{
	int rc;

	do {
		rc = event_replay_step(r, 0, hear, s);
	} while (rc == 0);
	assert_int_equal(rc, 1);
}

/* The log's events after `since` are the live ones; those up to `base` are lost. */
static void check_since(struct bench *b, uint64_t since, uint64_t base)
{
	struct event_replay *r;
	uint64_t first = since > base ? since : base;
	size_t i = 0, k = 0;

	past.last = since;
	assert_int_equal(event_replay_create(&r, b->s, since), 0);
	replay_to_end(r, &past);
	assert_int_equal(event_replay_first(r), first + 1);
	event_replay_destroy(r);
	if (since < base) {
		char text[100];

		snprintf(text, sizeof(text), "{\"message_type\":\"lost\",\"from\":%" PRIu64
			",\"first\":%" PRIu64 "}\n", since + 1, base + 1);
		assert_true(past.n > 0);
		assert_string_equal(past.events[k++].line, text);
	}
	for (; i < live.n; i++) {
		if (live.events[i].revision > first) {
			assert_true(k < past.n);
			assert_string_equal(past.events[k++].line, live.events[i].line);
		}
	}
	assert_int_equal(k, past.n);
	forget(&past);
}

struct walk {
	struct bench *b;
	const char *above;
	size_t n;
};

static bool check_name(void *arg, const struct store_name *name)
{
	struct walk *w = arg, below = {.b = w->b};
	_cleanup_free_ char *path = NULL;
	struct known *k;

	assert_true(asprintf(&path, "%s%.*s", w->above, (int)name->name.size, name->name.data) > 0);
	k = find(&live, path);
	assert_non_null(k);
	assert_int_equal(k->is_namespace, S_ISDIR(name->mode));
	w->n++;
	if (S_ISDIR(name->mode)) {
		strcat(path = realloc(path, strlen(path) + 2), "/");
		below.above = path;
		assert_int_equal(store_readdir(w->b->s, w->b->who, name->ino, 0, check_name,
					 &below), 0);
		w->n += below.n;
	} else if (S_ISREG(name->mode)) {
		uint64_t handle;

		assert_int_equal(bench_open_key(w->b, name->ino, O_RDONLY, &handle), 0);
		assert_int_equal(bench_read(w->b, handle, 0, 1000), 0);
		assert_string_equal(w->b->text, k->value);
		bench_release(w->b, handle);
	}
	return true;
}

/* What the events say is what is there. */
static void check_state(struct bench *b)
{
	struct walk w = {.b = b, .above = ""};

	bench_sweep(b);
	assert_int_equal(store_readdir(b->s, b->who, ROOT_INO, 0, check_name, &w), 0);
	assert_int_equal(w.n, live.n_state);
}

static uint64_t some_namespace(struct bench *b, uint64_t *random)
{
	uint64_t ino = ROOT_INO;

	while (test_random(random) % 3) {
		char name[2] = {(char)('A' + test_random(random) % 3), 0};
		uint64_t below = bench_ino(b, ino, name);

		if (!below) {
			bench_mkdir(b, ino, name);
			break;
		}
		if (bench_getattr(b, below) || !S_ISDIR(b->st.st_mode)) {
			break;
		}
		ino = below;
	}
	return ino;
}

/* Whether it works or not is tested elsewhere. */
static void change_something(struct bench *b, uint64_t *random)
{
	static const unsigned flags[] = {0, 0, RENAME_NOREPLACE, RENAME_EXCHANGE};
	uint64_t parent = some_namespace(b, random), to = some_namespace(b, random);
	char first = test_random(random) % 6 ? 'a' : 'A';
	char name[2] = {(char)(first + test_random(random) % 3), 0};
	char to_name[2] = {(char)(first + test_random(random) % 3), 0};
	char value[12];
	uint64_t ino = bench_ino(b, parent, name), handle;

	snprintf(value, sizeof(value), "%u", test_random(random) % 100000);
	switch (test_random(random) % 16) {
	case 0:
	case 1:
	case 2:
	case 3:
		(void)bench_set(b, parent, name, value);
		break;
	case 4:
		if (ino && bench_open_key(b, ino, O_WRONLY | O_APPEND, &handle) == 0) {
			(void)bench_append(b, handle, value);
			(void)bench_close_key(b, handle);
		}
		break;
	case 5:
		(void)bench_unlink(b, parent, name);
		break;
	case 6:
		(void)bench_rmdir(b, parent, (char[]){(char)('A' + test_random(random) % 3), 0});
		break;
	case 7:
	case 8:
	case 9:
		(void)bench_rename(b, parent, name, to, to_name, flags[test_random(random) % 4]);
		break;
	case 10:
		if (ino) {
			(void)bench_link(b, ino, to, to_name);
		}
		break;
	case 11:
		if (ino) {
			(void)bench_setxattr(b, ino, "user.cubby.ttl",
				test_random(random) % 2 ? "1" : "9");
		}
		break;
	case 12:
		(void)bench_symlink(b, parent, name, value);
		break;
	case 13:
		(void)bench_setxattr(b, ino ? ino : ROOT_INO, "user.x", value);
		break;
	case 14:
		bench_advance(b, (int64_t)(test_random(random) % 3) * SECOND);
		break;
	default:
		if (test_random(random) % 2) {
			store_tick(b->s);
		}
	}
}

static void random_story(uint64_t seed)
{
	uint64_t random = seed, base = 0;
	struct story *along = calloc(1, sizeof(*along));
	struct event_replay *r = NULL;
	size_t from = 0;
	struct bench b;

	assert_non_null(along);
	start(&b, BENCH_JOURNAL);
	b.who = &ROOT;
	for (unsigned i = 0; i < 1200; i++) {
		change_something(&b, &random);
		if (!r && test_random(&random) % 100 == 0) {
			along->last = store_revision(b.s);
			from = live.n;
			assert_int_equal(event_replay_create(&r, b.s, along->last), 0);
		} else if (r && test_random(&random) % 20 == 0) {
			assert_true(event_replay_step(r, 1000, hear, along) >= 0);
		}
		if (i % 150 == 149) {
			check_state(&b);
			bench_advance(&b, SECOND);
		}
		if (i % 400 == 250) {
			bench_sweep(&b);
			base = store_revision(b.s);
			assert_int_equal(bench_compact(&b), 0);
			check_since(&b, 0, base);
		}
		if (i % 300 == 299) {
			if (r) { /* it has read on over all that */
				replay_to_end(r, along);
				event_replay_destroy(r);
				assert_int_equal(along->n, live.n - from);
				for (size_t k = 0; k < along->n; k++) {
					assert_string_equal(along->events[k].line,
						live.events[from + k].line);
				}
				forget(along);
				r = NULL;
			}
			store_watch(b.s, NULL, NULL);
			bench_reopen(&b);
			store_watch(b.s, hear, &live);
		}
	}
	check_state(&b);
	for (uint64_t since = 0; since <= store_revision(b.s);
		since += since < base - 20 ? 37 : 1) {
		check_since(&b, since, base);
	}
	event_replay_destroy(r);
	forget(along);
	free(along);
	end(&b);
}

static uint64_t first_seed = 1, n_seeds = 5, seed_step = 1;

static void past_and_live(void **state)
{
	(void)state;
	for (uint64_t seed = first_seed; seed < first_seed + n_seeds; seed += seed_step) {
		printf("seed %" PRIu64 "\n", seed);
		fflush(stdout);
		random_story(seed);
	}
}

/* Turns a byte of a value. */
static void damage(const struct bench *b, const char *value)
{
	_cleanup_free_ char *path = NULL;
	char text[20000];
	size_t n;
	char *at;
	FILE *f;

	assert_true(asprintf(&path, "%s/00000000000000000001.log", b->location) > 0);
	f = fopen(path, "r+");
	assert_non_null(f);
	n = fread(text, 1, sizeof(text) - 1, f);
	text[n] = 0;
	at = strstr(text, value);
	assert_non_null(at);
	fseek(f, at - text, SEEK_SET);
	fputc('x', f);
	fclose(f);
}

static void damaged_log(void **state)
{
	struct event_replay *r;
	char value[16];
	struct bench b;

	(void)state;
	start(&b, BENCH_JOURNAL);
	for (int i = 2; i <= 12; i++) {
		snprintf(value, sizeof(value), "v%d", i);
		assert_int_equal(bench_set(&b, ROOT_INO, i < 5 ? "a" : "b", value), 0);
	}
	bench_close(&b);
	damage(&b, "v7");
	damage(&b, "v12");
	bench_open(&b);
	assert_int_equal(bench_set(&b, ROOT_INO, "a", "v13"), 0);
	assert_int_equal(event_replay_create(&r, b.s, 3), 0);
	past.last = 3;
	words[0] = 0;
	for (int rc = 0; rc == 0; rc = event_replay_step(r, 0, say, &past)) {
	}
	event_replay_destroy(r);
	assert_int_equal(past.last, 13);
	assert_non_null(strstr(words, "updated b v5>v6\nlost  ->-\nupdated b v6>v8\n"));
	assert_non_null(strstr(words, "updated b v10>v11\nlost  ->-\nupdated a v4>v13\n"));
	end(&b);
}

static void no_log(void **state)
{
	struct event_replay *r;
	struct bench b;

	(void)state;
	start(&b, BENCH_MEMORY);
	assert_int_equal(event_replay_create(&r, b.s, 0), STORE_UNSUPPORTED);
	end(&b);
}

int main(int argc, char **argv)
{
	static enum bench_kind kinds[] = {BENCH_MEMORY, BENCH_JOURNAL};
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_prestate(each_change, &kinds[0]),
		cmocka_unit_test_prestate(each_change, &kinds[1]),
		cmocka_unit_test_prestate(expiry, &kinds[0]),
		cmocka_unit_test_prestate(expiry, &kinds[1]),
		cmocka_unit_test(encoding),
		cmocka_unit_test(patterns),
		cmocka_unit_test(no_log),
		cmocka_unit_test(damaged_log),
		cmocka_unit_test(past_and_live),
	};

	seed_step = argc > 1 ? 1 : stride_of(2, 3);
	first_seed = argc > 1 ? strtoull(argv[1], NULL, 10) : first_seed;
	n_seeds = argc > 2 ? strtoull(argv[2], NULL, 10) : n_seeds;
	log_init("test_event", LOG_CRIT);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
