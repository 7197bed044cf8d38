/* SPDX-License-Identifier: MIT
 * Copyright (c) 2026 The cubbyfs authors */

/* What is in the keep, as bytes: what handover.c puts there, and handover_restore.c takes
 * out again. A change of any of it is one of KEEP_FORMAT. */
#pragma once

#include "store/internal.h"

/* Followed by the staged action, and the attributes that are set and that are removed. */
struct handle_image {
	uint64_t ino, next_offset, seen_version, base_version, stage_size;
	uint64_t kept_seen, kept_base; /* which values; 0: none */
	uint64_t request, read_request;
	int64_t written_at, changed_at;
	int64_t ttl, mtime, atime;
	uint32_t uid, gid;
	int32_t pid, process, writer;
	int32_t flags, error;
	bool has_seen, is_lost, has_stage, has_base, merges, truncated, written, makes;
	bool has_ttl, has_mtime, has_atime;
};

struct counters {
	uint64_t next_ino, next_handle;
	int64_t failed;
};

/* Followed by the value, the attributes, and the name that a pending one will have. */
struct handover_node {
	uint32_t mode, uid, gid;
	uint64_t revision, version, rdev, parent;
	int64_t created, changed, mtime, atime;
	bool is_pending, is_expired, is_lost;
};

/* Followed by the notices. */
struct intent {
	uint64_t revision, handle, ino;
	bool appends; /* to the value of ino */
	bool merges;  /* what the handle had staged */
};

/* Parts of what follows them. They append: 0 or -ENOMEM. They take from the front of *in:
 * false if that is not there, or (copies) without memory. */
int image_put_bytes(struct buffer *out, struct bytes b);
bool image_get(struct bytes *in, void *out, size_t size);
bool image_get_bytes(struct bytes *in, struct bytes *out); /* borrowed from it */
int image_put_xattrs(struct buffer *out, const struct xattr *list);
bool image_get_xattrs(struct bytes *in, struct xattr **list);
int image_put_text(struct buffer *out, const char *text); /* NULL too */
bool image_get_text(struct bytes *in, char **out);
size_t image_xattrs_size(const struct xattr *list);
