/* SPDX-License-Identifier: MIT
 * Copyright (c) 2026 The cubbyfs authors */

/* Values in the keep: what is replaced while handles read it, or have begun a stage with it.
 * However many do, it is there once. */
#pragma once

#include "base/table.h"
#include "store/value.h"

#include <stdbool.h>

struct keep;
struct node;

/* One of them, as of a version of its node. It is there as long as a handle uses it. */
struct kept_value {
	struct table_link by_ino;
	uint64_t id, ino, version;
	struct value *value;
	unsigned n_users;
};

struct kept_values {
	struct table by_ino;
	uint64_t next_id;
	struct keep *keep; /* NULL: none is kept */
};

/* 0 or -ENOMEM. */
int kept_values_init(struct kept_values *t, struct keep *keep);
/* Nobody uses one any more. */
void kept_values_finish(struct kept_values *t);

/* The node's present value, which is put into the keep unless it is there. It may be
 * without users until the next call. NULL: the value is empty, or there is no memory. */
struct kept_value *kept_value_of(struct kept_values *t, const struct node *n);

/* Makes *user, NULL or another, `v`, which may be NULL. A value that nobody uses any more is dropped. */
void kept_value_use(struct kept_values *t, struct kept_value **user, struct kept_value *v);

/* Takes over what another process has put there; those without a user are dropped
 * by kept_values_settle. 0 or -ENOMEM. */
int kept_values_restore(struct kept_values *t);
void kept_values_settle(struct kept_values *t);

/* One that was restored, by its id, or (id 0) the newest of that version. NULL: there is none. */
struct kept_value *kept_value_find(struct kept_values *t, uint64_t id, uint64_t ino, uint64_t version);
