"""Rules that turn ATen operators into steps: one module per family, joined into one table here."""

from robustsuite.bounds.rules import (
    activation,
    arithmetic,
    casting,
    convolution,
    creation,
    indexing,
    linear,
    normalization,
    pooling,
    reduction,
    selection,
    shape,
    softmax,
)
from robustsuite.bounds.rules.table import Rule, Table

TABLE: Table = {
    **activation.TABLE,
    **arithmetic.TABLE,
    **casting.TABLE,
    **convolution.TABLE,
    **creation.TABLE,
    **indexing.TABLE,
    **linear.TABLE,
    **normalization.TABLE,
    **pooling.TABLE,
    **reduction.TABLE,
    **selection.TABLE,
    **shape.TABLE,
    **softmax.TABLE,
}

__all__ = ["TABLE", "Rule", "Table"]
