/* SPDX-License-Identifier: MIT
 * Copyright (c) 2026 The cubbyfs authors */

/* The exit codes of mount(8). */
#pragma once

enum status {
	STATUS_OK = 0,
	STATUS_USAGE = 1, /* wrong invocation, or not permitted */
	STATUS_SYSTEM = 2,
	STATUS_INTERRUPTED = 8,
	STATUS_MOUNT_FAILED = 32,
};
