/* SPDX-License-Identifier: MIT
 * Copyright (c) 2026 The cubbyfs authors */

/* What /proc tells of a process. */
#pragma once

#include <stdbool.h>
#include <sys/types.h>

/* The thread-group id of thread `tid`, or `tid` itself where that can't be
 * known. 0 (a process of another pid namespace) stays 0. */
pid_t process_of_thread(pid_t tid);

/* Whether thread `tid` has `gid` among its supplementary groups. */
bool process_in_group(pid_t tid, gid_t gid);
