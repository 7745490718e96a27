"""Runs: their folders, records, checkpoints, and the JSON form of what they are made of."""
