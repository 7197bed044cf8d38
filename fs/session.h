/* SPDX-License-Identifier: MIT
 * Copyright (c) 2026 The cubbyfs authors */

/* The connection to the kernel: a libfuse session, mounted. */
#pragma once

#include "fs/options.h"

#include <stdbool.h>

struct frontend;
struct fuse_session;
struct session;

/* Makes the session; `fe` is what its operations work on. STORE shows as the
 * mount's source; `dir`, an absolute path, is where it will be mounted. Forks the process
 * that does that: before there is any thread, and with the signals that end the
 * process blocked. 0 or a negative errno; the reason has been logged. */
int session_create(struct session **out, const struct options *o, const char *store,
	const char *dir, struct frontend *fe);

/* Unmounts if that has not happened, and ends the session. NULL is fine. */
void session_destroy(struct session *s);

/* Mounts. 0 or a negative errno; the reason has been logged. */
int session_mount(struct session *s);

/* A private view of the mount: a descriptor (O_PATH), or a negative errno. */
int session_clone(struct session *s);

/* Takes the mount out of the tree, while those who have files open go on for
 * as long as the session lives. Without waiting for the kernel to agree. */
void session_detach(struct session *s);

/* For the loop. Borrowed. */
struct fuse_session *session_fuse(struct session *s);

/* Whether the kernel's INIT has been answered: calls get through now. */
bool session_ready(const struct session *s);
