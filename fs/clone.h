/* SPDX-License-Identifier: MIT
 * Copyright (c) 2026 The cubbyfs authors */

/* A private view of a mount: a copy of it that is in no directory tree. */
#pragma once

/* A descriptor (O_PATH) of the view's root, or a negative errno. May fork: only where
 * children are nobody else's matter. */
int clone_mount(const char *dir);
