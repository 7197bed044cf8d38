/* SPDX-License-Identifier: MIT
 * Copyright (c) 2026 The cubbyfs authors */

/* Base64 (RFC 4648, section 4, with padding). */
#pragma once

#include "base/bytes.h"

static inline size_t base64_encoded_size(size_t size)
{
	return (size + 2) / 3 * 4;
}

/* Appends to out. 0 or -ENOMEM. */
int base64_encode(struct bytes in, struct buffer *out);

/* Writes at most in.size / 4 * 3 bytes to `out`; *size is how many. False if
 * `in` is not what base64_encode would have made of anything. */
bool base64_decode(struct bytes in, void *out, size_t *size);
