/* SPDX-License-Identifier: MIT
 * Copyright (c) 2026 The cubbyfs authors */

/* tail(1) follows a file on FUSE by its size, and fstat(2) reaches us as a
 * node's number without the handle. So the size is that of the view that was
 * opened last; only when none is open, one is made to be measured. (A view
 * keeps what a compaction takes away: a new one may be smaller.) */

#include "fs/control.h"

#include "base/cleanup.h"
#include "base/keep.h"
#include "base/log.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define ROOT 1

enum node { DIRECTORY = CONTROL_FIRST, STATS, JOURNAL };

static const struct {
	const char *name;
	uint64_t ino;
} entries[] = {
	{"stats", STATS},
	{"journal", JOURNAL},
	{"events", CONTROL_EVENTS},
};

/* An open file. */
struct view {
	uint64_t handle;
	uint64_t ino; /* 0: a free slot */
	struct buffer text;
	struct store_log *log;
};

struct control {
	struct store *store;
	struct keep *keep;
	uid_t uid;
	gid_t gid;
	bool has_journal;
	struct timespec made;
	struct view *views;
	size_t n_views;
	uint64_t next_handle;
	struct buffer read;
	/* When the journal was last seen to change its size. */
	uint64_t journal_size;
	struct timespec journal_time;
};

static struct view *free_slot(struct control *c);

/* The log is opened anew: what was read of it and is gone now is not there a second time. */
static void restore(void *arg, uint64_t handle, struct bytes b)
{
	struct control *c = arg;
	struct view v = {.handle = handle}, *slot = free_slot(c);

	if (!slot || b.size < sizeof(v.ino)) {
		return;
	}
	memcpy(&v.ino, b.data, sizeof(v.ino));
	if (v.ino == JOURNAL ? store_log_open(c->store, &v.log) :
			buffer_append(&v.text, b.data + sizeof(v.ino), b.size - sizeof(v.ino))) {
		log_warning("an open file of " CONTROL_NAME " could not be taken over");
		return;
	}
	*slot = v;
	c->next_handle = handle >= c->next_handle ? handle + 1 : c->next_handle;
}

static void keep_view(struct control *c, const struct view *v)
{
	keep_put(c->keep, KEEP_VIEW, v->handle, bytes_of(&v->ino, sizeof(v->ino)));
	keep_write(c->keep, KEEP_VIEW, v->handle, sizeof(v->ino), buffer_bytes(&v->text));
}

int control_create(struct control **out, struct store *store, struct keep *keep)
{
	struct control *c = calloc(1, sizeof(*c));
	struct store_log *log;

	if (!c) {
		return -ENOMEM;
	}
	c->store = store;
	c->keep = keep;
	c->uid = getuid();
	c->gid = getgid();
	c->next_handle = 1;
	clock_gettime(CLOCK_REALTIME, &c->made);
	c->journal_time = c->made;
	if (store_log_open(store, &log) == 0) {
		c->has_journal = true;
		store_log_close(log);
	}
	keep_each(keep, KEEP_VIEW, restore, c);
	*out = c;
	return 0;
}

static void view_close(struct view *v)
{
	buffer_finish(&v->text);
	if (v->log) {
		store_log_close(v->log);
	}
	*v = (struct view){.ino = 0};
}

void control_destroy(struct control *c)
{
	if (!c) {
		return;
	}
	for (size_t i = 0; i < c->n_views; i++) {
		view_close(&c->views[i]);
	}
	free(c->views);
	buffer_finish(&c->read);
	free(c);
}

bool control_claims(uint64_t parent, const char *name)
{
	return control_owns(parent) || (parent == ROOT && strcmp(name, CONTROL_NAME) == 0);
}

uint64_t control_parent(uint64_t ino)
{
	return ino == DIRECTORY ? ROOT : DIRECTORY;
}

/* --- views ------------------------------------------------------------- */

static int view_open(struct control *c, uint64_t ino, struct view *v)
{
	*v = (struct view){.ino = ino};
	return ino == STATS ? store_stats(c->store, &v->text) : store_log_open(c->store, &v->log);
}

static uint64_t view_size(const struct view *v)
{
	return v->log ? store_log_size(v->log) : v->text.size;
}

static struct view *find_view(struct control *c, uint64_t handle)
{
	for (size_t i = 0; i < c->n_views; i++) {
		if (c->views[i].ino && c->views[i].handle == handle) {
			return &c->views[i];
		}
	}
	return NULL;
}

static struct view *newest_view(struct control *c, uint64_t ino)
{
	struct view *newest = NULL;

	for (size_t i = 0; i < c->n_views; i++) {
		struct view *v = &c->views[i];

		if (v->ino == ino && (!newest || v->handle > newest->handle)) {
			newest = v;
		}
	}
	return newest;
}

static struct view *free_slot(struct control *c)
{
	struct view *grown;

