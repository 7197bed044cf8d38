/* SPDX-License-Identifier: MIT
 * Copyright (c) 2026 The cubbyfs authors */

/* Hashes for tables.
 *
 * Of what users choose (names) it is SipHash (J.-P. Aumasson, D. J. Bernstein, "SipHash: a fast
 * short-input PRF", 2012) under a key: who does not know it cannot make names that meet in one
 * bucket, although he sees hashes as the positions of a listing. Numbers are given out by us. */
#pragma once

#include <stddef.h>
#include <stdint.h>

#define HASH_KEY_SIZE 16

/* The key of the process, before anything is hashed. All zeros until then. */
void hash_set_key(const unsigned char key[HASH_KEY_SIZE]);

uint64_t hash_bytes(const void *data, size_t size);
uint32_t hash_number(uint64_t n);
