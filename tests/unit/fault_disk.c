/* SPDX-License-Identifier: MIT
 * Copyright (c) 2026 The cubbyfs authors */

#include "fault_disk.h"

#include "base/bytes.h"
#include "base/cleanup.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdlib.h>

/* A write that is not on the disk yet; or, without data, a truncation. */
struct change {
	uint64_t offset; /* of a truncation: the new size */
	size_t size;
	char *data;
};

/* What a file is, apart from its names. */
struct inode {
	unsigned refs;
	bool directory;
	bool locked;
	struct buffer data, synced;
	uint64_t reserved; /* up to there it has space */
	/* What leads from `synced` to `data`. */
	struct change *changes;
	size_t n_changes, capacity;
	struct inode *copy; /* while a disk is copied */
};

struct entry {
	char *path;
	struct inode *inode;
};

struct names {
	struct entry *items;
	size_t count;
};

/* A change to the names that no directory sync has made durable. */
struct pending {
	char *from, *to;     /* remove `from`, and make `to`; either may be NULL */
	struct inode *inode; /* of `to` */
};

struct handle {
	struct inode *inode;
	bool lock;
};

#define HANDLES 4096
#define SECTOR 512
#define FIRST_FD 100000

struct fault_disk {
	struct disk disk;
	pthread_mutex_t mutex;
	struct names now, synced;
	struct pending *pending;
	size_t n_pending;
	struct handle handles[HANDLES];

	struct {
		unsigned nth, more;
		int error;
		bool partly;
	} faults[FAULT_CALLS];
	size_t write_max;
	unsigned sync_time;
	bool forgives;
	uint64_t room;
	uint64_t changes, failed;
	uint64_t kill_at;
	bool killed;

	/* Copies of the disk, one after each changing call. */
	bool recording;
	uint64_t tag;
	struct fault_disk *first, **last, *next;
};

static struct fault_disk *self(struct disk *d)
{
	return container_of(d, struct fault_disk, disk);
}

struct disk *fault_disk_of(struct fault_disk *d)
{
	return &d->disk;
}

/* ---- names ---- */

static struct inode *inode_ref(struct inode *i)
{
	i->refs++;
	return i;
}

static void drop_changes(struct inode *i)
{
	while (i->n_changes > 0) {
		free(i->changes[--i->n_changes].data);
	}
}

static void inode_unref(struct inode *i)
{
	if (i && --i->refs == 0) {
		drop_changes(i);
		free(i->changes);
		buffer_finish(&i->data);
		buffer_finish(&i->synced);
		free(i);
	}
}

/* `data` NULL: a truncation to `offset`. */
static void note_change(struct inode *i, uint64_t offset, const void *data, size_t size)
{
	struct change *c;

	if (i->n_changes == i->capacity) {
		i->capacity = i->capacity ? 2 * i->capacity : 16;
		i->changes = reallocarray(i->changes, i->capacity, sizeof(*i->changes));
	}
	c = &i->changes[i->n_changes++];
	*c = (struct change){.offset = offset, .size = size};
	if (data) {
		c->data = malloc(size + 1);
		memcpy(c->data, data, size);
	}
}

static struct entry *find(struct names *n, const char *path)
{
	for (size_t i = 0; i < n->count; i++) {
		if (strcmp(n->items[i].path, path) == 0) {
			return &n->items[i];
		}
	}
	return NULL;
}

static void names_remove(struct names *n, const char *path)
{
	struct entry *e = find(n, path);

	if (e) {
		free(e->path);
		inode_unref(e->inode);
		*e = n->items[--n->count];
	}
}

static void names_set(struct names *n, const char *path, struct inode *inode)
{
	names_remove(n, path);
	n->items = reallocarray(n->items, n->count + 1, sizeof(*n->items));
	n->items[n->count++] = (struct entry){strdup(path), inode_ref(inode)};
}

static void names_finish(struct names *n)
{
	while (n->count > 0) {
		names_remove(n, n->items[0].path);
	}
	free(n->items);
	*n = (struct names){0};
}

