/* SPDX-License-Identifier: MIT
 * Copyright (c) 2026 The cubbyfs authors */

/* A range of addresses is reserved once, as large as 32 bits can tell objects apart in, and
 * made accessible from its beginning on as it is needed. It is cut into chunks; a chunk
 * holds objects of one size, and knows which of its slots are free. Chunks with a free slot
 * are listed by size; the last one that something was freed in comes first.
 *
 * A chunk that has become empty can be used for any size, but for one of each size, which
 * stays what it is: an object that comes and goes at a boundary does not take a chunk with it
 * each time. When all chunks of a region (a huge page) are empty, its memory goes back to the
 * system: at once, because to give back is what takes time, and so that huge pages stay whole.
 *
 * Faults are what a million new objects cost most, where the machine is virtual: so what
 * lies beyond the first few megabytes is made accessible a region at a time, and asked for in
 * huge pages. */
#include "base/slab.h"

#include <string.h>
#include <sys/mman.h>

#ifndef __has_feature
#define __has_feature(x) 0
#endif
#if defined(__SANITIZE_ADDRESS__) || __has_feature(address_sanitizer)
#include <sanitizer/asan_interface.h>
#define POISON(p, size) ASAN_POISON_MEMORY_REGION(p, size)
#define UNPOISON(p, size) ASAN_UNPOISON_MEMORY_REGION(p, size)
#else
#define POISON(p, size) ((void)(p), (void)(size))
#define UNPOISON(p, size) ((void)(p), (void)(size))
#endif

#define RANGE ((size_t)SLAB_STEP << 32)
#define RANGE_MIN ((size_t)64 << 20)
#define CHUNK ((size_t)64 << 10)
#define REGION ((size_t)2 << 20)
/* From there on a region at a time. */
#define HUGE_FROM ((size_t)8 << 20)

/* At the beginning of each. */
struct chunk {
	struct chunk *next, *previous; /* in the list of its size, if it has a free slot */
	uint16_t size;                 /* of a slot */
	uint16_t n_used, n_slots;
	uint16_t fresh;     /* slots from this one on have never been used */
	uint32_t free_slot; /* offset of the first free one; each has the next one's. 0: none */
};

#define HEADER ((sizeof(struct chunk) + SLAB_STEP - 1) / SLAB_STEP * SLAB_STEP)
#define N_SIZES (SLAB_SIZE_MAX / SLAB_STEP + 1)

char *slab_base;
bool (*slab_fails)(void);

static size_t range, used, accessible; /* bytes from the base on */
static struct chunk *lists[N_SIZES];
/* The empty chunks, by number; how many of them are in each region. Most of either is never
 * touched. */
static uint32_t empty[RANGE / CHUNK];
static size_t n_empty;
static uint8_t n_empty_in[RANGE / REGION];
static size_t n_objects;

size_t slab_count(void)
{
	return n_objects;
}

/* The first chunk is never used: a reference to it would be 0. */
static bool reserve_range(void)
{
	char *p = MAP_FAILED;

	for (range = RANGE; range >= RANGE_MIN; range /= 2) {
		p = mmap(NULL, range + REGION, PROT_NONE,
			MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
		if (p != MAP_FAILED) {
			break;
		}
	}
	if (p == MAP_FAILED) {
		return false;
	}
	slab_base = (char *)(((uintptr_t)p + REGION - 1) & ~(uintptr_t)(REGION - 1));
	used = accessible = CHUNK;
	return true;
}

static size_t region_of(const struct chunk *c)
{
	return (size_t)((const char *)c - slab_base) / REGION;
}

static bool make_accessible(void)
{
	size_t step = accessible < HUGE_FROM ? CHUNK : REGION;

	if (step > range - accessible ||
		mprotect(slab_base + accessible, step, PROT_READ | PROT_WRITE) < 0) {
		return false;
	}
	if (step == REGION) {
		/* Only quicker if it works. */
		(void)madvise(slab_base + accessible, step, MADV_HUGEPAGE);
	}
	accessible += step;
	return true;
}

static struct chunk *new_chunk(size_t size)
{
	struct chunk *c;

	if (n_empty > 0) {
		c = (struct chunk *)(slab_base + empty[--n_empty] * CHUNK);
		n_empty_in[region_of(c)]--;
		UNPOISON(c, HEADER);
	} else {
		if ((!slab_base && !reserve_range()) ||
			(used == accessible && !make_accessible())) {
			return NULL;
		}
		c = (struct chunk *)(slab_base + used);
		used += CHUNK;
	}
	*c = (struct chunk){.size = (uint16_t)size, .n_slots = (uint16_t)((CHUNK - HEADER) / size)};
	POISON((char *)c + HEADER, CHUNK - HEADER);
	return c;
}

static void list(struct chunk *c)
{
	struct chunk **first = &lists[c->size / SLAB_STEP];

	c->previous = NULL;
	c->next = *first;
	if (c->next) {
		c->next->previous = c;
	}
	*first = c;
}

static void unlist(struct chunk *c)
{
	if (c->next) {
		c->next->previous = c->previous;
	}
	if (c->previous) {
		c->previous->next = c->next;
	} else {
		lists[c->size / SLAB_STEP] = c->next;
	}
}

/* Nothing is in it, and it is in no list. */
static void give_back(struct chunk *c)
{
	size_t region = region_of(c);

	POISON(c, CHUNK);
	empty[n_empty++] = (uint32_t)((size_t)((char *)c - slab_base) / CHUNK);
	if (++n_empty_in[region] == REGION / CHUNK) {
		(void)madvise(slab_base + region * REGION, REGION, MADV_DONTNEED);
	}
}

static size_t rounded(size_t size)
{
	return size ? (size + SLAB_STEP - 1) & ~(size_t)(SLAB_STEP - 1) : SLAB_STEP;
}

void *slab_allocate(size_t size)
{
	size_t slot = rounded(size);
	struct chunk *c;
	char *p;

	if (size > SLAB_SIZE_MAX || (slab_fails && slab_fails())) {
		return NULL;
	}
	c = lists[slot / SLAB_STEP];
	if (!c) {
		c = new_chunk(slot);
		if (!c) {
			return NULL;
		}
		list(c);
	}
	p = (char *)c + (c->free_slot ? c->free_slot : HEADER + (size_t)c->fresh * slot);
	UNPOISON(p, slot);
	if (c->free_slot) {
		memcpy(&c->free_slot, p, sizeof(c->free_slot));
	} else {
		c->fresh++;
	}
	POISON(p + size, slot - size);
	c->n_used++;
	if (c->n_used == c->n_slots) {
		unlist(c);
	}
	n_objects++;
	return memset(p, 0, size);
}

void slab_free(void *p, size_t size)
{
	size_t slot = rounded(size);
	struct chunk *c;

	if (!p) {
		return;
	}
	c = (struct chunk *)((uintptr_t)p & ~(uintptr_t)(CHUNK - 1));
	UNPOISON(p, slot);
	memcpy(p, &c->free_slot, sizeof(c->free_slot));
	POISON(p, slot);
	c->free_slot = (uint32_t)((char *)p - (char *)c);
	n_objects--;
	if (c->n_used-- == c->n_slots) {
		list(c);
	}
	if (c->n_used == 0 && (c->next || c->previous)) {
		unlist(c);
		give_back(c);
	}
}
