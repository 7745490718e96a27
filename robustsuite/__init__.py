"""robustsuite."""
