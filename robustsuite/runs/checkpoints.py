"""Checkpoints: tensors and JSON state in one safetensors file, written in one step and checked when read.

The state stands in the file's header, so that tensors and state are one unit: a process killed at any moment
leaves either the old checkpoint or the new one. Nothing is unpickled.
"""

from __future__ import annotations

import hashlib
import json
import random
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from robustsuite.arguments import check_device, check_kind, described
from robustsuite.errors import CheckpointError, InvalidInput
from robustsuite.runs import files

State = dict[str, Any]
"""What JSON can hold: None, bool, int, float, str, and lists and dicts (with text keys) of them."""

_FORMAT = "robustsuite checkpoint 1"


@dataclass(frozen=True, slots=True, kw_only=True)
class Checkpoint:
    """Named tensors and JSON-able state that belong together.

    Args:
        tensors: by name; names of parts are joined with "/".
        state: numbers, texts, lists and dicts.
    """

    tensors: dict[str, Tensor] = field(default_factory=dict)
    state: State = field(default_factory=dict)

    def part(self, name: str) -> Checkpoint:
        """Give one part of what `join` put together.

        Raises:
            CheckpointError: there is no such part.
        """
        if name not in self.state.get("parts", ()):
            known = ", ".join(self.state.get("parts", ())) or "none"
            raise CheckpointError(
                f"checkpoint has no part '{name}' (parts: {known}); it was written by another kind of run"
            )
        prefix = f"{name}/"
        tensors = {key.removeprefix(prefix): t for key, t in self.tensors.items() if key.startswith(prefix)}
        return Checkpoint(tensors=tensors, state=self.state[name])


def join(**parts: Checkpoint) -> Checkpoint:
    """Put named parts (model, optimiser, random states ...) together into one checkpoint."""
    tensors = {f"{name}/{key}": t for name, part in parts.items() for key, t in part.tensors.items()}
    state: State = {"parts": list(parts), **{name: part.state for name, part in parts.items()}}
    return Checkpoint(tensors=tensors, state=state)


def save(path: Path, *, tensors: Mapping[str, Tensor], state: Mapping[str, Any]) -> None:
    """Write tensors and state as one file, in one step; the old file stays until the new one is whole.

    Args:
        path: of the file, by convention ``run.checkpoints / "last.safetensors"``.
        tensors: of any device and dtype that safetensors knows.
        state: JSON-able. See `State`.

    Raises:
        CheckpointError: the state holds something that JSON does not.
        InvalidInput: something else than dense tensors by name.
        NotWritable: no permission to write there, or the disk is full.
    """
    from safetensors import SafetensorError
    from safetensors.torch import save_file

    own = _separate(tensors)
    check_kind(state, Mapping, "state of a checkpoint", "a dict that JSON can hold")
    try:
        text = json.dumps(dict(state))
    except (TypeError, ValueError, RecursionError) as error:
        raise CheckpointError(
            f"state of checkpoint '{path}' is not JSON: {error}; keep tensors and arrays in `tensors`"
        ) from None
    header = {"format": _FORMAT, "state": text, "checksum": _checksum(own, text)}
    with files.replacing(path) as temporary:
        try:
            save_file(own, temporary, metadata=header)
        except SafetensorError as error:  # its own kind, also for a full disk
            raise files.not_writable(path, error) from error


def load(path: Path, *, device: torch.device | str = "cpu") -> Checkpoint:
    """Read a checkpoint and check that it is whole.

    Raises:
        CheckpointError: missing, cut short, changed, or not a checkpoint of this suite.
    """
    from safetensors import SafetensorError, safe_open

    path = files.checked_path(path)
    if not path.is_file():
        raise CheckpointError(f"no checkpoint at '{path}'; train first with 'robustsuite train RECIPE'")
    remedy = "delete it and train again, or put a copy in its place"
    try:
        with safe_open(path, framework="pt", device="cpu") as file:
            header = file.metadata() or {}
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118  not a dict
    except (SafetensorError, OSError, ValueError) as error:
        reason = str(error).splitlines()[0]
        raise CheckpointError(f"checkpoint '{path}' is damaged ({reason}); {remedy}") from None
    if header.get("format") != _FORMAT:
        raise CheckpointError(f"'{path}' is not a checkpoint of this suite (format {header.get('format')!r})")
    text = header.get("state", "")
    if _checksum(tensors, text) != header.get("checksum"):
        raise CheckpointError(f"checkpoint '{path}' is damaged (its checksum does not match); {remedy}")
    try:
        state = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise CheckpointError(
            f"checkpoint '{path}' is damaged (its state is no JSON: {error}); {remedy}"
        ) from None
    if not isinstance(state, dict):
        raise CheckpointError(f"checkpoint '{path}' is damaged (its state is no object); {remedy}")
    check_device(device)
    return Checkpoint(tensors={name: t.to(device) for name, t in tensors.items()}, state=state)


def flatten_optimizer(optimizer: torch.optim.Optimizer) -> Checkpoint:
    """Give an optimiser's whole state: tensors by "parameter/name", the rest as JSON."""
    packed = optimizer.state_dict()
    tensors: dict[str, Tensor] = {}
    scalars: dict[str, State] = {}
    for parameter, entries in packed["state"].items():
        for name, value in entries.items():
            if isinstance(value, Tensor):
                tensors[f"{parameter}/{name}"] = value
            else:
                scalars.setdefault(str(parameter), {})[name] = value
    return Checkpoint(tensors=tensors, state={"scalars": scalars, "groups": packed["param_groups"]})


