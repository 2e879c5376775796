"""The probabilities of a few fixed patches, by which a network of the user's own is known again.

A function with another activation, or another value for one of its arguments, builds layers of the
same classes with arrays of the same shapes.
"""

from collections.abc import Mapping
from typing import Any

import numpy as np

from pcam_sklearn._errors import ModelFileError
from pcam_sklearn._training._backends import current_framework
from pcam_sklearn._training._model import PatchModel
from pcam_sklearn._training._weights import assign_named, named_values
from pcam_sklearn.persistence._nodes import Rule, describe

_N_PATCHES = 8
# GPUs multiply float32 with fewer digits than CPUs do.
_TOLERANCE, _TOLERANCE_OF_16_BITS = 0.01, 0.05
_PROBABILITIES = Rule(
    f"{_N_PATCHES} numbers",
    lambda v: isinstance(v, list) and len(v) == _N_PATCHES and all(type(p) is float for p in v),
)


def probe(trainer: PatchModel) -> list[float] | None:
    """Return the probabilities of the patches, or None for a network that does not repeat them.

    A layer that draws numbers in predictions changes them.
    """
    first, second = _infer(trainer, 2)
    # Two numbers that are NaN are not close.
    return first.tolist() if np.allclose(first, second, rtol=0, atol=_TOLERANCE) else None


def check_probe(plain: Any, trainer: PatchModel, weights: Mapping[str, np.ndarray]) -> None:
    """Raise ModelFileError unless a network gives the probabilities that are kept in the file."""
    if plain is None:  # Earlier versions kept none.
        return
    expected = np.array(_PROBABILITIES.check(plain, "the probabilities of its network"))
    difference = abs(_infer(trainer, 1)[0] - expected).max()
    halved = any(array.dtype == np.float16 for array in weights.values())
    in_16_bits = halved or trainer.blueprint.dtype_policy.startswith("mixed")
    # NaN fails each comparison.
    if not difference <= (_TOLERANCE_OF_16_BITS if in_16_bits else _TOLERANCE):
        raise ModelFileError(
            f"{describe(trainer.blueprint.parameters['network'])!r} builds another network than "
            "the one that was saved: the probabilities of the same patches differ by "
            f"{difference:.2g}; pass the function that built it, with the values that its "
            "arguments had then: load_model(path, network=function)"
        )


def _infer(trainer: PatchModel, times: int) -> list[np.ndarray]:
    """Return probabilities, and leave the network, with the generators of its layers, as it was."""
    network, patches = trainer.network, _patches(trainer.blueprint.input_shape)
    before = named_values(network.variables)
    found = [current_framework().infer(trainer, patches).ravel() for _ in range(times)]
    assign_named(network.variables, before, f"the network {network.name!r}")
    return found


def _patches(shape: tuple[int, int, int]) -> np.ndarray:
    """Return patches of several colours, from even ones to noise, the same in all versions."""
    generator = np.random.RandomState(0)
    colors = generator.random_sample((_N_PATCHES, 1, 1, shape[2]))
    noise = generator.random_sample((_N_PATCHES, *shape)) - 0.5
    contrast = np.linspace(0, 1, _N_PATCHES)[:, None, None, None]
    return np.clip(colors + contrast * noise, 0, 1).astype(np.float32)
