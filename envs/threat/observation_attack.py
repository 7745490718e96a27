"""A gymnasium wrapper that shows the agent attacked observations and keeps the true ones."""

from __future__ import annotations

from typing import Any

import gymnasium as gym
import numpy as np
import numpy.typing as npt
import torch
from gymnasium import spaces
from gymnasium.utils import RecordConstructorArgs

from robustsuite.arguments import check_kind, check_number
from robustsuite.errors import InvalidInput
from robustsuite.perturbations import L1, L2, Linf, Scaled

from .. import environments
from ..attacks import Adversary, ensure_inside
from ..policies import Policy
from ..streams import Streams
from . import scale

Observation = npt.NDArray[np.float32]


class ObservationAttack(gym.Wrapper[Observation, Any, Observation, Any], RecordConstructorArgs):
    """Show nu(s) in B(s) in place of s; dynamics and rewards stay those of the true state.

    The true observation stands in ``info["true_observation"]`` and in `true_observation`. The observation space grows
    by the radius, because a shown state may lie outside the true space.

    Source: Zhang et al. 2020 (SA-MDP), section 3.1.

    Args:
        env: an environment with vector observations.
        adversary: chooses what is shown.
        perturbation: B(s), with one radius for all or one per coordinate, without clip range. See `scale.ball`.
        policy: under attack.
        seed: of the adversary's randomness, >= 0; ``reset(seed=...)`` starts its stream anew.

    Raises:
        InvalidInput: observations that are not vectors, a clip range, or an adversary that leaves B(s).
    """

    def __init__(
        self,
        env: gym.Env[Any, Any],
        *,
        adversary: Adversary,
        perturbation: scale.Lp | Scaled,
        policy: Policy,
        seed: int = 0,
    ) -> None:
        RecordConstructorArgs.__init__(
            self, adversary=adversary, perturbation=perturbation, policy=policy, seed=seed
        )
        environments.check_spaces(env, vectors=True)
        super().__init__(env)
        check_kind(adversary, Adversary, "adversary", "an observation attack such as PGDOnQ()")
        check_kind(
            perturbation, (Linf, L2, L1, Scaled), "perturbation", "a ball, such as scale.ball(0.1, std)"
        )
        check_kind(policy, Policy, "policy", "what is attacked: agent.policy")
        check_number("seed", seed, integer=True, least=0)
        space = env.observation_space
        assert isinstance(space, spaces.Box)
        clip = (perturbation.ball if isinstance(perturbation, Scaled) else perturbation).clip
        if clip is not None:
            raise InvalidInput(f"clip is {clip}; expected None: vectors have no common valid range")
        self._adversary, self._perturbation, self._policy = adversary, perturbation, policy
        self._seed, self._episodes = seed, 0
        self._begin(0)
        radius = perturbation.around(torch.zeros(1, *space.shape)).upper[0].numpy()
        self.observation_space = spaces.Box(
            (space.low - radius).astype(np.float32),
            (space.high + radius).astype(np.float32),
            dtype=np.float32,
        )
        self.true_observation: Observation = np.zeros(space.shape, dtype=np.float32)

    def reset(
        self, *, seed: int | None = None, options: dict[str, Any] | None = None
    ) -> tuple[Observation, dict[str, Any]]:
        """Reset the environment; with a seed also the adversary's random stream."""
        observation, info = self.env.reset(seed=seed, options=options)
        self._episodes = self._episodes + 1 if seed is None else 0
        self._begin(seed or 0)
        return self._show(observation, info)

    def step(self, action: Any) -> tuple[Observation, Any, bool, bool, dict[str, Any]]:
        """Step the true environment and show the next state attacked."""
        observation, reward, terminated, truncated, info = self.env.step(action)
        shown, info = self._show(observation, info)
        return shown, reward, terminated, truncated, info

    def _begin(self, reset: int) -> None:
        """Begin an episode: the attacker's memory and random stream are those of the last seed and the episode after it."""
        streams = Streams(
            self._seed, "observation attack", reset, episodes=[self._episodes], device=self._policy.device
        )
        self._attacker = self._adversary.start(self._policy, self._perturbation, streams)
        self._first = True

    def _show(self, observation: Any, info: dict[str, Any]) -> tuple[Observation, dict[str, Any]]:
        self.true_observation = np.array(observation, dtype=np.float32)
        true = torch.from_numpy(self.true_observation).unsqueeze(0).to(self._policy.device)
        shown = self._attacker.show(true, torch.tensor([self._first], device=true.device))
        self._first = False
        ensure_inside(shown, true, self._perturbation, name=self._adversary.name)
        return shown[0].cpu().numpy(), {**info, "true_observation": self.true_observation.copy()}
