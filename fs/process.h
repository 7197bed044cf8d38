/* SPDX-License-Identifier: MIT
 * Copyright (c) 2026 The cubbyfs authors */

/* Which process a thread belongs to. */
#pragma once

#include <sys/types.h>

/* The thread-group id of thread `tid`, or `tid` itself where that can't be
 * known. 0 (a process of another pid namespace) stays 0. */
pid_t process_of_thread(pid_t tid);
