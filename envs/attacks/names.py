"""Adversaries by the names that the command line takes."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import NamedTuple

from robustsuite.errors import InvalidInput

from ..policies import Policy, QFunction, critics, published
from . import adversary_training
from .adversary import Adversary, Preparation
from .adversary_training import AdversaryTraining, DirectorTraining
from .critic_attack import CriticAttack
from .learned_adversary import LearnedAdversary
from .maximal_action_difference import MaximalActionDifference
from .min_q import MinQ
from .pgd_on_q import PGDOnQ
from .random_noise import RandomNoise
from .robust_sarsa import RobustSarsa, RobustSarsaTraining
from .robust_sarsa_and_mad import RobustSarsaAndMADTraining
from .switching_rule import SwitchingRuleSearch
from .toward_action import TowardAction

_FILES = ("rs", "learned", "director")

Foes = tuple[Adversary | Preparation, ...]


class Named(NamedTuple):
    """What a name stands for.

    Args:
        make: gives the adversaries for a policy.
        fits: whether they attack such a policy.
    """

    make: Callable[[Policy], Foes]
    fits: Callable[[Policy], bool] = lambda policy: True


def _of_values(policy: Policy) -> bool:
    return isinstance(policy, QFunction)


def _continuous(policy: Policy) -> bool:
    return not isinstance(policy, QFunction)


def _with_critic(policy: Policy) -> bool:
    return policy.critic is not None or isinstance(policy, QFunction)


def _each_action(policy: Policy) -> Foes:
    assert isinstance(policy, QFunction)
    return tuple(TowardAction(action=action) for action in range(policy.actions))


NAMES: dict[str, Named] = {
    "random": Named(lambda policy: (RandomNoise(),)),
    "pgd": Named(lambda policy: (PGDOnQ(),), _of_values),
    "min-q": Named(lambda policy: (MinQ(),), _of_values),
    "toward": Named(_each_action, _of_values),
    "critic": Named(lambda policy: (CriticAttack(),), _with_critic),
    "mad": Named(lambda policy: (MaximalActionDifference(),)),
    "rule": Named(lambda policy: (SwitchingRuleSearch(),)),
    "learned": Named(lambda policy: (AdversaryTraining(),)),
    "director": Named(lambda policy: (DirectorTraining(),)),
    "rs": Named(lambda policy: (RobustSarsaTraining(),), _continuous),
    "rs+mad": Named(lambda policy: (RobustSarsaAndMADTraining(),), _continuous),
}


def from_file(kind: str, path: Path, policy: Policy) -> Adversary:
    """Read an adversary that was trained before.

    Args:
        kind: "rs", a critic; "learned" or "director", a trained adversary. Of the suite, or as others published theirs.
        path: of the file; of others, without suffix.
        policy: under attack, where the adversary's outputs go.

    Raises:
        CheckpointError: there is none, or one of another kind.
        InvalidInput: an unknown kind.
    """
    if kind not in _FILES:
        raise InvalidInput(f"attack is '{kind}:{path}'; expected a file of {', '.join(_FILES)}")
    own = path.suffix == ".safetensors" and not published.is_published(path)
    if kind == "rs":
        critic = (
            critics.load(path, device=policy.device)
            if own
            else published.load_critic(path, device=policy.device)
        )
        return RobustSarsa(critic=critic)
    if not own:
        return LearnedAdversary(adversary=published.load_adversary(path, device=policy.device), timesteps=0)
    found = adversary_training.load(path, device=policy.device)
    if found.name != NAMES[kind].make(policy)[0].name:
        raise InvalidInput(f"'{path}' is a {found.name}; expected what '{kind}:' names")
    return found


def named(names: Sequence[str], policy: Policy) -> Foes:
    """Give the adversaries of some names, or what makes them for an agent.

    Args:
        names: "none" for no attack, "all" for all that fit the policy, or some of them; "rs:PATH", "learned:PATH" and
            "director:PATH" for what was trained before. See `from_file`.
        policy: under attack.

    Raises:
        InvalidInput: an unknown name, or one that does not fit the policy.
    """
    known = {name: entry for name, entry in NAMES.items() if entry.fits(policy)}
    found: dict[str, Adversary | Preparation] = {}
    for name in names:
        if name == "none":
            continue
        kind, _, path = name.partition(":")
        if path:
            adversary = from_file(kind, Path(path), policy)
            found[adversary.name] = adversary
            continue
        if name != "all" and name not in known:
            raise InvalidInput(
                f"attack is '{name}'; expected some of none, all, {', '.join(known)}, with commas between them"
            )
        for chosen in known if name == "all" else (name,):
            found |= {adversary.name: adversary for adversary in known[chosen].make(policy)}
    return tuple(found.values())
