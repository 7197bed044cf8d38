/* SPDX-License-Identifier: MIT
 * Copyright (c) 2026 The cubbyfs authors */

/* What `cubby watch` is given, and what .cubby/events takes: a path into a mount
 * with wildcards in it becomes a directory that exists, and a pattern. */
#pragma once

/* The longest part of base/pattern that is a directory, and what is left; a
 * wildcard within a store ends the directory. `base` may be NULL. Both are owned.
 * 0 or a negative errno. */
int pattern_split(const char *base, const char *pattern, char **directory, char **rest);

/* The pattern for what is left, below the directory `inside` of the store. NULL,
 * for everything, is a result too. Owned. 0 or -ENOMEM. */
int pattern_join(const char *inside, const char *rest, char **out);
