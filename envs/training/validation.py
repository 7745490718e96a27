"""Validation during training: on what an agent is scored, and the score by which the best one is kept."""

from __future__ import annotations

import math
from contextlib import closing
from dataclasses import dataclass, field

from robustsuite import seeding
from robustsuite.arguments import check_fields, check_flags, check_kind

from ..attacks import Adversary, PGDOnQ, Preparation, TowardAction
from ..policies import Agent, QFunction

_STEPS = 5


@dataclass(frozen=True, slots=True, kw_only=True)
class Validation:
    """When and on what the agent in training is validated.

    Args:
        every: timesteps between validations, >= 1.
        start: fraction of the training before the first one, in [0, 1].
        episodes: per validation, >= 1; their seeds are not those of the final evaluation.
        eps: radius of the attacks in standard deviations, >= 0; 0 validates the natural return alone.
        adversaries: that attack too, beside PGD on Q and the attacks toward each single action; those that are searched or
            trained (`SwitchingRuleSearch`) are so at each validation anew, on seeds of its own.
        enough: return at which natural and attacked episodes are good enough to stop.
        patience: validations that must be good enough before training stops, >= 1.
        attack_from: with eps > 0, share of the final training radius from which agents are attacked, in [0, 1]; before
            they are neither kept nor good enough.
        restart_from_best: whether the ramp starts from the weights with the best natural return so far, the optimisers'
            moments forgotten; else from those of the moment, as in the papers.

    Raises:
        InvalidInput: a value outside its range.
    """

    every: int = 2000
    start: float = 0.3
    episodes: int = 10
    eps: float = 0.0
    adversaries: tuple[Adversary | Preparation, ...] = ()
    enough: float = math.inf
    patience: int = 3
    attack_from: float = 0.0
    restart_from_best: bool = False

    def __post_init__(self) -> None:
        check_fields(self, "every", "episodes", "patience", integer=True, least=1)
        check_fields(self, "start", "attack_from", least=0, most=1)
        check_fields(self, "eps", least=0)
        check_flags(self, "restart_from_best")
        check_kind(self.adversaries, tuple, "adversaries", "a tuple of attacks such as (PGDOnQ(),)")
        for adversary in self.adversaries:
            check_kind(adversary, (Adversary, Preparation), "adversaries", "attacks such as PGDOnQ()")
        check_fields(self, "enough", endless=True)


@dataclass(frozen=True, slots=True, order=True)
class Score:
    """How good a validated agent is: first natural plus attacked return, then the share of certified actions."""

    total: float
    certified: float
    natural: float = field(compare=False)
    attacked: float = field(compare=False)


def validate(
    agent: Agent, validation: Validation, *, attacked: bool, beat: float, seed: int, step: int
) -> Score:
    """Score an agent on the validation episodes.

    Attacked return is the mean over episodes of the lowest of PGD on Q, of the attacks toward each single action, and of
    what the validation adds. An agent that cannot win any more is not attacked further; its attacked return then is an upper bound.

    Args:
        agent: to score.
        validation: on what.
        attacked: whether to attack at all; else the attacked return is -inf where validation asks for one.
        beat: natural plus attacked return of the best agent so far.
        seed: of the run.
        step: of the training, names the attacks' random streams.
    """
    import torch

    from .. import environments
    from ..certificates.actions import certified_actions
    from ..evaluation.rollout import rollout

    q = agent.policy
    assert isinstance(q, QFunction)
    first = seeding.derive(seed, "validation")
    with closing(environments.lockstep(agent.env, validation.episodes)) as env:
        natural = rollout(agent, env, episodes=validation.episodes, seed=first)
        value = float(natural.returns.mean())
        if validation.eps == 0:
            return Score(value, 0.0, value, value)
        if not attacked:
            return Score(-math.inf, 0.0, value, -math.inf)
        ball = agent.ball(validation.eps)
        worst = natural.returns.copy()
        adversaries: list[Adversary | Preparation] = [PGDOnQ(steps=_STEPS)]
        adversaries += [TowardAction(action=action, steps=_STEPS) for action in range(q.actions)]
        adversaries += validation.adversaries
        for adversary in adversaries:
            if value + float(worst.mean()) < beat:
                break
            if isinstance(adversary, Preparation):
                own = seeding.derive(seed, "validation", "preparation", step)
                adversary = adversary.prepare(agent, ball, seed=own)
            played = rollout(
                agent,
                env,
                episodes=validation.episodes,
                seed=first,
                adversary=adversary,
                perturbation=ball,
                attack_seed=seeding.derive(seed, "validation", step),
                keep_states=False,
            )
            worst = worst.clip(max=played.returns)
    certified = certified_actions(q, torch.from_numpy(natural.states), ball).float().mean()
    low = float(worst.mean())
    return Score(value + low, float(certified), value, low)
