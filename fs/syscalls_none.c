/* SPDX-License-Identifier: MIT
 * Copyright (c) 2026 The cubbyfs authors */

#include "fs/syscalls.h"

#include <errno.h>

int syscalls_limit(void)
{
	return -ENOTSUP;
}
