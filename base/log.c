/* SPDX-License-Identifier: MIT
 * Copyright (c) 2026 The cubbyfs authors */

#include "base/log.h"

#include "base/printable.h"

#include <errno.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

static const char *log_program = "cubbyfs";
static atomic_int log_level = LOG_INFO;
static atomic_bool log_detached;

void log_init(const char *program, int level)
{
	log_program = program;
	log_level = level;
}

void log_to_syslog(void)
{
	openlog(log_program, LOG_PID, LOG_DAEMON);
	log_detached = true;
}

void log_message(int level, const char *format, ...)
{
	char line[2048];
	int saved = errno;
	size_t prefix = 0, size;
	bool detached = log_detached;
	va_list args;
	int n;

	if (level > log_level) {
		return;
	}
	if (!detached) {
		n = snprintf(line, 256, "%s: ", log_program);
		prefix = n < 0 ? 0 : n > 255 ? 255 : (size_t)n;
	}
	errno = saved; /* for %m */
	va_start(args, format);
	/* What is longer is cut; one byte is kept for the newline. */
	n = vsnprintf(line + prefix, sizeof(line) - prefix - 1, format, args);
	va_end(args);
	if (n < 0) {
		line[prefix] = 0;
	}
	printable_make(line + prefix); /* names have any bytes */
	if (detached) {
		syslog(level, "%s", line);
	} else {
		/* One write, so that lines of two threads do not mix. */
		size = strlen(line);
		line[size] = '\n';
		if (write(STDERR_FILENO, line, size + 1) < 0) {
			/* Nobody is left to tell. */
		}
	}
	errno = saved;
}
