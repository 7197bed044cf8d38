/* SPDX-License-Identifier: MIT
 * Copyright (c) 2026 The cubbyfs authors */

/* Notices (store.h) as bytes. They are made before their change is written to the log,
 * told when it is applied, and until then they are in the keep: a change that the log
 * has got is told even if the process ends in between. */
#pragma once

#include "store/op.h"

struct store;

/* Fills op->notices with what its changes will have to tell, if anybody listens. What
 * there is no memory for is logged, and not told. */
void notices_collect(struct op *op);

/* Tells the listener, if there is one. */
void notices_tell(struct store *s, struct bytes notices);
