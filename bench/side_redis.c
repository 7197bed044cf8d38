/* SPDX-License-Identifier: MIT
 * Copyright (c) 2026 The cubbyfs authors */

#include "bench/side.h"

#include <errno.h>
#include <hiredis/hiredis.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct redis {
	redisContext *context;
	unsigned database;
	bool watching;
};

/* Frees the reply. The type that it must have, or a negative errno. */
static int expect(redisReply *reply, int type)
{
	int r = !reply ? -EIO : reply->type == REDIS_REPLY_NIL ? -ENOENT : 0;

	if (r == 0 && reply->type != type) {
		r = -EIO;
	}
	freeReplyObject(reply);
	return r;
}

static int command(struct redis *r, int type, const char *text)
{
	return expect(redisCommand(r->context, text), type);
}

static void redis_close(void *self)
{
	struct redis *r = self;

	if (!r) {
		return;
	}
	if (r->watching) {
		command(r, REDIS_REPLY_ARRAY, "UNSUBSCRIBE");
		command(r, REDIS_REPLY_STATUS, "CONFIG SET notify-keyspace-events \"\"");
	}
	if (r->context) {
		redisFree(r->context);
	}
	free(r);
}

static int redis_open(void **self, const char *where, enum durability durability)
{
	struct redis *r = calloc(1, sizeof(*r));
	const char *colon = strrchr(where, ':');
	char path[256], text[64];
	int rc = 0;

	if (!r) {
		return -ENOMEM;
	}
	snprintf(path, sizeof(path), "%.*s", (int)(colon ? colon - where : (int)strlen(where)),
		where);
	r->database = colon ? (unsigned)strtoul(colon + 1, NULL, 10) : 0;
	r->context = redisConnectUnix(path);
	if (!r->context || r->context->err) {
		rc = -ECONNREFUSED;
	}
	if (rc == 0) {
		snprintf(text, sizeof(text), "SELECT %u", r->database);
		rc = command(r, REDIS_REPLY_STATUS, text);
	}
	if (rc == 0) {
		rc = command(r, REDIS_REPLY_STATUS,
			durability == DURABILITY_DISK ? "CONFIG SET appendfsync always"
						      : "CONFIG SET appendfsync everysec");
	}
	if (rc < 0) {
		redis_close(r);
		return rc;
	}
	*self = r;
	return 0;
}

static int redis_set(void *self, const char *key, const void *value, size_t size)
{
	struct redis *r = self;

	return expect(redisCommand(r->context, "SET %s %b", key, value, size), REDIS_REPLY_STATUS);
}

static int redis_create(void *self, const char *key, const void *value, size_t size)
{
	struct redis *r = self;
	int rc = expect(
		redisCommand(r->context, "SET %s %b NX", key, value, size), REDIS_REPLY_STATUS);

	return rc == -ENOENT ? -EEXIST : rc;
}

static int redis_get(void *self, const char *key, void *value, size_t size, size_t *got)
{
	struct redis *r = self;
	redisReply *reply = redisCommand(r->context, "GET %s", key);

	if (reply && reply->type == REDIS_REPLY_STRING) {
		*got = reply->len < size ? reply->len : size;
		memcpy(value, reply->str, *got);
	}
	return expect(reply, REDIS_REPLY_STRING);
}

static int redis_stat(void *self, const char *key)
{
	struct redis *r = self;

	return expect(redisCommand(r->context, "STRLEN %s", key), REDIS_REPLY_INTEGER);
}

static int redis_remove(void *self, const char *key)
{
	struct redis *r = self;
	redisReply *reply = redisCommand(r->context, "DEL %s", key);
	bool none = reply && reply->type == REDIS_REPLY_INTEGER && reply->integer == 0;
	int rc = expect(reply, REDIS_REPLY_INTEGER);

	return rc == 0 && none ? -ENOENT : rc;
}

