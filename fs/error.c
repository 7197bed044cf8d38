/* SPDX-License-Identifier: MIT
 * Copyright (c) 2026 The cubbyfs authors */

#include "fs/error.h"

#include "store/store.h"

#include <errno.h>

static int number_of_outcome(enum store_outcome outcome)
{
	switch (outcome) {
	case STORE_OK:
		return 0;
	case STORE_NOT_FOUND:
		return ENOENT;
	case STORE_EXISTS:
		return EEXIST;
	case STORE_NOT_EMPTY:
		return ENOTEMPTY;
	case STORE_NOT_DIRECTORY:
		return ENOTDIR;
	case STORE_IS_DIRECTORY:
		return EISDIR;
	case STORE_NAME_TOO_LONG:
		return ENAMETOOLONG;
	case STORE_INVALID:
		return EINVAL;
	case STORE_OUT_OF_RANGE:
		return ERANGE;
	case STORE_CONFLICT:
		return EAGAIN;
	case STORE_TOO_LARGE:
		return EFBIG;
	case STORE_TOO_MANY:
		return EDQUOT;
	case STORE_FULL:
		return ENOSPC;
	case STORE_NO_ATTRIBUTE:
		return ENODATA;
	case STORE_DENIED:
		return EPERM;
	case STORE_UNSUPPORTED:
		return EOPNOTSUPP;
	case STORE_BAD_HANDLE:
		return EBADF;
	case STORE_TOO_MANY_LINKS:
		return EMLINK;
	case STORE_LOOP: /* a namespace moved into itself; symlinks are the kernel's */
		return EINVAL;
	case STORE_STALE:
	case STORE_LOST:
		return ESTALE;
	case STORE_LOCKED:
		return EAGAIN;
	case STORE_DEADLOCK:
		return EDEADLK;
	case STORE_INTERRUPTED:
		return EINTR;
	}
	return EIO;
}

int error_number(int rc)
{
	if (rc >= 0) {
		return number_of_outcome((enum store_outcome)rc);
	}
	/* The kernel takes ENOSYS as "never ask again", and nothing past 511. */
	if (rc == -ENOSYS) {
		return EOPNOTSUPP;
	}
	return rc > -512 ? -rc : EIO;
}

int error_number_of_walk(int rc)
{
	return rc == STORE_NOT_FOUND ? ESTALE : error_number(rc);
}
