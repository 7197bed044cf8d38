/* SPDX-License-Identifier: MIT
 * Copyright (c) 2026 The cubbyfs authors */

/* The journal: a directory of files of JSON lines. This is where it is opened
 * and where lines are added to it.
 *
 * An append is one pwrite(2) of one line at the known end of the last file,
 * and is complete when that returns: the line is in the page cache then, which
 * this process's death does not touch. If it does not go in whole, the file is
 * cut back to where it was. Where the medium is full that leaves the log as it
 * was and the next append may succeed; where even the cut fails, or the write
 * failed for another reason, nobody knows what the file holds, and the log is
 * closed to appends for good.
 *
 * Behind the end of the last file there is space that only removals may take
 * (fallocate(2) holds it), or a full medium could not be emptied: a removal is a
 * line too. So any other line must leave that much behind it.
 *
 * When the last file has grown to segment_size, the next line begins a new
 * one. Nothing is ever written to a file but the last, so a reader, a sync or
 * a compaction that holds older ones has nothing to fear. */
#include "store/journal/journal.h"

#include "base/cleanup.h"
#include "base/log.h"
#include "store/disk_directory.h"
#include "store/record.h"

#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/eventfd.h>
#include <time.h>

/* ---- opening ---- */

static void explain(char **error, const char *format, ...) __attribute__((format(printf, 2, 3)));

static void explain(char **error, const char *format, ...)
{
	va_list args;

	if (!error || *error) {
		return;
	}
	va_start(args, format);
	if (vasprintf(error, format, args) < 0) {
		*error = NULL;
	}
	va_end(args);
}

struct contents {
	bool format;
	size_t segments;
	size_t foreign;
};

static int look_at(void *arg, const char *name)
{
	struct contents *c = arg;
	enum segment_kind kind;
	uint64_t base;

	if (strcmp(name, JOURNAL_FORMAT) == 0) {
		c->format = true;
	} else if (segment_parse(name, &kind, &base)) {
		c->segments++;
	} else if (strcmp(name, JOURNAL_LOCK) != 0 && strcmp(name, JOURNAL_FORMAT_NEW) != 0 &&
		   strcmp(name, JOURNAL_SYNCED) != 0 && strcmp(name, JOURNAL_DAMAGED) != 0 &&
		   strcmp(name, "lost+found") != 0) {
		c->foreign++;
	}
	return 0;
}

static void sync_parent(struct journal *j)
{
	char *slash = strrchr(j->directory, '/');
	_cleanup_free_ char *parent = NULL;

	parent = slash == j->directory ? strdup("/")
				       : strndup(j->directory, (size_t)(slash - j->directory));
	if (parent) {
		/* Not every parent lets itself be opened; then the name's safety
		 * is its owner's matter. */
		(void)j->disk->ops->sync_directory(j->disk, parent);
	}
}

/* The disk: the caller's, or the directory itself, made if need be. */
static int open_disk(struct journal *j)
{
	int r;

	if (j->config.disk) {
		j->disk = j->config.disk;
		return j->config.read_only ? 0 : j->disk->ops->mkdir(j->disk, j->directory, 0700);
	}
	r = disk_directory_open(&j->own, j->directory, !j->config.read_only);
	j->disk = r < 0 ? NULL : disk_directory_disk(j->own);
	return r;
}

/* Whoever else can write to the directory can give the store another content, or
 * keep the daemon from its files: that is no store to serve others from. One
 * that is only read is taken as it is. */
static int check_owner(struct journal *j, bool fresh, char **error)
{
	struct stat st;
	int r;

	if (!j->own || j->config.read_only) {
		return 0;
	}
	if (fresh) {
		/* Where there are no modes, there is nothing to lose. */
		(void)disk_directory_shut(j->own);
	}
	r = disk_directory_stat(j->own, &st);
	if (r < 0) {
		return r;
	}
	if (st.st_uid != geteuid() && st.st_uid != 0) {
		explain(error,
			"the store %s belongs to user %u, who could change it at any time: make it "
			"user %u's (chown), or mount it as user %u",
			j->directory, st.st_uid, geteuid(), st.st_uid);
		return -EPERM;
	}
	if (st.st_mode & (S_IWGRP | S_IWOTH)) {
		explain(error,
			"others than its owner can write to the store %s (mode %04o): look at what "
			"is in it, then chmod 700 it",
			j->directory, st.st_mode & 07777);
		return -EPERM;
	}
	return 0;
}

