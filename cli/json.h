/* SPDX-License-Identifier: MIT
 * Copyright (c) 2026 The cubbyfs authors */

/* What --json prints: one object a line, always valid UTF-8. */
#pragma once

#include "base/bytes.h"

#include <json-c/json.h>

/* Adds bytes: a string, or, where they are no UTF-8, {"base64":"..."}. The same
 * form as in the journal. */
void json_add_bytes(struct json_object *object, const char *name, struct bytes value);

/* The same for a string; null for NULL. */
void json_add_string(struct json_object *object, const char *name, const char *text);

/* Adds a number that is already text; anything else, or NULL, becomes null. */
void json_add_number(struct json_object *object, const char *name, const char *text);

/* Prints the object on a line of its own and releases it. */
void json_print(struct json_object *object);
