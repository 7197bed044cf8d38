/* SPDX-License-Identifier: MIT
 * Copyright (c) 2026 The cubbyfs authors */

/* What a namespace rules for the keys directly in it (design 1.3). It is set
 * as extended attributes of the namespace and kept among them as text; this is
 * their parsed form. */
#pragma once

#include "base/bytes.h"

#include <stdbool.h>
#include <stdint.h>

#define XATTR_CUBBY "user.cubby."

/* Longest TTL: 100 years of 365.25 days, in ns. */
#define TTL_MAX (INT64_C(3155760000) * INT64_C(1000000000))

struct policy {
	int64_t default_ttl; /* ns; -1: none */
	int64_t lock_ttl;    /* ns, more than 0; -1: none */
	char *lock_suffix;   /* NULL: none */
	int lock_keepalive;  /* 0 or 1; -1: none */
	uint64_t history;   /* old values kept; 0: none */
	uint64_t max_value; /* UINT64_MAX: none */
	uint64_t max_keys;  /* UINT64_MAX: none */
	uint64_t max_bytes; /* UINT64_MAX: none */
};

/* A policy that rules nothing. NULL without memory. */
struct policy *policy_create(void);
void policy_destroy(struct policy *p);

/* Whether the attribute (its whole name, "user.cubby.max_keys") is one. */
bool policy_knows(struct bytes attribute);

/* Sets one rule from its text. 0, -EINVAL for a text that makes no sense, or
 * -ENOMEM. p may be NULL: only checks. */
int policy_set(struct policy *p, struct bytes attribute, struct bytes text);

/* Numbers as the attributes take them; a newline at the end is let pass. True
 * if the text is one. */
bool parse_duration(struct bytes text, int64_t *ns); /* decimal seconds, 0 .. 100 years */
bool parse_unsigned(struct bytes text, uint64_t *out);
