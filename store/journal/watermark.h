/* SPDX-License-Identifier: MIT
 * Copyright (c) 2026 The cubbyfs authors */

/* How far the log has been on the disk for certain.
 *
 * What was written after the last sync may be there after a power cut in any
 * part: a line, and not the one before it. What was synced can only be missing
 * because it was damaged later. The two want opposite treatment: an end that
 * never was one is cut where it begins to be wrong, so that what remains is a
 * state that was; around damage all that is whole is used. The watermark tells
 * them apart. */
#pragma once

#include "store/disk.h"
#include "store/journal/segment.h"
#include "store/transition.h"

#include <stdbool.h>
#include <stdint.h>

/* The highest revision of which a whole line of the logs, or the file `synced`,
 * says that it and all before it were on the disk. 0 or a negative errno. */
int watermark_read(
	struct disk *disk, const char *directory, const struct segment_list *list, uint64_t *out);

/* Whether so much of the end can be missing. If not, what was said is not true; and who believed
 * it would give out revisions that are too far from the last line to be read again. */
static inline bool watermark_is_possible(uint64_t synced, uint64_t last)
{
	return synced <= last || synced - last < REVISION_GAP_MAX / 2;
}