def restore_optimizer(optimizer: torch.optim.Optimizer, saved: Checkpoint) -> None:
    """Put the state of `flatten_optimizer` into an optimiser of the same kind over the same parameters.

    Raises:
        CheckpointError: the state belongs to an optimiser over other parameters.
    """
    state: dict[int, dict[str, Any]] = {
        int(key): dict(value) for key, value in saved.state["scalars"].items()
    }
    for key, value in saved.tensors.items():
        parameter, _, name = key.partition("/")
        state.setdefault(int(parameter), {})[name] = value
    groups = [
        # JSON has no tuples: Adam's betas come back as a list.
        {name: tuple(value) if name == "betas" else value for name, value in group.items()}
        for group in saved.state["groups"]
    ]
    try:
        optimizer.load_state_dict({"state": state, "param_groups": groups})
    except (ValueError, KeyError) as error:
        raise CheckpointError(
            f"checkpoint is of another optimiser ({error}); train again with the recipe that wrote it"
        ) from None


def flatten_generators(**generators: torch.Generator | np.random.Generator) -> Checkpoint:
    """Give the states of named random generators (torch's as tensors, numpy's as JSON)."""
    tensors: dict[str, Tensor] = {}
    state: State = {}
    for name, generator in generators.items():
        if isinstance(generator, torch.Generator):
            tensors[name] = generator.get_state()
        else:
            state[name] = _listed(generator.bit_generator.state)
    return Checkpoint(tensors=tensors, state=state)


def restore_generators(saved: Checkpoint, **generators: torch.Generator | np.random.Generator) -> None:
    """Put the states of `flatten_generators` back into generators of the same names and kinds.

    Raises:
        CheckpointError: a generator's state is not in the checkpoint, or of another kind.
    """
    for name, generator in generators.items():
        try:
            if isinstance(generator, torch.Generator):
                generator.set_state(saved.tensors[name].cpu())
            else:
                generator.bit_generator.state = saved.state[name]
        except (KeyError, ValueError, RuntimeError) as error:
            raise CheckpointError(
                f"checkpoint has no state of the random generator '{name}' ({type(error).__name__}: {error}); "
                "it was written by another kind of run"
            ) from None


def flatten_global_random() -> Checkpoint:
    """Give the states of the global generators of torch (CPU), numpy and Python, which libraries draw from."""
    name, keys, position, has_gauss, gauss = np.random.get_state(legacy=True)
    version, internal, gauss_next = random.getstate()
    return Checkpoint(
        tensors={"torch": torch.get_rng_state(), "numpy": torch.from_numpy(np.array(keys, dtype=np.int64))},
        state={
            "numpy": [str(name), int(position), int(has_gauss), float(gauss)],
            "python": [version, list(internal), gauss_next],
        },
    )


def restore_global_random(saved: Checkpoint) -> None:
    """Put the states of `flatten_global_random` back."""
    torch.set_rng_state(saved.tensors["torch"].cpu())
    name, position, has_gauss, gauss = saved.state["numpy"]
    keys = saved.tensors["numpy"].cpu().numpy().astype(np.uint32)
    np.random.set_state((name, keys, position, has_gauss, gauss))
    version, internal, gauss_next = saved.state["python"]
    random.setstate((version, tuple(internal), gauss_next))


def _separate(tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Give contiguous CPU tensors that share no memory, as safetensors asks for (tied weights are copied)."""
    check_kind(tensors, Mapping, "tensors of a checkpoint", "a dict of tensors by name")
    for name, tensor in tensors.items():
        check_kind(name, str, "name of a tensor", "a text")
        check_kind(
            tensor, Tensor, f"'{name}' of the checkpoint", "a tensor; keep numbers and texts in `state`"
        )
        if tensor.layout != torch.strided or tensor.is_meta or tensor.is_complex():
            raise InvalidInput(
                f"'{name}' is {described(tensor)} on {tensor.device}; expected a dense real tensor"
            )
    seen: set[int] = set()
    own: dict[str, Tensor] = {}
    for name, tensor in tensors.items():
        flat = tensor.detach().to("cpu").contiguous()
        storage = flat.untyped_storage()
        if storage.data_ptr() in seen or storage.nbytes() != flat.nbytes:
            flat = flat.clone()
        seen.add(flat.untyped_storage().data_ptr())
        own[name] = flat
    return own


def _checksum(tensors: Mapping[str, Tensor], text: str) -> str:
    digest = hashlib.blake2b(text.encode(), digest_size=16)
    for name in sorted(tensors):
        tensor = tensors[name]
        digest.update(f"{name} {tensor.dtype} {tuple(tensor.shape)}".encode())
        digest.update(tensor.contiguous().reshape(-1).view(torch.uint8).numpy().data)
    return digest.hexdigest()


def _listed(value: Any) -> Any:
    """Turn arrays inside nested dicts into lists."""
    if isinstance(value, Mapping):
        return {key: _listed(item) for key, item in value.items()}
    return value.tolist() if isinstance(value, np.ndarray | np.generic) else value
