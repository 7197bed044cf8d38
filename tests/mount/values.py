# SPDX-License-Identifier: MIT
# Copyright (c) 2026 The cubbyfs authors
"""Values that say themselves whether they are whole.

From 64 bytes on: a zero, the length, the seed, a checksum over all that, and
bytes that follow from the seed. A shorter one has no room for a checksum: its
first byte is its length, its second its seed, the others follow from both.
"""
import hashlib
import random
import struct

HEAD = struct.Struct(">BQQ16s")
SHORT = 64
EDGES = (1, 2, SHORT - 1, SHORT, 4095, 4096, 4097, 131071, 131072, 131073,
         (1 << 20) - 1, 1 << 20)


def checksum(size, seed, body):
    h = hashlib.blake2b(digest_size=16)
    h.update(struct.pack(">QQ", size, seed))
    h.update(body)
    return h.digest()


def make(seed, size):
    if size < SHORT:
        seed &= 255
        return bytes([size, seed] + [(31 * size + 17 * seed + i) & 255
                                     for i in range(size - 2)])[:size]
    body = random.Random(seed).randbytes(size - HEAD.size)
    return HEAD.pack(0, size, seed, checksum(size, seed, body)) + body


def flaw(value):
    """What is wrong with a value, or None."""
    if not value:
        return "empty"
    if value[0]:
        if len(value) != value[0]:
            return "%d bytes that say they are %d" % (len(value), value[0])
        if len(value) > 1 and value != make(value[1], len(value)):
            return "%d bytes, mixed: %r" % (len(value), value)
        return None
    if len(value) < HEAD.size:
        return "%d bytes of a long value" % len(value)
    _, size, seed, digest = HEAD.unpack_from(value)
    if size != len(value):
        return "%d bytes that say they are %d" % (len(value), size)
    if checksum(size, seed, memoryview(value)[HEAD.size:]) != digest:
        return "%d bytes of the right length with a wrong checksum" % size
    return None


def seed_of(value):
    """The seed of a long value that has no flaw."""
    return HEAD.unpack_from(value)[2]


def any_size(rng, largest=1 << 20):
    """As likely small as large; now and then one where pages or requests end."""
    if rng.random() < 0.2:
        return rng.choice([n for n in EDGES if n <= largest])
    return min(largest, int(2 ** rng.uniform(0, largest.bit_length())))
