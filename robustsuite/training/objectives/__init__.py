"""Training objectives, one file each."""

from robustsuite.training.objectives.adversarial import Adversarial
from robustsuite.training.objectives.cat import CAT
from robustsuite.training.objectives.certified import Certified
from robustsuite.training.objectives.standard import Standard
from robustsuite.training.objectives.trades import TRADES

__all__ = ["CAT", "TRADES", "Adversarial", "Certified", "Standard"]
