/* SPDX-License-Identifier: MIT
 * Copyright (c) 2026 The cubbyfs authors */

/* What may be shown to a person. Names and values have any bytes, and a terminal obeys some. */
#pragma once

#include <stddef.h>

/* How many bytes the character at `s`, a string that is not empty, has; 0 if it (or the
 * byte, where that is no UTF-8) is a control character. */
size_t printable_size(const char *s);

/* Puts '?' in the place of every byte of a control character: a line stays a line. */
void printable_make(char *s);
