"""The bound methods."""
