/* SPDX-License-Identifier: MIT
 * Copyright (c) 2026 The cubbyfs authors */
#include "store/journal/refresh.h"

void refresh_note(struct refresh *r, uint64_t base, uint64_t offset)
{
	r->marks[0] = r->marks[1];
	r->marks[1] = (struct refresh_mark){base, offset};
}

/* Where to begin in a log, or its end. */
static uint64_t begin_at(
	const struct refresh *r, const struct segment *s, uint64_t synced, uint64_t last)
{
	const struct refresh_mark *mark = &r->marks[0];

	if (s->base > synced) {
		return 0; /* its first line, too */
	}
	if (synced >= last || s->base < mark->base) {
		return s->end;
	}
	return s->base == mark->base ? mark->offset : 0;
}

int refresh_file(const struct refresh *r, struct disk *disk, int fd, const struct segment *s,
	uint64_t synced, uint64_t last)
{
	uint64_t at = begin_at(r, s, synced, last);
	char data[16384];

	while (at < s->end) {
		size_t wanted = s->end - at < sizeof(data) ? (size_t)(s->end - at) : sizeof(data);
		ssize_t n = disk->ops->read(disk, fd, data, wanted, (off_t)at);
		int rc;

		if (n <= 0) {
			return 0; /* what cannot be read was said before */
		}
		rc = disk_write_all(disk, fd, data, (size_t)n, (off_t)at);
		if (rc < 0) {
			return rc;
		}
		at += (uint64_t)n;
	}
	return 0;
}
