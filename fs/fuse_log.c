/* SPDX-License-Identifier: MIT
 * Copyright (c) 2026 The cubbyfs authors */

#ifndef FUSE_USE_VERSION
#define FUSE_USE_VERSION 314
#endif

#include "fs/fuse_log.h"

#include "base/log.h"

#include <fuse_lowlevel.h>
#include <stdio.h>
#include <string.h>

static void __attribute__((format(printf, 2, 0)))
log_of_libfuse(enum fuse_log_level level, const char *format, va_list args)
{
	char text[1024];
	size_t size;

	if (vsnprintf(text, sizeof(text), format, args) < 0) {
		return;
	}
	for (size = strlen(text); size > 0 && text[size - 1] == '\n'; size--) {
		text[size - 1] = 0;
	}
	log_message((int)level, "%s", text);
}

void fuse_log_init(void)
{
	fuse_set_log_func(log_of_libfuse);
}
