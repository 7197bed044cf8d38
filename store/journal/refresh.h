/* SPDX-License-Identifier: MIT
 * Copyright (c) 2026 The cubbyfs authors */

/* Making sure of what another process has written.
 *
 * If a sync of its failed, what we read may be in the page cache only, and taken for clean: our
 * own syncs would succeed without it. (Measured on ext4, see sync.c.) Nobody tells us whether
 * that was so. So what no line says was on the disk is written once more, as it is, before
 * the first sync. */
#pragma once

#include "store/disk.h"
#include "store/journal/segment.h"

/* Where that begins: filled in line by line, oldest first. */
struct refresh {
	/* The last two lines that tell of a sync. The last one tells of a sync that may have begun
	 * before it was written itself, but not before the one before it was. */
	struct refresh_mark {
		uint64_t base; /* of the log; 0: there is none */
		uint64_t offset;
	} marks[2];
};

/* A line of a log says up to where all was on the disk. */
void refresh_note(struct refresh *r, uint64_t base, uint64_t offset);

/* Writes what of the file (open for reading and writing) may not be on the disk. `synced` is the
 * last revision that was, of `last` ones. 0 or the errno of a write. */
int refresh_file(const struct refresh *r, struct disk *disk, int fd, const struct segment *s,
	uint64_t synced, uint64_t last);
