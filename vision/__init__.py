"""robustsuite.vision."""
