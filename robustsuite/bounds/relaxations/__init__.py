"""Relaxations: how each nonlinearity is bounded by intervals and planes, one module per kind."""
