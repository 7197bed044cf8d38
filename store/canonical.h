/* SPDX-License-Identifier: MIT
 * Copyright (c) 2026 The cubbyfs authors */

/* Reads a transition in the one form that record_encode gives it, which is that of
 * nearly all lines, in a fraction of the time that any JSON takes. */
#pragma once

#include "base/arena.h"
#include "store/transition.h"

#define CANONICAL_NOT 1

/* `text` is a line up to its checksum, which was right. 0: *t is what record_decode's
 * general way would make of the line; what it points at is in the text or in the arena.
 * CANONICAL_NOT: it is something else, valid or not. Or -ENOMEM. */
int canonical_decode(struct arena *arena, struct bytes text, struct transition *t);

/* The names of enum change_type in the log. */
extern const char *const change_type_names[];
#define N_CHANGE_TYPES 7
