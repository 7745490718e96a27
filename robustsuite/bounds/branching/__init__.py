"""Complete verification: branch and bound."""
