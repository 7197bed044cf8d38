/* SPDX-License-Identifier: MIT
 * Copyright (c) 2026 The cubbyfs authors */

/* The memory backend as if it were far away, and at odds.
 *
 * Append and sync complete only from dispatch. Somebody else's transition can
 * be put before the next append, which then conflicts and must be decided
 * again. And whatever comes can be made to fail. One store at a time. */
#pragma once

#include "store/backend.h"

extern const struct backend_ops backend_late;

/* Turned by the tests; late_reset between them. */
struct late {
	bool at_once; /* completes within the call after all */
	unsigned
		noise; /* before every nth append (2 or more) somebody touches the root; 0: never */
	/* Of the next so many appends (syncs), after `pass` that go well, the
	 * status. A status other than -ENOSPC fails the log for good. */
	unsigned pass, fail;
	int append_status;
	int sync_status; /* of all syncs, while it is not 0 */

	/* What happened. */
	unsigned appends, conflicts, syncs;
	uint64_t revision;
};

extern struct late late;

void late_reset(void);

/* These changes (borrowed until then) come before the next append. */
void late_interfere(const struct change *changes, size_t n);

/* Whether something waits for dispatch. */
bool late_waits(void);
