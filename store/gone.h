/* SPDX-License-Identifier: MIT
 * Copyright (c) 2026 The cubbyfs authors */

/* Keys that have lost their last name, and that nobody has open, but the kernel knows.
 *
 * Who has looked one up just before, and opens it now, gets what he would have got a moment
 * earlier: on a local file system a name that is replaced over and over can be opened at any
 * time. But an O_PATH descriptor can hold such a key for ever, and its value is counted
 * nowhere. So the newest of them keep their values, and the others give them up. */
#pragma once

#include <stdbool.h>
#include <stdint.h>

struct node;
struct tree;

#define GONE_MAX 1024
#define GONE_BYTES (UINT64_C(32) << 20)

struct gone {
	struct {
		uint64_t ino, bytes;
	} ring[GONE_MAX];
	unsigned first, n;
	uint64_t bytes;
};

/* n has become such a key. */
void gone_add(struct tree *t, struct node *n);

/* Whether the value of such a key was given up. */
bool gone_is_shed(const struct node *n);
