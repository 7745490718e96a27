"""Recipes of agents, a file for each environment."""

from robustsuite.recipes import catalogue

from . import acrobot, cartpole, hopper

RECIPES = catalogue(cartpole.FAMILY, acrobot.FAMILY, hopper.FAMILY)
DEMO: tuple[str, ...] = ("cartpole-dqn", "cartpole-sadqn")
