/* SPDX-License-Identifier: MIT
 * Copyright (c) 2026 The cubbyfs authors */

/* Lines that will be taken soon are decoded some before it is their turn, so that what they are
 * about can be fetched from memory meanwhile.
 *
 * It decodes what is in the usual form; whoever takes a line that is in another does that himself.
 */
#pragma once

#include "base/arena.h"
#include "store/transition.h"

#define AHEAD_LINES 16

struct ahead {
	struct bytes rest; /* what is to be decoded, borrowed */
	/* One is taken from, the other comes after it. */
	struct ahead_block {
		struct arena arena;
		struct ahead_line {
			struct bytes text;
			struct transition transition;
		} lines[AHEAD_LINES];
		size_t n;
	} blocks[2];
	unsigned current;
	size_t next; /* of the current block */
	/* Told of each transition twice: once when it is decoded, and when it is near. */
	void (*soon)(void *arg, const struct transition *t, bool near);
	void *arg;
};

/* `soon` may be NULL. */
void ahead_init(
	struct ahead *a, void (*soon)(void *arg, const struct transition *t, bool near), void *arg);
void ahead_finish(struct ahead *a);

/* These lines, with their newlines, come next, and none of those before any more. Borrowed until
 * the next time. */
void ahead_begin(struct ahead *a, struct bytes lines);

/* Lines are taken in their order; some may be left out, and others be asked for. NULL: it is not
 * decoded. Good until the next one is. */
const struct transition *ahead_take(struct ahead *a, struct bytes line);
