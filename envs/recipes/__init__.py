"""Recipes of agents, a file for each environment."""

from robustsuite.recipes import catalogue

from . import (
    acrobot,
    ant,
    any_continuous,
    any_environment,
    atari,
    cartpole,
    halfcheetah,
    hopper,
    humanoid,
    inverted_pendulum,
    lunar_lander,
    pendulum,
    reacher,
    walker2d,
)

RECIPES = catalogue(
    any_environment.FAMILY,
    any_continuous.FAMILY,
    cartpole.FAMILY,
    acrobot.FAMILY,
    lunar_lander.FAMILY,
    pendulum.FAMILY,
    inverted_pendulum.FAMILY,
    reacher.FAMILY,
    hopper.FAMILY,
    walker2d.FAMILY,
    halfcheetah.FAMILY,
    ant.FAMILY,
    humanoid.FAMILY,
    atari.FAMILY,
)
DEMO: tuple[str, ...] = ("cartpole-dqn", "cartpole-sadqn")
