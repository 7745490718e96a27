"""Atari games as SA-DQN and its successors play them: one cropped grey frame of 84 x 84, and the first few actions.

Source: Zhang et al. 2020, section 4 and the authors' code (one frame, no stack; the crop moves with the game); Mnih et al. 2015,
methods (no-ops, skipped frames, lives, rewards).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import gymnasium as gym
import numpy as np
import numpy.typing as npt
from gymnasium import spaces

from robustsuite.errors import InvalidInput

SIDE = 84
MAX_STEPS = 27_000  # 108,000 frames

Frame = npt.NDArray[np.uint8]


@dataclass(frozen=True, slots=True, kw_only=True)
class Game:
    """How a game is shown and played.

    Args:
        shift: pixels by which the crop lies lower than the top, in the grey frame of 210 rows.
        actions: how many of the game's actions are played, the first ones.
    """

    shift: int
    actions: int


GAMES: dict[str, Game] = {
    "Pong": Game(shift=10, actions=4),
    "Freeway": Game(shift=0, actions=3),
    "BankHeist": Game(shift=0, actions=6),
    "RoadRunner": Game(shift=20, actions=6),
}
"""By name; "robustsuite/Pong-v0" is the id. The authors' settings."""


def make(game: str, *, training: bool = False, render_mode: str | None = None) -> gym.Env[Frame, np.int64]:
    """Make a game. `gymnasium.make("robustsuite/Pong-v0")` does so too.

    Up to 30 no-ops at the start, each action for 4 frames with the maximum of the last two shown, FIRE after a reset where the
    game has it. In training a life is an episode and rewards are cut to their sign.

    Args:
        game: one of `GAMES`.
        training: whether lives end episodes and rewards are signs.
        render_mode: of gymnasium.

    Raises:
        InvalidInput: an unknown game, or the package of the games is missing.
    """
    if game not in GAMES:
        raise InvalidInput(f"game is '{game}'; expected one of {', '.join(GAMES)}")
    try:
        import ale_py
        import cv2  # noqa: F401  what the frames are made with
    except ModuleNotFoundError as error:
        raise InvalidInput(
            f"'{game}' needs the package '{error.name}': run pip install 'robustsuite[atari]'"
        ) from None
    from stable_baselines3.common import atari_wrappers

    gym.register_envs(ale_py)
    env: gym.Env[Any, Any] = gym.make(f"{game}NoFrameskip-v4", render_mode=render_mode)
    env = atari_wrappers.NoopResetEnv(env, noop_max=30)
    env = atari_wrappers.MaxAndSkipEnv(env, skip=4)
    if training:
        env = atari_wrappers.EpisodicLifeEnv(env)
    if "FIRE" in env.unwrapped.get_action_meanings():  # type: ignore[attr-defined]
        env = atari_wrappers.FireResetEnv(env)
    cropped: gym.Env[Any, Any] = FirstActions(CroppedFrame(env, shift=GAMES[game].shift), GAMES[game].actions)
    return atari_wrappers.ClipRewardEnv(cropped) if training else cropped


class CroppedFrame(gym.ObservationWrapper[Frame, Any, Frame]):
    """One grey frame: four columns of zeros on each side, a square of 168 x 168, shrunk to 84 x 84 by areas.

    Args:
        env: shows frames of 210 x 160 in colour.
        shift: pixels by which the square lies lower than the top, in [0, 42].
    """

    def __init__(self, env: gym.Env[Any, Any], *, shift: int) -> None:
        super().__init__(env)
        self._shift = shift
        self.observation_space = spaces.Box(0, 255, (1, SIDE, SIDE), dtype=np.uint8)

    def observation(self, observation: Frame) -> Frame:
        """Give the frame, (1, 84, 84)."""
        import cv2

        grey = cv2.cvtColor(observation, cv2.COLOR_RGB2GRAY)
        wide = np.pad(grey, ((0, 0), (4, 4)))
        square = wide[self._shift : self._shift + 2 * SIDE]
        shrunk = cv2.resize(square, (SIDE, SIDE), interpolation=cv2.INTER_AREA)
        return shrunk[None].astype(np.uint8)


class FirstActions(gym.ActionWrapper[Frame, np.int64, np.int64]):
    """Play the first actions of a game alone.

    Args:
        env: with one of several actions.
        count: how many, >= 2.
    """

    def __init__(self, env: gym.Env[Any, Any], count: int) -> None:
        super().__init__(env)
        self.action_space = spaces.Discrete(count)

    def action(self, action: np.int64) -> np.int64:
        """Give the action as it is."""
        return action