/* Makes the directory if need be, and looks whether it is one to work in. */
static int enter_directory(struct journal *j, struct contents *c, char **error)
{
	int r = open_disk(j);

	if (r == 0) {
		r = j->disk->ops->list(j->disk, j->directory, look_at, c);
	}
	if (r < 0) {
		if (r == -ELOOP) {
			explain(error, "the store %s is a symbolic link: give what it leads to",
				j->directory);
		} else if (r == -ENOTDIR) {
			explain(error, "%s is not a directory: give a directory for the store",
				j->directory);
		} else if (r == -ENOENT) {
			explain(error, "%s does not exist%s", j->directory,
				j->config.read_only
					? ""
					: ", and neither does the directory it is to be in");
		} else {
			explain(error, "cannot open the store %s: %s", j->directory,
				journal_file_error(r));
		}
		return r;
	}
	if (!c->format && c->segments == 0 && (c->foreign > 0 || j->config.read_only)) {
		explain(error, "%s is not a cubbyfs store%s", j->directory,
			c->foreign > 0 ? " and not empty: give an empty directory, or a new one"
				       : "");
		return c->foreign > 0 ? -ENOTEMPTY : -ENOENT;
	}
	r = check_owner(j, !c->format && c->segments == 0, error);
	if (r < 0) {
		return r;
	}
	if (!c->format && c->segments == 0) {
		sync_parent(j);
	}
	return 0;
}

/* Whatever the lock's holder left in the file: a number, or nothing. */
static long read_holder(struct journal *j, int fd)
{
	char text[32] = {0};

	if (j->disk->ops->read(j->disk, fd, text, sizeof(text) - 1, 0) <= 0) {
		return 0;
	}
	return strtol(text, NULL, 10);
}

static int take_lock(struct journal *j, char **error)
{
	const struct timespec pause = {.tv_nsec = 20 * NSEC_PER_MSEC};
	_cleanup_free_ char *path = journal_path(j->directory, JOURNAL_LOCK);
	char text[32];
	int64_t waited = 0;
	long holder;
	int n, r;

	if (!path) {
		return -ENOMEM;
	}
	j->lock_fd = j->disk->ops->open(j->disk, path, O_RDWR | O_CREAT, 0600);
	if (j->lock_fd < 0) {
		r = j->lock_fd;
		explain(error, "cannot open %s: %s", path, journal_file_error(r));
		return r;
	}
	while ((r = j->disk->ops->lock(j->disk, j->lock_fd)) == -EWOULDBLOCK &&
		waited < j->config.lock_wait) {
		nanosleep(&pause, NULL);
		waited += pause.tv_nsec;
	}
	if (r == -EWOULDBLOCK) {
		holder = read_holder(j, j->lock_fd);
		if (holder > 0) {
			explain(error,
				"store %s is held by process %ld: unmount it there, or use another "
				"store",
				j->directory, holder);
		} else {
			explain(error, "store %s is held by another process", j->directory);
		}
		return -EBUSY;
	}
	if (r < 0) {
		explain(error, "cannot lock %s: %s", path, strerror(-r));
		return r;
	}
	/* Only for the message above: a full disk is no reason to stop. */
	n = snprintf(text, sizeof(text), "%ld\n", (long)getpid());
	(void)j->disk->ops->truncate(j->disk, j->lock_fd, 0);
	(void)disk_write_all(j->disk, j->lock_fd, text, (size_t)n, 0);
	return 0;
}

