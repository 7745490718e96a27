"""What updates around other updates share: they save and restore the inner one."""

from __future__ import annotations

from collections.abc import Mapping

from torch import Tensor

from robustsuite.runs import checkpoints
from robustsuite.runs.checkpoints import Checkpoint
from robustsuite.training.update import Running


class Wrapper(Running):
    """A running update around another. Subclasses say what they do in a step; what they hold goes in `own`."""

    def __init__(self, inner: Running) -> None:
        self.inner = inner

    def weights(self) -> Mapping[str, Tensor] | None:
        return self.inner.weights()

    def own(self) -> Checkpoint:
        """Give what this update holds itself."""
        return Checkpoint()

    def restore_own(self, saved: Checkpoint) -> None:
        """Put back what `own` gave."""

    def checkpoint(self) -> Checkpoint:
        return checkpoints.join(inner=self.inner.checkpoint(), own=self.own())

    def restore(self, saved: Checkpoint) -> None:
        self.inner.restore(saved.part("inner"))
        self.restore_own(saved.part("own"))
