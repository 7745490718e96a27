"""Data: images and sentences from parquet files, or (when asked) from the Hub.

Domains name data sets as `Source` values; their files are looked for below the folder that the environment variable
ROBUSTSUITE_DATA names. Any folder of parquet files will do as well. Nothing is downloaded unless `download=True` is passed
(``--download`` on the command line).
"""

from __future__ import annotations

import io
import os
from collections.abc import Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from jaxtyping import Float, Int
from torch import Tensor

from robustsuite.arguments import check_kind, check_number
from robustsuite.errors import DataNotFound, InvalidInput
from robustsuite.perturbations.features import check_batch
from robustsuite.runs import files
from robustsuite.sources import VARIABLE, Included, Source

if TYPE_CHECKING:
    import pyarrow as pa

NO_SOURCES: Mapping[str, Source | Included] = MappingProxyType({})


@dataclass(frozen=True, slots=True, kw_only=True)
class ImageData:
    """Images with their labels.

    Args:
        name: data set and split, such as "digits/test".
        x: (n, channels, height, width), floating point in [0, 1].
        y: (n,), class indices in [0, classes).
        classes: the number of classes.

    Raises:
        InvalidInput: NaN, values outside [0, 1], or labels that do not fit; the message names the row.
    """

    name: str
    x: Float[Tensor, "n channels height width"]
    y: Int[Tensor, " n"]
    classes: int

    def __post_init__(self) -> None:
        check_batch(self.x, f"data '{self.name}': x")
        check_batch(self.y, f"data '{self.name}': y")
        check_number(f"data '{self.name}': classes", self.classes, integer=True, least=2)
        if self.x.dim() != 4 or not self.x.is_floating_point():
            raise InvalidInput(
                f"data '{self.name}': images have shape {tuple(self.x.shape)} and dtype {self.x.dtype}; "
                "expected (n, channels, height, width), floating point in [0, 1]"
            )
        _check_labels(self.name, self.y, len(self.x), self.classes)
        _check_rows(self.name, torch.isfinite(self.x), "holds NaN or infinity; expected numbers in [0, 1]")
        inside = (self.x >= 0) & (self.x <= 1)
        _check_rows(self.name, inside, "has values outside [0, 1]; divide 8-bit images by 255")

    def __len__(self) -> int:
        return len(self.y)


@dataclass(frozen=True, slots=True, kw_only=True)
class TextData:
    """Sentences with their labels.

    Args:
        name: data set and split, such as "sst2/validation".
        sentences: as published.
        y: (n,), class indices in [0, classes).
        classes: the number of classes.

    Raises:
        InvalidInput: an empty sentence, or labels that do not fit; the message names the row.
    """

    name: str
    sentences: tuple[str, ...]
    y: Int[Tensor, " n"]
    classes: int

    def __post_init__(self) -> None:
        check_batch(self.y, f"data '{self.name}': y")
        check_number(f"data '{self.name}': classes", self.classes, integer=True, least=2)
        for row, sentence in enumerate(self.sentences):
            if not isinstance(sentence, str) or not sentence.strip():
                raise InvalidInput(f"data '{self.name}': row {row} is {sentence!r}; expected a sentence")
        _check_labels(self.name, self.y, len(self.sentences), self.classes)

    def __len__(self) -> int:
        return len(self.y)

    def first(self, count: int | None) -> TextData:
        """Give the first `count` sentences, all where None."""
        return replace(self, sentences=self.sentences[:count], y=self.y[:count])


_IMAGE_COLUMNS, _TEXT_COLUMNS, _LABEL_COLUMNS = ("image", "img"), ("sentence", "text"), ("label", "y")


