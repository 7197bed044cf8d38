/* SPDX-License-Identifier: MIT
 * Copyright (c) 2026 The cubbyfs authors */

/* Reads a journal from end to end, changes nothing, and tells what is wrong. */
#pragma once

#include "store/disk.h"

#include <stdint.h>

struct check_problem {
	const char *file; /* name within the store */
	uint64_t line;    /* from 1; 0 where it is about the file */
	uint64_t offset;  /* of the line, bytes */
	uint64_t size;
	const char *what;   /* "checksum does not match", … */
	const char *remedy; /* one sentence */
};

struct check_summary {
	uint64_t files, lines, bytes;
	uint64_t problems;
	uint64_t last_revision;
	uint64_t kept_aside; /* files in damaged/ from earlier mounts */
};

struct check_callbacks {
	void (*problem)(void *arg, const struct check_problem *p);
	void (*progress)(void *arg, uint64_t done, uint64_t total);
	void *arg;
};

/* `disk` NULL: the operating system's; `directory` is an absolute path then.
 * 0 whatever it found; a negative errno, and a sentence in *error (owned by
 * the caller), if there is no store there or it cannot be read. Works beside
 * a running daemon: a last line without its end is then no problem if the
 * store is locked. */
int journal_check(struct disk *disk, const char *directory, const struct check_callbacks *callbacks,
	struct check_summary *out, char **error);
