/* SPDX-License-Identifier: MIT
 * Copyright (c) 2026 The cubbyfs authors */

#include "base/arena.h"

#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#define BLOCK_SIZE 4096

struct arena_block {
	struct arena_block *next;
	size_t size, used;
	_Alignas(16) char data[];
};

void *arena_allocate(struct arena *a, size_t size)
{
	struct arena_block *b = a->blocks;
	size_t wanted;
	void *p;

	size = (size + 15) & ~(size_t)15;
	if (!b || b->size - b->used < size) {
		wanted = size > BLOCK_SIZE ? size : BLOCK_SIZE;
		b = malloc(sizeof(*b) + wanted);
		if (!b) {
			return NULL;
		}
		*b = (struct arena_block){.next = a->blocks, .size = wanted};
		a->blocks = b;
	}
	p = b->data + b->used;
	b->used += size;
	return p;
}

void *arena_allocate_zeroed(struct arena *a, size_t count, size_t size)
{
	void *p = arena_allocate(a, count * size);

	if (p) {
		memset(p, 0, count * size);
	}
	return p;
}

static void reset(struct arena *a, bool all)
{
	while (a->blocks) {
		struct arena_block *b = a->blocks;

		if (!all && !b->next && b->size == BLOCK_SIZE) {
			b->used = 0;
			break;
		}
		a->blocks = b->next;
		free(b);
	}
}

void arena_reset(struct arena *a)
{
	reset(a, false);
}

void arena_finish(struct arena *a)
{
	reset(a, true);
}
