"""From what an environment shows to what a network eats."""

from .states import Keys, Normalizer, Pixels, Preprocessing

__all__ = ["Keys", "Normalizer", "Pixels", "Preprocessing"]
