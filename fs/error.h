/* SPDX-License-Identifier: MIT
 * Copyright (c) 2026 The cubbyfs authors */

/* What FUSE is told for what the store answers (DESIGN 1.7). The one place. */
#pragma once

/* The positive errno for a positive outcome or a negative errno; 0 for 0. */
int error_number(int rc);

/* The same for a call on a node that the kernel found by name before. That it
 * is gone now is told as ESTALE: the kernel then walks the path once more,
 * asking for each name anew, and gives the caller what comes of that. */
int error_number_of_node(int rc);
