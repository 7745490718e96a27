"""Tests of packaging, recipes, data, docs and the ranges of all numbers."""
