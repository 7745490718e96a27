"""Rules that turn ATen operators into steps: one module per family, joined into one table here."""

from robustsuite.bounds.rules import (
    activation,
    arithmetic,
    casting,
    convolution,
    creation,
    elementary,
    indexing,
    linear,
    logic,
    normalization,
    order,
    pairs,
    pooling,
    reduction,
    scatter,
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
    **elementary.TABLE,
    **indexing.TABLE,
    **linear.TABLE,
    **logic.TABLE,
    **normalization.TABLE,
    **order.TABLE,
    **pairs.TABLE,
    **pooling.TABLE,
    **reduction.TABLE,
    **scatter.TABLE,
    **selection.TABLE,
    **shape.TABLE,
    **softmax.TABLE,
}

__all__ = ["TABLE", "Rule", "Table"]