static void note(struct fault_disk *d, const char *from, const char *to, struct inode *inode)
{
	d->pending = reallocarray(d->pending, d->n_pending + 1, sizeof(*d->pending));
	d->pending[d->n_pending++] = (struct pending){
		.from = from ? strdup(from) : NULL,
		.to = to ? strdup(to) : NULL,
		.inode = inode ? inode_ref(inode) : NULL,
	};
}

static void apply(struct names *n, const struct pending *p)
{
	if (p->from) {
		names_remove(n, p->from);
	}
	if (p->to) {
		names_set(n, p->to, p->inode);
	}
}

static void drop_pending(struct pending *p)
{
	free(p->from);
	free(p->to);
	inode_unref(p->inode);
}

/* Whether `path` is directly in `directory`. */
static bool is_in(const char *path, const char *directory)
{
	size_t size = strcmp(directory, "/") == 0 ? 0 : strlen(directory);

	return strncmp(path, directory, size) == 0 && path[size] == '/' &&
	       !strchr(path + size + 1, '/');
}

/* ---- faults ---- */

/* 0, or the error that this call is to give. */
static int fault(struct fault_disk *d, enum fault_call call)
{
	if (d->killed) {
		return -EIO;
	}
	if (call != FAULT_READ && call != FAULT_REOPEN) {
		d->changes++;
		if (d->kill_at != 0 && d->changes >= d->kill_at) {
			d->killed = true;
			return -EIO;
		}
	}
	if (d->faults[call].nth == 0) {
		return 0;
	}
	if (--d->faults[call].nth > 0) {
		return 0;
	}
	if (d->faults[call].more > 0) {
		d->faults[call].more--;
		d->faults[call].nth = 1;
	}
	d->failed++;
	return d->faults[call].error;
}

/* Volatile: the compiler takes for granted that malloc does not look. */
static _Thread_local volatile unsigned busy;

static pthread_mutex_t *lock_disk(struct fault_disk *d)
{
	pthread_mutex_lock(&d->mutex);
	busy++;
	return &d->mutex;
}

static void unlock_disk(pthread_mutex_t **m)
{
	busy--;
	pthread_mutex_unlock(*m);
}

#define LOCKED(d) __attribute__((cleanup(unlock_disk))) pthread_mutex_t *locked_ = lock_disk(d)

bool fault_disk_is_busy(void)
{
	return busy > 0;
}

static struct inode *inode_of(struct fault_disk *d, int fd)
{
	return d->handles[fd - FIRST_FD].inode;
}

/* ---- copies ---- */

static struct inode *copy_inode(struct inode *i)
{
	struct inode *copy = calloc(1, sizeof(*copy));

	copy->directory = i->directory;
	buffer_append(&copy->data, i->data.data, i->data.size);
	buffer_append(&copy->synced, i->synced.data, i->synced.size);
	for (size_t k = 0; k < i->n_changes; k++) {
		note_change(copy, i->changes[k].offset, i->changes[k].data, i->changes[k].size);
	}
	i->copy = copy;
	return copy;
}

static void copy_names(struct names *to, const struct names *from)
{
	for (size_t i = 0; i < from->count; i++) {
		struct inode *inode = from->items[i].inode;

		names_set(to, from->items[i].path, inode->copy ? inode->copy : copy_inode(inode));
	}
}

/* The names are the ones that hold on to an inode. */
static struct fault_disk *copy_all(struct fault_disk *d)
{
	struct fault_disk *copy = fault_disk_create();

	copy->tag = d->tag;
	copy_names(&copy->now, &d->now);
	copy_names(&copy->synced, &d->synced);
	for (size_t i = 0; i < d->n_pending; i++) {
		const struct pending *p = &d->pending[i];
		struct inode *inode = p->inode;

		if (inode && !inode->copy) {
			copy_inode(inode);
		}
		note(copy, p->from, p->to, inode ? inode->copy : NULL);
	}
	for (size_t i = 0; i < d->now.count; i++) {
		d->now.items[i].inode->copy = NULL;
	}
	for (size_t i = 0; i < d->synced.count; i++) {
		d->synced.items[i].inode->copy = NULL;
	}
	for (size_t i = 0; i < d->n_pending; i++) {
		if (d->pending[i].inode) {
			d->pending[i].inode->copy = NULL;
		}
	}
	return copy;
}

