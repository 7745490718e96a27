"""Networks in ONNX files as torch modules.

What depends on constants and shapes alone is folded when the file is read; the rest is run operator by operator
through the table of `robustsuite.formats.onnx_operators`.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import onnx
import torch
from torch import Tensor, nn

from robustsuite.errors import InvalidInput, UnsupportedOperator
from robustsuite.formats import compressed
from robustsuite.formats.onnx_graph import compile_graph
from robustsuite.formats.onnx_nodes import line


class OnnxNetwork(nn.Module):
    """A network of one input and one output, read from an ONNX file.

    It maps (batch, *input_shape) to (batch, *output_shape), where both are the shapes that the file declares, with
    1 for a free axis: a batch axis of the file itself stays a part of the example. The weights are parameters that
    do not ask for a gradient.

    Attributes:
        input_shape, output_shape: of one example.
        cancelling: an operator of it, in words, which runtimes compute with larger errors than those that
            `robustsuite.bounds.passes.rounding` bounds; None where there is none.
    """

    def __init__(self, model: onnx.ModelProto) -> None:
        super().__init__()
        program = compile_graph(model)
        self.input_shape = tuple(program.example.shape)
        self.cancelling = program.cancelling
        self._input, self._output, self._steps = program.source, program.output, program.steps
        # Who asks for the network's dtype looks at the first parameter: it is of the input's dtype.
        dtype = program.example.dtype
        weights = sorted(program.weights.items(), key=lambda item: item[1].dtype != dtype)
        if (weights[0][1].dtype if weights else torch.float32) != dtype:
            self._like = nn.Parameter(torch.empty(0, dtype=dtype), requires_grad=False)
        # Numbers for names: those of a file may hold dots, which a parameter's may not.
        self._places = {name: f"w{place}" for place, (name, _) in enumerate(weights)}
        self._weights = nn.ParameterDict(
            {self._places[name]: nn.Parameter(value, requires_grad=False) for name, value in weights}
        )
        with torch.no_grad():
            self.output_shape = tuple(self._run(program.example).shape)

    def forward(self, x: Tensor) -> Tensor:
        if len(x) == 1:
            return self._run(x.squeeze(0)).unsqueeze(0)
        outputs: Tensor = torch.vmap(self._run)(x)
        return outputs

    def _run(self, x: Tensor) -> Tensor:
        values: dict[str, Tensor] = {self._input: x}
        for step in self._steps:
            values.update(step.run(lambda name: self._read(values, name)))
        return values[self._output]

    def _read(self, values: Mapping[str, Tensor], name: str) -> Tensor:
        value = values.get(name)
        return self._weights[self._places[name]] if value is None else value


def load_onnx(path: Path) -> OnnxNetwork:
    """Read a network from an ONNX file (may be gzipped).

    Returns:
        The network in eval mode, float32 (or what the file holds).

    Raises:
        InvalidInput: the file is absent, damaged, or has not one input and one output.
        UnsupportedOperator: an operator is not in the table, or sets something that is not read; the message names
            it.
    """
    data = compressed.read(path)
    try:
        model = onnx.load_model_from_string(data)
        if not model.graph.node:
            raise ValueError("it holds no operators")
        if path.suffix != ".gz":
            onnx.load_external_data_for_model(model, str(path.parent))
    except Exception as error:  # the parser of protocol buffers has errors of its own
        raise InvalidInput(f"{path} is not an ONNX network: {line(error)}; export it again") from error
    try:
        return OnnxNetwork(model).eval()
    except (InvalidInput, UnsupportedOperator) as error:
        # Names in a file may hold anything.
        text = "".join(letter if letter.isprintable() else " " for letter in str(error))
        raise type(error)(f"{path}: {text}") from error
