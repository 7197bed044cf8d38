/* SPDX-License-Identifier: MIT
 * Copyright (c) 2026 The cubbyfs authors */

/* The control directory `.cubby/` in the root (DESIGN 1.6): `stats`, `events` (which
 * is opened and read by events.h) and, where the log can be shown as text,
 * `journal`. It is looked up, not listed, and nothing in it can be made, changed or
 * removed.
 *
 * Its nodes have numbers that the store does not use; handles are numbers of
 * its own. Results are as the store's: 0, an outcome, or a negative errno. */
#pragma once

#include "store/store.h"

#include <stdbool.h>
#include <stdint.h>

#define CONTROL_NAME ".cubby"
#define CONTROL_FIRST 2
#define CONTROL_EVENTS 5
#define CONTROL_LAST 15

struct control;

struct keep;

/* Both are borrowed and must outlive it; what another process had open is open again. */
int control_create(struct control **out, struct store *store, struct keep *keep);
/* Closes what is open. NULL is fine. */
void control_destroy(struct control *c);

/* Whether a node is one of these. */
static inline bool control_owns(uint64_t ino)
{
	return ino >= CONTROL_FIRST && ino <= CONTROL_LAST;
}

/* Whether a name is: `.cubby` in the root, or any in it. */
bool control_claims(uint64_t parent, const char *name);

int control_lookup(struct control *c, uint64_t parent, const char *name, struct stat *st);
int control_getattr(struct control *c, uint64_t ino, struct stat *st);

/* As store_readdir. */
int control_readdir(struct control *c, uint64_t ino, uint64_t cookie, store_readdir_fn *fn,
	void *arg);
uint64_t control_parent(uint64_t ino);

/* `stats` is as of the open, `journal` grows while it is read. */
int control_open(struct control *c, uint64_t ino, int flags, uint64_t *handle);
/* *out is borrowed until the next call. */
int control_read(struct control *c, uint64_t handle, uint64_t offset, size_t size,
	struct bytes *out);
void control_release(struct control *c, uint64_t handle);
