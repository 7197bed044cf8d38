/* SPDX-License-Identifier: MIT
 * Copyright (c) 2026 The cubbyfs authors */

/* Bytes as JSON. Text stays text, for people and jq; what JSON's strings
 * cannot hold comes as {"base64":"…"}. Either way every byte comes back. */
#pragma once

#include "base/bytes.h"

struct json_object;

/* Strictly (RFC 3629): no surrogates, nothing overlong, nothing past U+10FFFF. */
bool text_is_utf8(struct bytes in);

/* A new JSON value for `in`; *length is how many bytes it serialises to. NULL
 * without memory. */
struct json_object *text_to_json(struct bytes in, size_t *length);

/* Appends the same as text. 0 or -ENOMEM. */
int text_write(struct bytes in, struct buffer *out);

/* What text_to_json made. A string is borrowed from `json`; base64 is decoded
 * into the memory that `allocate` gives. 0, -ENOMEM, or -EINVAL for any other
 * JSON. */
int text_from_json(struct json_object *json, void *(*allocate)(void *arg, size_t size), void *arg,
	struct bytes *out);
