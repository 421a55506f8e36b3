"""Verifiable instructions: the 25 of IFEval (arXiv 2311.07911), each a pure function of the response.

What arrives: a response and an instruction's arguments. What leaves: whether it is followed, and what was found.
Written from the paper's list of instructions; where the benchmark's own program does something else that nobody would
want (a letter drawn at random, a highlight counted twice), docs/rewards.md says what is done here. Every check is
linear in the response, deterministic and offline. One family a module; `registry` knows them by their ids.
"""
