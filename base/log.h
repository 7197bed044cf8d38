/* SPDX-License-Identifier: MIT
 * Copyright (c) 2026 The cubbyfs authors */

/* The log: one line a message, to stderr, or to syslog once detached. */
#pragma once

#include <stdarg.h>
#include <syslog.h>

/* `program` prefixes each line and is borrowed for good. Messages less urgent
 * than `level` (LOG_ERR .. LOG_DEBUG) are dropped. Default: LOG_INFO. */
void log_init(const char *program, int level);

/* From here on to syslog(3) instead of stderr: the daemon has no terminal. */
void log_to_syslog(void);

void log_message(int level, const char *format, ...) __attribute__((format(printf, 2, 3)));

#define log_error(...) log_message(LOG_ERR, __VA_ARGS__)
#define log_warning(...) log_message(LOG_WARNING, __VA_ARGS__)
#define log_info(...) log_message(LOG_INFO, __VA_ARGS__)
#define log_debug(...) log_message(LOG_DEBUG, __VA_ARGS__)