	for (size_t i = 0; i < c->n_views; i++) {
		if (!c->views[i].ino) {
			return &c->views[i];
		}
	}
	grown = realloc(c->views, (c->n_views + 1) * sizeof(*grown));
	if (!grown) {
		return NULL;
	}
	c->views = grown;
	c->views[c->n_views] = (struct view){.ino = 0};
	return &c->views[c->n_views++];
}

int control_open(struct control *c, uint64_t ino, int flags, uint64_t *handle)
{
	struct view *slot, v;
	int r;

	if ((flags & O_ACCMODE) != O_RDONLY || (flags & O_TRUNC)) {
		return -EACCES;
	}
	if (ino != STATS && (ino != JOURNAL || !c->has_journal)) {
		return STORE_NOT_FOUND;
	}
	slot = free_slot(c);
	if (!slot) {
		return -ENOMEM;
	}
	r = view_open(c, ino, &v);
	if (r) {
		view_close(&v);
		return r;
	}
	v.handle = c->next_handle++;
	*slot = v;
	keep_view(c, &v);
	*handle = v.handle;
	return 0;
}

int control_read(struct control *c, uint64_t handle, uint64_t offset, size_t size,
	struct bytes *out)
{
	struct view *v = find_view(c, handle);
	ssize_t n;
	int r;

	if (!v) {
		return STORE_BAD_HANDLE;
	}
	if (!v->log) {
		size_t start = offset < v->text.size ? (size_t)offset : v->text.size;

		*out = bytes_of(v->text.data + start,
			size < v->text.size - start ? size : v->text.size - start);
		return 0;
	}
	r = buffer_reserve(&c->read, size);
	if (r < 0) {
		return r;
	}
	n = store_log_read(v->log, c->read.data, size, offset);
	if (n < 0) {
		return (int)n;
	}
	*out = bytes_of(c->read.data, (size_t)n);
	return 0;
}

void control_release(struct control *c, uint64_t handle)
{
	struct view *v = find_view(c, handle);

	if (v) {
		keep_drop(c->keep, KEEP_VIEW, handle);
		view_close(v);
	}
}

/* --- nodes ------------------------------------------------------------- */

static int measure(struct control *c, uint64_t ino, uint64_t *size)
{
	struct view fresh, *v = newest_view(c, ino);
	int r;

	if (v) {
		*size = view_size(v);
		return 0;
	}
	r = view_open(c, ino, &fresh);
	*size = r ? 0 : view_size(&fresh);
	view_close(&fresh);
	return r;
}

int control_getattr(struct control *c, uint64_t ino, struct stat *st)
{
	uint64_t size;
	int r;

	*st = (struct stat){
		.st_ino = ino,
		.st_uid = c->uid,
		.st_gid = c->gid,
		.st_blksize = 4096,
		.st_atim = c->made,
		.st_mtim = c->made,
	};
	if (ino == DIRECTORY) {
		st->st_mode = S_IFDIR | 0700;
		st->st_nlink = 2;
		st->st_ctim = c->made;
		return 0;
	}
	st->st_nlink = 1;
	if (ino == CONTROL_EVENTS) {
		st->st_mode = S_IFREG | 0600;
		st->st_ctim = c->made;
		return 0;
	}
	if (ino != STATS && (ino != JOURNAL || !c->has_journal)) {
		return STORE_NOT_FOUND;
	}
	r = measure(c, ino, &size);
	if (r) {
		return r;
	}
	st->st_mode = S_IFREG | 0400;
	st->st_size = (off_t)size;
	st->st_blocks = (blkcnt_t)((size + 511) / 512);
	clock_gettime(CLOCK_REALTIME, &st->st_mtim);
	if (ino == JOURNAL) {
		if (size != c->journal_size) {
			c->journal_size = size;
			c->journal_time = st->st_mtim;
		}
		st->st_mtim = c->journal_time;
	}
	st->st_ctim = st->st_mtim;
	return 0;
}

int control_lookup(struct control *c, uint64_t parent, const char *name, struct stat *st)
{
	if (parent == ROOT) {
		return control_getattr(c, DIRECTORY, st);
	}
	if (parent != DIRECTORY) {
		return STORE_NOT_DIRECTORY;
	}
	for (size_t i = 0; i < sizeof(entries) / sizeof(entries[0]); i++) {
		if (strcmp(name, entries[i].name) == 0) {
			return control_getattr(c, entries[i].ino, st);
		}
	}
	return STORE_NOT_FOUND;
}

int control_readdir(struct control *c, uint64_t ino, uint64_t cookie, store_readdir_fn *fn,
	void *arg)
{
	if (ino != DIRECTORY) {
		return STORE_NOT_DIRECTORY;
	}
	for (uint64_t i = cookie; i < sizeof(entries) / sizeof(entries[0]); i++) {
		struct store_name name = {
			.name = bytes_of_string(entries[i].name),
			.ino = entries[i].ino,
			.mode = S_IFREG,
			.cookie = i + 1,
		};

		if (entries[i].ino == JOURNAL && !c->has_journal) {
			continue;
		}
		if (!fn(arg, &name)) {
			break;
		}
	}
	return 0;
}
