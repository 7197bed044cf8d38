/* SPDX-License-Identifier: MIT
 * Copyright (c) 2026 The cubbyfs authors */

/* The line that a client writes into .cubby/events. What was understood, said again as cubby(1)
 * says it, is understood as the same. */
#include "base/cleanup.h"
#include "fs/filter.h"
#include "fuzz.h"
#include "store/store.h"

#include <json-c/json.h>

/* As a path need not be UTF-8, neither is the line. */
static void check(const struct filter *f)
{
	_cleanup_buffer_ struct buffer line = {0};
	struct json_object *o = json_object_new_object();
	struct filter again = {.since = UINT64_MAX};

	if (f->pattern) {
		json_object_object_add(o, "pattern", json_object_new_string(f->pattern));
	}
	if (f->since != UINT64_MAX) {
		json_object_object_add(o, "since", json_object_new_uint64(f->since));
	}
	CHECK(buffer_printf(&line, "%s\n",
		      json_object_to_json_string_ext(
			      o, JSON_C_TO_STRING_PLAIN | JSON_C_TO_STRING_NOSLASHESCAPE)) == 0);
	json_object_put(o);
	if (line.size <= 4096) { /* escapes are longer than what they stand for */
		CHECK(filter_parse(&again, buffer_bytes(&line)) == 0);
		CHECK(f->since == again.since && !f->pattern == !again.pattern);
		CHECK(!f->pattern || strcmp(f->pattern, again.pattern) == 0);
	}
	free(again.pattern);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct filter f = {.since = UINT64_MAX};
	int rc = filter_parse(&f, bytes_of(data, size));

	CHECK(rc == 0 || rc == STORE_INVALID);
	if (rc == 0) {
		CHECK(f.since == UINT64_MAX || f.since < INT64_MAX);
		CHECK(!f.pattern || *f.pattern);
		check(&f);
	}
	free(f.pattern);
	return 0;
}
