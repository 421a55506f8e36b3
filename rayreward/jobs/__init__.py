"""Trainings that call the reward plane."""
