/* SPDX-License-Identifier: MIT
 * Copyright (c) 2026 The cubbyfs authors */

/* What FUSE is told for what the store answers (DESIGN 1.7). The one place. */
#pragma once

/* The positive errno for a positive outcome or a negative errno; 0 for 0. */
int error_number(int rc);

/* The same for a call that only ever comes after a walk of its path (open(2),
 * opendir(3), readlink(2)). That the node is gone is told as ESTALE: the kernel
 * then walks the path once more, asking for each name anew, and gives the
 * caller what comes of that. A call that may come through a descriptor would
 * give its caller the ESTALE. */
int error_number_of_walk(int rc);
