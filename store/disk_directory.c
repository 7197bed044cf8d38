/* SPDX-License-Identifier: MIT
 * Copyright (c) 2026 The cubbyfs authors */

/* The directory is opened once, and everything in it is opened from that
 * descriptor, one name at a time, no name followed if it is a symbolic link. So
 * whoever can rename what is above the store, or has put something into it, can make
 * the daemon read or write no file that is not in the store. What is no regular file is
 * not handed out either: reading a fifo would hang, and a device is not ours. */
#include "store/disk_directory.h"

#include "base/cleanup.h"

#include <fcntl.h>
#include <string.h>
#include <sys/file.h>

struct disk_directory {
	struct disk disk;
	char *path;
	size_t size; /* of the path; 0 for the root */
	int fd;
};

static struct disk_directory *self(struct disk *d)
{
	return container_of(d, struct disk_directory, disk);
}

/* ---- names ---- */

/* What a path says within the directory, "" for itself; NULL: it leads elsewhere. */
static const char *name_of(const struct disk_directory *d, const char *path)
{
	if (strncmp(path, d->path, d->size) != 0 || (path[d->size] != '/' && path[d->size])) {
		return NULL;
	}
	path += d->size;
	return path + strspn(path, "/");
}

static bool is_above(const struct disk_directory *d, const char *path)
{
	const char *slash = strrchr(d->path, '/');
	size_t size = slash == d->path ? 1 : (size_t)(slash - d->path);

	return strlen(path) == size && strncmp(path, d->path, size) == 0;
}

/* A name, and the descriptor that it is to be looked up from. */
struct spot {
	int at;
	const char *name;
	int opened; /* -1, or to be closed */
};

static void spot_finish(struct spot *p)
{
	if (p->opened >= 0) {
		close(p->opened);
	}
}

#define _cleanup_spot_ __attribute__((cleanup(spot_finish)))

