"""What every algorithm of the suite adds to its parent in stable-baselines3: the threat and its ramp, one thread, and files
that run no code. A new algorithm is one file: ``class SADQN(Robust, DQN)`` with the class attributes below."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, ClassVar, Self

import torch
from gymnasium import spaces
from stable_baselines3.common.base_class import BaseAlgorithm
from stable_baselines3.common.policies import BasePolicy
from stable_baselines3.common.preprocessing import is_image_space
from stable_baselines3.common.type_aliases import MaybeCallback, TrainFreq
from stable_baselines3.common.utils import ConstantSchedule, FloatSchedule, check_for_correct_spaces
from stable_baselines3.common.vec_env import unwrap_vec_normalize
from torch import Tensor

from robustsuite import seeding
from robustsuite.arguments import check_kind, check_number, described
from robustsuite.errors import CheckpointError, InvalidInput, RobustsuiteError, TrainingDiverged
from robustsuite.perturbations.features import check_fits
from robustsuite.runs import checkpoints, files
from robustsuite.runs.checkpoints import Checkpoint

from .. import environments
from ..preprocessing import Normalizer
from ..threads import one_thread
from ..training.robustness import Robustness
from . import saving, state


class Robust(BaseAlgorithm):
    """The part that all algorithms share; it stands before the parent: ``class SADQN(Robust, DQN)``.

    Class attributes, which `save`, `load` and `training.resume` go by:
        KIND: name of the algorithm in files, and of the inner problem's random stream.
        DISCRETE: whether actions are one of several; else vectors.
        POLICIES: what ``policy`` may be, by the names that users give.
        RANGES: the numbers among the keywords, with their ranges for `check_number`.
        SETTINGS: keywords that are numbers, texts or truth values and stand in the attribute of their name.
        VALUES: keywords that are dataclasses of the suite, or numbers (schedules); they may be left out of a file.
        COUNTERS: attributes with numbers that learning goes on from.

    Args:
        policy, env: as for the parent; `env` may also be a gymnasium id.
        robustness: what is added; the default adds nothing. See `Robustness`.
        settings: keywords of the parent, by name.

    Raises:
        InvalidInput: other spaces than the algorithm knows, a policy that does not fit them, a perturbation of another
            shape, or a number outside its range.
    """

    KIND: ClassVar[str]
    DISCRETE: ClassVar[bool]
    POLICIES: ClassVar[Mapping[str, type[BasePolicy]]]
    RANGES: ClassVar[Mapping[str, Mapping[str, Any]]] = {
        "stats_window_size": {"integer": True, "least": 1},
        "seed": {"integer": True, "least": 0, "optional": True},
        "gamma": {"least": 0, "most": 1},
    }
    SETTINGS: ClassVar[tuple[str, ...]] = ("gamma", "tensorboard_log", "verbose", "seed", "stats_window_size")
    VALUES: ClassVar[tuple[str, ...]] = ("learning_rate", "robustness")
    COUNTERS: ClassVar[tuple[str, ...]] = (
        *("num_timesteps", "_n_updates", "_episode_num", "_total_timesteps"),
        *("_current_progress_remaining", "ramp_start"),
    )

    robustness: Robustness
    ramp_start: float
    adversary_generator: torch.Generator
    _normalizer: Checkpoint | None = None

    def __init__(
        self,
        policy: str | type[BasePolicy],
        env: Any,
        *,
        robustness: Robustness | None = None,
        **settings: Any,
    ) -> None:
        self.robustness = Robustness() if robustness is None else robustness
        check_kind(self.robustness, Robustness, "robustness", "a Robustness(perturbation=..., kappa=...)")
        self._check_settings(policy, settings)
        if env is not None:
            env = environments.make(env) if isinstance(env, str) else env
            self._check_spaces(env)
        try:
            super().__init__(policy, env, **settings)
        except (AssertionError, ValueError) as error:
            if isinstance(error, RobustsuiteError):
                raise
            raise InvalidInput(
                f"stable-baselines3 refuses these settings ({first_line(error)}); see its page on the algorithm"
            ) from error

    @classmethod
    def _check_settings(cls, policy: object, settings: Mapping[str, Any]) -> None:
        known = isinstance(policy, str) and policy in cls.POLICIES
        if not known and not (isinstance(policy, type) and issubclass(policy, tuple(cls.POLICIES.values()))):
            names = ", ".join(f"'{name}'" for name in cls.POLICIES)
            raise InvalidInput(f"policy is {described(policy)}; expected {names} or a class of such a policy")
        for name, range_ in cls.RANGES.items():
            if name in settings:
                check_number(name, settings[name], **range_)
        rate = settings.get("learning_rate", 1.0)
        if not callable(rate):
            check_number("learning_rate", rate, above=0)
        frequency = settings.get("train_freq", 1)
        if isinstance(frequency, tuple) and len(frequency) == 2 and frequency[1] in ("step", "episode"):
            frequency = frequency[0]
        check_number("train_freq", frequency, integer=True, least=1)

    @classmethod
    def _check_spaces(cls, env: Any) -> None:
        environments.check_spaces(env, discrete=cls.DISCRETE, keys=True)

    def _setup_model(self) -> None:
        self._check_spaces(self)
        space = self.observation_space
        if isinstance(space, spaces.Box):
            normalized = not self.policy_kwargs.get("normalize_images", True)
            images = is_image_space(space, normalized_image=normalized)
            if issubclass(self.policy_class, self._image_policies()) and not images:
                raise InvalidInput(
                    f"policy is CnnPolicy on observations of shape {space.shape} and dtype {space.dtype}; expected images "
                    "in 8 bits: take MlpPolicy for vectors"
                )
            if self.policy_class is self.POLICIES.get("MultiInputPolicy"):
                raise InvalidInput(
                    "policy is MultiInputPolicy and observations are no Dict; expected MlpPolicy or CnnPolicy"
                )
            check_fits(self.robustness.perturbation, space.shape, "perturbation")
        elif self.robustness.kappa > 0:
            raise InvalidInput(
                "observations are a Dict and kappa is above 0; expected a Box: put "
                "gymnasium.wrappers.FlattenObservation around the environment and give a radius per coordinate"
            )
        super()._setup_model()  # type: ignore[safe-super]
        self.ramp_start = self.robustness.ramp.begin
        self.adversary_generator = seeding.generator(self.seed or 0, self.KIND, device=self.device)

    @classmethod
    def _image_policies(cls) -> tuple[type[BasePolicy], ...]:
        return tuple(kind for name, kind in cls.POLICIES.items() if name == "CnnPolicy")

    @property
    def radius_share(self) -> float:
        """The present radius as a share of its final value, by the time steps that were learned."""
        # A ramp that began early runs as it would have from its own beginning.
        early = self.robustness.ramp.begin - self.ramp_start
        return self.robustness.ramp(self.num_timesteps + early)

    def begin_ramp(self) -> None:
        """Let the radius grow from this time step on, if it does not yet; it takes as long as planned."""
        self.ramp_start = min(self.ramp_start, self.num_timesteps)

    def learn(
        self,
        total_timesteps: int,
        callback: MaybeCallback = None,
        *args: Any,
        reset_num_timesteps: bool = True,
        **options: Any,
    ) -> Self:
        """Learn as the parent does, with one torch thread: small networks take 4-13 times as long with two on two shared cores.

        The ramp goes by time steps: with ``reset_num_timesteps=False`` it goes on where it was and never falls back; else
        time steps, and with them the ramp, begin at 0 again.

        Args:
            total_timesteps: more to learn, counted over all environments.
            callback, args, options: of the parent.
            reset_num_timesteps: whether time steps begin at 0 again.
        """
        if reset_num_timesteps:
            self.ramp_start = self.robustness.ramp.begin
        with one_thread():
            super().learn(  # type: ignore[safe-super, misc]
                total_timesteps, callback, *args, reset_num_timesteps=reset_num_timesteps, **options
            )
        return self

    def finite(self, term: Tensor | float, name: str) -> float:
        """Give the value of a term of the loss.

        Raises:
            TrainingDiverged: it is not finite, be it by the weights, or by what the environment shows or pays.
        """
        value = float(term.detach()) if isinstance(term, Tensor) else float(term)
        if not math.isfinite(value):
            raise TrainingDiverged(
                f"{name} is {value} at timestep {self.num_timesteps}; expected a finite number: "
                "look for NaN in observations and rewards, lower learning_rate or kappa"
            )
        return value

    @property
    def normalizer(self) -> Normalizer | None:
        """The statistics of observations that came with the agent's file; None: there were none."""
        return None if self._normalizer is None else state.normalizer_of(self._normalizer)

    def set_env(self, env: Any, force_reset: bool = True) -> None:
        """Take another environment; one without VecNormalize gets the statistics that came with the agent's file."""
        env = self._wrap_env(env, self.verbose)
        if unwrap_vec_normalize(env) is None:
            env = state.restore_normalizer(env, self._normalizer)
        super().set_env(env, force_reset)

    @property
    def policy_name(self) -> str | None:
        """The name by which the policy is asked for; None: it has none."""
        return next((name for name, kind in self.POLICIES.items() if self.policy_class is kind), None)

    def setting(self, name: str) -> Any:
        """Give a setting as the constructor takes it."""
        if name == "stats_window_size":
            return self._stats_window_size
        value = getattr(self, name)
        if isinstance(value, TrainFreq):
            return (value.frequency, value.unit.value)
        if isinstance(value, FloatSchedule):
            inner = value.value_schedule
            return inner.val if isinstance(inner, ConstantSchedule) else inner
        return value

    def save(
        self, path: Any, exclude: Iterable[str] | None = None, include: Iterable[str] | None = None
    ) -> None:
        """Write weights, optimisers, settings, counters and the statistics of a VecNormalize as one file of safetensors with
        JSON; nothing is pickled.

        As in the parent, neither the environment nor the replay buffer is part of it.

        Args:
            path: of the file; without a suffix, ".safetensors" is added.
            exclude: settings to leave out and to pass to `load`: "policy_kwargs", or one of VALUES.
            include: None; a replay buffer has `save_replay_buffer`.

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
            env: to go on learning in; None for an agent that only predicts. Statistics in the file are put into the
                VecNormalize around it, or into a new one.
            device: of the networks.
            custom_objects, kwargs: settings in place of those in the file.
            print_system_info: of the parent's archives.
            force_reset: whether the environment is reset before learning goes on.
            trust: whether to open an archive of stable-baselines3 too, a pickle, which runs the code that it brings.

        Raises:
            CheckpointError: no such file, a damaged one, one of another kind, or an archive without `trust`.
            InvalidInput: an environment with other spaces, or settings that do not exist.
        """
        file = saving.found(path, cls)
        env = environments.make(env) if isinstance(env, str) else env
        if env is not None:
            cls._check_spaces(env)
        if saving.is_archive(file):
            saving.check_trusted(file, f"{cls.__name__}.load", trust=trust)
            return super().load(file, env, device, custom_objects, print_system_info, force_reset, **kwargs)
        saved = checkpoints.load(file)
        policy, settings = saving.settings_of(saved, cls, {**(custom_objects or {}), **kwargs})
        agent = cls(policy, None, device=device, _init_setup_model=False, **settings)
        agent.observation_space, agent.action_space = saving.spaces_of(saved)
        agent.n_envs = 1
        agent._normalizer = saving.normalizer_of(saved)
        if env is not None:
            env = cls._wrap_env(env, agent.verbose)
            try:
                check_for_correct_spaces(env, agent.observation_space, agent.action_space)
            except ValueError as error:
                raise InvalidInput(
                    f"{first_line(error)}; pass the environment that the agent was trained on"
                ) from None
            agent.n_envs = env.num_envs
        agent._setup_model()
        saving.fill(agent, saved)
        counters = saved.part("counters").state
        for name in cls.COUNTERS:
            setattr(agent, name, counters[name])
        if env is not None:
            agent.set_env(state.restore_normalizer(env, agent._normalizer), force_reset=force_reset)
        return agent

    def set_parameters(
        self, load_path_or_dict: Any, exact_match: bool = True, device: torch.device | str = "auto"
    ) -> None:
        """Take weights and the optimisers' states from a file of `save`; else as the parent does, without pickles.

        Raises:
            CheckpointError: no such file, a damaged one, or one of another network.
        """
        if isinstance(load_path_or_dict, str | Path):
            file = saving.found(load_path_or_dict, type(self))
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

    def _excluded_save_params(self) -> list[str]:
        return [*super()._excluded_save_params(), "adversary_generator", "_normalizer"]


