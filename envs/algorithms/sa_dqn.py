"""SA-DQN: stable-baselines3's DQN with the state-adversarial regulariser."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, ClassVar, Self

import numpy as np
import torch
from gymnasium import spaces
from stable_baselines3 import DQN
from stable_baselines3.common.preprocessing import is_image_space
from stable_baselines3.common.utils import check_for_correct_spaces
from stable_baselines3.dqn.policies import CnnPolicy, DQNPolicy
from torch import Tensor, nn
from torch.nn import functional

from robustsuite import seeding
from robustsuite.arguments import check_kind, check_number, described
from robustsuite.errors import CheckpointError, InvalidInput, RobustsuiteError, TrainingDiverged
from robustsuite.perturbations.features import check_fits
from robustsuite.runs import checkpoints, files

from .. import environments
from ..policies import QFunction
from ..regularizers import Margin
from ..training.robustness import Robustness
from . import saving

_RANGES: Mapping[str, Mapping[str, Any]] = {
    "buffer_size": {"integer": True, "least": 1},
    "batch_size": {"integer": True, "least": 1},
    "n_steps": {"integer": True, "least": 1},
    "target_update_interval": {"integer": True, "least": 1},
    "stats_window_size": {"integer": True, "least": 1},
    "learning_starts": {"integer": True, "least": 0},
    "gradient_steps": {"integer": True, "least": -1},
    "seed": {"integer": True, "least": 0, "optional": True},
    "tau": {"above": 0, "most": 1},
    "gamma": {"least": 0, "most": 1},
    "exploration_fraction": {"above": 0, "most": 1},
    "exploration_initial_eps": {"least": 0, "most": 1},
    "exploration_final_eps": {"least": 0, "most": 1},
    "max_grad_norm": {"above": 0, "endless": True},
}
"""The numbers among DQN's settings, with their ranges for `check_number`."""


def _check_settings(policy: object, dqn: Mapping[str, Any]) -> None:
    known = isinstance(policy, str) and policy in ("MlpPolicy", "CnnPolicy")
    if not known and not (isinstance(policy, type) and issubclass(policy, DQNPolicy)):
        raise InvalidInput(
            f"policy is {described(policy)}; expected 'MlpPolicy', 'CnnPolicy' or a class of DQNPolicy"
        )
    for name, range_ in _RANGES.items():
        if name in dqn:
            check_number(name, dqn[name], **range_)
    if "learning_rate" in dqn and not callable(dqn["learning_rate"]):
        check_number("learning_rate", dqn["learning_rate"], above=0)
    frequency = dqn.get("train_freq", 1)
    if isinstance(frequency, tuple) and len(frequency) == 2 and frequency[1] in ("step", "episode"):
        frequency = frequency[0]
    check_number("train_freq", frequency, integer=True, least=1)


def _first_line(error: Exception) -> str:
    return (str(error).splitlines() or [type(error).__name__])[0]


