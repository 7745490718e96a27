"""Algorithms: stable-baselines3's own with what robustness adds."""
