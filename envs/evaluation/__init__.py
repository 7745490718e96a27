"""How agents are played and measured."""
