/* SPDX-License-Identifier: MIT
 * Copyright (c) 2026 The cubbyfs authors */

#include "store/journal/segment.h"

#include "base/cleanup.h"
#include "store/json.h"
#include "store/record.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <json-c/json.h>
#include <stdio.h>
#include <stdlib.h>

int segment_file_create(struct segment_file **out, struct disk *disk, int fd)
{
	struct segment_file *f = malloc(sizeof(*f));

	if (!f) {
		disk->ops->close(disk, fd);
		return -ENOMEM;
	}
	f->disk = disk;
	f->fd = fd;
	atomic_init(&f->refs, 1);
	*out = f;
	return 0;
}

struct segment_file *segment_file_ref(struct segment_file *f)
{
	atomic_fetch_add(&f->refs, 1);
	return f;
}

void segment_file_unref(struct segment_file *f)
{
	if (f && atomic_fetch_sub(&f->refs, 1) == 1) {
		f->disk->ops->close(f->disk, f->fd);
		free(f);
	}
}

static const char *const suffixes[] = {
	[SEGMENT_LOG] = ".log",
	[SEGMENT_SNAPSHOT] = ".snap",
	[SEGMENT_UNFINISHED] = ".snap.tmp",
};

#define N_KINDS (sizeof(suffixes) / sizeof(suffixes[0]))
#define NAME_DIGITS 20

void segment_name(char out[static SEGMENT_NAME_SIZE], enum segment_kind kind, uint64_t base)
{
	snprintf(out, SEGMENT_NAME_SIZE, "%0*" PRIu64 "%s", NAME_DIGITS, base, suffixes[kind]);
}

bool segment_parse(const char *name, enum segment_kind *kind, uint64_t *base)
{
	uint64_t n = 0;

	for (int i = 0; i < NAME_DIGITS; i++) {
		unsigned digit = (unsigned)(name[i] - '0');

		if (name[i] < '0' || name[i] > '9' || n > (UINT64_MAX - digit) / 10) {
			return false;
		}
		n = n * 10 + digit;
	}
	for (size_t i = 0; i < N_KINDS; i++) {
		/* As far as no line of ours will ever come. */
		if (strcmp(name + NAME_DIGITS, suffixes[i]) == 0 && n <= INT64_MAX / 2) {
			*kind = (enum segment_kind)i;
			*base = n;
			return true;
		}
	}
	return false;
}

void segment_list_finish(struct segment_list *l)
{
	free(l->items);
	*l = (struct segment_list){0};
}

int segment_list_add(struct segment_list *l, const struct segment *s)
{
	struct segment *items;
	size_t capacity;

	if (l->count == l->capacity) {
		capacity = l->capacity ? 2 * l->capacity : 16;
		items = reallocarray(l->items, capacity, sizeof(*items));
		if (!items) {
			return -ENOMEM;
		}
		l->items = items;
		l->capacity = capacity;
	}
	l->items[l->count++] = *s;
	return 0;
}

void segment_list_remove(struct segment_list *l, size_t index)
{
	memmove(&l->items[index], &l->items[index + 1],
		(l->count - index - 1) * sizeof(l->items[0]));
	l->count--;
}

static int add_named(void *arg, const char *name)
{
	struct segment s = {0};

	if (!segment_parse(name, &s.kind, &s.base)) {
		return 0;
	}
	s.named = s.base;
	return segment_list_add(arg, &s);
}

static int compare(const void *a, const void *b)
{
	const struct segment *x = a, *y = b;

	if (x->base != y->base) {
		return x->base < y->base ? -1 : 1;
	}
	return (int)x->kind - (int)y->kind;
}

static int read_header(struct disk *disk, const char *directory, const char *name, const char *kind,
	struct header *out);

static int compare_numbers(const void *a, const void *b)
{
	uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;

	return x < y ? -1 : x > y;
}

/* Gives swapped logs the bases that their first lines have. Only where that is a
 * permutation: whatever else does not fit, the names count. */
