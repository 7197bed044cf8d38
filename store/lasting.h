/* SPDX-License-Identifier: MIT
 * Copyright (c) 2026 The cubbyfs authors */

/* What the kernel may remember of names and attributes, and when it has to be told that they
 * are about to change.
 *
 * An answer says whether what it tells lasts (store_lookup, store_getattr). Nothing lasts that
 * ends by itself: no clock of the kernel's goes on while a machine sleeps, as a TTL does. Nor do
 * the attributes of what somebody has something staged for, which commits change at moments that
 * the kernel knows nothing of. That a name is not there lasts never: who has read of a new key
 * (.cubby/events) is to find it, maybe before the kernel has taken up the answer to its maker.
 *
 * Names are the kernel's own: who asks for a rename(2) has the kernel move the name as soon as it
 * is answered. Of attributes that change it is warned (store_warn) before the change is in the
 * log; so if the process ends in between, it asks once too often, and not once too seldom. A
 * warning also has it refuse an answer that it was given before and has not taken up. Where
 * its own call has it do the same, as a write or a setattr, it need not be warned (op->known). It is not
 * enough that it forgets: as the attributes of a namespace, after a call that has made a name in it.
 *
 * A warning of a node that the kernel does not know yet, but has just been told of, would be
 * lost. Nothing changes such a node now: whoever wants that has looked it up, and is through with
 * it. Whatever will change nodes otherwise (a log that is shared, transactions) has to see to it. */
#pragma once

#include "store/op.h"

#include <stdbool.h>

struct store;

/* Whether a name stays what it is until somebody asks for a change. */
bool lasting_name(const struct store *s, const struct entry *e);
/* Whether the attributes of a node do. */
bool lasting_node(const struct store *s, const struct node *n);

/* The answer that is given says that those of this node last. */
void lasting_told(struct store *s, const struct node *n);

/* Warns of what the op, which is planned, is about to change. */
void lasting_warn(struct op *op);

/* Whether a change gives a deadline to a name that the kernel may have been told lasts. */
bool lasting_ends(const struct store *s, const struct change *c);