def load_images(
    name: str,
    split: str,
    *,
    named: Mapping[str, Source | Included] = NO_SOURCES,
    first: int | None = None,
    download: bool = False,
) -> ImageData:
    """Load images.

    Args:
        name: one of `named`; a folder with ``<split>.parquet`` in it (columns image, label); or, with `download`, a name
            on the Hub such as "zalando-datasets/fashion_mnist".
        split: "train" or "test".
        named: data sets that have names. Those that are included in a package the caller gives itself.
        first: only so many rows, >= 1, from the beginning (all where None).
        download: whether the Hub may be asked when the data is not here.

    Raises:
        DataNotFound: unknown name, absent files, unknown split.
        InvalidInput: damaged files or wrong rows.
    """
    check_request(name, split, first)
    table, classes = _table(name, split, named, first, download)
    images = _column(name, table, _IMAGE_COLUMNS)
    with ThreadPoolExecutor(os.cpu_count() or 1) as pool:  # Pillow decodes without the interpreter's lock
        arrays = list(pool.map(_decode, [name] * len(images), range(len(images)), images, chunksize=256))
    shapes = {array.shape for array in arrays}
    if len(shapes) != 1:
        raise InvalidInput(f"data '{name}': images have shapes {sorted(shapes)}; expected one shape for all")
    x = torch.from_numpy(np.stack(arrays)).permute(0, 3, 1, 2).contiguous().float().div_(255)
    y = _labels(name, table)
    return ImageData(name=f"{name}/{split}", x=x, y=y, classes=classes or int(y.max()) + 1)


def load_text(
    name: str,
    split: str,
    *,
    named: Mapping[str, Source | Included] = NO_SOURCES,
    first: int | None = None,
    download: bool = False,
) -> TextData:
    """Load sentences with their labels.

    Args:
        name: one of `named`; a folder with ``<split>.parquet`` in it (columns sentence, label); or, with `download`, a
            name on the Hub.
        split: "train", "validation" or "test", as far as the data set has it.
        named: data sets that have names. Those that are included in a package the caller gives itself.
        first: only so many rows, >= 1, from the beginning (all where None).
        download: whether the Hub may be asked when the data is not here.

    Raises:
        DataNotFound: unknown name, absent files, unknown split.
        InvalidInput: damaged files or wrong rows.
    """
    check_request(name, split, first)
    table, classes = _table(name, split, named, first, download)
    y = _labels(name, table)
    sentences = tuple(_column(name, table, _TEXT_COLUMNS))
    return TextData(name=f"{name}/{split}", sentences=sentences, y=y, classes=classes or int(y.max()) + 1)


def check_request(name: object, split: object, first: object) -> None:
    """Check what is asked for, before it is looked for. See `load_images`.

    Raises:
        InvalidInput: no name, no split, or no number of rows.
    """
    check_kind(name, str, "data", "the name of a data set, or a folder, as text")
    if not name:
        raise InvalidInput("data is ''; expected the name of a data set, such as 'digits', or a folder")
    check_kind(split, str, "split", "'train', 'validation' or 'test'")
    check_number("first", first, integer=True, least=1, optional=True)


def check_split(name: str, split: str, splits: Iterable[str]) -> None:
    """Check that a data set has a split.

    Raises:
        DataNotFound: it has others.
    """
    if split not in (known := list(splits)):
        raise DataNotFound(f"data '{name}' has no split '{split}'; expected one of {known}")


def _table(
    name: str, split: str, named: Mapping[str, Source | Included], first: int | None, download: bool
) -> tuple[pa.Table, int | None]:
    """Find a data set and give its first rows, and the number of classes where it is known."""
    source = named.get(name)
    if source is None and files.checked_path(name).is_dir():
        return _from_file(name, Path(name) / f"{split}.parquet", first), None
    if not isinstance(source, Source):
        if download and "/" in name:
            return _from_hub(name, split, first), None
        known = "".join(f"{key!r}, " for key in named)
        raise DataNotFound(
            f"unknown data '{name}'; expected {'one of ' if known else ''}{known}a folder with '{split}.parquet', "
            "or a name on the Hub such as 'owner/name' with --download"
        )
    check_split(name, split, source.files)
    path = source.path(split)
    if path is not None and path.is_file():
        return _from_file(name, path, first), source.classes
    on_hub = source.hub is not None and split in (source.hub_splits or {})
    if download and source.hub is not None and source.hub_splits is not None and on_hub:
        return _from_hub(source.hub, source.hub_splits[split], first), source.classes
    looked = f"'{path}' does not exist" if path is not None else f"the variable {VARIABLE} is not set"
    ways = f"set {VARIABLE} to the folder that holds '{source.files[split]}'"
    ways += f", or pass --download to take '{source.hub}' from the Hub" if on_hub else ""
    raise DataNotFound(f"data '{name}' ({split}) is not here: {looked}; {ways}")