/* The first `n` changes, as far as they are to the bytes [start, end). */
static void redo(struct inode *i, char *sector, uint64_t start, uint64_t end, size_t n)
{
	for (size_t k = 0; k < n; k++) {
		const struct change *c = &i->changes[k];
		uint64_t from = c->offset > start ? c->offset : start;
		uint64_t to = !c->data || c->offset + c->size > end ? end : c->offset + c->size;

		if (from >= to) {
			continue;
		}
		if (c->data) {
			memcpy(sector + (from - start), c->data + (from - c->offset), to - from);
		} else {
			memset(sector + (from - start), 0, to - from);
		}
	}
}

static uint64_t size_after(const struct inode *i, size_t n)
{
	uint64_t size = i->synced.size;

	for (size_t k = 0; k < n; k++) {
		const struct change *c = &i->changes[k];

		if (!c->data || c->offset + c->size > size) {
			size = c->data ? c->offset + c->size : c->offset;
		}
	}
	return size;
}

/* A failed sync is the end of what it was to write: the pages are taken for clean,
 * and the next sync succeeds without them. */
static void sync_inode(struct inode *i, bool fail)
{
	uint64_t size = size_after(i, i->n_changes);

	if (!fail) {
		buffer_resize(&i->synced, size);
		redo(i, i->synced.data, 0, size, i->n_changes);
	}
	drop_changes(i);
}

static void record(struct fault_disk *d)
{
	if (d->recording) {
		*d->last = copy_all(d);
		d->last = &(*d->last)->next;
	}
}

/* What the file takes up. */
static uint64_t taken(const struct inode *i)
{
	return i->data.size > i->reserved ? i->data.size : i->reserved;
}

static void give_back(struct fault_disk *d, struct inode *i, uint64_t size)
{
	if (d->room != UINT64_MAX && taken(i) > size) {
		d->room += taken(i) - size;
	}
	i->reserved = 0;
}

/* ---- the calls ---- */

static int fault_open(struct disk *disk, const char *path, int flags, mode_t mode)
{
	struct fault_disk *d = self(disk);
	LOCKED(d);
	struct entry *e = find(&d->now, path);
	struct inode *inode;
	int r, fd;

	(void)mode;
	if (d->killed) {
		return -EIO;
	}
	if (flags & O_CREAT) {
		r = fault(d, FAULT_OPEN);
		if (r < 0) {
			return r;
		}
	} else if (e && (flags & O_ACCMODE) != O_RDONLY) {
		r = fault(d, FAULT_REOPEN);
		if (r < 0) {
			return r;
		}
	}
	if (e && (flags & O_EXCL)) {
		return -EEXIST;
	}
	if (!e && !(flags & O_CREAT)) {
		return -ENOENT;
	}
	if (e && e->inode->directory) {
		return -EISDIR;
	}
	for (fd = 0; fd < HANDLES && d->handles[fd].inode; fd++) {
	}
	if (fd == HANDLES) {
		return -EMFILE;
	}
	if (e) {
		inode = e->inode;
		if (flags & O_TRUNC) {
			give_back(d, inode, 0);
			inode->data.size = 0;
			note_change(inode, 0, NULL, 0);
		}
	} else {
		inode = calloc(1, sizeof(*inode));
		names_set(&d->now, path, inode);
		note(d, NULL, path, inode);
	}
	d->handles[fd] = (struct handle){.inode = inode_ref(inode)};
	if (flags & (O_CREAT | O_TRUNC)) {
		record(d);
	}
	return fd + FIRST_FD;
}

static void fault_close(struct disk *disk, int fd)
{
	struct fault_disk *d = self(disk);
	LOCKED(d);
	struct handle *h = &d->handles[fd - FIRST_FD];

	if (h->lock) {
		h->inode->locked = false;
	}
	inode_unref(h->inode);
	*h = (struct handle){0};
}

