"""Rules that turn ATen operators into steps: one module per family, joined into one table here."""

from robustsuite.bounds.rules import (
    activation,
    arithmetic,
    convolution,
    linear,
    normalization,
    pooling,
    reduction,
    shape,
)
from robustsuite.bounds.rules.table import Rule, Table

TABLE: Table = {
    **activation.TABLE,
    **arithmetic.TABLE,
    **convolution.TABLE,
    **linear.TABLE,
    **normalization.TABLE,
    **pooling.TABLE,
    **reduction.TABLE,
    **shape.TABLE,
}

__all__ = ["TABLE", "Rule", "Table"]
