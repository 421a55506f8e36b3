"""How each trainer asks for rewards and what it must be told; no trainer is imported here."""
