/* SPDX-License-Identifier: MIT
 * Copyright (c) 2026 The cubbyfs authors */

/* What a path of a transition says. Slices borrow from the path. */
#pragma once

#include "store/transition.h"

/* The last component. */
struct bytes place_name(const struct place *place);

/* The path of the namespace; empty for one in the root. */
struct bytes place_above(const struct place *place);

/* Whether a name can be one: 1 to 255 bytes, no NUL, not "." or "..". */
bool place_name_is_possible(struct bytes name);