static int write_format(struct journal *j)
{
	_cleanup_free_ char *path = journal_path(j->directory, JOURNAL_FORMAT);
	_cleanup_free_ char *fresh = journal_path(j->directory, JOURNAL_FORMAT_NEW);
	_cleanup_buffer_ struct buffer line = {0};
	const struct disk_ops *ops = j->disk->ops;
	int fd, r;

	if (!path || !fresh) {
		return -ENOMEM;
	}
	r = header_encode(&(struct header){.kind = "store", .version = JOURNAL_VERSION}, &line);
	if (r < 0) {
		return r;
	}
	fd = disk_make(j->disk, fresh, O_WRONLY);
	if (fd < 0) {
		return fd;
	}
	r = disk_write_all(j->disk, fd, line.data, line.size, 0);
	if (r == 0) {
		r = ops->sync(j->disk, fd);
	}
	ops->close(j->disk, fd);
	if (r == 0) {
		r = ops->rename(j->disk, fresh, path);
	}
	if (r == 0) {
		r = ops->sync_directory(j->disk, j->directory);
	}
	return r;
}

static int check_format(struct journal *j, const struct contents *c, char **error)
{
	uint64_t version = 0;
	int r;

	if (c->format) {
		r = format_read(j->disk, j->directory, &version);
		if (r < 0 && r != -ENOENT && !(journal_is_no_file(r) && c->segments > 0)) {
			explain(error, "cannot read %s/%s: %s", j->directory, JOURNAL_FORMAT,
				journal_file_error(r));
			return r;
		}
	}
	if (version == JOURNAL_VERSION) {
		return 0;
	}
	if (version != 0) {
		explain(error,
			"store %s has format version %llu, this program knows version %d: use a "
			"newer cubbyfs",
			j->directory, (unsigned long long)version, JOURNAL_VERSION);
		return -EPROTONOSUPPORT;
	}
	if (c->segments > 0) {
		log_warning("%s/%s is %s; the files beside it are a journal and are used as one",
			j->directory, JOURNAL_FORMAT, c->format ? "damaged" : "missing");
		j->usage.damaged_lines++;
	} else if (c->format) {
		/* Damaged, or a file of somebody else's. */
		explain(error, "%s/%s is not a store's: give an empty directory, or a new one",
			j->directory, JOURNAL_FORMAT);
		return -ENOTEMPTY;
	}
	if (j->config.read_only) {
		return 0;
	}
	r = write_format(j);
	if (r < 0 && c->segments > 0) {
		log_warning("cannot write %s/%s: %s", j->directory, JOURNAL_FORMAT, strerror(-r));
		return 0;
	}
	if (r < 0) {
		explain(error, "cannot make a store in %s: %s", j->directory,
			journal_file_error(r));
	}
	return r;
}

/* What is kept aside must have a place to go to, or it would be lost. */
static int check_damaged(struct journal *j, char **error)
{
	_cleanup_free_ char *path = journal_path(j->directory, JOURNAL_DAMAGED);
	int r = path ? j->disk->ops->open(j->disk, path, O_RDONLY, 0) : -ENOMEM;

	if (r >= 0) {
		j->disk->ops->close(j->disk, r);
		r = -ENOTDIR;
	}
	if (r == -ENOTDIR || r == -ELOOP || r == -ENXIO) {
		explain(error, "cannot use %s: it is no directory; move it away", path);
		return -ENOTDIR;
	}
	return r == -ENOMEM ? r : 0;
}

/* The daemon changes to "/" later; and paths do not end in a slash here. */
static char *absolute(const char *location)
{
	_cleanup_free_ char *cwd = NULL;
	char *path = NULL;
	size_t size;

	if (location[0] == '/') {
		path = strdup(location);
	} else {
		cwd = getcwd(NULL, 0);
		if (!cwd || asprintf(&path, "%s/%s", cwd, location) < 0) {
			return NULL;
		}
	}
	if (path) {
		for (size = strlen(path); size > 1 && path[size - 1] == '/'; size--) {
			path[size - 1] = 0;
		}
	}
	return path;
}

