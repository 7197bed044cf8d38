/* SPDX-License-Identifier: MIT
 * Copyright (c) 2026 The cubbyfs authors */

/* cubbyfs --replace: a mount goes over to a newer program. */
#pragma once

/* Has the supervisor of the mount on `dir` make a new worker, waits until that answers, and says
 * so on stdout. Returns the status to exit with: 0, or 2 if the mount is served as before;
 * the reason has been logged. `version`: which is expected. */
int replace_worker(const char *dir, const char *version);
