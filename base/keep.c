/* SPDX-License-Identifier: MIT
 * Copyright (c) 2026 The cubbyfs authors */

/* The file begins with a header, on a page that is mapped. Behind it, far apart in
 * a file that takes no memory for its holes, are two areas; one of them is a log of records.
 * A record counts only when the header says so: its end of the log is one aligned
 * word, which is set when all the bytes before it are there. A process that is killed
 * leaves its stores in the order in which it has made them, so that is all it takes.
 *
 * When most of the log may be of no more use, what it adds up to is written to the
 * other area, and the header says that this is the log now: again in one word. */
#include "base/keep.h"

#include "base/cleanup.h"
#include "base/log.h"
#include "base/table.h"

#include <errno.h>
#include <fcntl.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/uio.h>

#define MAGIC UINT64_C(0x7065656b79626263) /* "cbbykeep" */
#define HEADER_SIZE 4096
#define AREA_SIZE ((off_t)1 << 42)
#define AREA(n) (HEADER_SIZE + (off_t)(n) * AREA_SIZE)
#define COMPACT_MIN (UINT64_C(4) << 20)
/* What an area keeps when it is empty: pages that need not be cleared once more. */
#define IDLE_SIZE (UINT64_C(8) << 20)
/* Nothing is as large as that. */
#define OBJECT_MAX (UINT64_C(1) << 40)
/* Records of more are not copied on their way. */
#define LARGE 4096

struct header {
	uint64_t magic;
	uint32_t format;
	_Atomic uint32_t broken;
	_Atomic uint64_t end; /* of the log in its area, times two, and which area that is */
};

enum operation { PUT, WRITE, RESIZE, DROP };

struct record {
	uint32_t size; /* of what follows */
	uint16_t operation;
	uint16_t kind;
	uint64_t id;
	uint64_t offset;
};

struct object {
	struct table_link link;
	enum keep_kind kind;
	uint64_t id;
	struct buffer bytes;
};

struct keep {
	int fd;
	struct header *header;
	unsigned area;
	uint64_t written; /* in the area: published, or about to be */
	uint64_t limit;	  /* past which it is compacted */
	struct buffer batch;
	struct table inherited;
	void (*on_publish)(void *arg);
	void *arg;
};

/* --- objects, as a log adds up to them ---------------------------------------- */

static uint32_t hash_of(enum keep_kind kind, uint64_t id)
{
	return hash_number(id * 64 + kind);
}

static struct object *find(const struct table *t, enum keep_kind kind, uint64_t id)
{
	struct table_link *l = t->buckets ? table_first(t, hash_of(kind, id)) : NULL;

	for (; l; l = table_next(l)) {
		struct object *o = container_of(l, struct object, link);

		if (o->kind == kind && o->id == id) {
			return o;
		}
	}
	return NULL;
}

static void object_destroy(struct table *t, struct object *o)
{
	table_remove(t, &o->link);
	buffer_finish(&o->bytes);
	free(o);
}

static void objects_finish(struct table *t)
{
	struct table_link *l;

	for (size_t i = 0; t->buckets && i < t->n_buckets; i++) {
		while ((l = table_bucket(t, i))) {
			object_destroy(t, container_of(l, struct object, link));
		}
	}
	table_finish(t);
	*t = (struct table){0};
}

/* 0 or -ENOMEM. */
static int object_set(struct object *o, const struct record *r, const char *data)
{
	uint64_t end = r->offset + r->size;

	switch (r->operation) {
	case PUT:
		o->bytes.size = 0;
		return buffer_append(&o->bytes, data, r->size);
	case WRITE:
		if (end > o->bytes.size && buffer_resize(&o->bytes, end)) {
			return -ENOMEM;
		}
		memcpy(o->bytes.data + r->offset, data, r->size);
		return 0;
	default:
		return buffer_resize(&o->bytes, r->offset);
	}
}

static int add_record(struct table *t, const struct record *r, const char *data)
{
	struct object *o = find(t, r->kind, r->id);

	if (r->operation > DROP || r->offset >= OBJECT_MAX) {
		return -EPROTO;
	}
	if (r->operation == DROP) {
		if (o) {
			object_destroy(t, o);
		}
		return 0;
	}
	if (!o) {
		o = calloc(1, sizeof(*o));
		if (!o) {
			return -ENOMEM;
		}
		o->kind = r->kind;
		o->id = r->id;
		table_insert(t, &o->link, hash_of(o->kind, o->id));
	}
	return r->size == 0 && r->operation == WRITE ? 0 : object_set(o, r, data);
}