static ssize_t fault_write(struct disk *disk, int fd, const void *data, size_t size, off_t offset)
{
	struct fault_disk *d = self(disk);
	LOCKED(d);
	struct inode *i = inode_of(d, fd);
	size_t end;
	int r;

	r = fault(d, FAULT_WRITE);
	if (r < 0 && !(d->faults[FAULT_WRITE].partly && !d->killed)) {
		return r;
	}
	if (r < 0) {
		size /= 2;
	}
	if (size > d->write_max) {
		size = d->write_max;
	}
	end = (size_t)offset + size;
	if (end > taken(i)) {
		if (end - taken(i) > d->room) {
			if (end - taken(i) - d->room >= size) {
				return -ENOSPC;
			}
			size -= end - taken(i) - d->room;
			end = (size_t)offset + size;
		}
		d->room -= d->room == UINT64_MAX ? 0 : end - taken(i);
	}
	if (end > i->data.size) {
		buffer_resize(&i->data, end);
	}
	memcpy(i->data.data + offset, data, size);
	note_change(i, (uint64_t)offset, data, size);
	record(d);
	return r < 0 ? r : (ssize_t)size;
}

static ssize_t fault_read(struct disk *disk, int fd, void *data, size_t size, off_t offset)
{
	struct fault_disk *d = self(disk);
	LOCKED(d);
	struct inode *i = inode_of(d, fd);
	int r = fault(d, FAULT_READ);

	if (r < 0) {
		return r;
	}
	if ((size_t)offset >= i->data.size) {
		return 0;
	}
	if (size > i->data.size - (size_t)offset) {
		size = i->data.size - (size_t)offset;
	}
	memcpy(data, i->data.data + offset, size);
	return (ssize_t)size;
}

static off_t fault_size(struct disk *disk, int fd)
{
	struct fault_disk *d = self(disk);
	LOCKED(d);

	return (off_t)inode_of(d, fd)->data.size;
}

static int fault_truncate(struct disk *disk, int fd, off_t size)
{
	struct fault_disk *d = self(disk);
	LOCKED(d);
	struct inode *i = inode_of(d, fd);
	int r = fault(d, FAULT_TRUNCATE);

	if (r < 0) {
		return r;
	}
	give_back(d, i, (uint64_t)size);
	note_change(i, (uint64_t)size, NULL, 0);
	r = buffer_resize(&i->data, (size_t)size);
	record(d);
	return r;
}

static int fault_reserve(struct disk *disk, int fd, off_t offset, off_t size)
{
	struct fault_disk *d = self(disk);
	LOCKED(d);
	struct inode *i = inode_of(d, fd);
	uint64_t end = (uint64_t)(offset + size);
	int r = fault(d, FAULT_RESERVE);

	if (r < 0 || end <= taken(i)) {
		return r;
	}
	if (end - taken(i) > d->room) {
		return -ENOSPC;
	}
	d->room -= d->room == UINT64_MAX ? 0 : end - taken(i);
	i->reserved = end;
	return 0;
}

static int fault_sync(struct disk *disk, int fd)
{
	struct fault_disk *d = self(disk);
	unsigned wait;
	int r;

	{
		LOCKED(d);
		struct inode *i = inode_of(d, fd);

		wait = d->sync_time;
		r = fault(d, FAULT_SYNC);
		if (!d->killed && !(r < 0 && d->forgives)) {
			sync_inode(i, r < 0);
			record(d);
		}
	}
	if (wait > 0) {
		usleep(wait);
	}
	return r;
}

static int fault_sync_directory(struct disk *disk, const char *path)
{
	struct fault_disk *d = self(disk);
	LOCKED(d);
	size_t kept = 0;
	int r = fault(d, FAULT_SYNC_DIRECTORY);

	if (r < 0) {
		return r;
	}
	for (size_t i = 0; i < d->n_pending; i++) {
		struct pending *p = &d->pending[i];

		if (is_in(p->to ? p->to : p->from, path)) {
			apply(&d->synced, p);
			drop_pending(p);
		} else {
			d->pending[kept++] = *p;
		}
	}
	d->n_pending = kept;
	record(d);
	return 0;
}

