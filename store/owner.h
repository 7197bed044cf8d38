/* SPDX-License-Identifier: MIT
 * Copyright (c) 2026 The cubbyfs authors */

/* Who owns a node, user and group, as one small number: a store has millions of nodes, and
 * a handful of owners.
 *
 * One table for the process, used by one thread. An owner is counted: whoever has a number
 * from owner_get or owner_ref gives it back with owner_unref. */
#pragma once

#include <stdint.h>

#define OWNER_BITS 24

/* There is always one, that needs no counting: root. */
#define OWNER_ROOT 0

/* The number of a pair, counted, in *out. 0 or -ENOMEM. */
int owner_get(uint32_t uid, uint32_t gid, uint32_t *out);
uint32_t owner_ref(uint32_t owner);
void owner_unref(uint32_t owner);

uint32_t owner_uid(uint32_t owner);
uint32_t owner_gid(uint32_t owner);
