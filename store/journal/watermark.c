/* SPDX-License-Identifier: MIT
 * Copyright (c) 2026 The cubbyfs authors */

/* The first line after a sync says what that sync covered, and the file
 * `synced` what the last one did before the store was closed. Both are true
 * from the moment they are written, so it does not matter which of them a power
 * cut leaves. It takes a pass over all logs; only who has found something
 * wrong asks. */
#include "store/journal/watermark.h"

#include "base/cleanup.h"
#include "store/journal/scan.h"
#include "store/record.h"

#include <errno.h>
#include <fcntl.h>

struct search {
	struct record_decoder *decoder;
	uint64_t found;
};

static int take_line(void *arg, struct bytes line, uint64_t offset, uint64_t number)
{
	struct search *s = arg;
	const struct transition *t;
	int r;

	(void)offset;
	(void)number;
	if (line.size == 0 || !memmem(line.data, line.size, RECORD_SYNCED, strlen(RECORD_SYNCED))) {
		/* Most say nothing; and what is no line is looked through. */
		return record_intact(line) ? 0 : SCAN_BAD;
	}
	r = record_decode(s->decoder, line, &t);
	if (r != RECORD_OK) {
		return r < 0 ? r : SCAN_BAD;
	}
	/* None can speak of what came after it. */
	if (t->synced > s->found && t->synced < t->revision) {
		s->found = t->synced;
	}
	return 0;
}

static void take_damage(void *arg, const struct scan_damage *d)
{
	(void)arg;
	(void)d;
}

static int search_log(struct search *s, struct disk *disk, const char *path)
{
	struct scan scan = {.disk = disk, .line = take_line, .damage = take_damage, .arg = s};
	int r;

	scan.fd = disk->ops->open(disk, path, O_RDONLY, 0);
	if (scan.fd < 0) {
		/* What cannot be read says nothing. */
		return scan.fd == -ENOMEM ? scan.fd : 0;
	}
	r = scan_run(&scan);
	disk->ops->close(disk, scan.fd);
	return r;
}

int watermark_read(
	struct disk *disk, const char *directory, const struct segment_list *list, uint64_t *out)
{
	struct search s = {0};
	int r;

	r = synced_read(disk, directory, &s.found);
	if (r < 0 && r == -ENOMEM) {
		return r;
	}
	r = record_decoder_create(&s.decoder);
	for (size_t i = 0; i < list->count && r == 0; i++) {
		const struct segment *segment = &list->items[i];
		char name[SEGMENT_NAME_SIZE];
		_cleanup_free_ char *path = NULL;

		if (segment->kind != SEGMENT_LOG || segment->stale) {
			continue;
		}
		segment_name(name, segment->kind, segment->named);
		path = journal_path(directory, name);
		r = path ? search_log(&s, disk, path) : -ENOMEM;
	}
	record_decoder_destroy(s.decoder);
	*out = s.found;
	return r;
}
