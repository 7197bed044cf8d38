/* SPDX-License-Identifier: MIT
 * Copyright (c) 2026 The cubbyfs authors */

/* Immutable, reference-counted values.
 *
 * A read handle, and the state itself, hold references; whoever holds one
 * sees the same bytes for as long. Owned by one thread: counts are plain. */
#pragma once

#include "base/bytes.h"

#include <stdint.h>

struct value;

/* A copy of the bytes, with one reference; NULL without memory. At most
 * UINT32_MAX bytes. */
struct value *value_create(struct bytes bytes);

/* Takes the buffer's memory instead of copying, and leaves it empty. NULL
 * without memory, and then the buffer is as it was. */
struct value *value_take(struct buffer *buffer);

/* v with bytes added, as a new value with one reference. Amortised cost is that
 * of the bytes added: values that were appended to one another share their
 * memory. v (borrowed) may be NULL: empty. */
struct value *value_append(struct value *v, struct bytes bytes);

/* Appends `present` with the changes that lead from `base` to `mine`: the bytes that
 * differ, and the size if it does. Beyond their ends values are zeros. 0 or -ENOMEM. */
int value_merge(struct bytes present, struct bytes base, struct bytes mine, struct buffer *out);

/* Whether `later` is `earlier` with nothing but appends in between. */
bool value_continues(const struct value *later, const struct value *earlier);

struct value *value_ref(struct value *v);
void value_unref(struct value *v);

/* NULL is the empty value. Good as long as a reference is held. */
struct bytes value_bytes(const struct value *v);
static inline size_t value_size(const struct value *v)
{
	return value_bytes(v).size;
}
