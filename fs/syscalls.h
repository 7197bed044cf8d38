/* SPDX-License-Identifier: MIT
 * Copyright (c) 2026 The cubbyfs authors */

/* A limit to the system calls that the daemon can make: seccomp(2). */
#pragma once

/* From here on all threads of the process get ENOSYS for any call that is not on the list
 * in syscalls.c, which has no exec, no fork, no mount, no network. Needs
 * no_new_privs. 0 or a negative errno; -ENOTSUP: built without libseccomp. */
int syscalls_limit(void);