static int fault_rename(struct disk *disk, const char *from, const char *to)
{
	struct fault_disk *d = self(disk);
	LOCKED(d);
	struct entry *e = find(&d->now, from);
	struct inode *inode;
	int r = fault(d, FAULT_RENAME);

	if (r < 0 || !e) {
		return r < 0 ? r : -ENOENT;
	}
	inode = inode_ref(e->inode);
	names_remove(&d->now, from);
	names_set(&d->now, to, inode);
	note(d, from, to, inode);
	inode_unref(inode);
	record(d);
	return 0;
}

static int fault_unlink(struct disk *disk, const char *path)
{
	struct fault_disk *d = self(disk);
	LOCKED(d);
	int r = fault(d, FAULT_UNLINK);

	if (r < 0 || !find(&d->now, path)) {
		return r < 0 ? r : -ENOENT;
	}
	give_back(d, find(&d->now, path)->inode, 0);
	names_remove(&d->now, path);
	note(d, path, NULL, NULL);
	record(d);
	return 0;
}

static int fault_mkdir(struct disk *disk, const char *path, mode_t mode)
{
	struct fault_disk *d = self(disk);
	LOCKED(d);
	struct inode *inode;
	int r;

	(void)mode;
	if (find(&d->now, path)) {
		return 0;
	}
	r = fault(d, FAULT_OPEN);
	if (r < 0) {
		return r;
	}
	inode = calloc(1, sizeof(*inode));
	inode->directory = true;
	names_set(&d->now, path, inode);
	note(d, NULL, path, inode);
	return 0;
}

static int fault_list(struct disk *disk, const char *path, disk_list_fn *fn, void *arg)
{
	struct fault_disk *d = self(disk);
	char *names[HANDLES];
	size_t n = 0;
	int r = 0;

	{
		LOCKED(d);
		struct entry *e = find(&d->now, path);

		if (!e || !e->inode->directory) {
			return e ? -ENOTDIR : -ENOENT;
		}
		for (size_t i = 0; i < d->now.count && n < HANDLES; i++) {
			if (is_in(d->now.items[i].path, path)) {
				names[n++] = strdup(d->now.items[i].path + strlen(path) + 1);
			}
		}
	}
	for (size_t i = 0; i < n; i++) {
		if (r == 0) {
			r = fn(arg, names[i]);
		}
		free(names[i]);
	}
	return r;
}

static int fault_lock(struct disk *disk, int fd)
{
	struct fault_disk *d = self(disk);
	LOCKED(d);
	struct handle *h = &d->handles[fd - FIRST_FD];

	if (h->inode->locked) {
		return -EWOULDBLOCK;
	}
	h->inode->locked = true;
	h->lock = true;
	return 0;
}

static int fault_space(struct disk *disk, const char *path, struct statvfs *out)
{
	(void)disk;
	(void)path;
	*out = (struct statvfs){.f_bsize = 4096, .f_frsize = 4096, .f_blocks = 1000};
	return 0;
}

static const struct disk_ops fault_ops = {
	.open = fault_open,
	.close = fault_close,
	.write = fault_write,
	.read = fault_read,
	.size = fault_size,
	.truncate = fault_truncate,
	.reserve = fault_reserve,
	.sync = fault_sync,
	.sync_directory = fault_sync_directory,
	.rename = fault_rename,
	.unlink = fault_unlink,
	.mkdir = fault_mkdir,
	.list = fault_list,
	.lock = fault_lock,
	.space = fault_space,
};

/* ---- for the tests ---- */

struct fault_disk *fault_disk_create(void)
{
	struct fault_disk *d = calloc(1, sizeof(*d));

	d->disk.ops = &fault_ops;
	pthread_mutex_init(&d->mutex, NULL);
	d->write_max = SIZE_MAX;
	d->room = UINT64_MAX;
	d->last = &d->first;
	return d;
}

