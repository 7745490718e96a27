"""Walks over a program: intervals forward, linear forms backward, refinement, ascent."""
