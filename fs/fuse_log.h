/* SPDX-License-Identifier: MIT
 * Copyright (c) 2026 The cubbyfs authors */

/* What libfuse has to say goes to our log. */
#pragma once

void fuse_log_init(void);
