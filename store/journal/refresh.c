/* SPDX-License-Identifier: MIT
 * Copyright (c) 2026 The cubbyfs authors */
#include "store/journal/refresh.h"

#include <errno.h>
#include <fcntl.h>

/* What cannot be read is left out in blocks of this size. */
#define BLOCK 4096

void refresh_note(struct refresh *r, const struct refresh_place *line, uint64_t synced)
{
	if (line->revision <= synced + 1) {
		r->from = *line;
		r->next = (struct refresh_place){0};
	} else if (r->next.revision == 0) {
		r->next = *line;
	} else if (r->next.revision <= synced + 1) {
		r->from = r->next;
		r->next = *line;
	}
}

/* Where to begin in a log; its end, if there is nothing to do. */
static uint64_t begin_at(const struct refresh *r, const struct segment *s)
{
	if (s->base != r->from.base) {
		return s->base > r->from.base ? 0 : s->end;
	}
	/* If its first transition may be missing, so may its first line. */
	return r->from.offset > s->start ? r->from.offset : 0;
}

static int rewrite(struct disk *disk, int fd, uint64_t at, uint64_t end)
{
	char data[4 * BLOCK];

	while (at < end) {
		size_t wanted = end - at < sizeof(data) ? (size_t)(end - at) : sizeof(data);
		ssize_t n = disk->ops->read(disk, fd, data, wanted, (off_t)at);
		int r;

		if (n <= 0) {
			at += BLOCK - at % BLOCK; /* it was taken for damage already */
			continue;
		}
		r = disk_write_all(disk, fd, data, (size_t)n, (off_t)at);
		if (r < 0) {
			return r;
		}
		at += (uint64_t)n;
	}
	return 0;
}

/* `denied`: why the file is not open for writing, or 0. */
static void refresh_log(
	const struct refresh *r, struct journal *j, int fd, int denied, const struct segment *s)
{
	uint64_t at = begin_at(r, s);
	int error = denied;

	if (j->failed || at >= s->end) {
		return;
	}
	if (!denied) {
		error = rewrite(j->disk, fd, at, s->end);
	}
	if (error < 0) {
		journal_fail(j, error, "writing once more what may not be on the disk");
	}
}

static bool sync_now(struct journal *j, int fd)
{
	int r = j->disk->ops->sync(j->disk, fd);

	if (r < 0) {
		journal_fail(j, r, "syncing to the disk");
	}
	return r == 0;
}

/* A log that is not active. NULL: it cannot be opened, which was said before. 0 or -ENOMEM. */
static int open_log(const struct refresh *r, struct journal *j, const struct segment *s,
	struct segment_file **out)
{
	int fd = segment_open(j->disk, j->directory, s, O_RDWR), denied = 0;

	*out = NULL;
	if (fd < 0) {
		denied = fd;
		fd = segment_open(j->disk, j->directory, s, O_RDONLY);
	}
	if (fd < 0) {
		return 0;
	}
	refresh_log(r, j, fd, denied, s);
	return segment_file_create(out, j->disk, fd);
}

int refresh_logs(const struct refresh *refresh, struct journal *j)
{
	/* What is missing here must not be taken for torn once there are lines
	 * behind it: the next one says that all up to it was on the disk. */
	bool now = j->usage.damaged_lines > 0 || j->usage.missing_revisions > 0;
	int r = 0;

	for (size_t i = 0; i < j->segments.count; i++) {
		const struct segment *s = &j->segments.items[i];
		struct segment_file *file;

		if (s->kind != SEGMENT_LOG || s->stale) {
			continue;
		}
		r = syncer_reserve(&j->syncer);
		if (r < 0) {
			return r;
		}
		if (j->active && i == j->segments.count - 1) {
			file = segment_file_ref(j->active);
			refresh_log(refresh, j, file->fd, 0, s);
		} else {
			r = open_log(refresh, j, s, &file);
		}
		if (r < 0) {
			return r;
		}
		if (file) {
			now = now && sync_now(j, file->fd);
			syncer_note(&j->syncer, file, j->last_revision);
			segment_file_unref(file);
		}
	}
	if (now) {
		r = j->disk->ops->sync_directory(j->disk, j->directory);
		if (r == 0) {
			syncer_begin_at(&j->syncer, j->last_revision);
		} else {
			journal_fail(j, r, "syncing to the disk");
		}
	}
	syncer_note_directory(&j->syncer);
	syncer_kick(&j->syncer);
	return 0;
}