def _from_file(name: str, path: Path, first: int | None) -> pa.Table:
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        table = pq.ParquetFile(path).read()
    except FileNotFoundError:
        raise DataNotFound(
            f"data '{name}' is not here: '{path}' does not exist; put the file there, or pass another folder"
        ) from None
    except (OSError, pa.ArrowInvalid) as error:
        reason = str(error).splitlines()[0]
        raise InvalidInput(
            f"data file '{path}' is damaged ({reason}); put a whole copy in its place"
        ) from None
    if table.num_rows == 0:
        raise InvalidInput(f"data file '{path}' has no rows")
    return table.slice(0, first)


def _from_hub(name: str, split: str, first: int | None) -> pa.Table:
    import datasets

    try:
        found = datasets.load_dataset(name, split=split)
    except Exception as error:  # noqa: BLE001  offline, unknown name, unknown split, gated: many kinds
        reason = (str(error).splitlines() or [""])[0]
        raise DataNotFound(
            f"the Hub did not give '{name}' ({split}): {type(error).__name__}: {reason}"
        ) from None
    return found.data.table.slice(0, first)


def _column(name: str, table: pa.Table, accepted: tuple[str, ...]) -> list[Any]:
    for column in accepted:
        if column in table.column_names:
            return list(table.column(column).to_pylist())
    raise InvalidInput(f"data '{name}' has columns {table.column_names}; expected one named {accepted[0]!r}")


def _labels(name: str, table: pa.Table) -> Tensor:
    labels = _column(name, table, _LABEL_COLUMNS)
    for row, label in enumerate(labels):
        # A column with a gap comes as floating point.
        if not (isinstance(label, int) or (isinstance(label, float) and label.is_integer())):
            raise InvalidInput(f"data '{name}': row {row} has label {label!r}; expected a class index")
    return torch.tensor(labels, dtype=torch.long)


def _decode(name: str, row: int, value: Any) -> np.ndarray[Any, np.dtype[np.uint8]]:
    """Decode one PNG or JPEG to (height, width, channels)."""
    from PIL import Image, UnidentifiedImageError

    try:
        with Image.open(io.BytesIO(value["bytes"])) as image:
            array = np.asarray(image if image.mode == "L" else image.convert("RGB"))
    except (UnidentifiedImageError, OSError, TypeError, KeyError) as error:
        raise InvalidInput(
            f"data '{name}': row {row} is not an image ({type(error).__name__}: {error})"
        ) from None
    return array[:, :, None] if array.ndim == 2 else array


def _check_labels(name: str, y: Tensor, rows: int, classes: int) -> None:
    if y.shape != (rows,) or y.dtype != torch.long:
        raise InvalidInput(
            f"data '{name}': labels have shape {tuple(y.shape)} and dtype {y.dtype}; "
            f"expected (n,) = ({rows},) class indices, torch.int64"
        )
    inside = (y >= 0) & (y < classes)
    _check_rows(name, inside, f"has a label outside 0..{classes - 1}", values=y.tolist())


def _check_rows(name: str, good: Tensor, complaint: str, *, values: Iterable[Any] = ()) -> None:
    """Raise naming the first row that is not good."""
    if not bool(good.all()):
        row = int((~good.flatten(1).all(1) if good.dim() > 1 else ~good).nonzero()[0, 0])
        found = list(values)
        raise InvalidInput(
            f"data '{name}': row {row} {complaint}"
            + (f" ({found[row]}); expected class indices" if found else "")
        )