static int redis_increment(void *self, const char *key)
{
	struct redis *r = self;

	return expect(redisCommand(r->context, "INCR %s", key), REDIS_REPLY_INTEGER);
}

static int redis_list(void *self, bool attributes, size_t *count)
{
	struct redis *r = self;
	char cursor[32] = "0";
	redisReply *reply;

	if (attributes) {
		return -EOPNOTSUPP;
	}
	*count = 0;
	do {
		reply = redisCommand(r->context, "SCAN %s COUNT 1000", cursor);
		if (!reply || reply->type != REDIS_REPLY_ARRAY || reply->elements != 2) {
			freeReplyObject(reply);
			return -EIO;
		}
		snprintf(cursor, sizeof(cursor), "%s", reply->element[0]->str);
		*count += reply->element[1]->elements;
		freeReplyObject(reply);
	} while (strcmp(cursor, "0") != 0);
	return 0;
}

/* Many requests on the way at once. */
static int redis_fill(void *self, const char *prefix, size_t count, const void *value, size_t size)
{
	struct redis *r = self;
	char key[KEY_NAME_SIZE];
	redisReply *reply;
	size_t sent = 0, answered = 0;
	int rc = 0;

	while (answered < count && rc == 0) {
		for (; sent < count && sent - answered < 100; sent++) {
			key_name(key, prefix, sent);
			if (redisAppendCommand(r->context, "SET %s %b", key, value, size) !=
				REDIS_OK) {
				return -EIO;
			}
		}
		for (; answered < sent && rc == 0; answered++) {
			reply = NULL;
			rc = redisGetReply(r->context, (void **)&reply) == REDIS_OK ? 0 : -EIO;
			rc = rc ? rc : expect(reply, REDIS_REPLY_STATUS);
		}
	}
	return rc;
}

static int redis_set_expiring(
	void *self, const char *key, const void *value, size_t size, double seconds)
{
	struct redis *r = self;

	return expect(redisCommand(r->context, "SET %s %b PX %lld", key, value, size,
			      (long long)(seconds * 1000)),
		REDIS_REPLY_STATUS);
}

static int redis_watch(void *self, const char *key)
{
	struct redis *r = self;
	char pattern[KEY_NAME_SIZE + 32];
	int rc;

	rc = command(r, REDIS_REPLY_STATUS, "CONFIG SET notify-keyspace-events KA");
	snprintf(pattern, sizeof(pattern), "__keyspace@%u__:%s", r->database, key ? key : "*");
	if (rc == 0) {
		rc = expect(
			redisCommand(r->context, key ? "SUBSCRIBE %s" : "PSUBSCRIBE %s", pattern),
			REDIS_REPLY_ARRAY);
	}
	r->watching = rc == 0;
	return rc;
}

static int redis_wait(void *self, enum side_event event)
{
	struct redis *r = self;
	const char *wanted = event == SIDE_KEY_SET ? "set" : "expired";
	redisReply *reply = NULL;
	bool found = false;

	while (!found) {
		if (redisGetReply(r->context, (void **)&reply) != REDIS_OK || !reply ||
			reply->type != REDIS_REPLY_ARRAY || reply->elements == 0) {
			freeReplyObject(reply);
			return -EIO;
		}
		found = strcmp(reply->element[reply->elements - 1]->str
					? reply->element[reply->elements - 1]->str
					: "",
				wanted) == 0;
		freeReplyObject(reply);
		reply = NULL;
	}
	return 0;
}

const struct side side_redis = {
	.name = "redis",
	.open = redis_open,
	.close = redis_close,
	.set = redis_set,
	.get = redis_get,
	.stat = redis_stat,
	.create = redis_create,
	.remove = redis_remove,
	.increment = redis_increment,
	.list = redis_list,
	.fill = redis_fill,
	.set_expiring = redis_set_expiring,
	.watch = redis_watch,
	.wait = redis_wait,
};
