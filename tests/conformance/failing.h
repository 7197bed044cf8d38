/* SPDX-License-Identifier: MIT
 * Copyright (c) 2026 The cubbyfs authors */

/* An allocator that fails the nth time, for all that the program and its
 * libraries allocate in this thread while it is armed; but not for the test disk. */
#pragma once

#include <stdbool.h>
#include <stdint.h>

/* The nth allocation from now on (1: the next) fails. */
void failing_arm(uint64_t nth);
/* Whether one has failed since. */
bool failing_disarm(void);
