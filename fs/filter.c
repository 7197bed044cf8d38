/* SPDX-License-Identifier: MIT
 * Copyright (c) 2026 The cubbyfs authors */

#include "fs/filter.h"

#include "store/store.h"

#include <errno.h>
#include <json-c/json.h>
#include <stdlib.h>

#define MAX_FILTER 4096

static int read_field(struct filter *f, const char *name, struct json_object *value)
{
	if (strcmp(name, "pattern") == 0 && json_object_is_type(value, json_type_string)) {
		const char *text = json_object_get_string(value);

		if (*text == 0 || strlen(text) != (size_t)json_object_get_string_len(value)) {
			return STORE_INVALID;
		}
		free(f->pattern);
		f->pattern = strdup(text);
		return f->pattern ? 0 : -ENOMEM;
	}
	if (strcmp(name, "since") == 0 && json_object_is_type(value, json_type_int) &&
		json_object_get_int64(value) >= 0) {
		f->since = json_object_get_uint64(value);
		return f->since < INT64_MAX ? 0 : STORE_INVALID;
	}
	return STORE_INVALID;
}

int filter_parse(struct filter *f, struct bytes line)
{
	struct json_tokener *tokener;
	struct json_object *o;
	int rc = 0;

	if (line.size > 0 && line.data[line.size - 1] == '\n') {
		line.size--;
	}
	if (line.size == 0 || line.size > MAX_FILTER) {
		return STORE_INVALID;
	}
	tokener = json_tokener_new();
	if (!tokener) {
		return -ENOMEM;
	}
	o = json_tokener_parse_ex(tokener, line.data, (int)line.size);
	if (!json_object_is_type(o, json_type_object) ||
		json_tokener_get_parse_end(tokener) != line.size) {
		rc = STORE_INVALID;
	} else {
		json_object_object_foreach(o, name, value)
		{
			rc = rc ? rc : read_field(f, name, value);
		}
	}
	json_object_put(o);
	json_tokener_free(tokener);
	return rc;
}