static void destroy(struct journal *j)
{
	segment_file_unref(j->active);
	segment_list_finish(&j->segments);
	buffer_finish(&j->line);
	if (j->lock_fd >= 0) {
		j->disk->ops->close(j->disk, j->lock_fd);
	}
	disk_directory_close(j->own);
	if (j->event_fd >= 0) {
		close(j->event_fd);
	}
	free(j->directory);
	free(j);
}

static int journal_open(struct backend **out, const char *location,
	const struct backend_config *config, char **error)
{
	struct contents contents = {0};
	struct journal *j;
	int r = -ENOMEM;

	j = calloc(1, sizeof(*j));
	if (!j) {
		return -ENOMEM;
	}
	j->base.ops = &backend_journal;
	j->config = *config;
	j->clock = config->clock ? config->clock : &clock_system;
	if (j->config.segment_size == 0) {
		j->config.segment_size = JOURNAL_SEGMENT_SIZE;
	}
	j->lock_fd = -1;
	j->event_fd = -1;
	j->directory = absolute(location);
	if (!j->directory) {
		goto fail;
	}
	r = enter_directory(j, &contents, error);
	if (r < 0) {
		goto fail;
	}
	if (!config->read_only) {
		r = take_lock(j, error);
		if (r < 0) {
			goto fail;
		}
		/* The last holder may have made the store meanwhile. */
		contents = (struct contents){0};
		r = j->disk->ops->list(j->disk, j->directory, look_at, &contents);
		if (r < 0) {
			goto fail;
		}
	}
	if (!config->read_only) {
		r = check_damaged(j, error);
		if (r < 0) {
			goto fail;
		}
	}
	r = check_format(j, &contents, error);
	if (r < 0) {
		goto fail;
	}
	if (!config->read_only) {
		j->event_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
		if (j->event_fd < 0) {
			r = -errno;
			goto fail;
		}
		r = syncer_init(
			&j->syncer, j->disk, j->directory, config->lends_thread ? -1 : j->event_fd);
		if (r < 0) {
			goto fail;
		}
	}
	*out = &j->base;
	return 0;

fail:
	explain(error, "cannot open the store %s: %s", location, strerror(-r));
	destroy(j);
	return r;
}

/* ---- appending ---- */

/* When the log is written ahead: each sync since the last append counts for as many appends as may
 * share one, and so many of the last ones must have been synced. */
#define DURABLE_STEP 8
#define DURABLE_ENOUGH 32
#define DURABLE_MOST 64

void journal_fail(struct journal *j, int error, const char *what)
{
	if (j->failed == 0) {
		j->failed = error;
		log_error("%s: %s failed: %s; the store takes no more changes until it is opened "
			  "anew",
			j->directory, what, strerror(-error));
	}
}

static bool is_full(int error)
{
	return error == -ENOSPC || error == -EDQUOT || error == -EFBIG;
}

int journal_write_header(struct journal *j, int fd, uint64_t base, uint64_t *size)
{
	_cleanup_buffer_ struct buffer line = {0};
	struct header header = {
		.kind = "log",
		.version = JOURNAL_VERSION,
		.base = base,
		.next_ino = j->next_ino,
		.at = journal_time(j),
	};
	int r = header_encode(&header, &line);

	if (r == 0) {
		r = disk_write_all(j->disk, fd, line.data, line.size, 0);
	}
	*size = line.size;
	return r;
}

/* Holds space for `size` bytes from `end` on and for the removals after them;
 * *reserved is how far it reaches. 0 or -ENOSPC. */
