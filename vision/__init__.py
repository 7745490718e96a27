"""Vision: standard, adversarial and certified training of image classifiers, and their evaluation."""

from typing import TYPE_CHECKING

from robustsuite import lazily

from .recipes import DEMO, RECIPES

if TYPE_CHECKING:
    from .classification import Classification
    from .data import load_images
    from .models import MLP, Architecture, ConvNet

__all__ = ["DEMO", "MLP", "RECIPES", "Architecture", "Classification", "ConvNet", "load_images"]

__getattr__ = lazily.names(
    __name__, classification="Classification", data="load_images", models="Architecture ConvNet MLP"
)