static int undo_swaps(struct segment_list *l, struct disk *disk, const char *directory)
{
	_cleanup_free_ uint64_t *numbers = calloc(3 * l->count, sizeof(*numbers));
	uint64_t *stated = numbers, *names = numbers + l->count, *sorted = names + l->count;
	size_t n = 0;

	if (!numbers) {
		return -ENOMEM;
	}
	for (size_t i = 0; i < l->count; i++) {
		char name[SEGMENT_NAME_SIZE];
		struct header header;
		int r;

		stated[i] = l->items[i].base;
		if (l->items[i].kind != SEGMENT_LOG) {
			continue;
		}
		segment_name(name, SEGMENT_LOG, l->items[i].base);
		r = read_header(disk, directory, name, "log", &header);
		if (r == -ENOMEM) {
			return r;
		}
		if (r == 0 && header.version == JOURNAL_VERSION &&
			header.base != l->items[i].base) {
			stated[i] = header.base;
			names[n] = l->items[i].base;
			sorted[n++] = header.base;
		}
	}
	qsort(sorted, n, sizeof(*sorted), compare_numbers);
	if (n == 0 || memcmp(names, sorted, n * sizeof(*names)) != 0) {
		return 0;
	}
	for (size_t i = 0; i < l->count; i++) {
		l->items[i].base = stated[i];
	}
	qsort(l->items, l->count, sizeof(l->items[0]), compare);
	return 0;
}

int segment_list_read(struct segment_list *l, struct disk *disk, const char *directory)
{
	int r = disk->ops->list(disk, directory, add_named, l);

	if (r == 0 && l->count > 1) {
		qsort(l->items, l->count, sizeof(l->items[0]), compare);
		r = undo_swaps(l, disk, directory);
	}
	return r;
}

struct segment *segment_list_mark_stale(struct segment_list *l)
{
	struct segment *newest = NULL;
	struct segment *follower = NULL;

	for (size_t i = 0; i < l->count; i++) {
		struct segment *s = &l->items[i];

		if (s->kind != SEGMENT_SNAPSHOT) {
			s->stale = s->kind == SEGMENT_UNFINISHED;
			continue;
		}
		if (newest) {
			newest->stale = true;
		}
		newest = s;
		newest->stale = false;
	}
	if (!newest) {
		return NULL;
	}
	for (size_t i = l->count; i-- > 0;) {
		struct segment *s = &l->items[i];

		if (s->kind == SEGMENT_LOG) {
			s->stale = follower && (follower->base <= newest->base ||
						       follower->base - newest->base == 1);
			follower = s;
		}
	}
	return newest;
}

int segment_open(struct disk *disk, const char *directory, const struct segment *s, int flags)
{
	char name[SEGMENT_NAME_SIZE];
	_cleanup_free_ char *path = NULL;

	segment_name(name, s->kind, s->named);
	path = journal_path(directory, name);
	return path ? disk->ops->open(disk, path, flags, 0) : -ENOMEM;
}

char *journal_path(const char *directory, const char *name)
{
	char *path;

	return asprintf(&path, "%s/%s", directory, name) < 0 ? NULL : path;
}

bool journal_is_no_file(int error)
{
	return error != -ENOENT && disk_is_no_file(error);
}

const char *journal_file_error(int error)
{
	switch (error) {
	case -EISDIR:
		return "it is a directory, not a file; move it away";
	case -ELOOP:
		return "it is a symbolic link, not a file; put the file itself there, or move "
		       "the link away";
	case -ENXIO:
		return "it is a fifo, a socket or a device, not a file; move it away";
	case -ENOTDIR:
		return "it is no directory; move it away";
	case -EACCES:
	case -EPERM:
		return "permission denied; mount as the store's owner, or give it all to this "
		       "user (chown -R)";
	case -EROFS:
		return "the file system is read-only; mount with -o ro, or make it writable";
	case -ENOSPC:
	case -EDQUOT:
		return "no space left; make room on its file system";
	default:
		return strerror(-error);
	}
}

static int add_number(struct json_object *o, const char *key, uint64_t n)
{
	return json_add(o, key, json_object_new_uint64(n));
}

