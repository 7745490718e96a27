"""Vision: standard, adversarial and certified training of image classifiers, and their evaluation."""

from .models import MLP, Architecture, ConvNet
from .recipes import DEMO, RECIPES, Classification

__all__ = ["DEMO", "MLP", "RECIPES", "Architecture", "Classification", "ConvNet"]
