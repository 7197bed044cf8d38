/* SPDX-License-Identifier: MIT
 * Copyright (c) 2026 The cubbyfs authors */

/* The text that says who holds a lock, as it may come out of a journal. Nobody is watched
 * but a process that it names in full.
 *
 * Input: the text. In it `$boot`, `$pid` and `$started` stand for what would be right. */
#include "base/cleanup.h"
#include "base/log.h"
#include "fs/holder.h"
#include "fuzz.h"

#include <json-c/json.h>
#include <unistd.h>

static struct holders *holders;
static struct json_object *own; /* what is said of this process */

static void begin(void)
{
	_cleanup_buffer_ struct buffer text = {0};
	struct store_caller self = {.pid = getpid(), .uid = getuid(), .gid = getgid()};

	log_init("fuzz_holder", LOG_EMERG);
	CHECK(holders_create(&holders) == 0);
	CHECK(holders_describe(holders, &self, &text) == 0);
	CHECK(holders_watch(holders, buffer_bytes(&text), 1) == STORE_WATCHED);
	holders_unwatch(holders, 1);
	CHECK(buffer_append(&text, "", 1) == 0);
	own = json_tokener_parse(text.data);
	CHECK(own);
}

static const char *field(const char *name)
{
	return json_object_get_string(json_object_object_get(own, name));
}

static void put_right_words(struct bytes in, struct buffer *out)
{
	static const char *const names[] = {"boot", "pid", "started"};

	for (size_t i = 0; i < in.size; i++) {
		size_t k = 0, size = 0;

		for (; in.data[i] == '$' && k < 3; k++) {
			size = strlen(names[k]);
			if (in.size - i - 1 >= size &&
				memcmp(in.data + i + 1, names[k], size) == 0) {
				break;
			}
		}
		if (in.data[i] == '$' && k < 3) {
			CHECK(buffer_append_string(out, field(names[k])) == 0);
			i += size;
		} else {
			CHECK(buffer_append(out, in.data + i, 1) == 0);
		}
	}
}

/* Whether it names this process. */
static void check_names_us(const char *text)
{
	static const char *const names[] = {"boot", "pid", "started"};
	struct json_object *o = json_tokener_parse(text), *said;

	for (size_t i = 0; i < 3; i++) {
		CHECK(json_object_object_get_ex(o, names[i], &said));
		CHECK(json_object_equal(said, json_object_object_get(own, names[i])));
	}
	json_object_put(o);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	_cleanup_buffer_ struct buffer text = {0};
	enum store_watch found;

	if (!holders) {
		begin();
	}
	put_right_words(bytes_of(data, size), &text);
	found = holders_watch(holders, buffer_bytes(&text), 2);
	CHECK(found == STORE_ENDED || found == STORE_WATCHED);
	if (found == STORE_WATCHED) {
		CHECK(buffer_append(&text, "", 1) == 0);
		check_names_us(text.data);
	}
	holders_unwatch(holders, 2);
	holders_dispatch(holders); /* nobody is left to tell of */
	return 0;
}
