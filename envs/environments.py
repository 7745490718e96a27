"""Environments by their gymnasium id, and checks of what they show and take."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing, contextmanager
from typing import TYPE_CHECKING, Any

import gymnasium as gym
from gymnasium import spaces

from robustsuite.arguments import check_kind, check_number, described
from robustsuite.errors import InvalidInput

from . import registration

if TYPE_CHECKING:
    from stable_baselines3.common.vec_env import VecEnv


def make(name: str, **options: Any) -> gym.Env[Any, Any]:
    """Make an environment.

    Args:
        name: gymnasium id.
        options: of `gymnasium.make`.

    Raises:
        InvalidInput: gymnasium does not know it, or lacks what it needs.
    """
    with _named(name):
        return gym.make(name, **options)


def make_many(name: str, count: int, *, seed: int) -> VecEnv:
    """Make `count` environments for training, stepped side by side in one process: of Atari games, a life is an episode.

    See `make`.
    """
    from stable_baselines3.common.env_util import make_vec_env

    options = {"training": True} if name in registration.ATARI else {}
    with _named(name):
        return make_vec_env(name, n_envs=count, seed=seed, env_kwargs=options)


def shows_images(name: str) -> bool:
    """Say whether an environment shows images in 8 bits."""
    from stable_baselines3.common.preprocessing import is_image_space

    with closing(make(name)) as env:
        return is_image_space(env.observation_space)


def lockstep(name: str, count: int, *, seed: int = 0, **options: Any) -> VecEnv:
    """Make `count` environments side by side for `rollout`: each plays one episode, and rests until all are reset.

    Args:
        name: gymnasium id.
        count: >= 1.
        seed: of the first reset, where `rollout` does not seed.
        options: of `gymnasium.make`.

    Raises:
        InvalidInput: gymnasium does not know it, or lacks what it needs.
    """
    from .evaluation.lockstep import Lockstep

    check_number("count", count, integer=True, least=1)
    with _named(name):
        env = Lockstep([lambda: gym.make(name, **options)] * count)
        env.seed(seed)
        return env


def check_spaces(
    env: Any, *, vectors: bool = False, discrete: bool | None = True, keys: bool = False
) -> None:
    """Check that an environment shows vectors (or images) and takes actions of one kind.

    Args:
        env: an environment of gymnasium, or a `VecEnv`.
        vectors: whether images are refused.
        discrete: whether it takes one of several actions, or a vector of numbers; None: either.
        keys: whether a Dict of such observations is taken too.

    Raises:
        InvalidInput: it is no environment, or has other spaces.
    """
    if not (hasattr(env, "observation_space") and hasattr(env, "action_space")) or isinstance(env, type):
        raise InvalidInput(f"env is {described(env)}; expected a gymnasium id, an environment or a VecEnv")
    shown = env.observation_space
    kind = "a Box of vectors" if vectors else "a Box of vectors or images"
    parts = list(shown.values()) if keys and isinstance(shown, spaces.Dict) else [shown]
    if not all(isinstance(part, spaces.Box) and not (vectors and len(part.shape) != 1) for part in parts):
        raise InvalidInput(
            f"observations are {_space(shown)}; expected {kind}: put a gymnasium wrapper around it"
        )
    if discrete is None:
        discrete = not isinstance(env.action_space, spaces.Box)
    check_actions(env.action_space, discrete=discrete)


def check_actions(space: object, *, discrete: bool) -> None:
    """Check that actions are one of several, or vectors of numbers.

    Raises:
        InvalidInput: they are of another kind.
    """
    if discrete and not isinstance(space, spaces.Discrete):
        raise InvalidInput(
            f"actions are {_space(space)}; expected Discrete, one of several actions, such as those of CartPole-v1"
        )
    if not discrete and not (isinstance(space, spaces.Box) and len(space.shape) == 1):
        raise InvalidInput(
            f"actions are {_space(space)}; expected a Box of vectors, such as those of Pendulum-v1"
        )


def _space(space: object) -> str:
    return " ".join(f"{type(space).__name__} of shape {getattr(space, 'shape', None)}".split())


@contextmanager
def _named(name: object) -> Iterator[None]:
    check_kind(name, str, "environment", "a gymnasium id, such as 'CartPole-v1'")
    try:
        yield
    except InvalidInput:
        raise
    except (gym.error.Error, ImportError, TypeError, ValueError) as error:
        reason = (str(error).splitlines() or [type(error).__name__])[0]
        raise InvalidInput(
            f"environment '{name}' cannot be made ({reason}); expected a gymnasium id, such as 'CartPole-v1'"
        ) from error
