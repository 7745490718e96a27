"""Attacks on what an agent sees: each takes the true states and gives the states to show."""

from .adversary import Adversary, Attacker, Memoryless, Preparation, ensure_inside
from .adversary_training import AdversaryTraining, DirectorTraining
from .coupled import Coupled
from .critic_attack import CriticAttack
from .director import Director
from .learned_adversary import LearnedAdversary
from .maximal_action_difference import MaximalActionDifference
from .min_q import MinQ
from .pgd_on_q import PGDOnQ
from .random_noise import RandomNoise
from .robust_sarsa import RobustSarsa, RobustSarsaTraining
from .robust_sarsa_and_mad import RobustSarsaAndMAD, RobustSarsaAndMADTraining
from .switching_rule import SwitchingRule, SwitchingRuleSearch
from .timed import Timed
from .toward_action import TowardAction

__all__ = [
    "Adversary",
    "AdversaryTraining",
    "Attacker",
    "Coupled",
    "CriticAttack",
    "Director",
    "DirectorTraining",
    "LearnedAdversary",
    "MaximalActionDifference",
    "Memoryless",
    "MinQ",
    "PGDOnQ",
    "Preparation",
    "RandomNoise",
    "RobustSarsa",
    "RobustSarsaAndMAD",
    "RobustSarsaAndMADTraining",
    "RobustSarsaTraining",
    "SwitchingRule",
    "SwitchingRuleSearch",
    "Timed",
    "TowardAction",
    "ensure_inside",
]