/* 0 or a negative errno. There is one level of directories in a store. */
static int find_spot(const struct disk_directory *d, const char *path, struct spot *out)
{
	const char *name = name_of(d, path);
	_cleanup_free_ char *above = NULL;
	const char *slash;

	*out = (struct spot){.at = d->fd, .name = name, .opened = -1};
	if (!name || !*name) {
		return name ? -EISDIR : -EXDEV;
	}
	slash = strchr(name, '/');
	if (!slash) {
		return 0;
	}
	if (strchr(slash + 1, '/')) {
		return -EXDEV;
	}
	above = strndup(name, (size_t)(slash - name));
	if (!above) {
		return -ENOMEM;
	}
	out->opened = openat(d->fd, above, O_PATH | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	out->at = out->opened;
	out->name = slash + 1;
	return out->opened < 0 ? -errno : 0;
}

/* The directory itself, or one in it, or the one above, to be read or synced. A
 * descriptor or -errno. */
static int open_directory(const struct disk_directory *d, const char *path)
{
	const int flags = O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC;
	const char *name = name_of(d, path);
	int fd;

	if (!name && is_above(d, path)) {
		name = "..";
	} else if (!name || strchr(name, '/')) {
		return -EXDEV;
	}
	fd = openat(d->fd, *name ? name : ".", flags);
	return fd < 0 ? -errno : fd;
}

/* ---- the calls ---- */

/* 0, or the errno that says what it is. */
static int check_kind(int fd, bool may_be_new, mode_t mode)
{
	struct stat st;

	if (fstat(fd, &st) < 0) {
		return -errno;
	}
	if (S_ISDIR(st.st_mode)) {
		return -EISDIR;
	}
	if (!S_ISREG(st.st_mode)) {
		return -ENXIO;
	}
	/* The umask may have taken bits, or whoever copied the store have given some; where
	 * there are no modes this can fail. */
	if (may_be_new && (st.st_mode & 07777) != mode && st.st_uid == geteuid()) {
		(void)!fchmod(fd, mode);
	}
	return 0;
}

static int directory_open(struct disk *disk, const char *path, int flags, mode_t mode)
{
	const int always = O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK | O_NOCTTY;
	_cleanup_spot_ struct spot p = {.opened = -1};
	int fd, r = find_spot(self(disk), path, &p);

	if (r < 0) {
		return r;
	}
	do {
		fd = openat(p.at, p.name, flags | always, mode);
	} while (fd < 0 && errno == EINTR);
	if (fd < 0) {
		return -errno;
	}
	r = check_kind(fd, flags & O_CREAT, mode);
	if (r < 0) {
		close(fd);
		return r;
	}
	return fd;
}

static void directory_close(struct disk *d, int fd)
{
	(void)d;
	close(fd);
}

static ssize_t directory_write(struct disk *d, int fd, const void *data, size_t size, off_t offset)
{
	ssize_t n;

	(void)d;
	do {
		n = pwrite(fd, data, size, offset);
	} while (n < 0 && errno == EINTR);
	return n < 0 ? -errno : n;
}

static ssize_t directory_read(struct disk *d, int fd, void *data, size_t size, off_t offset)
{
	ssize_t n;

	(void)d;
	do {
		n = pread(fd, data, size, offset);
	} while (n < 0 && errno == EINTR);
	return n < 0 ? -errno : n;
}

static off_t directory_size(struct disk *d, int fd)
{
	struct stat st;

	(void)d;
	return fstat(fd, &st) < 0 ? -errno : st.st_size;
}

static int directory_truncate(struct disk *d, int fd, off_t size)
{
	int r;

	(void)d;
	do {
		r = ftruncate(fd, size);
	} while (r < 0 && errno == EINTR);
	return r < 0 ? -errno : 0;
}

static int directory_reserve(struct disk *d, int fd, off_t offset, off_t size)
{
	int r;

	(void)d;
	do {
		r = fallocate(fd, FALLOC_FL_KEEP_SIZE, offset, size);
	} while (r < 0 && errno == EINTR);
	return r < 0 ? -errno : 0;
}

static int directory_sync(struct disk *d, int fd)
{
	(void)d;
	return fdatasync(fd) < 0 ? -errno : 0;
}

static int directory_sync_directory(struct disk *disk, const char *path)
{
	_cleanup_fd_ int fd = open_directory(self(disk), path);

	if (fd < 0) {
		return fd;
	}
	return fsync(fd) < 0 ? -errno : 0;
}

static int directory_rename(struct disk *disk, const char *from, const char *to)
{
	_cleanup_spot_ struct spot a = {.opened = -1}, b = {.opened = -1};
	int r = find_spot(self(disk), from, &a);

	r = r < 0 ? r : find_spot(self(disk), to, &b);
	if (r < 0) {
		return r;
	}
	return renameat(a.at, a.name, b.at, b.name) < 0 ? -errno : 0;
}

static int directory_unlink(struct disk *disk, const char *path)
{
	_cleanup_spot_ struct spot p = {.opened = -1};
	int r = find_spot(self(disk), path, &p);

	if (r < 0) {
		return r;
	}
	return unlinkat(p.at, p.name, 0) < 0 ? -errno : 0;
}

/* Makes `name`, or finds it. *made says which. 0 or a negative errno. */
static int make_directory(int at, const char *name, mode_t mode, bool *made)
{
	_cleanup_fd_ int fd = -1;
	struct stat st;

	*made = mkdirat(at, name, mode) == 0;
	if (!*made) {
		if (errno != EEXIST || fstatat(at, name, &st, AT_SYMLINK_NOFOLLOW) < 0) {
			return -errno;
		}
		return S_ISDIR(st.st_mode) ? 0 : -ENOTDIR;
	}
	/* The umask may have taken bits. */
	fd = openat(at, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	return fd < 0 || fchmod(fd, mode) < 0 ? -errno : 0;
}

static int directory_mkdir(struct disk *disk, const char *path, mode_t mode)
{
	struct disk_directory *d = self(disk);
	const char *name = name_of(d, path);
	bool made;

	if (name && !*name) {
		return 0; /* itself */
	}
	if (!name || strchr(name, '/')) {
		return -EXDEV;
	}
	return make_directory(d->fd, name, mode, &made);
}

static int directory_list(struct disk *disk, const char *path, disk_list_fn *fn, void *arg)
{
	int fd = open_directory(self(disk), path);
	_cleanup_dir_ DIR *dir = fd < 0 ? NULL : fdopendir(fd);
	struct dirent *entry;
	int r;

	if (fd < 0) {
		return fd;
	}
	if (!dir) {
		r = -errno;
		close(fd);
		return r;
	}
	for (;;) {
		errno = 0;
		entry = readdir(dir);
		if (!entry) {
			return -errno;
		}
		if (strcmp(entry->d_name, ".") == 0 || strcmp(entry->d_name, "..") == 0) {
			continue;
		}
		r = fn(arg, entry->d_name);
		if (r != 0) {
			return r;
		}
	}
}

static int directory_lock(struct disk *d, int fd)
{
	(void)d;
	return flock(fd, LOCK_EX | LOCK_NB) < 0 ? -errno : 0;
}

static int directory_space(struct disk *disk, const char *path, struct statvfs *out)
{
	(void)path; /* there is but one file system */
	return fstatvfs(self(disk)->fd, out) < 0 ? -errno : 0;
}

static const struct disk_ops directory_ops = {
	.open = directory_open,
	.close = directory_close,
	.write = directory_write,
	.read = directory_read,
	.size = directory_size,
	.truncate = directory_truncate,
	.reserve = directory_reserve,
	.sync = directory_sync,
	.sync_directory = directory_sync_directory,
	.rename = directory_rename,
	.unlink = directory_unlink,
	.mkdir = directory_mkdir,
	.list = directory_list,
	.lock = directory_lock,
	.space = directory_space,
};

/* ---- the directory ---- */

/* A descriptor or -errno. */
static int open_or_make(const char *path, bool make)
{
	const int flags = O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC;
	bool made;
	int fd = open(path, flags), r;

	if (fd < 0 && errno == ENOENT && make) {
		r = make_directory(AT_FDCWD, path, 0700, &made);
		if (r < 0) {
			return r;
		}
		fd = open(path, flags);
	}
	return fd < 0 ? -errno : fd;
}

/* open(2) says ENOTDIR of a symbolic link, too. */
static bool is_symlink(const char *path)
{
	struct stat st;

	return lstat(path, &st) == 0 && S_ISLNK(st.st_mode);
}

int disk_directory_open(struct disk_directory **out, const char *path, bool make)
{
	struct disk_directory *d = malloc(sizeof(*d));
	int r;

	if (!d) {
		return -ENOMEM;
	}
	*d = (struct disk_directory){.disk.ops = &directory_ops, .path = strdup(path), .fd = -1};
	d->fd = d->path ? open_or_make(path, make) : -ENOMEM;
	if (d->fd < 0) {
		r = d->fd == -ENOTDIR && is_symlink(path) ? -ELOOP : d->fd;
		disk_directory_close(d);
		return r;
	}
	d->size = strcmp(path, "/") == 0 ? 0 : strlen(path);
	*out = d;
	return 0;
}

void disk_directory_close(struct disk_directory *d)
{
	if (!d) {
		return;
	}
	if (d->fd >= 0) {
		close(d->fd);
	}
	free(d->path);
	free(d);
}

struct disk *disk_directory_disk(struct disk_directory *d)
{
	return &d->disk;
}

int disk_directory_stat(const struct disk_directory *d, struct stat *out)
{
	return fstat(d->fd, out) < 0 ? -errno : 0;
}

int disk_directory_shut(struct disk_directory *d)
{
	struct stat st;

	if (fstat(d->fd, &st) < 0) {
		return -errno;
	}
	if (st.st_uid != geteuid()) {
		return -EPERM;
	}
	return fchmod(d->fd, 0700) < 0 ? -errno : 0;
}
