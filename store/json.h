/* SPDX-License-Identifier: MIT
 * Copyright (c) 2026 The cubbyfs authors */

/* JSON text to json-c's objects. json-c's own parser does not look whether it got
 * the memory that it asked for: it crashes, or takes a text with a piece missing
 * for the whole. */
#pragma once

#include "base/bytes.h"

struct json_object;

/* Strictly RFC 8259, at most 128 levels deep. *out is owned by the caller; JSON's
 * null is NULL. 0, -ENOMEM, or -EINVAL if the text is no JSON. */
int json_parse(struct bytes text, struct json_object **out);

/* Adds a field; takes the value over in any case. NULL is taken for a value that
 * could not be made. 0 or -ENOMEM. */
int json_add(struct json_object *object, const char *name, struct json_object *value);

/* Plain text of `object`, borrowed from it until it is changed or written again.
 * json-c leaves out what it has no memory for and does not say so; this does,
 * at the price of reading the text back. 0 or -ENOMEM. */
int json_write(struct json_object *object, struct bytes *out);
