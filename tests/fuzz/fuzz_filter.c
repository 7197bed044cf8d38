/* SPDX-License-Identifier: MIT
 * Copyright (c) 2026 The cubbyfs authors */

/* The line that a client writes into .cubby/events. */
#include "fs/filter.h"
#include "fuzz.h"
#include "store/store.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct filter f = {.since = UINT64_MAX};
	int rc = filter_parse(&f, bytes_of(data, size));

	CHECK(rc == 0 || rc == STORE_INVALID);
	if (rc == 0) {
		CHECK(f.since == UINT64_MAX || f.since < INT64_MAX);
		CHECK(!f.pattern || *f.pattern);
	}
	free(f.pattern);
	return 0;
}
