"""Policies: from what a network eats to what is decided, by kind; agents that hold one; and where they come from."""

from .agent import Agent
from .continuous import ActionDistance, Deterministic, Gaussian
from .critics import ActionCritic, Critic, StateCritic
from .networks import MLP, Architecture, NatureCNN, Network
from .policy import Memory, Policy
from .q_function import QFunction

__all__ = [
    "MLP",
    "ActionCritic",
    "ActionDistance",
    "Agent",
    "Architecture",
    "Critic",
    "Deterministic",
    "Gaussian",
    "Memory",
    "NatureCNN",
    "Network",
    "Policy",
    "QFunction",
    "StateCritic",
]
