/* SPDX-License-Identifier: MIT
 * Copyright (c) 2026 The cubbyfs authors */

#include "fs/job.h"

#include "base/keep.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <linux/openat2.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#define FUSE_ROOT 1

void job_destroy(struct job *j)
{
	free(j->way);
	free(j->path);
	free(j);
}

int job_set_path(struct job *j, struct bytes path)
{
	char *copy = strndup(path.size ? path.data : "", path.size);
	char *slash = copy ? strrchr(copy, '/') : NULL;

	if (!copy) {
		return -ENOMEM;
	}
	free(j->path);
	j->path = copy;
	j->name = slash ? slash + 1 : copy;
	return 0;
}

static int job_set_way(struct job *j, const uint64_t *way, size_t n)
{
	j->way = malloc(n * sizeof(*way));
	if (!j->way) {
		return -ENOMEM;
	}
	memcpy(j->way, way, n * sizeof(*way));
	j->n_way = n;
	return 0;
}

uint64_t job_next(const struct job *j, uint64_t parent, const char *name)
{
	const char *part = j->path;
	size_t size = strlen(name);

	for (size_t i = 0; i < j->n_way; i++) {
		size_t length = strcspn(part, "/");

		if (parent == (i ? j->way[i - 1] : FUSE_ROOT) && length == size &&
			memcmp(part, name, size) == 0) {
			return j->way[i];
		}
		part += length + (part[length] == '/');
	}
	return 0;
}

struct job *job_create(enum job_kind kind, const struct store_notice *n)
{
	struct job *j = calloc(1, sizeof(*j));

	if (j && (job_set_path(j, n->path) || (n->n_way > 0 && job_set_way(j, n->way, n->n_way)))) {
		job_destroy(j);
		j = NULL;
	}
	if (j) {
		j->kind = kind;
		j->ino = n->ino;
		j->parent = n->parent;
		j->mode = n->mode;
		if (n->stat) {
			j->stat = *n->stat;
		}
	}
	return j;
}

/* --- its calls ----------------------------------------------------------------- */

static int set_mtime(int directory, const char *name)
{
	/* The time is not looked at, by anybody. */
	const struct timespec times[2] = {{.tv_nsec = UTIME_OMIT}, {.tv_nsec = 0}};

	return utimensat(directory, name, times, AT_SYMLINK_NOFOLLOW);
}

/* One step of the way: never through a symlink, never off this mount. Whoever may
 * rename a namespace can put a symlink in its place at any moment, and the call
 * that would follow it has the daemon's rights. */
static int step(int at, const char *path)
{
	struct open_how how = {
		.flags = O_PATH | O_DIRECTORY | O_CLOEXEC,
		.resolve = RESOLVE_BENEATH | RESOLVE_NO_SYMLINKS | RESOLVE_NO_XDEV,
	};

	return (int)syscall(SYS_openat2, at, path, &how, sizeof(how));
}

/* The namespace that a path leads to, as a descriptor of its own; *name is what is
 * left, the last component. -1 if the way is not there. No call takes a longer path
 * than PATH_MAX, so a long one is gone in pieces. */
static int walk(int root, const char *path, const char **name)
{
	int at = fcntl(root, F_DUPFD_CLOEXEC, 0);
	const char *end;

	while (at >= 0 && (end = strrchr(path, '/'))) {
		char part[PATH_MAX];
		int next;

		if (end - path >= PATH_MAX) {
			end = path + PATH_MAX - 1;
			while (*end != '/') {
				end--;
			}
		}
		memcpy(part, path, (size_t)(end - path));
		part[end - path] = 0;
		next = step(at, part);
		close(at);
		at = next;
		path = end + 1;
	}
	*name = path;
	return at;
}

/* Has the name looked up, whatever the kernel remembers of it. */
static int renew(int at, const char *name)
{
	return mkdirat(at, name, 0700); /* EEXIST, or what the handler says */
}

static int remove_name(int at, const char *name, int flags)
{
	int r = unlinkat(at, name, flags);

	/* What has its name now, and is remembered, is of another kind. */
	if (r < 0 && (errno == EISDIR || errno == ENOTDIR)) {
		renew(at, name);
		r = unlinkat(at, name, flags);
	}
	return r;
}

/* `name` is one component; none of the calls follows it if it is a symlink.
 * 0 or an errno. */
static int make_calls(int at, const char *name, const struct job *j)
{
	int fd, r = 0;

	switch (j->kind) {
	case JOB_MODIFY:
		r = set_mtime(at, name);
		break;
	case JOB_WRITE:
		fd = openat(at, name, O_WRONLY | O_NOFOLLOW | O_CLOEXEC | O_NONBLOCK);
		r = set_mtime(at, name);
		if (fd >= 0) {
			close(fd);
		}
		break;
	case JOB_REMOVE:
		r = remove_name(at, name, S_ISDIR(j->mode) ? AT_REMOVEDIR : 0);
		break;
	case JOB_RENEW:
		r = renew(at, name);
		break;
	case JOB_MAKE:
		if (S_ISDIR(j->mode)) {
			r = mkdirat(at, name, 0700);
		} else if (S_ISREG(j->mode)) {
			fd = openat(at, name, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
			r = fd < 0 ? -1 : close(fd);
		} else if (S_ISLNK(j->mode)) {
			r = symlinkat("?", at, name); /* where to is not looked at */
		} else {
			r = mknodat(at, name, (j->mode & S_IFMT) | 0600, 0);
		}
		break;
	}
	return r < 0 ? errno : 0;
}

int job_carry_out(const struct job *j, int root)
{
	const char *name;
	int at = walk(root, j->path, &name);
	int r;

	if (at < 0) {
		return ENOENT;
	}
	r = *name ? make_calls(at, name, j) : 0;
	close(at);
	return r;
}

/* --- the keep -------------------------------------------------------------------- */

/* In the keep; followed by the way and the path. */
struct kept_job {
	uint64_t kind, ino, parent, mode, answered, n_way;
	struct stat stat;
};

void job_keep(const struct job *j, struct keep *keep)
{
	struct kept_job kept = {
		.kind = j->kind,
		.ino = j->ino,
		.parent = j->parent,
		.mode = j->mode,
		.answered = j->answered,
		.n_way = j->n_way,
		.stat = j->stat,
	};
	size_t way = j->n_way * sizeof(*j->way);

	keep_put(keep, KEEP_JOB, j->id, bytes_of(&kept, sizeof(kept)));
	keep_write(keep, KEEP_JOB, j->id, sizeof(kept), bytes_of(j->way, way));
	keep_write(keep, KEEP_JOB, j->id, sizeof(kept) + way, bytes_of_string(j->path));
}

struct job *job_restore(uint64_t id, struct bytes b)
{
	struct store_notice n = {.kind = STORE_NOTICE_REMOVED};
	struct kept_job kept;
	struct job *j;
	size_t way;

	if (b.size < sizeof(kept)) {
		return NULL;
	}
	memcpy(&kept, b.data, sizeof(kept));
	way = (size_t)kept.n_way * sizeof(*j->way);
	n.ino = kept.ino;
	n.parent = kept.parent;
	n.mode = (mode_t)kept.mode;
	n.stat = &kept.stat;
	n.way = (const void *)(b.data + sizeof(kept));
	n.n_way = (size_t)kept.n_way;
	n.path = bytes_of(b.data + sizeof(kept) + way, b.size - sizeof(kept) - way);
	j = job_create((enum job_kind)kept.kind, &n);
	if (j) {
		j->id = id;
		j->answered = kept.answered;
	}
	return j;
}
