"""robustsuite.nlp."""
