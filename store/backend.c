/* SPDX-License-Identifier: MIT
 * Copyright (c) 2026 The cubbyfs authors */

#include "store/backend.h"

#include <string.h>

/* The length of the scheme that `store` begins with, its colon included; 0 if
 * it is a path. A directory that looks like a URL can be written ./so. */
static size_t scheme_size(const char *store)
{
	size_t n = strspn(store, "abcdefghijklmnopqrstuvwxyz0123456789+.-");

	return n > 0 && store[0] >= 'a' && store[0] <= 'z' && store[n] == ':' ? n + 1 : 0;
}

const struct backend_ops *backend_find(const char *store, const char **location)
{
	size_t n = scheme_size(store);

	*location = store + n;
	if (n == 0) {
		return store[0] ? &backend_journal : NULL;
	}
	if (strncmp(store, "memory:", n) == 0) {
		return &backend_memory;
	}
	return NULL; /* sqlite:, redis:, nats: are not built in yet */
}
