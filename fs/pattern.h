/* SPDX-License-Identifier: MIT
 * Copyright (c) 2026 The cubbyfs authors */

/* Patterns over paths, as in a shell: `*` and `?` and `[...]` match within a
 * component, a component `**` any number of components (none, too), a backslash
 * takes away a character's meaning. `NS.*` is also all that is below NS, at any
 * depth. A leading slash is of no matter.
 *
 * Whatever the pattern, a match takes time proportional to the product of the two
 * lengths at most. */
#pragma once

#include "base/bytes.h"

#include <stdbool.h>

bool pattern_matches(struct bytes pattern, struct bytes path);
