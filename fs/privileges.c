/* SPDX-License-Identifier: MIT
 * Copyright (c) 2026 The cubbyfs authors */

/* Which capabilities, as tried on Linux 6.18, with ordinary users as clients:
 *
 * - CAP_DAC_OVERRIDE and CAP_FOWNER: the announcer opens, removes and makes what belongs to
 *   others, and sets times that only an owner may (utimensat(2)). Without, nothing of
 *   other users' keys is told.
 * - CAP_SYS_PTRACE: /proc/PID/fdinfo of another user's process, or of one that has more
 *   capabilities, as any of root's now has. Without, each close of a duplicated
 *   descriptor commits.
 *
 * And which not: the id of a process (tgkill(2) with signal 0 says EPERM, which is an answer),
 * pidfd_open(2), /proc/PID/stat, comm and status are anybody's; the store is the
 * daemon's own user's. CAP_SYS_ADMIN (mounting, the private view) is the supervisor's.
 * Of what root's announcer did before, only one thing is missing: making a block device
 * once more takes CAP_MKNOD, so the IN_CREATE of one that took the name of an expired key
 * is told once and not twice.
 *
 * Root without capabilities is still the owner of root's files; the bounding set and
 * no_new_privs see to it that it gets none back. */
#include "fs/privileges.h"

#include "base/log.h"
#include "fs/syscalls.h"

#include <errno.h>
#include <linux/capability.h>
#include <stdint.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <unistd.h>

static const uint64_t kept =
	UINT64_C(1) << CAP_DAC_OVERRIDE | UINT64_C(1) << CAP_FOWNER | UINT64_C(1) << CAP_SYS_PTRACE;

/* Without CAP_SETPCAP it stays as it is: then there is nothing that could be gained. */
static void drop_bounding(void)
{
	for (int cap = 0; prctl(PR_CAPBSET_READ, cap, 0, 0, 0) >= 0; cap++) {
		prctl(PR_CAPBSET_DROP, cap, 0, 0, 0);
	}
	prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_CLEAR_ALL, 0, 0, 0);
}

static int drop_capabilities(void)
{
	struct __user_cap_header_struct header = {.version = _LINUX_CAPABILITY_VERSION_3};
	struct __user_cap_data_struct data[_LINUX_CAPABILITY_U32S_3];

	if (syscall(SYS_capget, &header, data) < 0) {
		return -errno;
	}
	for (unsigned i = 0; i < _LINUX_CAPABILITY_U32S_3; i++) {
		uint32_t mask = (uint32_t)(kept >> (32 * i));

		data[i].permitted &= mask;
		data[i].effective = data[i].permitted;
		data[i].inheritable = 0;
	}
	return syscall(SYS_capset, &header, data) < 0 ? -errno : 0;
}

int privileges_drop(void)
{
	int r;

	drop_bounding();
	r = drop_capabilities();
	if (r == 0 && prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0) {
		r = -errno;
	}
	if (r < 0) {
		log_error("cannot give up privileges: %s", strerror(-r));
		return r;
	}
	r = syscalls_limit();
	if (r < 0 && r != -ENOTSUP) {
		/* A kernel, or a container, without; the rest holds all the same. */
		log_warning("system calls are not limited: %s", strerror(-r));
	}
	return 0;
}
