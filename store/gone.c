/* SPDX-License-Identifier: MIT
 * Copyright (c) 2026 The cubbyfs authors */

#include "store/gone.h"

#include "store/tree.h"

static bool is_gone(const struct node *n)
{
	return n->nlink == 0 && !n->is_pending && S_ISREG(n->mode);
}

static void let_go_of_first(struct tree *t)
{
	struct gone *g = &t->gone;
	struct node *n = tree_node(t, g->ring[g->first].ino);

	g->bytes -= g->ring[g->first].bytes;
	g->first = (g->first + 1) % GONE_MAX;
	g->n--;
	if (!n) {
		return;
	}
	n->is_gone = false;
	/* Else it is open again, and comes back when it is closed. */
	if (is_gone(n) && n->refs == 0) {
		node_shed(n);
	}
}

void gone_add(struct tree *t, struct node *n)
{
	struct gone *g = &t->gone;
	unsigned last;

	if (!is_gone(n) || n->is_gone) {
		return;
	}
	if (g->n == GONE_MAX) {
		let_go_of_first(t);
	}
	last = (g->first + g->n++) % GONE_MAX;
	g->ring[last].ino = n->ino;
	g->ring[last].bytes = node_bytes(n);
	g->bytes += g->ring[last].bytes;
	n->is_gone = true;
	while (g->bytes > GONE_BYTES) {
		let_go_of_first(t);
	}
}

bool gone_is_shed(const struct node *n)
{
	return is_gone(n) && node_n_open(n) == 0 && !n->is_gone;
}
