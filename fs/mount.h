/* SPDX-License-Identifier: MIT
 * Copyright (c) 2026 The cubbyfs authors */

/* The mount itself: made and taken away by the supervisor. */
#pragma once

#include "fs/options.h"

struct mount;

/* Opens /dev/fuse and mounts on `dir`, an absolute path; STORE shows as the mount's source.
 * 0 or a negative errno; the reason has been logged. Signals that end the process
 * should be blocked by then. */
int mount_create(struct mount **out, const struct options *o, const char *store, const char *dir);

/* /dev/fuse. Borrowed. */
int mount_fd(const struct mount *m);

/* Takes the mount out of the tree, while those who have files open go on for as long as
 * the connection lives. Without waiting for the kernel to agree. */
void mount_detach(struct mount *m);

/* Closes the connection; what is still in the tree is detached first. NULL is fine. */
void mount_destroy(struct mount *m);