static int add_fields(struct json_object *o, const struct header *h)
{
	int r = json_add(o, "cubbyfs", json_object_new_string(h->kind));

	if (strcmp(h->kind, "end") == 0) {
		return r < 0 ? r : add_number(o, "count", h->count);
	}
	r = r < 0 ? r : add_number(o, "version", h->version);
	if (strcmp(h->kind, "log") == 0 || strcmp(h->kind, "snapshot") == 0) {
		r = r < 0 ? r : add_number(o, "base", h->base);
		r = r < 0 ? r : add_number(o, "next_ino", h->next_ino);
		r = r < 0 ? r : json_add(o, "at", json_object_new_int64(h->at));
	}
	if (strcmp(h->kind, "synced") == 0) {
		r = r < 0 ? r : add_number(o, "revision", h->revision);
	}
	return r;
}

int header_encode(const struct header *h, struct buffer *out)
{
	struct json_object *o = json_object_new_object();
	int r = o ? add_fields(o, h) : -ENOMEM;

	if (r == 0) {
		r = record_encode_object(o, out);
	}
	json_object_put(o);
	return r;
}

bool header_decode(struct json_object *object, struct header *out)
{
	struct json_object *value;

	*out = (struct header){0};
	if (!json_object_object_get_ex(object, "cubbyfs", &value) ||
		!json_object_is_type(value, json_type_string)) {
		return false;
	}
	out->kind = json_object_get_string(value);
	if (json_object_object_get_ex(object, "version", &value)) {
		out->version = json_object_get_uint64(value);
	}
	if (json_object_object_get_ex(object, "base", &value)) {
		out->base = json_object_get_uint64(value);
	}
	if (json_object_object_get_ex(object, "next_ino", &value)) {
		out->next_ino = json_object_get_uint64(value);
	}
	if (json_object_object_get_ex(object, "at", &value)) {
		out->at = json_object_get_int64(value);
	}
	if (json_object_object_get_ex(object, "count", &value)) {
		out->count = json_object_get_uint64(value);
	}
	if (json_object_object_get_ex(object, "revision", &value)) {
		out->revision = json_object_get_uint64(value);
	}
	return true;
}

/* The first line of a file; all 0 if it is not of that kind, or
 * damaged. */
static int read_header(struct disk *disk, const char *directory, const char *name, const char *kind,
	struct header *out)
{
	_cleanup_free_ char *path = journal_path(directory, name);
	struct record_decoder *decoder;
	struct json_object *object;
	char text[256];
	const char *end;
	ssize_t n;
	int fd, r;

	*out = (struct header){0};
	if (!path) {
		return -ENOMEM;
	}
	fd = disk->ops->open(disk, path, O_RDONLY, 0);
	if (fd < 0) {
		return fd;
	}
	n = disk->ops->read(disk, fd, text, sizeof(text), 0);
	disk->ops->close(disk, fd);
	end = n > 0 ? memchr(text, '\n', (size_t)n) : NULL;
	if (!end) {
		return 0;
	}
	r = record_decoder_create(&decoder);
	if (r < 0) {
		return r;
	}
	r = record_decode_object(decoder, bytes_of(text, (size_t)(end - text)), &object);
	if (r == RECORD_OK && (!header_decode(object, out) || strcmp(out->kind, kind) != 0)) {
		*out = (struct header){0};
	}
	out->kind = NULL; /* it is the decoder's */
	record_decoder_destroy(decoder);
	return r < 0 ? r : 0;
}

int format_read(struct disk *disk, const char *directory, uint64_t *version)
{
	struct header header;
	int r = read_header(disk, directory, JOURNAL_FORMAT, "store", &header);

	*version = header.version;
	return r;
}

int synced_read(struct disk *disk, const char *directory, uint64_t *revision)
{
	struct header header;
	int r = read_header(disk, directory, JOURNAL_SYNCED, "synced", &header);

	*revision = header.version == JOURNAL_VERSION ? header.revision : 0;
	return r;
}
