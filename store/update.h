/* SPDX-License-Identifier: MIT
 * Copyright (c) 2026 The cubbyfs authors */

/* The arithmetic of the `increment` and `update` attributes: pure functions
 * from an old value to a new one. */
#pragma once

#include "base/bytes.h"

#include <stdint.h>

/* Adds the integer in `by` to the one in `old` (blank counts as 0). White space
 * around either is let pass, and a newline at the end of `old` is kept. 0,
 * STORE_INVALID for what is no integer, STORE_OUT_OF_RANGE past 64 bits (signed),
 * or -ENOMEM. */
int update_increment(struct bytes old, struct bytes by, struct buffer *out);

/* Applies a JSON array of operations (design 1.3) to a JSON value, all or none.
 * An empty value is an empty object. A newline at the end is kept. STORE_INVALID
 * if either is no JSON, or an operation does not fit what it is to change;
 * STORE_OUT_OF_RANGE; or -ENOMEM.
 *
 * set        the field becomes `value`; objects on the way are made
 * merge      `value`, an object, is merged into the object there (RFC 7396: null
 *            removes, objects merge, all else replaces); made if it is not there
 * append     `value` is added to the end of the array there; made if not there
 * increment, decrement   the number there (0 if not there) changes by `by`
 *            (default 1); integers stay integers
 * remove     the field goes; nothing happens if it is not there */
int update_apply(struct bytes old, struct bytes operations, struct buffer *out);
