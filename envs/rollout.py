"""Many episodes side by side: one reset seed per episode, one batch of states per step, so attacks run on batches."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import torch
from gymnasium import spaces

from robustsuite.arguments import check_kind, check_number
from robustsuite.attacks.models import first_outputs
from robustsuite.errors import InvalidInput
from robustsuite.perturbations import L1, L2, Linf, Scaled

from . import environments, scale
from .attacks import Adversary, ensure_inside
from .q_function import QFunction
from .threads import one_thread


@dataclass(frozen=True, slots=True, kw_only=True)
class Rollout:
    """What happened in a set of episodes. Steps of all episodes stand one after the other, by time.

    Attributes:
        returns: undiscounted return of each episode, shape (episodes,).
        states: the true state at each step, shape (steps, *observation).
        rewards: shape (steps,).
        episode: the episode of each step, shape (steps,).
        flipped: whether the action differs from the greedy one at the true state, shape (steps,).
    """

    returns: npt.NDArray[np.float64]
    states: npt.NDArray[np.float32]
    rewards: npt.NDArray[np.float64]
    episode: npt.NDArray[np.int64]
    flipped: npt.NDArray[np.bool_]

    @property
    def lengths(self) -> npt.NDArray[np.int64]:
        """Give the number of steps of each episode."""
        return np.bincount(self.episode, minlength=len(self.returns))


def rollout(
    q: QFunction,
    env: str,
    seeds: Sequence[int],
    *,
    adversary: Adversary | None = None,
    perturbations: Sequence[scale.Lp | Scaled] = (),
    generator: torch.Generator | None = None,
) -> Rollout:
    """Play one episode per seed with greedy actions, the agent seeing what the adversary shows.

    Args:
        q: the agent.
        env: gymnasium id of an environment with vector observations and discrete actions.
        seeds: reset seed of each episode, at least one.
        adversary: None for natural episodes.
        perturbations: B(s) of each episode (see `scale.ball`), so that one batch can hold a whole curve over eps; needed
            with an adversary.
        generator: of the adversary's randomness; needed with an adversary.

    Raises:
        InvalidInput: no seeds, an adversary without a ball per episode or without generator, or one that leaves B(s).
    """
    check_kind(q, QFunction, "q", "a QFunction: agent.q_function()")
    if len(seeds) == 0:
        raise InvalidInput("got no seeds; expected one reset seed per episode")
    if adversary is not None and (len(perturbations) != len(seeds) or generator is None):
        raise InvalidInput(
            f"adversary '{adversary.name}' came with {len(perturbations)} balls for {len(seeds)} episodes and "
            f"{'no' if generator is None else 'a'} generator; expected one ball per episode and a generator"
        )
    for seed in seeds:
        check_number("seeds", seed, integer=True, least=0)
    for perturbation in perturbations:
        check_kind(
            perturbation, (Linf, L2, L1, Scaled), "perturbations", "one ball per episode: see scale.ball"
        )
    games = [environments.make(env) for _ in seeds]
    try:
        environments.check_spaces(games[0], vectors=True)
        now = [
            np.asarray(game.reset(seed=int(seed))[0], dtype=np.float32)
            for game, seed in zip(games, seeds, strict=True)
        ]
        playing = list(range(len(games)))
        states, rewards, episode, flipped = [], [], [], []
        batch_ball = scale.stacked(perturbations) if adversary is not None else None
        with one_thread():
            _check_fits(q, games[0].action_space, now[0], env)
            while playing:
                true = torch.from_numpy(np.stack([now[i] for i in playing])).to(q.device)
                actions = greedy = q.greedy(true)
                if adversary is not None and batch_ball is not None and generator is not None:
                    shown = adversary(q, true, batch_ball, generator=generator)
                    ensure_inside(shown, true, batch_ball, name=adversary.name)
                    actions = q.greedy(shown)
                states.append(true.cpu().numpy())
                flipped.append((actions != greedy).cpu().numpy())
                episode.append(np.array(playing))
                still = []
                for i, action in zip(playing, actions.tolist(), strict=True):
                    observation, reward, terminated, truncated, _ = games[i].step(action)
                    now[i] = np.asarray(observation, dtype=np.float32)
                    rewards.append(float(reward))
                    if not (terminated or truncated):
                        still.append(i)
                if batch_ball is not None and 0 < len(still) < len(playing):
                    batch_ball = scale.stacked([perturbations[i] for i in still])
                playing = still
    finally:
        for game in games:
            game.close()
    at = np.concatenate(episode)
    return Rollout(
        returns=np.bincount(at, weights=np.array(rewards), minlength=len(games)).astype(np.float64),
        states=np.concatenate(states),
        rewards=np.array(rewards),
        episode=at,
        flipped=np.concatenate(flipped),
    )


def _check_fits(q: QFunction, actions: object, observation: npt.NDArray[np.float32], env: str) -> None:
    """Check that an agent takes an environment's observations, and has a value for each of its actions.

    Raises:
        InvalidInput: it was trained on another environment.
    """
    with torch.no_grad():
        values = first_outputs(q, torch.from_numpy(observation[None]).to(q.device))
    assert isinstance(actions, spaces.Discrete)
    if values.shape[1] != int(actions.n):
        raise InvalidInput(
            f"the agent has {values.shape[1]} actions and '{env}' {int(actions.n)}; expected the environment that it was "
            "trained on"
        )