/* What the first `size` bytes of an area add up to. 0 or a negative errno. */
static int add_records(struct table *t, const char *log, uint64_t size)
{
	int rc = 0;

	for (uint64_t at = 0; rc == 0 && at < size;) {
		struct record r;

		if (size - at < sizeof(r)) {
			return -EPROTO;
		}
		memcpy(&r, log + at, sizeof(r));
		at += sizeof(r);
		if (size - at < r.size) {
			return -EPROTO;
		}
		rc = add_record(t, &r, log + at);
		at += r.size;
	}
	return rc;
}

static int load(const struct keep *k, unsigned area, uint64_t size, struct table *t)
{
	char *log = NULL;
	struct stat st;
	int rc = table_init(t);

	if (rc == 0 && fstat(k->fd, &st) < 0) {
		rc = -errno;
	} else if (rc == 0 && size > 0 && (uint64_t)st.st_size < (uint64_t)AREA(area) + size) {
		rc = -EPROTO;
	}
	if (rc == 0 && size > 0) {
		/* Not copied: it may be large, and the heap would stay so. */
		log = mmap(NULL, size, PROT_READ, MAP_SHARED, k->fd, AREA(area));
		rc = log == MAP_FAILED ? -errno : add_records(t, log, size);
		if (log != MAP_FAILED) {
			munmap(log, size);
		}
	}
	if (rc) {
		objects_finish(t);
	}
	return rc;
}

/* --- writing --------------------------------------------------------------------- */

static void give_up(struct keep *k, const char *why)
{
	if (!keep_is_broken(k)) {
		atomic_store(&k->header->broken, 1);
		log_error("what is open would not survive the end of this process: %s", why);
	}
	buffer_finish(&k->batch);
}

static int write_all(const struct keep *k, uint64_t at, struct bytes a, struct bytes b)
{
	while (a.size + b.size > 0) {
		struct iovec iov[2] = {{(void *)(uintptr_t)a.data, a.size},
			{(void *)(uintptr_t)b.data, b.size}};
		ssize_t n = pwritev(k->fd, iov, 2, AREA(k->area) + (off_t)at);
		size_t first;

		if (n < 0 && errno == EINTR) {
			continue;
		}
		if (n <= 0) {
			return n < 0 ? -errno : -EIO;
		}
		at += (uint64_t)n;
		first = (size_t)n < a.size ? (size_t)n : a.size;
		a = bytes_of(a.data + first, a.size - first);
		b = bytes_of(b.data + ((size_t)n - first), b.size - ((size_t)n - first));
	}
	return 0;
}

/* Writes the batch, and behind it `large`. */
static void flush(struct keep *k, struct bytes large)
{
	int rc = write_all(k, k->written, buffer_bytes(&k->batch), large);

	if (rc) {
		give_up(k, strerror(-rc));
		return;
	}
	k->written += k->batch.size + large.size;
	k->batch.size = 0;
}

static void add(struct keep *k, const struct record *r, struct bytes bytes)
{
	if (!k || keep_is_broken(k)) {
		return;
	}
	if (buffer_append(&k->batch, r, sizeof(*r))) {
		give_up(k, strerror(ENOMEM));
	} else if (bytes.size > LARGE) {
		flush(k, bytes);
	} else if (buffer_append(&k->batch, bytes.data, bytes.size)) {
		give_up(k, strerror(ENOMEM));
	}
}

void keep_put(struct keep *k, enum keep_kind kind, uint64_t id, struct bytes bytes)
{
	const struct record r = {
		.size = (uint32_t)bytes.size, .operation = PUT, .kind = (uint16_t)kind, .id = id};

	add(k, &r, bytes);
}

void keep_write(
	struct keep *k, enum keep_kind kind, uint64_t id, uint64_t offset, struct bytes bytes)
{
	const struct record r = {
		.size = (uint32_t)bytes.size,
		.operation = WRITE,
		.kind = (uint16_t)kind,
		.id = id,
		.offset = offset,
	};

	add(k, &r, bytes);
}

void keep_resize(struct keep *k, enum keep_kind kind, uint64_t id, uint64_t size)
{
	const struct record r = {
		.operation = RESIZE, .kind = (uint16_t)kind, .id = id, .offset = size};

	add(k, &r, bytes_of("", 0));
}

void keep_drop(struct keep *k, enum keep_kind kind, uint64_t id)
{
	const struct record r = {.operation = DROP, .kind = (uint16_t)kind, .id = id};

	add(k, &r, bytes_of("", 0));
}

static void publish(struct keep *k)
{
	atomic_store(&k->header->end, k->written << 1 | k->area);
}

/* Gives back what an area takes beyond its first bytes, be it that one who was killed
 * has left it there. */
static void clear(const struct keep *k, unsigned area, uint64_t size)
{
	fallocate(k->fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, AREA(area) + (off_t)size,
		AREA_SIZE - (off_t)size);
}

