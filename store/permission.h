/* SPDX-License-Identifier: MIT
 * Copyright (c) 2026 The cubbyfs authors */

/* What a caller may do to a node, by owner and mode bits.
 *
 * The kernel asks that itself before it sends a call (default_permissions); here is what it
 * cannot know: that an attribute ends a name, and who a name has been taken by. Root
 * may do everything. */
#pragma once

#include "store/internal.h"

/* By its own group, or a further one. */
bool permission_in_group(const struct store *s, const struct store_caller *who, gid_t gid);

bool permission_to_write(
	const struct store *s, const struct store_caller *who, const struct node *n);

/* As for unlink(2). 0, -EACCES or, in a sticky directory, STORE_DENIED. */
int permission_to_remove(
	const struct store *s, const struct store_caller *who, const struct entry *e);
