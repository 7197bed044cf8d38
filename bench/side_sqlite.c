/* SPDX-License-Identifier: MIT
 * Copyright (c) 2026 The cubbyfs authors */

#include "bench/side.h"

#include <errno.h>
#include <sqlite3.h>
#include <stdlib.h>
#include <string.h>

enum statement { SET, GET, STAT, CREATE, REMOVE, INCREMENT, LIST, STATEMENTS };

static const char *const texts[STATEMENTS] = {
	[SET] = "INSERT INTO kv VALUES (?1, ?2) ON CONFLICT (k) DO UPDATE SET v = ?2",
	[GET] = "SELECT v FROM kv WHERE k = ?1",
	[STAT] = "SELECT length(v) FROM kv WHERE k = ?1",
	[CREATE] = "INSERT INTO kv VALUES (?1, ?2)",
	[REMOVE] = "DELETE FROM kv WHERE k = ?1",
	[INCREMENT] = "UPDATE kv SET v = v + 1 WHERE k = ?1",
	[LIST] = "SELECT k FROM kv",
};

struct sqlite {
	sqlite3 *db;
	sqlite3_stmt *statements[STATEMENTS];
};

static int error_of(int rc)
{
	switch (rc & 0xff) {
	case SQLITE_OK:
	case SQLITE_ROW:
	case SQLITE_DONE:
		return 0;
	case SQLITE_CONSTRAINT:
		return -EEXIST;
	case SQLITE_BUSY:
		return -EBUSY;
	case SQLITE_NOMEM:
		return -ENOMEM;
	default:
		return -EIO;
	}
}

static void sqlite_close(void *self)
{
	struct sqlite *s = self;

	if (!s) {
		return;
	}
	for (int i = 0; i < STATEMENTS; i++) {
		sqlite3_finalize(s->statements[i]);
	}
	sqlite3_close(s->db);
	free(s);
}

static int sqlite_open(void **self, const char *where, enum durability durability)
{
	struct sqlite *s = calloc(1, sizeof(*s));
	int rc;

	if (!s) {
		return -ENOMEM;
	}
	rc = sqlite3_open(where, &s->db);
	if (rc == SQLITE_OK) {
		sqlite3_busy_timeout(s->db, 20000);
		rc = sqlite3_exec(s->db,
			"PRAGMA journal_mode = WAL;"
			"CREATE TABLE IF NOT EXISTS kv (k TEXT PRIMARY KEY, v BLOB) WITHOUT ROWID",
			NULL, NULL, NULL);
	}
	if (rc == SQLITE_OK) {
		rc = sqlite3_exec(s->db,
			durability == DURABILITY_DISK ? "PRAGMA synchronous = FULL"
						      : "PRAGMA synchronous = NORMAL",
			NULL, NULL, NULL);
	}
	for (int i = 0; i < STATEMENTS && rc == SQLITE_OK; i++) {
		rc = sqlite3_prepare_v2(s->db, texts[i], -1, &s->statements[i], NULL);
	}
	if (rc != SQLITE_OK) {
		sqlite_close(s);
		return error_of(rc);
	}
	*self = s;
	return 0;
}

/* One step; the caller resets. */
static int step(struct sqlite *s, enum statement which, const char *key, const void *value,
	size_t size, int *rc)
{
	sqlite3_stmt *q = s->statements[which];

	sqlite3_bind_text(q, 1, key, -1, SQLITE_STATIC);
	if (value) {
		sqlite3_bind_blob(q, 2, value, (int)size, SQLITE_STATIC);
	}
	*rc = sqlite3_step(q);
	return error_of(*rc);
}

static int change(
	struct sqlite *s, enum statement which, const char *key, const void *value, size_t size)
{
	int rc, r = step(s, which, key, value, size, &rc);

	sqlite3_reset(s->statements[which]);
	return r == 0 && sqlite3_changes(s->db) == 0 ? -ENOENT : r;
}

static int sqlite_set(void *self, const char *key, const void *value, size_t size)
{
	return change(self, SET, key, value, size);
}

static int sqlite_create(void *self, const char *key, const void *value, size_t size)
{
	return change(self, CREATE, key, value, size);
}

static int sqlite_remove(void *self, const char *key)
{
	return change(self, REMOVE, key, NULL, 0);
}

static int sqlite_increment(void *self, const char *key)
{
	return change(self, INCREMENT, key, NULL, 0);
}

static int sqlite_get(void *self, const char *key, void *value, size_t size, size_t *got)
{
	struct sqlite *s = self;
	sqlite3_stmt *q = s->statements[GET];
	int rc, r = step(s, GET, key, NULL, 0, &rc);

	if (r == 0 && rc != SQLITE_ROW) {
		r = -ENOENT;
	}
	if (r == 0) {
		*got = (size_t)sqlite3_column_bytes(q, 0);
		*got = *got < size ? *got : size;
		memcpy(value, sqlite3_column_blob(q, 0), *got);
	}
	sqlite3_reset(q);
	return r;
}

static int sqlite_stat(void *self, const char *key)
{
	struct sqlite *s = self;
	int rc, r = step(s, STAT, key, NULL, 0, &rc);

	sqlite3_reset(s->statements[STAT]);
	return r == 0 && rc != SQLITE_ROW ? -ENOENT : r;
}

static int sqlite_list(void *self, bool attributes, size_t *count)
{
	struct sqlite *s = self;
	sqlite3_stmt *q = s->statements[LIST];
	int rc;

	if (attributes) {
		return -EOPNOTSUPP;
	}
	*count = 0;
	while ((rc = sqlite3_step(q)) == SQLITE_ROW) {
		*count += sqlite3_column_bytes(q, 0) > 0;
	}
	sqlite3_reset(q);
	return error_of(rc);
}

static int sqlite_fill(void *self, const char *prefix, size_t count, const void *value, size_t size)
{
	struct sqlite *s = self;
	char key[KEY_NAME_SIZE];
	int r = error_of(sqlite3_exec(s->db, "BEGIN IMMEDIATE", NULL, NULL, NULL));

	for (size_t i = 0; i < count && r == 0; i++) {
		key_name(key, prefix, i);
		r = change(s, SET, key, value, size);
	}
	return r ? r : error_of(sqlite3_exec(s->db, "COMMIT", NULL, NULL, NULL));
}

const struct side side_sqlite = {
	.name = "sqlite",
	.open = sqlite_open,
	.close = sqlite_close,
	.set = sqlite_set,
	.get = sqlite_get,
	.stat = sqlite_stat,
	.create = sqlite_create,
	.remove = sqlite_remove,
	.increment = sqlite_increment,
	.list = sqlite_list,
	.fill = sqlite_fill,
};
