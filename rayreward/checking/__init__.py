"""Checks a reward before a run: does it answer, always the same, whatever comes, and what do cheap answers earn?

Nothing is imported here: the pytest plugin lies in this package, and every pytest session loads it.
"""
