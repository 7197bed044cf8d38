/* SPDX-License-Identifier: MIT
 * Copyright (c) 2026 The cubbyfs authors */

/* Which descriptors a process has on a key. */
#pragma once

#include <stdint.h>
#include <sys/types.h>

/* How many descriptors of `process` write to inode `ino` of the file system
 * `device`. Asks /proc, never the file system. Only the first
 * DESCRIPTORS_LOOKED_AT of a process are looked at; 0 if it can't be known. */
#define DESCRIPTORS_LOOKED_AT 64
unsigned descriptors_that_write(pid_t process, uint64_t ino, dev_t device);
