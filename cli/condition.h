/* SPDX-License-Identifier: MIT
 * Copyright (c) 2026 The cubbyfs authors */

/* `cubby watch --if`: a jq program over an event. condition_jq.c is it;
 * condition_none.c stands in where libjq is not built in. */
#pragma once

#include "base/bytes.h"

#include <stdbool.h>

struct condition;

enum {
	CONDITION_INVALID = 1, /* no jq program; stderr says why */
	CONDITION_NOT_BUILT_IN = 2,
};

/* 0, one of these, or -ENOMEM. */
int condition_create(struct condition **out, const char *program);
/* NULL is fine. */
void condition_destroy(struct condition *c);

/* Whether any of the program's results is neither false nor null. The event is a
 * JSON object; an old_value or new_value that is itself JSON text is parsed first.
 * A program that fails does not hold; the first time, stderr says so. */
bool condition_holds(struct condition *c, struct bytes event);
