/* SPDX-License-Identifier: MIT
 * Copyright (c) 2026 The cubbyfs authors */

#include "checksum.h"

#include "fuzz.h"
#include "store/record.h"

#include <inttypes.h>
#include <zlib.h>

#define TO_MEND RECORD_END "00000000\"}"

void checksum_mend(struct bytes line, struct buffer *out)
{
	char end[RECORD_END_SIZE + 1];
	size_t size = line.size > RECORD_END_SIZE ? line.size - RECORD_END_SIZE : 0;
	unsigned long sum;

	CHECK(buffer_append(out, line.data, line.size) == 0);
	if (size > 0 && memcmp(line.data + size, TO_MEND, RECORD_END_SIZE) == 0) {
		sum = crc32_z(0, (const unsigned char *)line.data, size);
		snprintf(end, sizeof(end), RECORD_END "%08lx\"}", sum);
		memcpy(out->data + out->size - RECORD_END_SIZE, end, RECORD_END_SIZE);
	}
}
