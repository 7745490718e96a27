"""Tests of packaging, records, recipes, runs, checkpoints, data and the command line."""
