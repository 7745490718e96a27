"""Recipes of image classifiers, a file for each data set."""

from robustsuite.recipes import catalogue

from . import cifar10, digits, mnist10k

RECIPES = catalogue(digits.FAMILY, mnist10k.FAMILY, cifar10.FAMILY)
DEMO: tuple[str, ...] = ("digits-standard", "digits-adversarial", "digits-certified")
