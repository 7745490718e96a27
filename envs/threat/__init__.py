"""What an adversary may do: the units of a radius, and environments that show attacked states."""
