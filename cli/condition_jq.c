/* SPDX-License-Identifier: MIT
 * Copyright (c) 2026 The cubbyfs authors */

/* libjq's values are counted, and its functions take what they are given:
 * jv_copy goes before each use that is not the last. */

#include "cli/condition.h"

#include <errno.h>
#include <jq.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>

struct condition {
	jq_state *jq;
	bool has_failed;
};

/* What is wrong with the program, in libjq's words, which may be several lines. */
static void complain(void *arg, jv message)
{
	(void)arg;
	message = jq_format_error(message);
	fprintf(stderr, "cubby watch: --if: %s\n", jv_string_value(message));
	jv_free(message);
}

int condition_create(struct condition **out, const char *program)
{
	struct condition *c = calloc(1, sizeof(*c));

	*out = NULL;
	if (!c) {
		return -ENOMEM;
	}
	c->jq = jq_init();
	if (!c->jq) {
		free(c);
		return -ENOMEM;
	}
	jq_set_error_cb(c->jq, complain, NULL);
	if (!jq_compile(c->jq, program)) {
		condition_destroy(c);
		return CONDITION_INVALID;
	}
	*out = c;
	return 0;
}

void condition_destroy(struct condition *c)
{
	if (c) {
		jq_teardown(&c->jq);
		free(c);
	}
}

/* The event with event[name] parsed, where that is JSON text. Takes event. */
static jv parse_member(jv event, const char *name)
{
	jv text = jv_object_get(jv_copy(event), jv_string(name));
	jv parsed;

	if (jv_get_kind(text) != JV_KIND_STRING) {
		jv_free(text);
		return event;
	}
	parsed = jv_parse_sized(jv_string_value(text), jv_string_length_bytes(jv_copy(text)));
	jv_free(text);
	if (!jv_is_valid(parsed)) {
		jv_free(parsed);
		return event;
	}
	return jv_object_set(event, jv_string(name), parsed);
}

/* Takes the result that is no value: the end, or an error. */
static void finish(struct condition *c, jv last)
{
	jv message;

	if (!jv_invalid_has_msg(jv_copy(last))) {
		jv_free(last);
		return;
	}
	message = jv_invalid_get_msg(last);
	if (jv_get_kind(message) != JV_KIND_STRING) {
		message = jv_dump_string(message, 0);
	}
	if (!c->has_failed) {
		fprintf(stderr,
			"cubby watch: --if: %s; such events are skipped, and this is not said "
			"again\n",
			jv_string_value(message));
		c->has_failed = true;
	}
	jv_free(message);
}

bool condition_holds(struct condition *c, struct bytes event)
{
	bool holds = false;
	jv input, result;

	if (event.size > INT_MAX) {
		return false;
	}
	input = jv_parse_sized(event.data, (int)event.size);
	if (jv_get_kind(input) != JV_KIND_OBJECT) {
		jv_free(input);
		return false;
	}
	input = parse_member(input, "old_value");
	input = parse_member(input, "new_value");
	jq_start(c->jq, input, 0);
	for (;;) {
		jv_kind kind;

		result = jq_next(c->jq);
		kind = jv_get_kind(result);
		if (kind == JV_KIND_INVALID) {
			break;
		}
		jv_free(result);
		if (kind != JV_KIND_FALSE && kind != JV_KIND_NULL) {
			holds = true;
		}
	}
	finish(c, result);
	return holds;
}
