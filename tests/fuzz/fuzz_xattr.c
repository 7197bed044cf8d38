/* SPDX-License-Identifier: MIT
 * Copyright (c) 2026 The cubbyfs authors */

/* Extended attributes: policies, operations, locks, users' own; alone, and together
 * with what is staged, what expires, what is taken, and flock(2) and fcntl(2) locks.
 *
 * Input: one call a line, `OPERATION NODE NAME VALUE`, see run(). In a value `$` is the
 * number that would be right (a revision, a token), and \n, \0 and \\ are what they
 * are in C. A first line `journal` keeps the store in one, on a disk in memory, and
 * looks whether all of it is there when that is opened anew, and whether the events that are read
 * out of it later are those that were told at once. */
#include "../conformance/harness.h"

#include "../unit/fault_disk.h"
#include "base/cleanup.h"
#include "base/log.h"
#include "fuzz.h"
#include "store/event.h"

#include <errno.h>
#include <inttypes.h>
#include <sys/xattr.h>

#define HANDLES 4
#define WAITS 4

struct run {
	struct bench b;
	uint64_t handles[HANDLES];
	uint64_t inodes[HANDLES];
	const struct store_caller *openers[HANDLES];
	uint64_t watched; /* the token of the last lock that was kept alive */
	struct answer waits[WAITS];
	uint64_t tickets[WAITS]; /* 0: not asked for */
	uint64_t since;
	struct buffer events; /* as they were told */
	bool compacted;       /* and are not all in the log any more */
};

/* --- nodes --------------------------------------------------------------------------- */

/* Every node has a name of one letter, and capital letters are in the lock namespace. */
static uint64_t parent_of(struct run *r, char node)
{
	return node >= 'A' && node <= 'Z' ? bench_ino(&r->b, ROOT_INO, "l") : ROOT_INO;
}

static uint64_t ino_of(struct run *r, char node)
{
	const char name[2] = {node, 0};
	uint64_t parent = parent_of(r, node);

	return node == '/' ? ROOT_INO : parent ? bench_ino(&r->b, parent, name) : 0;
}

static enum store_watch watch_holder(void *arg, struct bytes holder, uint64_t token)
{
	struct run *r = arg;

	(void)holder;
	r->watched = token;
	return (enum store_watch)(token % 3);
}

static void unwatch_holder(void *arg, uint64_t token)
{
	(void)arg;
	(void)token;
}

static void hear(void *arg, const struct store_event *event)
{
	CHECK(event_encode(event, arg) == 0);
}

static void build(struct run *r)
{
	struct bench *b = &r->b;

	r->since = store_revision(b->s);
	store_watch(b->s, hear, &r->events);
	CHECK(bench_set(b, ROOT_INO, "k", "5\n") == 0);
	CHECK(bench_set(b, ROOT_INO, "j", "{\"a\":[1],\"n\":2}") == 0);
	CHECK(bench_mkdir(b, ROOT_INO, "n") == 0);
	CHECK(bench_mkdir(b, ROOT_INO, "l") == 0);
	CHECK(bench_symlink(b, ROOT_INO, "s", "k") == 0);
	CHECK(bench_setxattr(b, bench_ino(b, ROOT_INO, "l"), "user.cubby.lock_ttl", "30") == 0);
}

/* --- values -------------------------------------------------------------------------- */

static void put_right_number(struct run *r, uint64_t ino, struct bytes name, struct buffer *out)
{
	bool of_lock = memmem(name.data, name.size, "re", 2); /* refresh, release */
	const char *text =
		bench_xattr(&r->b, ino, of_lock ? "user.cubby.token" : "user.cubby.revision");

	CHECK(buffer_append_string(out, text ? text : "0") == 0);
}

static void read_value(
	struct run *r, uint64_t ino, struct bytes name, struct bytes text, struct buffer *out)
{
	for (size_t i = 0; i < text.size; i++) {
		char c = text.data[i];

		if (c == '$') {
			put_right_number(r, ino, name, out);
			continue;
		}
		if (c == '\\' && i + 1 < text.size) {
			c = text.data[++i];
			c = (char)(c == 'n' ? '\n' : c == '0' ? 0 : c);
		}
		CHECK(buffer_append(out, &c, 1) == 0);
	}
}

/* --- calls --------------------------------------------------------------------------- */

static bool is_plain(const char *name)
{
	return strncmp(name, "user.cubby.", 11) != 0;
}

