/* SPDX-License-Identifier: MIT
 * Copyright (c) 2026 The cubbyfs authors */

/* Shared mappings (mmap(2) with MAP_SHARED) that write: which handles hold
 * pages that the kernel wrote back through them. */
#pragma once

#include "store/store.h"

#include <stdint.h>

struct fuse_req;
struct mapping;

struct keep;

/* Both are borrowed; what another process has noted in the keep is noted. 0 or -ENOMEM. */
int mapping_create(struct mapping **out, struct store *store, struct keep *keep);
/* NULL is fine. */
void mapping_destroy(struct mapping *m);

/* Pages of `ino` are being staged through `handle`. */
void mapping_note(struct mapping *m, uint64_t ino, uint64_t handle);
/* The handle is released. */
void mapping_forget(struct mapping *m, uint64_t handle);

/* store_flush or store_fsync. */
typedef void mapping_commit_fn(struct store *s, const struct store_caller *caller,
	uint64_t handle, struct store_reply reply);

/* Commits the pages that other handles hold for `ino`, calls fn for `handle`,
 * and answers with its outcome, or that of the first to fail. The caller is the
 * one who made `req`. */
void mapping_commit(struct mapping *m, struct fuse_req *req, uint64_t ino, uint64_t handle,
	mapping_commit_fn *fn, struct store_reply reply);
