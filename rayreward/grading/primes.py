"""Whole numbers as products of primes, where that is quick."""

from __future__ import annotations

import math
from functools import lru_cache

_SMALL_PRIMES_BELOW = 2_000
"""Primes that are tried; what is left below their square is prime."""

_MAX_BITS = 256
"""Of a number that is taken apart; under a root stand small ones."""


@lru_cache(maxsize=1)
def _primes() -> tuple[int, ...]:
    sieve = bytearray([1]) * _SMALL_PRIMES_BELOW
    for number in range(2, math.isqrt(_SMALL_PRIMES_BELOW) + 1):
        if sieve[number]:
            sieve[number * number :: number] = bytes(len(range(number * number, _SMALL_PRIMES_BELOW, number)))
    return tuple(number for number in range(2, _SMALL_PRIMES_BELOW) if sieve[number])


def factorised(number: int) -> dict[int, int] | None:
    """Primes and how often; None where what small primes leave over may not be prime.

    Example:
        >>> factorised(360), factorised(2**61 - 1)
        ({2: 3, 3: 2, 5: 1}, None)
    """
    if number.bit_length() > _MAX_BITS:
        return None
    found: dict[int, int] = {}
    for prime in _primes():
        if prime * prime > number:
            break
        while number % prime == 0:
            found[prime] = found.get(prime, 0) + 1
            number //= prime
    if number == 1:
        return found
    root = math.isqrt(number)
    largest = _SMALL_PRIMES_BELOW**2
    if root * root == number and root < largest:
        found[root] = 2
    elif number < largest:
        found[number] = found.get(number, 0) + 1
    else:
        return None
    return found
