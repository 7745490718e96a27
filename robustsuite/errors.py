"""The exceptions of the suite: one line that says what was wrong, what was expected and what to do next.

Every error is a `RobustsuiteError` and also the builtin a caller would expect, so that both
``except RobustsuiteError`` and ``except ValueError`` work. The command line prints the line alone.
"""


class RobustsuiteError(Exception):
    """Base of all errors that the suite raises on purpose."""


class InvalidInput(RobustsuiteError, ValueError):
    """An argument, a tensor or a file's content does not satisfy what its function asks for."""


class UnsupportedOperator(RobustsuiteError, TypeError):
    """A traced network holds an operator for which no bounding rule exists."""


class UnboundedOutput(RobustsuiteError, ArithmeticError):
    """A bound cannot be finite on this region (for instance 1/x where x may be 0)."""


class DataNotFound(RobustsuiteError, FileNotFoundError):
    """A data set is in none of the places where it was looked for."""


class CheckpointError(RobustsuiteError, ValueError):
    """A checkpoint is missing, damaged or of another run."""


class TrainingDiverged(RobustsuiteError, ArithmeticError):
    """A loss became NaN or infinite."""
