/* SPDX-License-Identifier: MIT
 * Copyright (c) 2026 The cubbyfs authors */

/* The mount that a path is on, and the files of its `.cubby` directory.
 * Errors are negative errnos; -ENOTSUP: not on a cubbyfs mount. */
#pragma once

#include <sys/types.h>

/* A directory of a live mount. */
struct control_place {
	char *point;  /* owned: where the store's root is mounted, absolute */
	char *inside; /* owned: the directory, seen from the store's root; "" is the root itself */
};

/* A mount of all of the store need not be the one that `directory` is on: a part
 * of it may be bound there. -ENOTSUP too where only parts are mounted. */
int control_find(const char *directory, struct control_place *place);
void control_place_finish(struct control_place *place);

/* Where the root of that file system, whatever it is, is mounted. *point is owned. */
int control_find_point(dev_t device, char **point);

/* Opens .cubby/NAME of the mount at `point`. A descriptor. */
int control_open(const char *point, const char *name, int flags);

/* The mount that a descriptor is of, or -1. */
int control_mount_id(int fd);
