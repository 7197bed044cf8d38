/* SPDX-License-Identifier: MIT
 * Copyright (c) 2026 The cubbyfs authors */

/* What is known of the lock on a name. */
#pragma once

#include "cli/lease.h"

#include <stdbool.h>

/* Prints it, as text or as one JSON object. Returns the exit code: 0 if something has
 * the name, 1 if it is free. */
int lock_status_print(const struct lease *l, bool json);
