"""Training objectives, one file each."""

from robustsuite.training.objectives.adversarial import Adversarial
from robustsuite.training.objectives.certified import Certified
from robustsuite.training.objectives.standard import Standard

__all__ = ["Adversarial", "Certified", "Standard"]
