/* SPDX-License-Identifier: MIT
 * Copyright (c) 2026 The cubbyfs authors */

/* What of a store outlives the process besides its log (store_publish in store.h; the
 * method is at the top of handover.c). Without a keep all of these do nothing. */
#pragma once

#include "store/op.h"

struct handle;
struct store;

/* Takes over what another process has left in the keep. After the replay, before
 * anything else is done. 0, -ENOMEM or the errno of a sync. */
int handover_restore(struct store *s);

/* A handle may have changed. */
void handover_touch(struct store *s, struct handle *h);
/* Bytes of its stage may have, from `start` on. */
void handover_touch_stage(struct store *s, struct handle *h, size_t start, size_t end);
/* It is about to be destroyed. */
void handover_drop(struct store *s, struct handle *h);

/* A node that is open and in no log has changed. */
void handover_put_node(struct store *s, struct node *n);

/* The way of an op: it is about to be appended, and then that has failed, or it was
 * applied. */
void handover_intend(struct op *op);
void handover_refused(struct op *op);
void handover_applied(struct op *op);
/* It was answered; 0: a request that the keep does not have. */
void handover_answered(struct store *s, uint64_t request);
