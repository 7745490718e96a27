"""robustsuite.envs."""
