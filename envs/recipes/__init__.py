"""Recipes of agents, a file for each environment."""

from robustsuite.recipes import catalogue

from . import acrobot, any_environment, cartpole, hopper

RECIPES = catalogue(any_environment.FAMILY, cartpole.FAMILY, acrobot.FAMILY, hopper.FAMILY)
DEMO: tuple[str, ...] = ("cartpole-dqn", "cartpole-sadqn")
