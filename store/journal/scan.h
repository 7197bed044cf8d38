/* SPDX-License-Identifier: MIT
 * Copyright (c) 2026 The cubbyfs authors */

/* Goes through the lines of one file, whole or not: hands over what it finds
 * and tells what it could not use. */
#pragma once

#include "base/bytes.h"
#include "store/disk.h"

#include <stdbool.h>
#include <stdint.h>

/* A stretch of bytes that hold no line. */
struct scan_damage {
	uint64_t offset, size;
	uint64_t line;  /* its number, from 1 */
	uint64_t lines; /* how many lines it seems to have been */
	bool torn;      /* the end of a log, which a crash left incomplete */
};

/* What `line` says of what is no line of this file. */
#define SCAN_BAD 1
/* What `line` and `doubt` say where the log ends, although its file goes on. */
#define SCAN_CUT 2

struct scan {
	struct disk *disk;
	int fd;
	/* The last file of a log: it may end within a line. */
	bool last;
	/* A line without its newline, borrowed: 0, SCAN_BAD, SCAN_CUT, or a negative
	 * errno, which ends the scan. What was bad as a whole is looked through
	 * for lines that lost only their newline; `line` gets each. */
	int (*line)(void *arg, struct bytes line, uint64_t offset, uint64_t number);
	/* May come after the line that follows it. */
	void (*damage)(void *arg, const struct scan_damage *d);
	/* A stretch of damage begins: 0, SCAN_CUT, or a negative errno. May be NULL.
	 * From where the log is cut all is one piece of torn damage. */
	int (*doubt)(void *arg);
	/* Lines with their newlines, that `line` gets next; borrowed until then. May be NULL. */
	void (*ahead)(void *arg, struct bytes lines);
	/* Bytes read so far. May be NULL. */
	void (*progress)(void *arg, uint64_t done);
	void *arg;

	/* Results. */
	uint64_t size;
	uint64_t end;       /* where the next line would begin: what follows is torn or free */
	bool cut;           /* from `end` on */
	bool needs_newline; /* the line before `end` lacks its own */
	bool zeros;         /* NULs follow its lines: space that is not in use */
	uint64_t lines;
	uint64_t unreadable; /* bytes that the medium would not give */
};

/* Up to the results, all is filled in by the caller. */
int scan_run(struct scan *s);
