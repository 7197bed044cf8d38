/* SPDX-License-Identifier: MIT
 * Copyright (c) 2026 The cubbyfs authors */

/* What /proc/self/mountinfo says of one mount. The strings are owned by the struct. */
#pragma once

#include <sys/types.h>

enum {
	/* mountinfo_parse: not a line of that file; mountinfo_find: nothing is mounted there */
	MOUNTINFO_NONE = 1,
};

struct mountinfo {
	int id;
	dev_t device;              /* as stat(2)'s st_dev */
	char *root;                /* what of the file system is mounted: "/", or a part */
	char *point;               /* where it is mounted */
	char *type;                /* "fuse.cubbyfs" */
	char *source;              /* the store */
	char *super_options;       /* the file system's words, comma-separated */
	unsigned long flags;       /* the mount point's MS_* flags; one of the atime flags is set */
	unsigned long super_flags; /* the file system's MS_RDONLY, MS_SYNCHRONOUS, ... */
};

/* One line, with or without its newline. 0, MOUNTINFO_NONE or -ENOMEM. */
int mountinfo_parse(struct mountinfo *m, const char *line);

/* The topmost mount at a directory, found without asking the file system, which may be slow,
 * dead, or an automount that must not be set off. 0, MOUNTINFO_NONE if the directory
 * is no mount's root, or a negative errno. */
int mountinfo_find(struct mountinfo *m, const char *directory);

/* The mount of that id. Results as above. */
int mountinfo_of_id(struct mountinfo *m, int id);

/* One of the mounts of a file system that the caller sees. Results as above. */
int mountinfo_of_device(struct mountinfo *m, dev_t device);

void mountinfo_finish(struct mountinfo *m);
