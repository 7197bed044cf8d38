/* SPDX-License-Identifier: MIT
 * Copyright (c) 2026 The cubbyfs authors */

#include "store/base64.h"

#include <stdint.h>

static const char alphabet[64] __attribute__((nonstring)) =
	"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

int base64_encode(struct bytes in, struct buffer *out)
{
	const unsigned char *p = (const unsigned char *)in.data;
	size_t left = in.size;
	char *to;
	int r;

	if (left == 0) {
		return 0;
	}
	r = buffer_reserve(out, out->size + base64_encoded_size(in.size));
	if (r < 0) {
		return r;
	}
	to = out->data + out->size;
	out->size += base64_encoded_size(in.size);
	for (; left > 0; to += 4) {
		uint32_t group = (uint32_t)p[0] << 16;

		group |= left > 1 ? (uint32_t)p[1] << 8 : 0;
		group |= left > 2 ? p[2] : 0;
		to[0] = alphabet[group >> 18];
		to[1] = alphabet[group >> 12 & 63];
		to[2] = left > 1 ? alphabet[group >> 6 & 63] : '=';
		to[3] = left > 2 ? alphabet[group & 63] : '=';
		if (left <= 3) {
			break;
		}
		p += 3;
		left -= 3;
	}
	return 0;
}

static int digit(char c)
{
	if (c >= 'A' && c <= 'Z') {
		return c - 'A';
	}
	if (c >= 'a' && c <= 'z') {
		return c - 'a' + 26;
	}
	if (c >= '0' && c <= '9') {
		return c - '0' + 52;
	}
	return c == '+' ? 62 : c == '/' ? 63 : -1;
}

bool base64_decode(struct bytes in, void *out, size_t *size)
{
	unsigned char *to = out;

	*size = 0;
	if (in.size % 4 != 0) {
		return false;
	}
	for (size_t i = 0; i < in.size; i += 4) {
		const char *p = in.data + i;
		bool last = i + 4 == in.size;
		int pad = !last || p[3] != '=' ? 0 : p[2] != '=' ? 1 : 2;
		int a = digit(p[0]), b = digit(p[1]);
		int c = pad > 1 ? 0 : digit(p[2]);
		int d = pad > 0 ? 0 : digit(p[3]);

		if (a < 0 || b < 0 || c < 0 || d < 0) {
			return false;
		}
		if ((pad == 2 && (b & 15)) || (pad == 1 && (c & 3))) {
			return false; /* bits that belong to nothing */
		}
		to[(*size)++] = (unsigned char)(a << 2 | b >> 4);
		if (pad < 2) {
			to[(*size)++] = (unsigned char)((b & 15) << 4 | c >> 2);
		}
		if (pad < 1) {
			to[(*size)++] = (unsigned char)((c & 3) << 6 | d);
		}
	}
	return true;
}
