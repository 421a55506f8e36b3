"""Trainings by TRL's GRPOTrainer: one node, no vLLM needed, scored by the router."""