class Replaying(Robust):
    """The part of algorithms with a replay buffer (DQN, DDPG, TD3, SAC). See `Robust`."""

    RANGES: ClassVar[Mapping[str, Mapping[str, Any]]] = {
        **Robust.RANGES,
        "buffer_size": {"integer": True, "least": 1},
        "batch_size": {"integer": True, "least": 1},
        "n_steps": {"integer": True, "least": 1},
        "learning_starts": {"integer": True, "least": 0},
        "gradient_steps": {"integer": True, "least": -1},
        "tau": {"above": 0, "most": 1},
    }
    SETTINGS: ClassVar[tuple[str, ...]] = (
        *Robust.SETTINGS,
        *("buffer_size", "learning_starts", "batch_size", "tau", "gradient_steps", "n_steps", "train_freq"),
        "optimize_memory_usage",
    )

    def save_replay_buffer(self, path: Any) -> None:
        """Write the replay buffer as safetensors.

        Raises:
            CheckpointError: it is of a kind that the suite does not know.
        """
        whole = state.capture_replay(self)
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
        file = saving.found(path, type(self), suffixes=("", ".pkl"))
        if file.read_bytes()[:1] == b"\x80":  # how every pickle of today begins
            saving.check_trusted(file, "load_replay_buffer", trust=trust)
            super().load_replay_buffer(file, truncate_last_traj)  # type: ignore[misc]
            return
        state.restore_replay(self, checkpoints.load(file))


def first_line(error: Exception) -> str:
    """Give the first line of an error's text."""
    return (str(error).splitlines() or [type(error).__name__])[0]
