/* SPDX-License-Identifier: MIT
 * Copyright (c) 2026 The cubbyfs authors */

/* Who holds a lock: a process, in one line of JSON, and the end of it.
 *
 *     {"pid":4711,"uid":0,"host":"a","command":"backup","started":817263,"boot":"…"}
 *
 * `started` (clock ticks after the boot) and `boot` tell the process from a later one
 * with the same number, on this boot or another. The command is the name of the
 * program, without its arguments: those may be nobody's business. */
#pragma once

#include "store/store.h"

struct holders;

/* `store` is told of ends (store_holder_ended); it may be set later. 0 or a negative
 * errno. */
int holders_create(struct holders **out);
void holders_set_store(struct holders *h, struct store *store);
/* NULL is fine. */
void holders_destroy(struct holders *h);

/* See store_config.holder. 0 or -ENOMEM. */
int holders_describe(const struct holders *h, const struct store_caller *caller,
	struct buffer *out);

/* See store_config.watch_holder and unwatch_holder. */
enum store_watch holders_watch(struct holders *h, struct bytes holder, uint64_t token);
void holders_unwatch(struct holders *h, uint64_t token);

/* Readable when holders_dispatch has something to do. */
int holders_poll_fd(const struct holders *h);
void holders_dispatch(struct holders *h);
