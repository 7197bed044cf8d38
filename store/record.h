/* SPDX-License-Identifier: MIT
 * Copyright (c) 2026 The cubbyfs authors */

/* One transition <-> one JSON line. The form is specified in
 * store/journal/FORMAT.md; shared backends use it too.
 *
 * A line is one JSON object, ends in `,"crc":"xxxxxxxx"}\n`, and the checksum
 * (CRC-32, IEEE 802.3, as zlib's) is over all bytes before `,"crc"`. */
#pragma once

#include "base/arena.h"
#include "base/bytes.h"
#include "store/transition.h"

struct json_object;

/* Outcomes of decoding. */
enum record_outcome {
	RECORD_OK = 0,
	RECORD_DAMAGED = 1, /* no valid checksum, or no JSON object */
	RECORD_UNKNOWN = 2, /* intact, but no transition that this version knows */
};

/* No line is longer. */
#define RECORD_MAX (UINT64_C(1) << 30)

/* Appends the line for t, with checksum and newline. 0, -ENOMEM, or -EFBIG if
 * it would be longer than RECORD_MAX; then out is as it was. */
int record_encode(const struct transition *t, struct buffer *out);

/* Ends the line that begins at `start` and lacks its last brace. 0 or -ENOMEM. */
int record_end(struct buffer *out, size_t start);

/* Appends any object as a checksummed line (headers, footers); its first field
 * is "cubbyfs". Takes no reference. 0 or -ENOMEM. */
int record_encode_object(struct json_object *object, struct buffer *out);

/* Decodes lines; keeps its memory from one to the next. */
struct record_decoder;

int record_decoder_create(struct record_decoder **out);
void record_decoder_destroy(struct record_decoder *d);

/* `line` is without its newline. *out is d's and good until the next call; what it
 * points at is d's or in the line. RECORD_*, or -ENOMEM. */
int record_decode(struct record_decoder *d, struct bytes line, const struct transition **out);
/* The same, in the way of lines that are not as record_encode writes them: any line has
 * the same outcome, by another way. For tests. */
int record_decode_generally(
	struct record_decoder *d, struct bytes line, const struct transition **out);

/* The same without a decoder, of a line in the form that record_encode gives it; RECORD_UNKNOWN:
 * it is in another. What *out points at is in the arena or in the line. */
int record_decode_ahead(struct arena *arena, struct bytes line, struct transition *out);

/* The same for a line that is no transition: *out is borrowed as above. */
int record_decode_object(struct record_decoder *d, struct bytes line, struct json_object **out);

/* Whether the line's checksum is there and right. */
bool record_intact(struct bytes line);

/* How a line begins and ends: what to look for where newlines were lost. Text
 * within a line escapes its quotes, so neither is ever found in the middle of
 * an intact one. */
#define RECORD_START "{\"rev\":"
#define RECORD_START_OBJECT "{\"cubbyfs\":"
#define RECORD_END ",\"crc\":\""
/* Not in text either, for the same reason. */
#define RECORD_SYNCED ",\"synced\":"
/* From the first byte of RECORD_END to the last of the line. */
#define RECORD_END_SIZE 18