static void set(struct run *r, uint64_t ino, struct bytes name, struct bytes value, int flags)
{
	_cleanup_buffer_ struct buffer bytes = {0};
	_cleanup_free_ char *text = string_of(name);
	struct answer a = {0};
	int rc;

	read_value(r, ino, name, value, &bytes);
	store_setxattr(r->b.s, r->b.who, ino, text, buffer_bytes(&bytes), flags, ANSWER(&a));
	rc = answer_wait(&r->b, &a);
	/* A TTL, and the release of a lock, ask for more than the kernel does. */
	CHECK(rc >= 0 || (rc == -EACCES && !is_plain(text)));
	if (rc == 0 && is_plain(text)) {
		CHECK(bench_getxattr(&r->b, ino, text) == 0);
		CHECK(bytes_equal(bytes_of(r->b.text, r->b.size), buffer_bytes(&bytes)));
	}
}

static void get(struct run *r, uint64_t ino, struct bytes name)
{
	_cleanup_free_ char *text = string_of(name);

	CHECK(bench_getxattr(&r->b, ino, text) >= 0);
}

static void delete (struct run *r, uint64_t ino, struct bytes name)
{
	_cleanup_free_ char *text = string_of(name);
	int rc = bench_removexattr(&r->b, ino, text);

	CHECK(rc >= 0);
	if (rc == 0 && is_plain(text)) {
		CHECK(bench_getxattr(&r->b, ino, text) == STORE_NO_ATTRIBUTE);
	}
}

static unsigned slot_of(char c)
{
	return (unsigned char)c % HANDLES;
}

static void open_slot(struct run *r, char node, char slot, int flags)
{
	const char name[2] = {node, 0};
	uint64_t *handle = &r->handles[slot_of(slot)], parent = parent_of(r, node);

	if (*handle || !parent || node == '/') {
		return;
	}
	r->openers[slot_of(slot)] = r->b.who;
	r->inodes[slot_of(slot)] = ino_of(r, node);
	if (flags & O_CREAT) {
		if (bench_create(&r->b, parent, name, flags, handle) == 0) {
			r->inodes[slot_of(slot)] = r->b.result.ino;
		}
	} else {
		(void)bench_open_key(&r->b, ino_of(r, node), flags, handle);
	}
}

/* As the front end closes a descriptor. */
static void close_slot(struct run *r, char slot)
{
	uint64_t *handle = &r->handles[slot_of(slot)], ino = r->inodes[slot_of(slot)];
	const struct store_caller *who = r->b.who;
	struct answer a = {0};

	if (*handle) {
		r->b.who = r->openers[slot_of(slot)];
		(void)bench_flush(&r->b, *handle);
		if (store_has_records(r->b.s, ino)) {
			store_unlock_owner(
				r->b.s, r->b.who, ino, (uint64_t)r->b.who->pid, ANSWER(&a));
			(void)answer_wait(&r->b, &a);
		}
		bench_release(&r->b, *handle);
		r->b.who = who;
		*handle = 0;
	}
}

/* --- flock(2) and fcntl(2) -------------------------------------------------------------- */

static uint64_t place_of(char c)
{
	return c >= '0' && c <= '9' ? (uint64_t)(c - '0') : UINT64_MAX - (unsigned char)c % 4;
}

/* TEXT: x, s or u for flock(2)'s, X, S or U for fcntl(2)'s, which two places follow. */
static bool read_lock(struct run *r, unsigned slot, struct bytes text, struct store_lock *out)
{
	static const char letters[] = "usxUSX";
	const char *letter = text.size > 0 && text.data[0] ? strchr(letters, text.data[0]) : NULL;
	uint64_t a, b;

	if (!letter || !r->handles[slot]) {
		return false;
	}
	*out = (struct store_lock){
		.kind = letter - letters < 3 ? STORE_LOCK_FLOCK : STORE_LOCK_RECORD,
		.type = (enum store_lock_type)((letter - letters) % 3),
		.end = UINT64_MAX,
		.owner = r->handles[slot],
		.pid = r->b.who->pid,
		.handle = r->handles[slot],
	};
	if (out->kind == STORE_LOCK_RECORD) {
		a = place_of(text.size > 1 ? text.data[1] : 0);
		b = place_of(text.size > 2 ? text.data[2] : 0);
		out->owner = (uint64_t)r->b.who->pid;
		out->start = a < b ? a : b;
		out->end = a < b ? b : a;
	}
	return true;
}

