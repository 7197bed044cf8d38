/* SPDX-License-Identifier: MIT
 * Copyright (c) 2026 The cubbyfs authors */

#include "store/permission.h"

#include <errno.h>

bool permission_in_group(const struct store *s, const struct store_caller *who, gid_t gid)
{
	return who->gid == gid ||
	       (s->config.in_group && who->pid > 0 && s->config.in_group(who->pid, gid));
}

/* `bits`: of S_IRWXO. */
static bool may(
	const struct store *s, const struct store_caller *who, const struct node *n, mode_t bits)
{
	mode_t mode = n->mode;

	if (who->uid == 0) {
		return true;
	}
	if (who->uid == node_uid(n)) {
		mode >>= 6;
	} else if (((mode >> 3 ^ mode) & bits) && permission_in_group(s, who, node_gid(n))) {
		mode >>= 3;
	}
	return (mode & bits) == bits;
}

bool permission_to_write(
	const struct store *s, const struct store_caller *who, const struct node *n)
{
	return may(s, who, n, S_IWOTH);
}

int permission_to_remove(
	const struct store *s, const struct store_caller *who, const struct entry *e)
{
	const struct node *parent = entry_parent(e);

	if (!may(s, who, parent, S_IWOTH | S_IXOTH)) {
		return -EACCES;
	}
	if ((parent->mode & S_ISVTX) && who->uid != 0 && who->uid != node_uid(parent) &&
		who->uid != node_uid(entry_node(e))) {
		return STORE_DENIED;
	}
	return 0;
}