static void compact(struct keep *k)
{
	unsigned old = k->area;
	uint64_t size = k->written;
	struct table objects;
	int rc = load(k, old, size, &objects);

	if (rc) {
		give_up(k, strerror(-rc));
		return;
	}
	k->area = !old;
	k->written = 0;
	for (size_t i = 0; i < objects.n_buckets; i++) {
		struct table_link *l = table_bucket(&objects, i);

		for (; l; l = l->next) {
			const struct object *o = container_of(l, struct object, link);

			keep_put(k, o->kind, o->id, buffer_bytes(&o->bytes));
		}
	}
	objects_finish(&objects);
	if (!keep_is_broken(k)) {
		flush(k, bytes_of("", 0));
	}
	if (!keep_is_broken(k)) {
		publish(k);
		clear(k, old, size < IDLE_SIZE ? size : IDLE_SIZE);
		k->limit = 3 * k->written > COMPACT_MIN ? 3 * k->written : COMPACT_MIN;
	}
}

void keep_publish(struct keep *k)
{
	if (!k || keep_is_broken(k)) {
		return;
	}
	if (k->on_publish) {
		k->on_publish(k->arg);
	}
	if (k->batch.size > 0) {
		flush(k, bytes_of("", 0));
	}
	if (keep_is_broken(k)) {
		return;
	}
	publish(k);
	if (k->written > k->limit) {
		compact(k);
	}
}

void keep_on_publish(struct keep *k, void (*fn)(void *arg), void *arg)
{
	if (k) {
		k->on_publish = fn;
		k->arg = arg;
	}
}

/* --- what was inherited ------------------------------------------------------------- */

bool keep_find(const struct keep *k, enum keep_kind kind, uint64_t id, struct bytes *out)
{
	const struct object *o = k ? find(&k->inherited, kind, id) : NULL;

	if (o) {
		*out = buffer_bytes(&o->bytes);
	}
	return o;
}

void keep_each(const struct keep *k, enum keep_kind kind, keep_fn *fn, void *arg)
{
	for (size_t i = 0; k && i < k->inherited.n_buckets; i++) {
		struct table_link *l = table_bucket(&k->inherited, i);

		for (; l; l = l->next) {
			const struct object *o = container_of(l, struct object, link);

			if (o->kind == kind) {
				fn(arg, o->id, buffer_bytes(&o->bytes));
			}
		}
	}
}

void keep_settle(struct keep *k)
{
	if (k) {
		objects_finish(&k->inherited);
	}
}

/* --- beginning and end ----------------------------------------------------------------- */

int keep_create_file(void)
{
	_cleanup_fd_ int fd = memfd_create("cubbyfs-keep", MFD_CLOEXEC | MFD_ALLOW_SEALING);
	const struct header header = {.magic = MAGIC, .format = KEEP_FORMAT};
	ssize_t n;

	if (fd < 0 || ftruncate(fd, HEADER_SIZE) < 0) {
		return -errno;
	}
	n = pwrite(fd, &header, sizeof(header), 0);
	if (n != sizeof(header)) {
		return n < 0 ? -errno : -EIO;
	}
	return steal_fd(&fd);
}

static int map_header(struct keep *k)
{
	struct stat st;
	void *p;

	if (fstat(k->fd, &st) < 0) {
		return -errno;
	}
	if (st.st_size < HEADER_SIZE) {
		return -EPROTO;
	}
	p = mmap(NULL, HEADER_SIZE, PROT_READ | PROT_WRITE, MAP_SHARED, k->fd, 0);
	if (p == MAP_FAILED) {
		return -errno;
	}
	k->header = p;
	return 0;
}

int keep_open(struct keep **out, int fd)
{
	struct keep *k = calloc(1, sizeof(*k));
	uint64_t end;
	int rc;

	if (!k) {
		return -ENOMEM;
	}
	k->fd = fd;
	k->limit = COMPACT_MIN;
	rc = map_header(k);
	if (rc) {
		/* That is all there is to say. */
	} else if (k->header->magic != MAGIC || k->header->format != KEEP_FORMAT) {
		rc = -EPROTO;
	} else if (!keep_is_broken(k)) {
		end = atomic_load(&k->header->end);
		k->area = end & 1;
		k->written = end >> 1;
		rc = load(k, k->area, k->written, &k->inherited);
		clear(k, k->area, k->written);
		clear(k, !k->area, 0);
	}
	if (rc) {
		keep_close(k);
		return rc;
	}
	*out = k;
	return 0;
}

void keep_close(struct keep *k)
{
	if (!k) {
		return;
	}
	objects_finish(&k->inherited);
	buffer_finish(&k->batch);
	if (k->header) {
		munmap(k->header, HEADER_SIZE);
	}
	free(k);
}

bool keep_is_broken(const struct keep *k)
{
	return atomic_load(&k->header->broken) != 0;
}
