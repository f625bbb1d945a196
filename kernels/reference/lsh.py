"""Prints the pinned numbers of src/lsh's tests by an independent implementation in exact rationals.

A fused multiply-add is computed exactly and rounded to float32 once; the logarithm is the one that
src/lsh/gaussian.rs states, operation by operation, because its rounding is part of the definition.
Usage: python lsh.py
"""

import math
import struct
from fractions import Fraction

MASK32, MASK64 = 2**32 - 1, 2**64 - 1
DIRECTION, OFFSET, FOLD = range(3)


def philox(key, counter):
    c, keys = list(counter), [key & MASK32, key >> 32]
    for _ in range(10):
        a, b = 0xD2511F53 * c[0], 0xCD9E8D57 * c[2]
        c = [(b >> 32) ^ c[1] ^ keys[0], b & MASK32, (a >> 32) ^ c[3] ^ keys[1], a & MASK32]
        keys = [(keys[0] + 0x9E3779B9) & MASK32, (keys[1] + 0xBB67AE85) & MASK32]
    return c


def logarithm(x):
    mantissa, exponent = math.frexp(x)
    mantissa, exponent = mantissa * 2, exponent - 1
    if mantissa > math.sqrt(2):
        mantissa, exponent = mantissa * 0.5, exponent + 1
    z = (mantissa - 1) / (mantissa + 1)
    total = 0.0
    for term in reversed(range(11)):
        total = total * (z * z) + 1 / (2 * term + 1)
    return exponent * math.log(2) + 2 * z * total


def centred(bits):
    return (2 * bits + 1) / 2**32 - 1


def gaussian(seed, hash, channel):
    attempt = 0
    while True:
        bits = [centred(n) for n in philox(seed, [channel, hash, attempt, DIRECTION])]
        for u, v in (bits[:2], bits[2:]):
            s = u * u + v * v
            if s < 1:
                return u * math.sqrt(-2 * logarithm(s) / s)
        attempt += 1


def uniform(seed, hash):
    return 0.5 * (centred(philox(seed, [0, hash, 0, OFFSET])[0]) + 1)


def float32(exact):
    """The float32 nearest to a rational, ties to even; no number here is subnormal or huge."""
    if exact == 0:
        return Fraction(0)
    exponent = math.floor(math.log2(abs(exact)))
    for e in (exponent - 1, exponent, exponent + 1):
        if Fraction(2) ** e <= abs(exact) < Fraction(2) ** (e + 1):
            unit = Fraction(2) ** (e - 23)
            return round(exact / unit) * unit


def codes(embedding, rows, concatenated, width, cells, seed):
    out = []
    for row in range(rows):
        draws = [philox(seed, [place, row, 0, FOLD]) for place in range(concatenated + 1)]
        addend, *factors = [low | high << 32 for low, high, _, _ in draws]
        total = addend
        for n, factor in enumerate(factors):
            hash = row * concatenated + n
            chain = float32(Fraction(uniform(seed, hash)))
            for channel, x in enumerate(embedding):
                chain = float32(float32(Fraction(gaussian(seed, hash, channel) / width)) * x + chain)
            total += factor * (math.floor(chain) % 2**32)
        out.append(((total & MASK64) >> 32) * cells >> 32)
    return out


def embedding(document, dimensions):
    row = [gaussian(77, document, i) for i in range(dimensions)]
    squares = 0.0
    for x in row:
        squares += x * x
    return [float32(Fraction(x / math.sqrt(squares))) for x in row]


def main():
    for x in (gaussian(0, 0, 0), gaussian(42, 511, 383), uniform(42, 7)):
        print(hex(struct.unpack("<Q", struct.pack("<d", x))[0]), x)
    for document in range(3):
        print(codes(embedding(document, 384), 4, 4, 1.0, 65536, 42))


if __name__ == "__main__":
    main()
