"""From what an environment shows to what a network eats."""

from .states import Keys, Normalizer, Padded, Pixels, Preprocessing

__all__ = ["Keys", "Normalizer", "Padded", "Pixels", "Preprocessing"]
