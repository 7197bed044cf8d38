/* SPDX-License-Identifier: MIT
 * Copyright (c) 2026 The cubbyfs authors */

/* Which descriptors a process has on a key. */
#pragma once

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

/* Whether `process` has a descriptor that writes to inode `ino` of the file
 * system `device`. Asks /proc, never the file system. Only the first
 * DESCRIPTORS_LOOKED_AT of a process are looked at; false if it can't be
 * known. */
#define DESCRIPTORS_LOOKED_AT 64
bool descriptors_write_to(pid_t process, uint64_t ino, dev_t device);
