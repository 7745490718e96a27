"""Robust Sarsa: a critic of a fixed agent whose values move little with the action, so that its slope can be trusted.

A plain critic is steep where it was never trained, and an attack that follows it is led astray. Here bounds of the values
over a box of actions are kept together while the critic learns.
"""

from __future__ import annotations

import copy
from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor, nn

from robustsuite import bounds, seeding
from robustsuite.arguments import check_fields, check_numbers
from robustsuite.errors import TrainingDiverged
from robustsuite.perturbations import Linf

from ..policies import MLP, ActionCritic, Agent, Network
from ..threads import one_thread
from .transitions import Transitions


@dataclass(frozen=True, slots=True, kw_only=True)
class SarsaTraining:
    """How a robust critic is trained.

    States and actions count in their deviations and values in ``mean |reward| / (1 - gamma)``, which the first layer takes
    over in the end, so that one setting serves agents of every kind.

    Args:
        updates: steps of Adam, >= 1.
        batch: transitions for each, >= 1.
        rate: of Adam, > 0.
        hidden: widths of the critic.
        gamma: discount, in [0, 1).
        mix: share of the critic that its target takes over at each update, in (0, 1].
        box: half width of the box of actions, in deviations of the agent's actions, >= 0. It grows linearly in the middle
            third of the updates.
        weight: of the box's bounds, >= 0.

    Raises:
        InvalidInput: a number outside its range.

    Source: Zhang et al. 2020, section 4 and appendix (robust Sarsa), with true successors as in the form for DDPG.
    """

    updates: int = 12_000
    batch: int = 128
    rate: float = 1e-3
    hidden: tuple[int, ...] = (128, 128)
    gamma: float = 0.99
    mix: float = 0.01
    box: float = 0.3
    weight: float = 1.0

    def __post_init__(self) -> None:
        check_fields(self, "updates", "batch", integer=True, least=1)
        check_fields(self, "rate", above=0)
        check_numbers("hidden", self.hidden, integer=True, least=1)
        check_fields(self, "gamma", least=0, below=1)
        check_fields(self, "mix", above=0, most=1)
        check_fields(self, "box", "weight", least=0)


def train_critic(
    agent: Agent, transitions: Transitions, training: SarsaTraining, *, seed: int
) -> ActionCritic:
    """Learn ``Q(s, a)`` of the agent as it acts without noise.

    Args:
        agent: fixed; with continuous actions.
        transitions: that it met. See `transitions.collect`.
        training: how.
        seed: of weights and batches.

    Raises:
        TrainingDiverged: the loss is NaN or infinite.
    """
    every, unit = transitions.all, transitions.unit
    inputs = torch.cat([every.states, every.actions], 1)
    middle, spread = inputs.mean(0), inputs.std(0).clamp_min(1e-3)
    # A state that hardly varies must not be blown up, and actions count in the agent's own deviations.
    spread = torch.cat([spread[: every.states.shape[1]], unit])
    worth = every.rewards.abs().mean().clamp_min(1e-8) / (1 - training.gamma)
    device = inputs.device
    with one_thread(), torch.random.fork_rng(devices=[]):
        torch.manual_seed(seeding.derive(seed, "robust sarsa", "weights"))
        network = MLP(sizes=(inputs.shape[1], *training.hidden, 1)).build().to(device)
        target = copy.deepcopy(network)
        optimizer = torch.optim.Adam(network.parameters(), training.rate)
        generator = seeding.generator(seed, "robust sarsa", "batches")
        graph = bounds.trace(network, torch.zeros(2, inputs.shape[1], device=device))
        for update in range(training.updates):
            batch = transitions.sample(training.batch, generator)
            seen = (torch.cat([batch.states, batch.actions], 1) - middle) / spread
            with torch.no_grad():
                follow = torch.cat([batch.successors, agent.policy.act(batch.successors)], 1)
                value = target((follow - middle) / spread).squeeze(1)
                wanted = batch.rewards / worth + training.gamma * value * ~batch.ended
            loss = (network(seen).squeeze(1) - wanted).square().mean() / 2
            share = min(max(3 * update / training.updates - 1, 0.0), 1.0)
            if share > 0 and training.box > 0 and training.weight > 0:
                loss = loss + training.weight * _width(graph, seen, len(unit), share * training.box)
            if not bool(loss.isfinite()):
                raise TrainingDiverged(
                    f"the critic's loss is {float(loss)} at update {update}; expected a number: lower rate"
                )
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            with torch.no_grad():
                for old, new in zip(target.parameters(), network.parameters(), strict=True):
                    old.lerp_(new, training.mix)
    _fold(network, middle, spread)
    return ActionCritic(network)


def _width(graph: bounds.Graph, inputs: Tensor, actions: int, box: float) -> Float[Tensor, ""]:
    """Give how far apart the bounds of the values are over a box of actions, the states held fast."""
    radius = (*([0.0] * (inputs.shape[1] - actions)), *([box] * actions))
    found = bounds.ibp(graph, Linf(radius).around(inputs))
    return (found.upper - found.lower).mean()


@torch.no_grad()
def _fold(network: Network, middle: Tensor, spread: Tensor) -> None:
    """Let the first layer take inputs as they are: ``W ((x - middle) / spread) + b``."""
    first = next(layer for layer in network if isinstance(layer, nn.Linear))
    first.weight.div_(spread)
    first.bias.sub_(first.weight @ middle)
