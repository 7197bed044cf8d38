/* SPDX-License-Identifier: MIT
 * Copyright (c) 2026 The cubbyfs authors */

/* The operating system's disk, as far as one directory: a store's. */
#pragma once

#include "store/disk.h"

#include <sys/stat.h>

struct disk_directory;

/* Opens the directory, an absolute path without a slash at its end, and makes it
 * (mode 0700) if need be and `make` says so. If it is a symbolic link: -ELOOP; any
 * before it are followed. 0 or a negative errno. */
int disk_directory_open(struct disk_directory **out, const char *path, bool make);

/* What was opened through it is closed before. NULL is fine. */
void disk_directory_close(struct disk_directory *d);

/* Its paths are as for any disk, and begin with the directory's own; but that is
 * only how they are written: they lead into what was opened, whatever has become of
 * its name since. All others are -EXDEV, but for the directory above, which
 * can be synced. */
struct disk *disk_directory_disk(struct disk_directory *d);

int disk_directory_stat(const struct disk_directory *d, struct stat *out);
/* Nobody but its owner may enter from here on, if it is ours. 0 or a negative errno. */
int disk_directory_shut(struct disk_directory *d);
