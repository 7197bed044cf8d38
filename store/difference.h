/* SPDX-License-Identifier: MIT
 * Copyright (c) 2026 The cubbyfs authors */

/* What a transition changes, name by name, as events. */
#pragma once

#include "base/bytes.h"
#include "store/event.h"

#include <stddef.h>

struct difference_item;

/* Zero-initialised is ready. Keeps its memory from one transition to the next. */
struct difference {
	struct difference_item *items;
	size_t n_items, capacity;
	struct buffer paths; /* of the items, one after the other */
	bool failed;	     /* without memory */
};

/* Notes what is there before `tr` is applied. */
void difference_begin(struct difference *d, const struct tree *t, const struct transition *tr);

/* After it was applied: tells the events, and forgets. What there was no memory
 * for is told as STORE_EVENT_LOST. */
void difference_end(struct difference *d, const struct tree *t, const struct transition *tr,
	store_event_fn *fn, void *arg);

/* Instead of end, for a transition that was not applied. */
void difference_drop(struct difference *d);

void difference_finish(struct difference *d);
