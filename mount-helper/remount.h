/* SPDX-License-Identifier: MIT
 * Copyright (c) 2026 The cubbyfs authors */

/* mount -o remount: the flags of a mount that is there are changed, and nothing else is. */
#pragma once

#include "base/mountinfo.h"
#include "mount-helper/options.h"

#include <stdbool.h>

/* The flags for mount(2) that turn what a mount has now into what is wanted. The kernel replaces
 * them all, so those that stay are among them. */
unsigned long remount_flags(const struct mountinfo *now, const struct options *want);

/* True if a word of `want` could be honoured only by a new mount; *word is then the first such,
 * borrowed from `want`. Words that hold already are no change: those of the file system itself,
 * and `started`, the words that its daemon was started with. */
bool remount_refuses(const struct mountinfo *now, const struct options *started,
	const struct options *want, const char **word);

/* Does it, or with `fake` only finds out whether it could. Says why it failed.
 * Returns an exit code of mount(8). */
int remount(const char *directory, const struct options *want, bool fake);