static int reserve(struct journal *j, int fd, uint64_t end, uint64_t size, uint64_t *reserved)
{
	const struct disk_ops *ops = j->disk->ops;
	uint64_t wanted = end + size + JOURNAL_RESERVE;
	int r;

	if (j->no_reserve || wanted <= *reserved) {
		return 0;
	}
	r = ops->reserve(j->disk, fd, (off_t)end, (off_t)(wanted + JOURNAL_AHEAD - end));
	if (r == 0) {
		*reserved = wanted + JOURNAL_AHEAD;
		return 0;
	}
	if (is_full(r)) {
		r = ops->reserve(j->disk, fd, (off_t)end, (off_t)(wanted - end));
	}
	if (r == 0) {
		*reserved = wanted;
	}
	/* Whatever else is wrong, the write will tell. */
	j->no_reserve = r == -EOPNOTSUPP || r == -ENOSYS;
	return is_full(r) ? -ENOSPC : 0;
}

int journal_begin_segment(struct journal *j)
{
	struct segment s = {
		.kind = SEGMENT_LOG,
		.base = j->last_revision + 1,
		.named = j->last_revision + 1,
	};
	_cleanup_free_ char *path = NULL;
	char name[SEGMENT_NAME_SIZE];
	struct segment_file *file;
	uint64_t reserved = 0;
	int fd, r;

	segment_name(name, SEGMENT_LOG, s.base);
	path = journal_path(j->directory, name);
	r = path ? syncer_reserve(&j->syncer) : -ENOMEM;
	if (r == 0) {
		r = segment_list_add(&j->segments, &s);
	}
	if (r < 0) {
		return r;
	}
	/* A file of that name can only be one that could not be begun before:
	 * no file of ours holds this revision. */
	fd = disk_make(j->disk, path, O_RDWR);
	if (fd < 0) {
		j->segments.count--;
		return fd;
	}
	r = journal_write_header(j, fd, s.base, &s.size);
	if (r == 0) {
		r = reserve(j, fd, s.size, 0, &reserved);
	}
	if (r < 0) {
		j->disk->ops->close(j->disk, fd);
	} else {
		r = segment_file_create(&file, j->disk, fd);
	}
	if (r < 0) {
		(void)j->disk->ops->unlink(j->disk, path);
		j->segments.count--;
		return r;
	}
	journal_logs_seal(j);
	if (j->active) {
		j->segments.items[j->segments.count - 2].size = j->end;
		j->segments.items[j->segments.count - 2].end = j->end;
		/* Gives back what was held behind its end. */
		(void)j->disk->ops->truncate(j->disk, j->active->fd, (off_t)j->end);
		segment_file_unref(j->active);
	}
	s.start = s.size;
	s.end = s.size;
	j->segments.items[j->segments.count - 1] = s;
	j->active = file;
	j->end = j->written = s.size;
	j->reserved = reserved;
	syncer_note(&j->syncer, file, j->last_revision);
	syncer_note_directory(&j->syncer);
	/* Early, so that the old file's end is not missing for long while the
	 * new file's beginning may be there. */
	syncer_kick(&j->syncer);
	journal_logs_attach(j);
	return 0;
}

/* A log for a line of `size` bytes to go to. */
static int make_place(struct journal *j, size_t size)
{
	struct segment *s;
	int r;

	if (j->active) {
		s = &j->segments.items[j->segments.count - 1];
		if (j->end <= s->start || j->end + size <= j->config.segment_size ||
			s->base == j->last_revision + 1) {
			return 0;
		}
	}
	r = journal_begin_segment(j);
	if (r == -EIO || !j->active) {
		return r;
	}
	return 0; /* without a new one the old one goes on */
}

static bool is_removal(const struct transition *t)
{
	for (size_t i = 0; i < t->n_changes; i++) {
		if (t->changes[i].type != CHANGE_REMOVE && t->changes[i].type != CHANGE_EXPIRE) {
			return false;
		}
	}
	return true;
}

/* A sync of a file that has not changed in size is quicker. So while most appends are waited
 * for, the log is written ahead: with zeros, which a reader takes for unused space. */
