"""Wrappers that show the agent attacked states and keep the true ones: for one environment, and for many side by side."""

from __future__ import annotations

from typing import Any, cast

import gymnasium as gym
import numpy as np
import torch
from gymnasium import spaces
from gymnasium.utils import RecordConstructorArgs
from stable_baselines3.common.vec_env import VecEnv, VecEnvWrapper, unwrap_vec_normalize
from stable_baselines3.common.vec_env.base_vec_env import VecEnvStepReturn

from robustsuite.arguments import check_kind, check_number
from robustsuite.errors import InvalidInput
from robustsuite.perturbations import Perturbation

from .. import environments
from ..attacks import Adversary, ensure_inside
from ..policies import Agent
from ..streams import Streams
from .spaces import State, batched, check_ball, grown, of_states


class ObservationAttack(gym.Wrapper[State, Any, Any, Any], RecordConstructorArgs):
    """Show nu(s) in B(s) in place of s; dynamics and rewards stay those of the true state.

    What is shown are *states*: what the agent's network eats, after the agent's own preprocessing (statistics, images in
    [0, 1]), because there the attack stands. ``agent.policy.act`` takes them as they are. The true state stands in
    ``info["true_observation"]`` and in `true_observation`. The observation space grows by the radius, because a shown state
    may lie outside the true space; with a clip range, it is that.

    Source: Zhang et al. 2020 (SA-MDP), section 3.1.

    Args:
        env: an environment whose observations the agent takes.
        adversary: chooses what is shown.
        perturbation: B(s), around states. See `Agent.ball` and `robustsuite.envs.scale`.
        agent: under attack.
        seed: of the adversary's randomness, >= 0; ``reset(seed=...)`` starts its stream anew.

    Raises:
        InvalidInput: observations that the agent does not take, a ball of another shape, or an adversary that leaves B(s).
    """

    def __init__(
        self,
        env: gym.Env[Any, Any],
        *,
        adversary: Adversary,
        perturbation: Perturbation,
        agent: Agent,
        seed: int = 0,
    ) -> None:
        RecordConstructorArgs.__init__(
            self, adversary=adversary, perturbation=perturbation, agent=agent, seed=seed
        )
        states = _checked(env, adversary, perturbation, agent, seed)
        super().__init__(env)
        self._adversary, self._perturbation, self._agent = adversary, perturbation, agent
        self._seed, self._episodes = seed, 0
        self._begin(0)
        self.observation_space = cast(Any, grown(states, perturbation))
        self.true_observation: State = np.zeros(states.shape, dtype=np.float32)

    def reset(
        self, *, seed: int | None = None, options: dict[str, Any] | None = None
    ) -> tuple[State, dict[str, Any]]:
        """Reset the environment; with a seed also the adversary's random stream."""
        observation, info = self.env.reset(seed=seed, options=options)
        self._episodes = self._episodes + 1 if seed is None else 0
        self._begin(seed or 0)
        return self._show(observation, info)

    def step(self, action: Any) -> tuple[State, Any, bool, bool, dict[str, Any]]:
        """Step the true environment and show the next state attacked."""
        observation, reward, terminated, truncated, info = self.env.step(action)
        shown, info = self._show(observation, info)
        return shown, reward, terminated, truncated, info

    def _begin(self, reset: int) -> None:
        """Begin an episode: the attacker's memory and random stream are those of the last seed and the episode after it."""
        policy = self._agent.policy
        streams = Streams(
            self._seed, "observation attack", reset, episodes=[self._episodes], device=policy.device
        )
        self._attacker = self._adversary.start(policy, self._perturbation, streams)
        self._first = True

    def _show(self, observation: Any, info: dict[str, Any]) -> tuple[State, dict[str, Any]]:
        true = self._agent.states(batched(observation))
        self.true_observation = true[0].cpu().numpy()
        shown = self._attacker.show(true, torch.tensor([self._first], device=true.device))
        self._first = False
        ensure_inside(shown, true, self._perturbation, name=self._adversary.name)
        return shown[0].cpu().numpy(), {**info, "true_observation": self.true_observation.copy()}


class VecObservationAttack(VecEnvWrapper):
    """Show nu(s) in B(s) in place of s in environments side by side. See `ObservationAttack`.

    It stands outside of a VecNormalize or VecFrameStack: what these give is what is attacked. The last state of an
    episode, in ``info["terminal_observation"]``, is the true one. All attacks of a step are one batch; each environment has
    its own random stream.

    Args:
        venv: environments whose observations the agent takes.
        adversary, perturbation, agent, seed: as for `ObservationAttack`.

    Raises:
        InvalidInput: as for `ObservationAttack`; both a VecNormalize and an agent that normalises.
    """

    def __init__(
        self,
        venv: VecEnv,
        *,
        adversary: Adversary,
        perturbation: Perturbation,
        agent: Agent,
        seed: int = 0,
    ) -> None:
        states = _checked(venv, adversary, perturbation, agent, seed)
        inside = unwrap_vec_normalize(venv)
        if inside is not None and inside.norm_obs and agent.preprocessing is not None:
            raise InvalidInput(
                "the environment normalises observations and the agent does so too; expected one of them"
            )
        super().__init__(venv, observation_space=grown(states, perturbation))
        self._adversary, self._perturbation, self._agent, self._seed = adversary, perturbation, agent, seed
        self.true_observations: State = np.zeros((venv.num_envs, *states.shape), dtype=np.float32)

    def reset(self) -> State:
        """Reset all environments; random streams and memories begin anew."""
        policy, count = self._agent.policy, self.num_envs
        streams = Streams(self._seed, "observation attack", episodes=range(count), device=policy.device)
        self._attacker = self._adversary.start(policy, self._perturbation, streams)
        return self._show(self.venv.reset(), np.ones(count, dtype=np.bool_))

    def step_wait(self) -> VecEnvStepReturn:
        """Step the true environments and show their next states attacked."""
        observations, rewards, dones, infos = self.venv.step_wait()
        shown = self._show(observations, dones)
        for place, info in enumerate(infos):
            info["true_observation"] = self.true_observations[place].copy()
            if "terminal_observation" in info:
                last = self._agent.states(batched(info["terminal_observation"]))
                info["terminal_observation"] = last[0].cpu().numpy()
        return shown, rewards, dones, infos

    def _show(self, observations: Any, first: np.ndarray[Any, Any]) -> State:
        true = self._agent.states(observations)
        self.true_observations = true.cpu().numpy()
        shown = self._attacker.show(true, torch.as_tensor(first, device=true.device))
        ensure_inside(shown, true, self._perturbation, name=self._adversary.name)
        return shown.cpu().numpy()


def _checked(env: Any, adversary: object, perturbation: object, agent: object, seed: object) -> spaces.Box:
    """Check what both wrappers take, and give the space of states."""
    check_kind(adversary, Adversary, "adversary", "an observation attack such as PGDOnQ()")
    check_kind(agent, Agent, "agent", "the Agent under attack")
    check_number("seed", seed, integer=True, least=0)
    environments.check_spaces(env, discrete=None, keys=True)
    states = of_states(cast(spaces.Space[Any], env.observation_space), cast(Agent, agent))
    check_ball(perturbation, states)
    return states
