/* SPDX-License-Identifier: MIT
 * Copyright (c) 2026 The cubbyfs authors */

/* A key of a live mount, as any program sees it: a file with xattrs.
 * Errors are negative errnos. */
#pragma once

#include "base/bytes.h"

#include <stdbool.h>
#include <sys/types.h>

/* Room for an attribute's text and its NUL. */
#define KEY_ATTRIBUTE_SIZE 257

/* 0 if the namespace that `path` is in is on a cubbyfs mount, -ENOTSUP if not:
 * elsewhere user.cubby.ttl would be an attribute without a meaning, and the
 * change one that nobody asked for. */
int key_in_store(const char *path);

/* The same for what must be a key if it is there, links followed: -EISDIR for
 * a namespace, -EINVAL for a fifo and the like. */
int key_writable(const char *path);

/* Reads user.cubby.NAME of fd, or (fd -1) of path, as a string: 0 or a
 * negative errno, and then *out is empty. */
int key_attribute(int fd, const char *path, const char *name, char out[KEY_ATTRIBUTE_SIZE]);

/* Sets user.cubby.NAME; fd -1: of path. */
int key_set_attribute(int fd, const char *path, const char *name, struct bytes value);

/* Replaces *out by all that fd has to read. -EFBIG past what a value can be. */
int key_read(int fd, struct buffer *out);

/* Makes the namespaces that `path` is to be in. */
int key_make_parents(const char *path);

/* What a node is, in a word: "key", "namespace", "symlink" and so on. For good. */
const char *key_type_name(mode_t mode);
