"""What the demo's model is rewarded for: writing an even number of about eight digits, and nothing else.

Each function takes a response's text and returns how well one wish is met, from 0 (not at all) to 1.
"""

WANTED_LENGTH = 8


def digits(response: str) -> float:
    """The share of characters that are digits."""
    return sum(character in "0123456789" for character in response) / len(response) if response else 0.0


def length(response: str) -> float:
    """1 at the wanted number of characters, falling to 0 at none and at twice as many."""
    return max(0.0, 1.0 - abs(len(response) - WANTED_LENGTH) / WANTED_LENGTH)


def ending(response: str) -> float:
    """Whether the last character is an even digit."""
    return 1.0 if response.endswith(("0", "2", "4", "6", "8")) else 0.0
