"""OpenRLHF's ``train_ppo_ray`` as a typed spec: what can be said, how each version is told, how it runs on a CPU."""
