"""The adversary's own environments: a fixed agent is part of the world, and its loss is the reward.

``gymnasium.make("robustsuite/Adversary-v0", agent=agent, perturbation=agent.ball(0.1))`` is what any algorithm for continuous
actions learns; `DirectorEnv` is PA-AD's.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import Any, cast

import gymnasium as gym
import numpy as np
import torch
from gymnasium import spaces
from stable_baselines3.common.vec_env import VecEnv, VecEnvWrapper
from stable_baselines3.common.vec_env.base_vec_env import VecEnvStepReturn
from torch import Tensor

from robustsuite.arguments import check_kind, check_number
from robustsuite.perturbations import Perturbation

from .. import environments
from ..attacks.adversary import ensure_inside
from ..attacks.director import directed
from ..attacks.learned_adversary import placed
from ..policies import Agent, QFunction
from ..streams import Streams
from .spaces import State, batched, check_ball, of_states


class Game(ABC):
    """What the adversary's moves are, and what they show.

    Args:
        agent: under attack; it acts deterministically.
        perturbation: B(s), around the agent's states.

    Raises:
        InvalidInput: something else.
    """

    def __init__(self, agent: Agent, perturbation: Perturbation) -> None:
        check_kind(agent, Agent, "agent", "the Agent under attack")
        check_kind(perturbation, Perturbation, "perturbation", "a threat model such as agent.ball(0.1)")
        self.agent, self.perturbation = agent, perturbation

    @abstractmethod
    def moves(self, states: spaces.Box, actions: spaces.Space[Any]) -> spaces.Space[Any]:
        """Give the space of moves, from those of the agent's states and actions."""

    @abstractmethod
    def shown(self, moves: Tensor, states: Tensor, streams: Streams) -> Tensor:
        """Give the states that the moves show."""


class Places(Game):
    """A move is the shown state's place in B(s), in [-1, 1]^n. See `placed`."""

    def moves(self, states: spaces.Box, actions: spaces.Space[Any]) -> spaces.Box:
        return spaces.Box(-1.0, 1.0, shape=(int(np.prod(states.shape)),), dtype=np.float32)

    def shown(self, moves: Tensor, states: Tensor, streams: Streams) -> Tensor:
        return placed(moves, states, self.perturbation)


class Directions(Game):
    """A move is the action to force, or a direction of continuous actions. See `directed`.

    Args:
        agent, perturbation: as for every game.
        steps: of the inner PGD, >= 1.
    """

    def __init__(self, agent: Agent, perturbation: Perturbation, *, steps: int = 10) -> None:
        super().__init__(agent, perturbation)
        check_number("steps", steps, integer=True, least=1)
        self.steps = steps

    def moves(self, states: spaces.Box, actions: spaces.Space[Any]) -> spaces.Space[Any]:
        if isinstance(self.agent.policy, QFunction):
            return spaces.Discrete(self.agent.policy.actions)
        assert actions.shape is not None
        return spaces.Box(-1.0, 1.0, shape=actions.shape, dtype=np.float32)

    def shown(self, moves: Tensor, states: Tensor, streams: Streams) -> Tensor:
        policy, seeds = self.agent.policy, streams.draw()
        return directed(policy, moves, states, self.perturbation, seeds, steps=self.steps)


