"""Reward models, without Ray: they run on a bare machine as in a replica."""
