/* SPDX-License-Identifier: MIT
 * Copyright (c) 2026 The cubbyfs authors */

/* No fuzzer guesses a CRC-32. A line of an input whose checksum is 00000000 gets the
 * right one, so both whole and damaged lines can be written, and found. */
#pragma once

#include "base/bytes.h"

/* Appends one line (without its newline), mended. */
void checksum_mend(struct bytes line, struct buffer *out);
