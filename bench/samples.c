/* SPDX-License-Identifier: MIT
 * Copyright (c) 2026 The cubbyfs authors */

#include "bench/samples.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

int samples_init(struct samples *s, size_t capacity)
{
	*s = (struct samples){.capacity = capacity};
	s->ns = malloc(capacity * sizeof(*s->ns));
	if (!s->ns) {
		return -ENOMEM;
	}
	memset(s->ns, 1, capacity * sizeof(*s->ns));
	return 0;
}

void samples_finish(struct samples *s)
{
	free(s->ns);
	*s = (struct samples){0};
}

static int compare(const void *a, const void *b)
{
	int64_t x = *(const int64_t *)a, y = *(const int64_t *)b;

	return (x > y) - (x < y);
}

struct summary samples_summary(struct samples *s)
{
	struct summary out = {0};

	if (s->count == 0) {
		return out;
	}
	qsort(s->ns, s->count, sizeof(*s->ns), compare);
	for (size_t i = 0; i < s->count; i++) {
		out.mean += (double)s->ns[i] / (double)s->count;
	}
	out.min = s->ns[0];
	out.median = s->ns[s->count / 2];
	out.p99 = s->ns[s->count - 1 - s->count / 100];
	out.max = s->ns[s->count - 1];
	return out;
}

int64_t now_ns(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (int64_t)t.tv_sec * 1000000000 + t.tv_nsec;
}
