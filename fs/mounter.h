/* SPDX-License-Identifier: MIT
 * Copyright (c) 2026 The cubbyfs authors */

/* The process that keeps the rights which the daemon gives up (privileges.h): it mounts,
 * makes a private view of the mount, and takes the mount out of the tree. It can be asked
 * for nothing else, sees no client's data, and ends with the daemon. */
#pragma once

#include <stddef.h>

struct fuse_session;
struct mounter;

/* Forks; before there is any thread, with the signals that end the daemon blocked.
 * `fuse` is a session that is not mounted yet, `dir` an absolute path, `flags` those of
 * mount(2) that libfuse can't set, or 0. 0 or a negative errno. */
int mounter_create(
	struct mounter **out, struct fuse_session *fuse, const char *dir, unsigned long flags);

/* Mounts. A descriptor of /dev/fuse, or a negative errno. `reason` is then why, in words,
 * or else what there is to warn of, or "". */
int mounter_mount(struct mounter *m, char *reason, size_t size);

/* As clone_mount. */
int mounter_clone(struct mounter *m);

/* Takes the mount out of the tree, while those who have files open go on. Waits for
 * nothing. */
void mounter_detach(struct mounter *m);

/* Waits for what it was asked to do, and for its end. NULL is fine. */
void mounter_destroy(struct mounter *m);