void fault_disk_destroy(struct fault_disk *d)
{
	fault_disk_restart(d);
	for (size_t i = 0; i < d->n_pending; i++) {
		drop_pending(&d->pending[i]);
	}
	free(d->pending);
	while (d->first) {
		struct fault_disk *copy = d->first;

		d->first = copy->next;
		fault_disk_destroy(copy);
	}
	names_finish(&d->now);
	names_finish(&d->synced);
	pthread_mutex_destroy(&d->mutex);
	free(d);
}

static void set_file(
	struct fault_disk *d, const char *path, const void *data, size_t size, bool directory)
{
	struct inode *inode = calloc(1, sizeof(*inode));

	inode->directory = directory;
	buffer_append(&inode->data, data, size);
	buffer_append(&inode->synced, data, size);
	names_set(&d->now, path, inode);
	names_set(&d->synced, path, inode);
}

struct fault_disk *fault_disk_clone(struct fault_disk *d)
{
	struct fault_disk *copy = fault_disk_create();
	LOCKED(d);

	for (size_t i = 0; i < d->now.count; i++) {
		const struct inode *inode = d->now.items[i].inode;

		set_file(copy, d->now.items[i].path, inode->data.data, inode->data.size,
			inode->directory);
	}
	return copy;
}

void fault_disk_fail(struct fault_disk *d, enum fault_call call, unsigned nth, unsigned more,
	int error, bool partly)
{
	LOCKED(d);

	d->faults[call].nth = nth;
	d->faults[call].more = more;
	d->faults[call].error = error;
	d->faults[call].partly = partly;
}

void fault_disk_short_writes(struct fault_disk *d, size_t size)
{
	LOCKED(d);

	d->write_max = size;
}

void fault_disk_slow_syncs(struct fault_disk *d, unsigned microseconds)
{
	LOCKED(d);

	d->sync_time = microseconds;
}

void fault_disk_forgive(struct fault_disk *d)
{
	LOCKED(d);

	d->forgives = true;
}

void fault_disk_room(struct fault_disk *d, uint64_t bytes)
{
	LOCKED(d);

	d->room = bytes;
}

uint64_t fault_disk_changes(struct fault_disk *d)
{
	LOCKED(d);

	return d->changes;
}

uint64_t fault_disk_failed(struct fault_disk *d)
{
	LOCKED(d);

	return d->failed;
}

void fault_disk_kill(struct fault_disk *d, uint64_t nth)
{
	LOCKED(d);

	d->kill_at = d->changes + nth;
}

bool fault_disk_killed(struct fault_disk *d)
{
	LOCKED(d);

	return d->killed;
}

static unsigned pick(unsigned *seed, size_t n)
{
	return (unsigned)rand_r(seed) % (unsigned)n;
}

/* Every sector, and the size, are as they were after some of the changes. */
static void lose_data(struct inode *i, enum fault_cut cut, unsigned *seed)
{
	size_t n = i->n_changes;
	struct buffer kept = {0};
	uint64_t size;

	if (cut == FAULT_CUT_ALL) {
		size = size_after(i, 0);
	} else if (cut == FAULT_CUT_NOTHING) {
		size = size_after(i, n);
	} else {
		size = size_after(i, pick(seed, 2) ? n : pick(seed, n + 1));
	}
	buffer_resize(&kept, size);
	for (uint64_t start = 0; start < size; start += SECTOR) {
		uint64_t end = start + SECTOR < size ? start + SECTOR : size;
		size_t first = 0, some;

		if (start < i->synced.size) {
			memcpy(kept.data + start, i->synced.data + start,
				(i->synced.size < end ? i->synced.size : end) - start);
		}
		/* Of those that are to this sector. */
		for (first = 0; first < n && i->changes[first].data &&
				(i->changes[first].offset >= end ||
					i->changes[first].offset + i->changes[first].size <= start);
			first++) {
		}
		some = first + pick(seed, n - first + 1);
		if (cut == FAULT_CUT_ALL) {
			some = 0;
		} else if (cut == FAULT_CUT_NOTHING || pick(seed, 3) == 0) {
			some = n;
		}
		redo(i, kept.data + start, start, end, some);
	}
	drop_changes(i);
	i->data.size = i->synced.size = 0;
	buffer_append(&i->data, kept.data, kept.size);
	buffer_append(&i->synced, kept.data, kept.size);
	buffer_finish(&kept);
}

