/* SPDX-License-Identifier: MIT
 * Copyright (c) 2026 The cubbyfs authors */

/* The `-o` string of cubbyfs(8), parsed into values.
 *
 * Pure: nothing here looks at the system, so any bytes may be given. What
 * mount(8), fstab(5) and systemd put into the string for themselves is
 * accepted and dropped. `sync` and `dirsync` set our own `sync` and go no
 * further: as mount flags the kernel would call fsync after every write(2),
 * and commit parts of values. */
#pragma once

#include <stdbool.h>
#include <stdint.h>

/* A limit that is given as `none`. */
#define OPTIONS_NONE UINT64_MAX

/* For an option and its opposite. */
enum choice { UNSET, YES, NO };

struct options {
	/* cubbyfs's own; 0: not given, -1 for `commit` */
	uint64_t max_value;
	/* Limits; OPTIONS_NONE: without one */
	uint64_t max_keys, max_bytes;
	uint64_t max_staged, max_open, max_locks;
	uint64_t segment_size;
	uint64_t compact_min;
	int64_t commit;   /* ns */
	int64_t lock_ttl; /* ns */
	int64_t timeout;  /* ns */
	bool lock_keepalive;
	bool sync;
	int log_level; /* of syslog(3) */
	bool debug;

	/* of the mount */
	bool read_only;
	enum choice dev, suid, exec, atime;
	bool nosymfollow;
	bool allow_other, allow_root, default_permissions, auto_unmount;
	char *fsname;     /* owned; NULL: not given */
	char *subtype;    /* owned; NULL: not given */
	char **security;  /* owned; `context="a,b"` and its kind, as they were written */
	unsigned n_security;

	bool sloppy;   /* unknown options are no error */
	char *unknown; /* owned; the first one */
};

void options_init(struct options *o);
void options_finish(struct options *o);

/* Adds one `-o` argument; what comes later wins. Commas in double quotes or
 * after a backslash do not separate. 0, -ENOMEM, or -EINVAL and then *error is
 * a sentence (owned by the caller). */
int options_parse(struct options *o, const char *string, char **error);

/* Once all are parsed: complains of what is unknown, unless `sloppy`. */
int options_check(const struct options *o, char **error);

/* "1048576", "64K", "1M", "2G" (also in lower case). False if it is none. */
bool options_size(const char *text, uint64_t *out);

/* "1.5" in seconds to ns, rounded up; at most 100 years. False if it is none. */
bool options_seconds(const char *text, int64_t *out);
