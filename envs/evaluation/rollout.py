"""Many episodes side by side: one reset seed and one random stream per episode, so attacks run on batches."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt
import torch
from gymnasium import spaces

from robustsuite.arguments import MAX_SEED, check_kind, check_number
from robustsuite.errors import InvalidInput
from robustsuite.perturbations import Perturbation

from .. import environments
from ..attacks.adversary import Adversary, Attacker, ensure_inside
from ..policies import Agent, Gaussian, QFunction
from ..streams import Streams
from ..threads import one_thread

if TYPE_CHECKING:
    from stable_baselines3.common.vec_env import VecEnv


@dataclass(frozen=True, slots=True, kw_only=True)
class Rollout:
    """What happened in a set of episodes. Steps of all episodes stand one after the other, by time.

    Attributes:
        returns: undiscounted return of each episode, shape (episodes,).
        rewards: shape (steps,).
        episode: the episode of each step, shape (steps,).
        moved: how far the action lies from that at the true state, in the policy's distance, shape (steps,).
        states: the true state at each step, shape (steps, *state); empty where they were not kept.
    """

    returns: npt.NDArray[np.float64]
    rewards: npt.NDArray[np.float64]
    episode: npt.NDArray[np.int64]
    moved: npt.NDArray[np.float32]
    states: npt.NDArray[np.float32]

    @property
    def lengths(self) -> npt.NDArray[np.int64]:
        """Give the number of steps of each episode."""
        return np.bincount(self.episode, minlength=len(self.returns))

    @property
    def flipped(self) -> npt.NDArray[np.bool_]:
        """Say at which steps the action is another than that at the true state."""
        return self.moved > 0


def rollout(
    agent: Agent,
    env: VecEnv,
    *,
    episodes: int,
    seed: int,
    adversary: Adversary | None = None,
    perturbation: Perturbation | None = None,
    attack_seed: int = 0,
    keep_states: bool = True,
    look: Callable[[], None] | None = None,
) -> Rollout:
    """Play episodes with deterministic actions, the agent seeing what the adversary shows.

    Episode i starts from the reset seed ``seed + i`` and has its own random stream: its course depends on the agent, the
    adversary, the perturbation and these seeds alone, and not on what else is played.

    Args:
        agent: who acts. What it does to observations (its `preprocessing`) is done here; the attack stands behind it.
        env: environments side by side, each of which begins anew by itself: any `VecEnv`, such as
            `environments.lockstep(agent.env, 20)`, which rests those that are done. Statistics of a VecNormalize inside stay
            as they are.
        episodes: to play, in rounds of ``env.num_envs``, >= 1.
        seed: reset seed of the first one, >= 0.
        adversary: None for natural episodes.
        perturbation: B(s), around the agent's states; needed with an adversary. See `Agent.ball`.
        attack_seed: of the adversary's random streams, >= 0.
        keep_states: whether to give the true states (images of long episodes take much memory).
        look: called after each reset and each step, to draw the environments.

    Raises:
        InvalidInput: an adversary without perturbation, one that leaves B(s), an agent of another environment, or one that
            normalises what the environment has normalised.
    """
    from stable_baselines3.common.vec_env import VecEnv, unwrap_vec_normalize

    check_kind(
        agent, Agent, "agent", "an Agent: policies.agent.load(path) or policies.sb3.convert(model, env)"
    )
    check_kind(env, VecEnv, "env", "environments side by side: environments.lockstep(agent.env, 20)")
    check_number("episodes", episodes, integer=True, least=1)
    check_number("seed", seed, integer=True, least=0, most=MAX_SEED)
    check_number("attack_seed", attack_seed, integer=True, least=0, most=MAX_SEED)
    check_kind(keep_states, bool, "keep_states", "True or False")
    if adversary is not None:
        check_kind(adversary, Adversary, "adversary", "an observation attack such as PGDOnQ()")
        check_kind(perturbation, Perturbation, "perturbation", "a threat model such as agent.ball(0.1)")
    normalizer = unwrap_vec_normalize(env)
    if normalizer is not None and normalizer.norm_obs and agent.preprocessing is not None:
        raise InvalidInput(
            "the environment normalises observations and the agent does so too; expected one of them: take "
            "environments.lockstep(agent.env, 20)"
        )
    was_training = normalizer is not None and normalizer.training
    if normalizer is not None:
        normalizer.training = False
    rounds: list[_Round] = []
    try:
        with one_thread():
            for begin in range(0, episodes, env.num_envs):
                numbers = range(seed + begin, seed + begin + env.num_envs)
                attacker = None
                if adversary is not None and perturbation is not None:
                    streams = Streams(
                        attack_seed, "attack", adversary.name, episodes=numbers, device=agent.policy.device
                    )
                    attacker = adversary.start(agent.policy, perturbation, streams)
                played = _Round(agent, env, min(env.num_envs, episodes - begin), keep_states, look)
                played.run(seed + begin, attacker, perturbation, adversary)
                rounds.append(played)
    finally:
        if normalizer is not None:
            normalizer.training = was_training
    return _joined(rounds, episodes)


class _Round:
    """One episode in each environment."""

    def __init__(
        self, agent: Agent, env: VecEnv, count: int, keep_states: bool, look: Callable[[], None] | None
    ) -> None:
        self.agent, self.env, self.count, self._keep = agent, env, count, keep_states
        self._look = look if look is not None else lambda: None
        self.rewards: list[npt.NDArray[np.float64]] = []
        self.episode: list[npt.NDArray[np.int64]] = []
        self.moved: list[npt.NDArray[np.float32]] = []
        self.states: list[npt.NDArray[np.float32]] = []

    def run(
        self,
        seed: int,
        attacker: Attacker | None,
        perturbation: Perturbation | None,
        adversary: Adversary | None,
    ) -> None:
        policy, env = self.agent.policy, self.env
        env.seed(seed)
        observations = env.reset()
        self._look()
        playing = np.arange(env.num_envs) < self.count
        first = torch.ones(env.num_envs, dtype=torch.bool, device=policy.device)
        memory = policy.start(env.num_envs)
        while True:
            states = self.agent.states(observations)
            if len(self.rewards) == 0:
                _check_fits(self.agent, env, states)
            actions, after = policy.step(states, memory, first)
            moved = torch.zeros(len(states), device=states.device)
            if attacker is not None and perturbation is not None and adversary is not None:
                shown = attacker.show(states, first)
                ensure_inside(shown, states, perturbation, name=adversary.name)
                natural = actions
                actions, after = policy.step(shown, memory, first)
                moved = policy.distance(actions, natural)
            memory = after
            observations, rewards, dones, _ = env.step(actions.cpu().numpy())
            self._look()
            at = np.flatnonzero(playing)
            self.rewards.append(_original(env, rewards)[at].astype(np.float64))
            self.episode.append(at)
            self.moved.append(moved.float().cpu().numpy()[at])
            if self._keep:
                self.states.append(states.cpu().numpy()[at])
            playing &= ~dones
            if not playing.any():
                return
            first = torch.from_numpy(dones).to(policy.device)


def _joined(rounds: list[_Round], episodes: int) -> Rollout:
    starts = np.cumsum([0, *(played.count for played in rounds)])
    episode = np.concatenate(
        [at + start for played, start in zip(rounds, starts, strict=False) for at in played.episode]
    )
    rewards = np.concatenate([part for played in rounds for part in played.rewards])
    states = [part for played in rounds for part in played.states]
    return Rollout(
        returns=np.bincount(episode, weights=rewards, minlength=episodes).astype(np.float64),
        rewards=rewards,
        episode=episode,
        moved=np.concatenate([part for played in rounds for part in played.moved]),
        states=np.concatenate(states) if states else np.empty((0,), dtype=np.float32),
    )


def _original(env: VecEnv, rewards: npt.NDArray[np.floating]) -> npt.NDArray[np.floating]:
    """Give the rewards of the environment itself, where a VecNormalize scales them."""
    from stable_baselines3.common.vec_env import unwrap_vec_normalize

    normalizer = unwrap_vec_normalize(env)
    return rewards if normalizer is None else normalizer.get_original_reward()


def _check_fits(agent: Agent, env: VecEnv, states: torch.Tensor) -> None:
    """Check that an agent takes an environment's observations, and acts as it expects.

    Raises:
        InvalidInput: it was trained on another environment.
    """
    policy: Any = agent.policy
    try:
        with torch.no_grad():
            outputs = policy(states)
    except (RuntimeError, ValueError) as error:
        raise InvalidInput(
            f"the agent of '{agent.env}' does not take states of shape {tuple(states.shape[1:])} "
            f"({str(error).splitlines()[0]}); expected the environment that it was trained on"
        ) from None
    space = env.action_space
    if isinstance(policy, QFunction):
        environments.check_actions(space, discrete=True)
        assert isinstance(space, spaces.Discrete)
        wanted = int(space.n)
    else:
        environments.check_actions(space, discrete=False)
        assert isinstance(space, spaces.Box)
        wanted = int(np.prod(space.shape))
    if outputs.shape[1] != wanted:
        raise InvalidInput(
            f"the agent has {outputs.shape[1]} actions and the environment {wanted}; expected the environment that it was "
            "trained on"
        )
    if isinstance(policy, Gaussian) and policy.log_std.shape != (wanted,):
        raise InvalidInput(
            f"log_std has shape {tuple(policy.log_std.shape)}; expected one deviation for each of {wanted} coordinates"
        )
