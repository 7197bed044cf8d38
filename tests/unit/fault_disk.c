/* SPDX-License-Identifier: MIT
 * Copyright (c) 2026 The cubbyfs authors */

#include "fault_disk.h"

#include "base/bytes.h"
#include "base/cleanup.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdlib.h>

/* What a file is, apart from its names. */
struct inode {
	unsigned refs;
	bool directory;
	bool locked;
	struct buffer data, synced;
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
	uint64_t room;
	uint64_t changes;
	uint64_t kill_at;
	bool killed;
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

static void inode_unref(struct inode *i)
{
	if (i && --i->refs == 0) {
		buffer_finish(&i->data);
		buffer_finish(&i->synced);
		free(i);
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
	size_t size = strlen(directory);

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
	if (call != FAULT_READ) {
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
	return d->faults[call].error;
}

#define LOCKED(d) _cleanup_unlock_ pthread_mutex_t *locked_ = lock_disk(d)

static pthread_mutex_t *lock_disk(struct fault_disk *d)
{
	pthread_mutex_lock(&d->mutex);
	return &d->mutex;
}

static struct inode *inode_of(struct fault_disk *d, int fd)
{
	return d->handles[fd - FIRST_FD].inode;
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
	}
	if (e && (flags & O_EXCL)) {
		return -EEXIST;
	}
	if (!e && !(flags & O_CREAT)) {
		return -ENOENT;
	}
	for (fd = 0; fd < HANDLES && d->handles[fd].inode; fd++) {
	}
	if (fd == HANDLES) {
		return -EMFILE;
	}
	if (e) {
		inode = e->inode;
		if (flags & O_TRUNC) {
			inode->data.size = 0;
		}
	} else {
		inode = calloc(1, sizeof(*inode));
		names_set(&d->now, path, inode);
		note(d, NULL, path, inode);
	}
	d->handles[fd] = (struct handle){.inode = inode_ref(inode)};
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
	if (end > i->data.size) {
		if (end - i->data.size > d->room) {
			size -= end - i->data.size - d->room;
			end = (size_t)offset + size;
			if (size == 0) {
				return -ENOSPC;
			}
		}
		d->room -= d->room == UINT64_MAX ? 0 : end - i->data.size;
		buffer_resize(&i->data, end);
	}
	memcpy(i->data.data + offset, data, size);
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
	if (d->room != UINT64_MAX && (size_t)size < i->data.size) {
		d->room += i->data.size - (size_t)size;
	}
	return buffer_resize(&i->data, (size_t)size);
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
		if (r == 0) {
			i->synced.size = 0;
			r = buffer_append(&i->synced, i->data.data, i->data.size);
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
	names_remove(&d->now, path);
	note(d, path, NULL, NULL);
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
	return d;
}

void fault_disk_destroy(struct fault_disk *d)
{
	fault_disk_restart(d);
	for (size_t i = 0; i < d->n_pending; i++) {
		drop_pending(&d->pending[i]);
	}
	free(d->pending);
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

static void lose_data(struct inode *i)
{
	size_t size = i->synced.size;

	if (i->data.size < size || rand() % 3 == 0) {
		/* Nothing since the sync, not even a truncation. */
		i->data.size = 0;
		buffer_append(&i->data, i->synced.data, i->synced.size);
		return;
	}
	if (rand() % 2 == 0) {
		return; /* it was written back in time */
	}
	/* A part, and maybe zeros where the data should be. */
	if (i->data.size > size) {
		size += (size_t)rand() % (i->data.size - size + 1);
	}
	if (rand() % 2 == 0 && i->data.size > size) {
		memset(i->data.data + size, 0, i->data.size - size);
	} else {
		i->data.size = size;
	}
}

void fault_disk_cut_power(struct fault_disk *d, unsigned seed)
{
	LOCKED(d);
	size_t kept;
	bool in_order;

	srand(seed);
	/* The names: the first of the changes, or any. */
	kept = d->n_pending ? (size_t)rand() % (d->n_pending + 1) : 0;
	in_order = rand() % 2;
	for (size_t i = 0; i < d->n_pending; i++) {
		if (in_order ? i < kept : rand() % 2 == 0) {
			apply(&d->synced, &d->pending[i]);
		}
		drop_pending(&d->pending[i]);
	}
	d->n_pending = 0;
	names_finish(&d->now);
	for (size_t i = 0; i < d->synced.count; i++) {
		names_set(&d->now, d->synced.items[i].path, d->synced.items[i].inode);
		if (!d->synced.items[i].inode->directory) {
			lose_data(d->synced.items[i].inode);
		}
	}
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
