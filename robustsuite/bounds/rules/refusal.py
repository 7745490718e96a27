"""How a rule refuses what it does not understand: by the argument's name."""

from __future__ import annotations

from typing import Any, NoReturn

from torch import Tensor

from robustsuite.bounds.program import Program, Ref
from robustsuite.errors import UnsupportedOperator


def refuse(g: Program, name: str, value: Any, expected: str) -> NoReturn:
    """Refuse the value of an argument.

    Raises:
        UnsupportedOperator: always; it names the operator, its module and the argument.
    """
    shown = (
        "perturbed" if isinstance(value, Ref) else "a tensor" if isinstance(value, Tensor) else repr(value)
    )
    raise UnsupportedOperator(
        f"argument '{name}' of {g.where} is {shown}; expected {expected}; rewrite this part of the module, or "
        "extend the rule in robustsuite/bounds/rules"
    )


def constant(g: Program, name: str, value: Any) -> Tensor:
    """Give a tensor that must not depend on the input.

    Raises:
        UnsupportedOperator: it does.
    """
    if not isinstance(value, Tensor):
        refuse(g, name, value, "a constant tensor")
    return value


def no_dtype(g: Program, dtype: Any, like: Any) -> None:
    """Refuse a change of the type of numbers.

    Raises:
        UnsupportedOperator: `dtype` is another one than that of the program's inputs.
    """
    if dtype is not None and dtype != like:
        refuse(g, "dtype", dtype, f"None or {like}")


class Places:
    """Stands for indices that depend on the input (of a maximum, of a sort): whatever is done with them is refused.

    Args:
        operator: where they come from.
    """

    def __init__(self, operator: str) -> None:
        self._operator = operator

    def _refuse(self) -> NoReturn:
        raise UnsupportedOperator(
            f"the indices of {self._operator} depend on the input, and have no bounds; use the values alone, or a "
            "softmax in their place"
        )

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__"):
            raise AttributeError(name)
        self._refuse()

    @classmethod
    def __torch_function__(cls, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        for value in (*args, *(kwargs or {}).values()):
            if isinstance(value, Places):
                value._refuse()
        raise UnsupportedOperator("indices that depend on the input have no bounds; use the values alone")