static void lock_slot(struct run *r, unsigned slot, struct bytes text)
{
	struct store_lock lock, found;
	struct answer a = {0};
	int rc;

	if (!read_lock(r, slot, text, &lock)) {
		return;
	}
	store_getlk(r->b.s, r->inodes[slot], &lock, &found);
	store_setlk(r->b.s, r->b.who, r->inodes[slot], &lock, false, ANSWER(&a));
	rc = answer_wait(&r->b, &a);
	CHECK(rc == 0 || rc == STORE_LOCKED);
	CHECK(lock.type == STORE_UNLOCK || (rc == 0) == (found.type == STORE_UNLOCK));
}

static void wait_for_lock(struct run *r, unsigned slot, struct bytes text)
{
	struct store_lock lock;
	unsigned i = 0;

	while (i < WAITS && r->tickets[i] && !r->waits[i].done) {
		i++;
	}
	if (i < WAITS && read_lock(r, slot, text, &lock)) {
		r->waits[i] = (struct answer){0};
		r->tickets[i] = store_setlk(
			r->b.s, r->b.who, r->inodes[slot], &lock, true, ANSWER(&r->waits[i]));
		CHECK(r->tickets[i] || r->waits[i].done);
	}
}

static void end_locks(struct run *r)
{
	store_end_locks(r->b.s);
	for (int i = 0; i < WAITS; i++) {
		CHECK(!r->tickets[i] || r->waits[i].done);
	}
}

/* --- more calls ------------------------------------------------------------------------ */

static void set_size(struct run *r, uint64_t ino, uint64_t handle, struct bytes text)
{
	struct stat attr = {.st_size = text.size ? (unsigned char)text.data[0] % 32 : 0};

	(void)bench_setattr(&r->b, ino, handle, &attr, STORE_SET_SIZE);
}

static bool count_name(void *arg, const struct store_name *name)
{
	CHECK(name->name.size > 0 && name->ino > 0);
	return ++*(unsigned *)arg < 1000;
}

static void list(struct run *r, uint64_t ino)
{
	_cleanup_buffer_ struct buffer names = {0};
	unsigned n = 0;

	(void)store_readdir(r->b.s, r->b.who, ino, 0, count_name, &n);
	if (store_listxattr(r->b.s, r->b.who, ino, &names) != 0) {
		return;
	}
	CHECK(names.size == 0 || names.data[names.size - 1] == 0);
	for (size_t i = 0; i < names.size; i += strlen(names.data + i) + 1) {
		CHECK(bench_getxattr(&r->b, ino, names.data + i) == 0);
	}
}

/* What has expired is told of when it is swept away. */
static void compare_events(struct run *r)
{
	_cleanup_buffer_ struct buffer again = {0};
	struct event_replay *replay;
	int rc;

	if (event_replay_create(&replay, r->b.s, r->since) != 0) {
		return; /* it keeps no log */
	}
	while ((rc = event_replay_step(replay, SECOND, hear, &again)) == 0) {
	}
	CHECK(rc == 1);
	event_replay_destroy(replay);
	if (!r->compacted && !bytes_equal(buffer_bytes(&r->events), buffer_bytes(&again))) {
		fprintf(stderr, "told:\n%.*sread:\n%.*s", (int)r->events.size, r->events.data,
			(int)again.size, again.data);
		CHECK(!"the same events");
	}
}

static void rename_node(struct run *r, char from, char to, unsigned flags)
{
	const char name[2] = {from, 0}, to_name[2] = {to, 0};
	uint64_t parent = parent_of(r, from), to_parent = parent_of(r, to);

	if (parent && to_parent) {
		(void)bench_rename(&r->b, parent, name, to_parent, to_name, flags);
	}
}

