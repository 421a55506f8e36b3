"""Rewards that ask a language model."""