static void write_ahead(struct journal *j)
{
	static const char zeros[JOURNAL_ZEROS];
	uint64_t rounds = syncer_rounds(&j->syncer);
	uint64_t size;

	if (rounds == j->rounds) {
		j->durable -= j->durable > 0;
	} else {
		j->durable += j->durable < DURABLE_MOST ? DURABLE_STEP : 0;
	}
	j->rounds = rounds;
	if (j->end <= j->written) {
		return;
	}
	j->written = j->end;
	if (j->durable < DURABLE_ENOUGH || j->end >= j->config.segment_size) {
		return;
	}
	size = j->config.segment_size - j->end;
	size = size < sizeof(zeros) ? size : sizeof(zeros);
	/* It is not worth an error: the next line's own write will tell. */
	if (disk_write_all(j->disk, j->active->fd, zeros, size, (off_t)j->end) == 0) {
		j->written += size;
	} else {
		j->durable = 0;
	}
}

static int append_line(struct journal *j, const struct transition *t)
{
	int r, cut;

	r = make_place(j, j->line.size);
	if (r == 0) {
		r = syncer_reserve(&j->syncer);
	}
	if (r == -EIO || disk_is_no_file(r)) {
		journal_fail(j, r, "beginning a new file");
		return -EIO;
	}
	if (r == 0 && !is_removal(t)) {
		r = reserve(j, j->active->fd, j->end, j->line.size, &j->reserved);
	}
	if (r < 0) {
		return is_full(r) ? -ENOSPC : r;
	}
	r = disk_write_all(j->disk, j->active->fd, j->line.data, j->line.size, (off_t)j->end);
	if (r < 0) {
		j->reserved = 0; /* the truncation gives it back */
		j->written = j->end;
		cut = j->disk->ops->truncate(j->disk, j->active->fd, (off_t)j->end);
		if (is_full(r) && cut == 0) {
			return -ENOSPC;
		}
		journal_fail(j, is_full(r) ? cut : r, "writing");
		return -EIO;
	}
	j->end += j->line.size;
	write_ahead(j);
	syncer_note(&j->syncer, j->active, t->revision);
	return 0;
}

static void journal_append(
	struct backend *b, const struct transition *t, backend_done *done, void *arg)
{
	struct journal *j = journal_of(b);
	struct transition line = *t;
	int r;

	if (j->failed || j->config.read_only || !j->replayed) {
		done(arg, -EROFS);
		return;
	}
	if (t->revision <= j->last_revision) {
		log_error("%s: revision %llu is not after %llu", j->directory,
			(unsigned long long)t->revision, (unsigned long long)j->last_revision);
		done(arg, -EINVAL);
		return;
	}
	j->line.size = 0;
	line.synced = syncer_revision(&j->syncer);
	if (line.synced <= j->said_synced) {
		line.synced = 0;
	}
	r = record_encode(&line, &j->line);
	if (r == 0) {
		r = append_line(j, t);
	}
	if (j->line.capacity > (1 << 22)) {
		buffer_finish(&j->line); /* one huge value is no reason to keep that much */
	}
	if (r == 0) {
		j->last_revision = t->revision;
		j->said_synced += line.synced > 0 ? line.synced - j->said_synced : 0;
		j->usage.appends++;
		if (transition_time(t) > j->last_at) {
			j->last_at = transition_time(t);
		}
		for (size_t i = 0; i < t->n_changes; i++) {
			if (t->changes[i].ino >= j->next_ino && t->changes[i].ino < INO_LIMIT) {
				j->next_ino = t->changes[i].ino + 1;
			}
		}
	}
	done(arg, r);
}

/* ---- the rest ---- */

static void journal_sync(struct backend *b, backend_done *done, void *arg)
{
	struct journal *j = journal_of(b);

	if (j->failed) {
		done(arg, -EIO);
	} else if (j->config.read_only) {
		done(arg, 0);
	} else {
		syncer_request(&j->syncer, done, arg);
	}
}

static bool journal_sync_due(struct backend *b)
{
	struct journal *j = journal_of(b);

	return j->config.lends_thread && !j->config.read_only && syncer_due(&j->syncer);
}

static void journal_sync_run(struct backend *b)
{
	syncer_run(&journal_of(b)->syncer);
}