class AdversaryEnv(gym.Env[State, Any]):
    """The MDP of an adversary that shows places of B(s): observations are true states, the reward is the agent's, negated.

    The agent's reward stands in ``info["agent_reward"]``.

    Source: Zhang et al. 2020 (SA-MDP), lemma 1; Zhang et al. 2021 (ATLA), section 3.

    Args:
        agent: under attack.
        perturbation: B(s), around the agent's states.
        options: of `gymnasium.make` for the agent's environment.

    Raises:
        InvalidInput: not such things, or an agent of another environment.
    """

    metadata: dict[str, Any] = {"render_modes": []}  # noqa: RUF012  as gymnasium has it

    def __init__(self, *, agent: Agent, perturbation: Perturbation, **options: Any) -> None:
        self._setup(Places(agent, perturbation), options)

    def _setup(self, game: Game, options: dict[str, Any]) -> None:
        self._game = game
        self._env = environments.make(game.agent.env, **options)
        states = of_states(self._env.observation_space, game.agent)
        check_ball(game.perturbation, states)
        self.observation_space = cast(Any, states)
        self.action_space = game.moves(states, self._env.action_space)
        self._episodes = 0

    def reset(
        self, *, seed: int | None = None, options: dict[str, Any] | None = None
    ) -> tuple[State, dict[str, Any]]:
        """Begin an episode of the agent."""
        super().reset(seed=seed)
        observation, info = self._env.reset(seed=seed, options=options)
        policy = self._game.agent.policy
        self._episodes = self._episodes + 1 if seed is None else 0
        self._streams = Streams(seed or 0, "adversary", episodes=[self._episodes], device=policy.device)
        self._memory, self._first = policy.start(1), torch.ones(1, dtype=torch.bool, device=policy.device)
        return self._seen(observation), info

    def step(self, action: Any) -> tuple[State, float, bool, bool, dict[str, Any]]:
        """Show what the move says, let the agent act on it, and step its environment."""
        game, true = self._game, self._states
        shown = game.shown(torch.as_tensor(np.asarray(action))[None].to(true.device), true, self._streams)
        ensure_inside(shown, true, game.perturbation, name="adversary")
        acts, self._memory = game.agent.policy.step(shown, self._memory, self._first)
        self._first = torch.zeros_like(self._first)
        observation, reward, terminated, truncated, info = self._env.step(acts[0].cpu().numpy())
        own = {**info, "agent_reward": float(reward)}
        return self._seen(observation), -float(reward), terminated, truncated, own

    def close(self) -> None:
        """Close the agent's environment."""
        self._env.close()

    def _seen(self, observation: Any) -> State:
        self._states = self._game.agent.states(batched(observation))
        return self._states[0].cpu().numpy()


class DirectorEnv(AdversaryEnv):
    """The MDP of PA-AD's director: its move says where the agent's decision shall go. See `AdversaryEnv`.

    Source: Sun et al. 2022 (PA-AD), section 4.

    Args:
        agent, perturbation, options: as for `AdversaryEnv`.
        steps: of the inner PGD, >= 1.
    """

    def __init__(self, *, agent: Agent, perturbation: Perturbation, steps: int = 10, **options: Any) -> None:
        self._setup(Directions(agent, perturbation, steps=steps), options)


class VecGame(VecEnvWrapper):
    """An adversary's environment for many agents' environments side by side: the agent's and PGD's calls are one batch.

    Args:
        venv: the agent's environments.
        game: the adversary's moves.
        seed: of the inner PGD's starts.
    """

    def __init__(self, venv: VecEnv, game: Game, *, seed: int = 0) -> None:
        states = of_states(venv.observation_space, game.agent)
        check_ball(game.perturbation, states)
        super().__init__(venv, states, game.moves(states, venv.action_space))
        policy = game.agent.policy
        self._game = game
        self._streams = Streams(seed, "adversary", episodes=range(venv.num_envs), device=policy.device)

    def reset(self) -> State:
        """Begin episodes of the agent."""
        policy = self._game.agent.policy
        self._memory = policy.start(self.num_envs)
        self._first = torch.ones(self.num_envs, dtype=torch.bool, device=policy.device)
        self._states = self._game.agent.states(self.venv.reset())
        return self._states.cpu().numpy()

    def step_async(self, actions: Any) -> None:
        """Show what the moves say, and let the agent act on it."""
        moves = torch.as_tensor(np.asarray(actions)).to(self._states.device)
        shown = self._game.shown(moves, self._states, self._streams)
        ensure_inside(shown, self._states, self._game.perturbation, name="adversary")
        acts, self._memory = self._game.agent.policy.step(shown, self._memory, self._first)
        self.venv.step_async(acts.cpu().numpy())

    def step_wait(self) -> VecEnvStepReturn:
        """Step the agent's environments."""
        observations, rewards, dones, infos = self.venv.step_wait()
        agent = self._game.agent
        self._states = agent.states(observations)
        self._first = torch.as_tensor(dones, device=self._states.device)
        for info in infos:
            if "terminal_observation" in info:
                last = agent.states(batched(info["terminal_observation"]))
                info["terminal_observation"] = last[0].cpu().numpy()
        return self._states.cpu().numpy(), -rewards, dones, infos
