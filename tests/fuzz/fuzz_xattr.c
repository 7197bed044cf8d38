/* SPDX-License-Identifier: MIT
 * Copyright (c) 2026 The cubbyfs authors */

/* Extended attributes: policies, operations, locks, users' own; alone, and together
 * with what is staged, what expires, and what is taken.
 *
 * Input: one call a line, `OPERATION NODE NAME VALUE`, see run(). In a value `$` is the
 * number that would be right (a revision, a token), and \n, \0 and \\ are what they
 * are in C. A first line `journal` keeps the store in one, on a disk in memory, and
 * looks whether all of it is there when that is opened anew. */
#include "../conformance/harness.h"

#include "../unit/fault_disk.h"
#include "base/cleanup.h"
#include "base/log.h"
#include "fuzz.h"

#include <errno.h>
#include <inttypes.h>
#include <sys/xattr.h>

#define HANDLES 4

struct run {
	struct bench b;
	uint64_t handles[HANDLES];
	const struct store_caller *openers[HANDLES];
	uint64_t watched; /* the token of the last lock that was kept alive */
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

static void build(struct run *r)
{
	struct bench *b = &r->b;

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
	if (flags & O_CREAT) {
		(void)bench_create(&r->b, parent, name, flags, handle);
	} else {
		(void)bench_open_key(&r->b, ino_of(r, node), flags, handle);
	}
}

static void close_slot(struct run *r, char slot)
{
	uint64_t *handle = &r->handles[slot_of(slot)];
	const struct store_caller *who = r->b.who;

	if (*handle) {
		r->b.who = r->openers[slot_of(slot)];
		(void)bench_close_key(&r->b, *handle);
		r->b.who = who;
		*handle = 0;
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
	case 'x':
		close_slot(r, other);
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
	for (int i = 0; i < HANDLES; i++) {
		close_slot(&r, (char)i);
	}
	bench_check_durable(&r.b);
	free(bench_dump(&r.b));
	bench_finish(&r.b);
	fault_disk_destroy(disk);
	return 0;
}
