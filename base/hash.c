/* SPDX-License-Identifier: MIT
 * Copyright (c) 2026 The cubbyfs authors */
#include "base/hash.h"

#include <sodium/crypto_shorthash.h>
#include <string.h>

static unsigned char hash_key[crypto_shorthash_KEYBYTES];

_Static_assert(crypto_shorthash_KEYBYTES == HASH_KEY_SIZE, "of SipHash");

void hash_set_key(const unsigned char key[HASH_KEY_SIZE])
{
	memcpy(hash_key, key, HASH_KEY_SIZE);
}

uint64_t hash_bytes(const void *data, size_t size)
{
	uint64_t hash;

	(void)crypto_shorthash((unsigned char *)&hash, data, size, hash_key);
	return hash;
}

/* The full 128-bit product folded into 64: each bit of either factor reaches
 * about half of the result's. */
static uint64_t fold(uint64_t a, uint64_t b)
{
	__uint128_t product = (__uint128_t)a * b;

	return (uint64_t)product ^ (uint64_t)(product >> 64);
}

/* Odd, no pattern: fractional bits of the square roots of 2, 3 and 5. */
#define MIX_A UINT64_C(0x6a09e667f3bcc909)
#define MIX_B UINT64_C(0xbb67ae8584caa73b)
#define MIX_C UINT64_C(0x3c6ef372fe94f82b)

uint32_t hash_number(uint64_t n)
{
	n = fold(n ^ MIX_A, MIX_B);
	n = fold(n ^ MIX_C, MIX_A);
	return (uint32_t)(n ^ n >> 32);
}
