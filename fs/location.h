/* SPDX-License-Identifier: MIT
 * Copyright (c) 2026 The cubbyfs authors */

/* STORE and DIR as they are given, made independent of the working directory. */
#pragma once

#include <stdbool.h>

/* Whether STORE is a URL (`memory:`, `sqlite:PATH`, …) and not a directory. A
 * directory of such a name is given as `./NAME`. */
bool location_is_url(const char *store);

/* STORE with its path absolute. Owned by the caller; NULL without memory. */
char *location_of_store(const char *store);

/* DIR absolute, without symlinks, and without a slash at its end. Whether it
 * exists is not said. Owned by the caller; NULL without memory. */
char *location_of_mount(const char *dir);

/* Whether absolute `path` is `dir` or lies in it. */
bool location_is_in(const char *path, const char *dir);
