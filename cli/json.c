/* SPDX-License-Identifier: MIT
 * Copyright (c) 2026 The cubbyfs authors */

#include "cli/json.h"

#include "store/text.h"

#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>

void json_add_bytes(struct json_object *object, const char *name, struct bytes value)
{
	size_t length;

	json_object_object_add(object, name, text_to_json(value, &length));
}

void json_add_number(struct json_object *object, const char *name, const char *text)
{
	struct json_object *number = NULL;

	if (text && isdigit((unsigned char)text[0])) {
		number = json_object_new_double_s(strtod(text, NULL), text);
	}
	json_object_object_add(object, name, number);
}

void json_add_string(struct json_object *object, const char *name, const char *text)
{
	if (text) {
		json_add_bytes(object, name, bytes_of_string(text));
	} else {
		json_object_object_add(object, name, NULL);
	}
}

void json_print(struct json_object *object)
{
	puts(json_object_to_json_string_ext(
		object, JSON_C_TO_STRING_PLAIN | JSON_C_TO_STRING_NOSLASHESCAPE));
	json_object_put(object);
}