void fault_disk_cut(struct fault_disk *d, enum fault_cut cut, unsigned seed)
{
	LOCKED(d);
	size_t kept;
	bool in_order;

	/* The names: the first of the changes, or any. */
	kept = d->n_pending ? pick(&seed, d->n_pending + 1) : 0;
	in_order = pick(&seed, 2);
	for (size_t i = 0; i < d->n_pending; i++) {
		if (cut == FAULT_CUT_NOTHING ||
			(cut == FAULT_CUT_SOME && (in_order ? i < kept : pick(&seed, 2) == 0))) {
			apply(&d->synced, &d->pending[i]);
		}
		drop_pending(&d->pending[i]);
	}
	d->n_pending = 0;
	names_finish(&d->now);
	for (size_t i = 0; i < d->synced.count; i++) {
		names_set(&d->now, d->synced.items[i].path, d->synced.items[i].inode);
		if (!d->synced.items[i].inode->directory) {
			lose_data(d->synced.items[i].inode, cut, &seed);
		}
	}
}

void fault_disk_cut_power(struct fault_disk *d, unsigned seed)
{
	fault_disk_cut(d, FAULT_CUT_SOME, seed);
}

void fault_disk_record(struct fault_disk *d, bool on)
{
	LOCKED(d);

	d->recording = on;
	d->last = &d->first;
	while (*d->last) {
		d->last = &(*d->last)->next;
	}
}

void fault_disk_tag(struct fault_disk *d, uint64_t tag)
{
	LOCKED(d);

	d->tag = tag;
}

struct fault_disk *fault_disk_take(struct fault_disk *d, uint64_t *tag)
{
	LOCKED(d);
	struct fault_disk *taken = d->first;

	if (taken) {
		d->first = taken->next;
		taken->next = NULL;
		if (!d->first) {
			d->last = &d->first;
		}
		*tag = taken->tag;
	}
	return taken;
}

struct fault_disk *fault_disk_copy(struct fault_disk *d)
{
	LOCKED(d);

	return copy_all(d);
}

void fault_disk_restart(struct fault_disk *d)
{
	LOCKED(d);

	for (size_t i = 0; i < HANDLES; i++) {
		if (d->handles[i].inode) {
			d->handles[i].inode->locked = false;
			inode_unref(d->handles[i].inode);
		}
		d->handles[i] = (struct handle){0};
	}
	memset(d->faults, 0, sizeof(d->faults));
	d->write_max = SIZE_MAX;
	d->sync_time = 0;
	d->forgives = false;
	d->room = UINT64_MAX;
	d->kill_at = 0;
	d->killed = false;
}

const char *fault_disk_data(struct fault_disk *d, const char *path, size_t *size)
{
	LOCKED(d);
	struct entry *e = find(&d->now, path);

	*size = e ? e->inode->data.size : 0;
	return !e ? NULL : e->inode->data.data ? e->inode->data.data : "";
}

void fault_disk_set_data(struct fault_disk *d, const char *path, const void *data, size_t size)
{
	LOCKED(d);

	set_file(d, path, data, size, false);
}

static int compare(const void *a, const void *b)
{
	return strcmp(*(char *const *)a, *(char *const *)b);
}

char **fault_disk_files(struct fault_disk *d, size_t *n)
{
	LOCKED(d);
	char **paths = calloc(d->now.count + 1, sizeof(*paths));

	*n = 0;
	for (size_t i = 0; i < d->now.count; i++) {
		if (!d->now.items[i].inode->directory) {
			paths[(*n)++] = strdup(d->now.items[i].path);
		}
	}
	qsort(paths, *n, sizeof(*paths), compare);
	return paths;
}
