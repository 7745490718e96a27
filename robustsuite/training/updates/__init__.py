"""Updates, one file each."""

from robustsuite.training.updates.averaged import Averaged
from robustsuite.training.updates.awp import AWP
from robustsuite.training.updates.descent import Descent, of_model, of_state

__all__ = ["AWP", "Averaged", "Descent", "of_model", "of_state"]
