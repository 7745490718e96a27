"""Bound propagation for any torch graph."""
