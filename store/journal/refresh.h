/* SPDX-License-Identifier: MIT
 * Copyright (c) 2026 The cubbyfs authors */

/* Making sure of what another process has written.
 *
 * Its lines may not be on the disk yet. If a sync of its failed, they never will be: what we read
 * may be in the page cache only, and taken for clean, and our own syncs would succeed without
 * it. (Measured on ext4, see sync.c.) Nobody tells us whether that was so. So what no line says was
 * on the disk is written once more, as it is, and then synced like what we write ourselves. */
#pragma once

#include "store/journal/journal.h"

/* A line of a log; revision 0: none. */
struct refresh_place {
	uint64_t revision, base, offset;
};

struct refresh {
	struct refresh_place from; /* all before this line is on the disk */
	struct refresh_place next; /* of a later line it is not known yet */
};

/* For each line of a log that is taken, in order: where it is, and up to which revision all is
 * known to be on the disk by now. */
void refresh_note(struct refresh *r, const struct refresh_place *line, uint64_t synced);

/* Writes that once more in all logs that are in use, and gives them to the syncer. What cannot be
 * written ends all changes (journal_fail). 0 or -ENOMEM. */
int refresh_logs(const struct refresh *r, struct journal *j);