static int journal_poll_fd(struct backend *b)
{
	return journal_of(b)->event_fd;
}

void journal_notify(int event_fd)
{
	const uint64_t one = 1;

	if (write(event_fd, &one, sizeof(one)) < 0) {
		/* The counter is full: the loop knows. */
	}
}

static void take_completions(struct journal *j)
{
	int r = syncer_error(&j->syncer);

	if (r < 0) {
		journal_fail(j, r, "syncing to the disk");
	}
	syncer_collect(&j->syncer);
	journal_compaction_collect(j);
}

static void journal_dispatch(struct backend *b)
{
	struct journal *j = journal_of(b);
	uint64_t count;

	if (j->event_fd < 0) {
		return;
	}
	if (read(j->event_fd, &count, sizeof(count)) < 0) {
		/* Nothing new, which the rest finds out by itself. */
	}
	take_completions(j);
}

static void journal_usage(struct backend *b, struct backend_usage *out)
{
	struct journal *j = journal_of(b);

	*out = j->usage;
	out->failed = j->failed;
	out->syncs = j->config.read_only ? 0 : syncer_rounds(&j->syncer);
	out->bytes = 0;
	out->segments = j->segments.count;
	for (size_t i = 0; i < j->segments.count; i++) {
		bool active = j->active && i == j->segments.count - 1;

		out->bytes += active ? j->end : j->segments.items[i].size;
	}
	if (j->disk->ops->space(j->disk, j->directory, &out->space) < 0) {
		out->space = (struct statvfs){0};
	}
}

/* Says that all that is there was on the disk. It is not worth a sync, or an
 * error: without it damage at the very end would be taken for a torn end. */
static void write_synced(struct journal *j)
{
	_cleanup_free_ char *path = journal_path(j->directory, JOURNAL_SYNCED);
	_cleanup_buffer_ struct buffer line = {0};
	struct header header = {.kind = "synced", .version = JOURNAL_VERSION};
	int fd;

	header.revision = syncer_revision(&j->syncer);
	if (!path || header.revision <= j->said_synced || header_encode(&header, &line) < 0) {
		return;
	}
	fd = j->disk->ops->open(j->disk, path, O_WRONLY | O_CREAT, 0600);
	if (fd < 0) {
		return;
	}
	if (disk_write_all(j->disk, fd, line.data, line.size, 0) == 0) {
		(void)j->disk->ops->truncate(j->disk, fd, (off_t)line.size);
	}
	j->disk->ops->close(j->disk, fd);
}

static int journal_close(struct backend *b)
{
	struct journal *j = journal_of(b);
	int r = 0;

	if (!j->config.read_only) {
		journal_compaction_close(j);
		if (j->active && j->written > j->end && !j->failed) {
			(void)j->disk->ops->truncate(j->disk, j->active->fd, (off_t)j->end);
		}
		r = syncer_stop(&j->syncer);
		take_completions(j);
		if (j->replayed && !j->failed) {
			write_synced(j);
		}
		syncer_finish(&j->syncer);
		(void)j->disk->ops->truncate(j->disk, j->lock_fd, 0);
	}
	destroy(j);
	return r;
}

const struct backend_ops backend_journal = {
	.name = "journal",
	.open = journal_open,
	.replay = journal_replay,
	.append = journal_append,
	.sync = journal_sync,
	.sync_due = journal_sync_due,
	.sync_run = journal_sync_run,
	.poll_fd = journal_poll_fd,
	.dispatch = journal_dispatch,
	.snapshot_begin = journal_snapshot_begin,
	.snapshot_put = journal_snapshot_put,
	.snapshot_end = journal_snapshot_end,
	.snapshot_abort = journal_snapshot_abort,
	.usage = journal_usage,
	.log_open = journal_log_open,
	.log_first = journal_log_first,
	.log_size = journal_log_size,
	.log_read = journal_log_read,
	.log_close = journal_log_close,
	.close = journal_close,
};