static void run(struct run *r, char operation, char node, struct bytes name, struct bytes value)
{
	const char text[2] = {node, 0};
	const char other = (char)(name.size ? name.data[0] : 'z');
	uint64_t ino = ino_of(r, node), parent = parent_of(r, node);
	uint64_t handle = r->handles[slot_of(other)];

	switch (operation) {
	case 's':
	case 'c':
	case 'r':
		set(r, ino, name, value,
			operation == 'c'   ? XATTR_CREATE
			: operation == 'r' ? XATTR_REPLACE
					   : 0);
		break;
	case 'g':
		get(r, ino, name);
		break;
	case 'd':
		delete (r, ino, name);
		break;
	case 'o': /* NAME: which of the handles */
		open_slot(r, node, other, O_RDWR);
		break;
	case 'O':
		open_slot(r, node, other, O_RDWR | O_CREAT);
		break;
	case 'L': /* takes a lock */
		open_slot(r, node, other, O_RDWR | O_CREAT | O_EXCL);
		break;
	case 'w':
		(void)bench_write_bytes(&r->b, handle, value, 0, 0);
		break;
	case 'a':
		(void)bench_write_bytes(&r->b, handle, value, 0, O_APPEND);
		break;
	case 'f':
		(void)bench_flush(&r->b, handle);
		break;
	case 'F':
		(void)bench_fsync(&r->b, handle);
		break;
	case 'x':
		close_slot(r, other);
		break;
	case 'R': /* VALUE: where from */
		(void)bench_read(&r->b, handle, value.size ? place_of(value.data[0]) : 0, 64);
		break;
	case 'z':
		set_size(r, ino, handle, value);
		break;
	case 'Z':
		set_size(r, ino, 0, value);
		break;
	case 'v':
		(void)store_allocate(r->b.s, r->b.who, handle, value.size);
		break;
	case 'k':
		lock_slot(r, slot_of(other), value);
		break;
	case 'K':
		wait_for_lock(r, slot_of(other), value);
		break;
	case 'C':
		store_cancel_lock(r->b.s, r->tickets[slot_of(other)]);
		break;
	case 'q':
		list(r, ino);
		break;
	case 'p':
		r->compacted = true;
		CHECK(bench_compact(&r->b) == 0 || !bench_is_durable(&r->b));
		break;
	case 'm': /* NAME: the other name */
		rename_node(r, node, other, 0);
		break;
	case 'e':
		rename_node(r, node, other, RENAME_EXCHANGE);
		break;
	case 'l':
		(void)bench_link(&r->b, ino, parent_of(r, other), (char[2]){other, 0});
		break;
	case 'n':
		(void)bench_mkdir(&r->b, parent, text);
		break;
	case 'u':
		(void)bench_unlink(&r->b, parent, text);
		break;
	case 'U':
		(void)bench_rmdir(&r->b, parent, text);
		break;
	case 't': /* NODE: so many seconds */
		bench_advance(&r->b, (unsigned char)node * SECOND / 4);
		break;
	case 'T':
		bench_sweep(&r->b);
		break;
	case 'h':
		store_holder_ended(r->b.s, r->watched);
		break;
	case 'b':
		r->b.who = r->b.who == &BOB ? &ALICE : &BOB;
		break;
	default:
		break;
	}
}

static struct bytes take_word(struct bytes *line)
{
	const char *space = line->size ? memchr(line->data, ' ', line->size) : NULL;
	struct bytes word = bytes_of(line->data, space ? (size_t)(space - line->data) : line->size);

	*line = bytes_of(line->data + word.size + !!space, line->size - word.size - !!space);
	return word;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct bytes rest = bytes_of(data, size), line;
	bool journal = size >= 8 && memcmp(data, "journal\n", 8) == 0;
	struct fault_disk *disk = fault_disk_create();
	struct run r = {0};
	unsigned n = 0;

	log_init("fuzz_xattr", LOG_EMERG);
	setenv("CMOCKA_TEST_ABORT", "1", true);
	bench_init(&r.b, BENCH_MEMORY);
	if (journal) {
		r.b.kind = BENCH_JOURNAL;
		r.b.config.disk = fault_disk_of(disk);
		r.b.config.location = "/store";
	}
	r.b.config.watch_holder = watch_holder;
	r.b.config.unwatch_holder = unwatch_holder;
	r.b.config.arg = &r;
	bench_open(&r.b);
	build(&r);
	while (n++ < 200 && take_line(&rest, &line)) {
		struct bytes operation = take_word(&line), node = take_word(&line);
		struct bytes name = take_word(&line);

		run(&r, (char)(operation.size ? operation.data[0] : 0),
			(char)(node.size ? node.data[0] : 'k'), name, line);
	}
	free(bench_dump(&r.b));
	end_locks(&r);
	for (int i = 0; i < HANDLES; i++) {
		close_slot(&r, (char)i);
	}
	CHECK(bench_stat(&r.b, NULL, "advisory_locks") == 0);
	compare_events(&r);
	store_watch(r.b.s, NULL, NULL);
	bench_check_durable(&r.b);
	free(bench_dump(&r.b));
	bench_finish(&r.b);
	buffer_finish(&r.events);
	fault_disk_destroy(disk);
	return 0;
}
