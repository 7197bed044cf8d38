/* SPDX-License-Identifier: MIT
 * Copyright (c) 2026 The cubbyfs authors */

/* For libFuzzer only, and for inputs of lines: besides what it does by itself, whole
 * lines go, come twice and change places, and numbers become other numbers of the
 * input, or their neighbours. */
#include "fuzz.h"

#include <ctype.h>
#include <inttypes.h>

size_t LLVMFuzzerMutate(uint8_t *data, size_t size, size_t max_size);
size_t LLVMFuzzerCustomMutator(uint8_t *data, size_t size, size_t max_size, unsigned seed);

static uint32_t pick(uint64_t *state, size_t n)
{
	*state = *state * UINT64_C(6364136223846793005) + UINT64_C(1442695040888963407);
	return n > 0 ? (uint32_t)((*state >> 33) % n) : 0;
}

static void put(struct buffer *out, struct bytes b)
{
	CHECK(buffer_append(out, b.data, b.size) == 0);
}

/* The line around a place, with its newline. */
static struct bytes line_at(struct bytes in, size_t at)
{
	size_t start = at, end = at;

	while (start > 0 && in.data[start - 1] != '\n') {
		start--;
	}
	while (end < in.size && in.data[end] != '\n') {
		end++;
	}
	return bytes_of(in.data + start, end - start + (end < in.size));
}

/* The number at or after a place; of size 0 if there is none. */
static struct bytes number_at(struct bytes in, size_t at)
{
	size_t start = at, end;

	while (start < in.size && !isdigit((unsigned char)in.data[start])) {
		start++;
	}
	while (start > 0 && start < in.size && isdigit((unsigned char)in.data[start - 1])) {
		start--;
	}
	for (end = start; end < in.size && isdigit((unsigned char)in.data[end]); end++) {
	}
	return bytes_of(in.data + start, end - start);
}

static struct bytes before(struct bytes in, struct bytes part)
{
	return bytes_of(in.data, (size_t)(part.data - in.data));
}

static struct bytes after(struct bytes in, struct bytes part)
{
	const char *end = part.data + part.size;

	return bytes_of(end, (size_t)(in.data + in.size - end));
}

static void move_lines(struct bytes in, uint64_t *random, struct buffer *out)
{
	struct bytes a = line_at(in, pick(random, in.size));
	struct bytes b = line_at(in, pick(random, in.size));
	uint32_t how = pick(random, 3);

	if (how == 0) {
		put(out, before(in, a));
		put(out, after(in, a));
		return;
	}
	if (b.data < a.data) {
		struct bytes c = a;

		a = b;
		b = c;
	}
	put(out, before(in, a));
	if (how == 1 || a.data == b.data) {
		put(out, b);
		put(out, bytes_of(a.data, (size_t)(in.data + in.size - a.data)));
		return;
	}
	put(out, b);
	put(out, bytes_of(a.data + a.size, (size_t)(b.data - a.data) - a.size));
	put(out, a);
	put(out, after(in, b));
}

static void change_number(struct bytes in, uint64_t *random, struct buffer *out)
{
	struct bytes a = number_at(in, pick(random, in.size));
	struct bytes b = number_at(in, pick(random, in.size));
	uint64_t n = 0;

	put(out, before(in, a));
	if (pick(random, 2) && a.size > 0 && a.size < 19) {
		for (size_t i = 0; i < a.size; i++) {
			n = n * 10 + (uint64_t)(a.data[i] - '0');
		}
		n += pick(random, 2) || n == 0 ? 1 : UINT64_MAX;
		CHECK(buffer_printf(out, "%" PRIu64, n) == 0);
	} else {
		put(out, b);
	}
	put(out, after(in, a));
}

size_t LLVMFuzzerCustomMutator(uint8_t *data, size_t size, size_t max_size, unsigned seed)
{
	struct bytes in = bytes_of(data, size);
	struct buffer out = {0};
	uint64_t random = seed;

	if (size == 0 || pick(&random, 2)) {
		return LLVMFuzzerMutate(data, size, max_size);
	}
	for (uint32_t i = pick(&random, 3) + 1; i > 0 && in.size > 0; i--) {
		struct buffer next = {0};

		if (pick(&random, 2)) {
			move_lines(in, &random, &next);
		} else {
			change_number(in, &random, &next);
		}
		buffer_finish(&out);
		out = next;
		in = buffer_bytes(&out);
	}
	size = out.size < max_size ? out.size : max_size;
	if (size > 0) {
		memcpy(data, out.data, size);
	}
	buffer_finish(&out);
	return size;
}
