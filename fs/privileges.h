/* SPDX-License-Identifier: MIT
 * Copyright (c) 2026 The cubbyfs authors */

/* Giving up what serving a mount does not take. */
#pragma once

/* Afterwards this thread, and all that it makes, has
 *
 *   - of root's capabilities, if it had them, only CAP_DAC_OVERRIDE and CAP_FOWNER (the
 *     announcer's calls on other users' keys) and CAP_SYS_PTRACE (to look which descriptors
 *     other users' processes have open), and none that a program it executes could get;
 *   - no way to new privileges: no_new_privs(2);
 *   - only the system calls that it takes (syscalls.h), if that can be.
 *
 * To be called before there is any other thread: capabilities are each thread's own. There
 * is no way back, and no fork or exec, so what mounts and unmounts must be another
 * process by then (supervisor.h). 0 or a negative errno; the reason has been logged. */
int privileges_drop(void);