class SADQN(DQN):
    """Deep Q-learning that keeps its greedy action when the observation moves inside a ball.

    ``L = huber TD loss + kappa * mean_i max( max over s^ in B(s_i), a != a* of Q(s^,a) - Q(s^,a*), -c )``, with a* the
    greedy action of the current network at the clean s_i. Targets and exploration use clean observations.

    Source: Zhang et al. 2020 (SA-MDP), section 3.4, equation (10).

    Note:
        The hinge is per sample (the reference's PGD form clamps the batch's sum once). Replay is uniform, as in the
        parent, so there are no importance weights.

    Args:
        policy, env: as for `stable_baselines3.DQN`.
        robustness: what is added to DQN; the default adds nothing. See `Robustness`.
        dqn: keywords of `stable_baselines3.DQN`, by name.

    Saving: `save` writes weights and settings as safetensors with JSON, and `load` reads them; neither runs code that the
    file brings. Archives of stable-baselines3 are opened by ``load(path, trust=True)`` alone.

    Raises:
        InvalidInput: the observations are neither vectors nor images, the actions not discrete, a policy that does not fit
            them, a perturbation of another shape, or a number outside its range.

    Example:
        >>> from robustsuite import Linf
        >>> from robustsuite.envs import SADQN
        >>> from robustsuite.envs import Robustness
        >>> robustness = Robustness(perturbation=Linf(0.01), kappa=0.5)
        >>> agent = SADQN("MlpPolicy", "CartPole-v1", robustness=robustness, seed=0, device="cpu")
        >>> agent = agent.learn(200)
    """

    _GENERATOR: ClassVar[str] = "sa-dqn"

    def __init__(
        self,
        policy: str | type[DQNPolicy],
        env: Any,
        *,
        robustness: Robustness | None = None,
        **dqn: Any,
    ) -> None:
        self.robustness = Robustness() if robustness is None else robustness
        check_kind(self.robustness, Robustness, "robustness", "a Robustness(perturbation=..., kappa=...)")
        _check_settings(policy, dqn)
        if env is not None:
            env = environments.make(env) if isinstance(env, str) else env
            environments.check_spaces(env)
        try:
            super().__init__(policy, env, **dqn)
        except (AssertionError, ValueError) as error:
            if isinstance(error, RobustsuiteError):
                raise
            raise InvalidInput(
                f"stable-baselines3 refuses these settings ({_first_line(error)}); see stable_baselines3.DQN"
            ) from error

    def _setup_model(self) -> None:
        environments.check_spaces(self)
        space = self.observation_space
        assert isinstance(space, spaces.Box)
        assert isinstance(self.action_space, spaces.Discrete)
        normalized = not self.policy_kwargs.get("normalize_images", True)
        if self.policy_class is CnnPolicy and not is_image_space(space, normalized_image=normalized):
            raise InvalidInput(
                f"policy is CnnPolicy on observations of shape {space.shape} and dtype {space.dtype}; expected images in "
                "8 bits: take MlpPolicy for vectors"
            )
        check_fits(self.robustness.perturbation, space.shape, "perturbation")
        super()._setup_model()
        scale = 255.0 if is_image_space(space) and self.policy.normalize_images else 1.0
        self._input_scale = scale
        self.q_function = QFunction(
            nn.Sequential(self.q_net.features_extractor, self.q_net.q_net), int(self.action_space.n)
        )
        self.ramp_start = self.robustness.ramp.begin
        self.adversary_generator = seeding.generator(self.seed or 0, self._GENERATOR, device=self.device)

    @property
    def radius_share(self) -> float:
        """The present radius as a share of its final value."""
        # A ramp that began early runs as it would have from its own beginning.
        early = self.robustness.ramp.begin - self.ramp_start
        return self.robustness.ramp(1.0 - self._current_progress_remaining + early)

    def begin_ramp(self) -> None:
        """Let the radius grow from now on, if it does not yet; it takes as long as planned."""
        self.ramp_start = min(self.ramp_start, 1.0 - self._current_progress_remaining)

    def train(self, gradient_steps: int, batch_size: int = 100) -> None:
        """Sample the replay buffer and take gradient steps. Called by `learn`."""
        share = self.radius_share
        if self.robustness.kappa == 0 or share == 0:
            super().train(gradient_steps, batch_size)
            return
        assert self.replay_buffer is not None
        self.policy.set_training_mode(True)
        self._update_learning_rate(self.policy.optimizer)
        perturbation = self.robustness.perturbation.scaled(share)
        totals = np.zeros(2)
        for _ in range(gradient_steps):
            data = self.replay_buffer.sample(batch_size, env=self._vec_normalize_env)
            discounts = data.discounts if data.discounts is not None else self.gamma
            with torch.no_grad():
                next_values = self.q_net_target(data.next_observations).amax(1, keepdim=True)
                target = data.rewards + (1 - data.dones) * discounts * next_values

            states = data.observations.float() / self._input_scale
            values = self.q_function(states)
            td = functional.smooth_l1_loss(values.gather(1, data.actions.long()), target)
            td_value = self._finite(td, "TD loss")  # before the regulariser, which may attack the network
            worst = self.robustness.regularizer.worst(
                self.q_function,
                Margin(values.detach().argmax(1), self.q_function.actions),
                perturbation.around(states),
                ramp=share,
                generator=self.adversary_generator,
            )
            hinge = worst.clamp(min=-self.robustness.c).mean()
            loss = td + self.robustness.kappa * hinge

            terms = np.array([td_value, self._finite(hinge, "regulariser")])
            totals += terms
            self.policy.optimizer.zero_grad()
            loss.backward()
            nn.utils.clip_grad_norm_(self.policy.parameters(), self.max_grad_norm)
            self.policy.optimizer.step()

        self._n_updates += gradient_steps
        td_mean, hinge_mean = totals / gradient_steps
        self.logger.record("train/n_updates", self._n_updates, exclude="tensorboard")
        self.logger.record("train/loss", td_mean + self.robustness.kappa * hinge_mean)
        self.logger.record("train/td_loss", td_mean)
        self.logger.record("train/regularizer", hinge_mean)
        self.logger.record("train/radius_share", share)

    def _finite(self, term: Tensor, name: str) -> float:
        value = float(term.detach())
        if not math.isfinite(value):
            raise TrainingDiverged(
                f"{name} is {value} at timestep {self.num_timesteps}; expected a finite number: "
                "lower learning_rate or kappa"
            )
        return value

    def save(
        self, path: Any, exclude: Iterable[str] | None = None, include: Iterable[str] | None = None
    ) -> None:
        """Write weights, optimiser, settings and counters as one file of safetensors with JSON; nothing is pickled.

        As in the parent, neither the environment nor the replay buffer is part of it.

        Args:
            path: of the file; without a suffix, ".safetensors" is added.
            exclude: settings to leave out and to pass to `load`: "learning_rate", "policy_kwargs" or "robustness".
            include: None; the replay buffer has `save_replay_buffer`.

        Raises:
            InvalidInput: a setting that cannot be written, such as a lambda for a learning rate; or not a path.
            NotWritable: no permission to write there.
        """
        if include is not None:
            raise InvalidInput(
                "include is given; expected None: save the replay buffer by save_replay_buffer(path)"
            )
        target = files.checked_path(path)
        target = target if target.suffix else target.with_name(target.name + saving.SUFFIX)
        whole = saving.pack(self, without=exclude or ())
        checkpoints.save(target, tensors=whole.tensors, state=whole.state)

    @classmethod
    def load(
        cls,
        path: Any,
        env: Any = None,
        device: torch.device | str = "auto",
        custom_objects: dict[str, Any] | None = None,
        print_system_info: bool = False,
        force_reset: bool = True,
        *,
        trust: bool = False,
        **kwargs: Any,
    ) -> Self:
        """Make an agent anew from a file that `save` wrote.

        Args:
            path: of the file, its suffix or not.
            env: to go on learning in; None for an agent that only predicts.
            device: of the networks.
            custom_objects, kwargs: settings in place of those in the file.
            print_system_info: of the parent's archives.
            force_reset: whether the environment is reset before learning goes on.
            trust: whether to open an archive of stable-baselines3 too, a pickle, which runs the code that it brings.

        Raises:
            CheckpointError: no such file, a damaged one, one of another kind, or an archive without `trust`.
            InvalidInput: an environment with other spaces, or settings that do not exist.
        """
        file = saving.found(path)
        env = environments.make(env) if isinstance(env, str) else env
        if env is not None:
            environments.check_spaces(env)
        if saving.is_archive(file):
            saving.check_trusted(file, f"{cls.__name__}.load", trust=trust)
            return super().load(file, env, device, custom_objects, print_system_info, force_reset, **kwargs)
        saved = checkpoints.load(file)
        policy, settings = saving.settings_of(saved, {**(custom_objects or {}), **kwargs})
        agent = cls(policy, None, device=device, _init_setup_model=False, **settings)
        agent.observation_space, agent.action_space = saving.spaces_of(saved)
        agent.n_envs = 1
        if env is not None:
            wrapped = cls._wrap_env(env, agent.verbose)
            try:
                check_for_correct_spaces(wrapped, agent.observation_space, agent.action_space)
            except ValueError as error:
                raise InvalidInput(
                    f"{_first_line(error)}; pass the environment that the agent was trained on"
                ) from None
            agent.n_envs = wrapped.num_envs
        agent._setup_model()
        saving.fill(agent, saved)
        counters = saved.part("counters").state
        for name in saving.COUNTERS:
            setattr(agent, name, counters[name])
        if env is not None:
            agent.set_env(wrapped, force_reset=force_reset)
        return agent

    def set_parameters(
        self, load_path_or_dict: Any, exact_match: bool = True, device: torch.device | str = "auto"
    ) -> None:
        """Take weights and the optimiser's state from a file of `save`; else as the parent does, without pickles.

        Raises:
            CheckpointError: no such file, a damaged one, or one of another network.
        """
        if isinstance(load_path_or_dict, str | Path):
            file = saving.found(load_path_or_dict)
            if not saving.is_archive(file):
                saving.fill(self, checkpoints.load(file))
                return
            load_path_or_dict = str(file)
        try:
            super().set_parameters(load_path_or_dict, exact_match=exact_match, device=device)
        except (RuntimeError, ValueError, KeyError) as error:
            reason = " ".join(str(error).split())[:200]
            raise CheckpointError(
                f"the parameters are of another agent ({reason}); load them into one like it"
            ) from error

    def save_replay_buffer(self, path: Any) -> None:
        """Write the replay buffer as safetensors.

        Raises:
            CheckpointError: it is not the plain `ReplayBuffer`.
        """
        from ..training.resume import capture_replay

        whole = capture_replay(self)
        checkpoints.save(files.checked_path(path), tensors=whole.tensors, state=whole.state)

    def load_replay_buffer(self, path: Any, truncate_last_traj: bool = True, *, trust: bool = False) -> None:
        """Read what `save_replay_buffer` wrote.

        Args:
            path: of the file.
            truncate_last_traj: of the parent's own form.
            trust: whether to open stable-baselines3's own form too, a pickle, which runs the code that it brings.

        Raises:
            CheckpointError: no such file, a pickle without `trust`, or transitions of other shapes.
        """
        from ..training.resume import restore_replay

        file = saving.found(path, suffixes=("", ".pkl"))
        if file.read_bytes()[:1] == b"\x80":  # how every pickle of today begins
            saving.check_trusted(file, "load_replay_buffer", trust=trust)
            super().load_replay_buffer(file, truncate_last_traj)
            return
        restore_replay(self, checkpoints.load(file))

    def _excluded_save_params(self) -> list[str]:
        return [*super()._excluded_save_params(), "q_function", "adversary_generator"]
