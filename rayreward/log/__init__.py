"""The reward log: what every sample was given, and why."""
