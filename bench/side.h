/* SPDX-License-Identifier: MIT
 * Copyright (c) 2026 The cubbyfs authors */

/* One of those who are measured: what it takes to set and get a key of it.
 *
 * A side is a named table of calls. Those that are NULL it does not have, and the
 * workloads that need them leave it out. All calls return 0 or a negative errno, and
 * have done their work when they return: what a change outlives then is said by
 * the durability that the side was opened with. Keys are short names without a
 * slash. A connection (`self`) is used by one thread; who needs more opens more,
 * after fork(2) too. */
#pragma once

#include <stdbool.h>
#include <stddef.h>

enum durability {
	/* The end of the process that keeps the data, at least. */
	DURABILITY_PROCESS,
	/* A power cut. */
	DURABILITY_DISK,
};

enum side_event {
	SIDE_KEY_SET,
	SIDE_KEY_GONE,
};

struct side {
	const char *name;

	/* Connects to what is there already. `where` is borrowed during the call. */
	int (*open)(void **self, const char *where, enum durability durability);
	/* Takes NULL. */
	void (*close)(void *self);

	/* Sets a key, which may be there. */
	int (*set)(void *self, const char *key, const void *value, size_t size);
	/* Reads up to `size` bytes of the value, in one go. *got: how many. -ENOENT. */
	int (*get)(void *self, const char *key, void *value, size_t size, size_t *got);
	/* Asks for what is known about a key without its value. */
	int (*stat)(void *self, const char *key);
	/* Makes a key, which is not there: -EEXIST. */
	int (*create)(void *self, const char *key, const void *value, size_t size);
	/* -ENOENT. */
	int (*remove)(void *self, const char *key);
	/* Adds one to a key whose value is an integer, atomically. */
	int (*increment)(void *self, const char *key);
	/* Reads all names, with `attributes` also what stat() tells of each. */
	int (*list)(void *self, bool attributes, size_t *count);
	/* Makes the keys key_name(PREFIX, 0 ... count - 1), as fast as it can. NULL: set() does. */
	int (*fill)(void *self, const char *prefix, size_t count, const void *value, size_t size);

	/* Sets a key that is gone after so long. */
	int (*set_expiring)(
		void *self, const char *key, const void *value, size_t size, double seconds);
	/* From now on wait() tells of a key, NULL: of the end of any. The connection can do
	 * nothing else any more. */
	int (*watch)(void *self, const char *key);
	/* Sleeps until the next event of that kind; others are passed over. */
	int (*wait)(void *self, enum side_event event);
};

/* A directory: the file system itself, ext4, tmpfs, the floor, bindfs. */
extern const struct side side_files;
/* The same, but a value is set by a temporary file, fsync if durable, and rename. */
extern const struct side side_renamed_files;
/* A database file; `kv` has the keys. */
extern const struct side side_sqlite;
/* SOCKET:DATABASE. */
extern const struct side side_redis;

#define KEY_NAME_SIZE 64

/* The name of the nth key: PREFIX-00000017. */
void key_name(char out[KEY_NAME_SIZE], const char *prefix, size_t number);
