/* SPDX-License-Identifier: MIT
 * Copyright (c) 2026 The cubbyfs authors */

/* A keep: objects in memory that outlive the process.
 *
 * An object is some bytes under a kind and a number. They are kept in a file in memory
 * that another process holds a descriptor of (keep_create_file); who opens the keep
 * after us finds them as they were when keep_publish was last called, whatever we were
 * doing when we ended, kill -9 included. It is no protection from a power cut.
 *
 * One process has a keep open at a time, and one thread uses it. All functions that change
 * it may be called with NULL, and do nothing then: there is no keep.
 *
 * Without memory, or room in the file, the keep is broken for good: this is logged,
 * and who comes after us finds nothing (keep_is_broken). Nothing else fails. */
#pragma once

#include "base/bytes.h"

#include <stdbool.h>
#include <stdint.h>

struct keep;

/* What there is, in one list, so that no two mean the same. The numbers, and
 * what is under them, are KEEP_FORMAT's. */
#define KEEP_FORMAT 2
enum keep_kind {
	KEEP_COUNTERS = 1, /* store/handover.c, from here */
	KEEP_HANDLE,
	KEEP_STAGE,
	KEEP_VALUE,
	KEEP_NODE,
	KEEP_INTENT,
	KEEP_GUARD,
	KEEP_RANGE,
	KEEP_INIT, /* fs/, from here */
	KEEP_REQUEST,
	KEEP_ANSWER,
	KEEP_STREAM,
	KEEP_REST,
	KEEP_VIEW,
	KEEP_MAPPED,
	KEEP_JOB,
	KEEP_ANNOUNCER,
	KEEP_HASH_KEY,
};

/* The memory that a keep is in: a descriptor, which survives an exec(3) only if that is
 * said. Or a negative errno. */
int keep_create_file(void);

/* Opens the keep in such a file, which stays the caller's. 0, -ENOMEM, -EPROTO if it is of
 * another format, or another negative errno. */
int keep_open(struct keep **out, int fd);
/* Publishes nothing. NULL is fine. */
void keep_close(struct keep *k);

/* Whether what was kept is lost. */
bool keep_is_broken(const struct keep *k);

/* --- changing ------------------------------------------------------------- */

/* Sets the whole of an object. */
void keep_put(struct keep *k, enum keep_kind kind, uint64_t id, struct bytes bytes);
/* Writes a part of it, which makes it as long as that takes; what nobody has written is zeros. */
void keep_write(
	struct keep *k, enum keep_kind kind, uint64_t id, uint64_t offset, struct bytes bytes);
/* Cuts it off, or makes it longer. */
void keep_resize(struct keep *k, enum keep_kind kind, uint64_t id, uint64_t size);
/* It is no more. */
void keep_drop(struct keep *k, enum keep_kind kind, uint64_t id);

/* All changes since the last time are there together from now on. */
void keep_publish(struct keep *k);

/* Called in keep_publish each time, before it has any effect: a seam for tests. */
void keep_on_publish(struct keep *k, void (*fn)(void *arg), void *arg);

/* --- what was inherited ---------------------------------------------------- */

/* An object as it was when the keep was opened; borrowed until keep_settle. False: there was none. */
bool keep_find(const struct keep *k, enum keep_kind kind, uint64_t id, struct bytes *out);

/* Calls fn for each object of a kind, in no order. */
typedef void keep_fn(void *arg, uint64_t id, struct bytes bytes);
void keep_each(const struct keep *k, enum keep_kind kind, keep_fn *fn, void *arg);

/* Nobody wants to know any more: gives the memory of that back. The objects stay. */
void keep_settle(struct keep *k);
