"""A training that goes on at its last whole epoch after its process was killed.

After each epoch, everything that the next one depends on is written to one file: variables, random
generators, the order of the rows, and what the callbacks have noted. The file holds arrays and JSON
only. Its name is made of the parameters and the data, so each fit of a search has one of its own.
"""

import inspect
import itertools
import json
from contextlib import ExitStack, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import keras
import numpy as np

from pcam_sklearn._files import atomic_path, expand_home
from pcam_sklearn._training import KEEP
from pcam_sklearn._training._backends import current_framework
from pcam_sklearn._training._callbacks import Callbacks, Shuffle
from pcam_sklearn._training._history import add_epoch
from pcam_sklearn._training._plain_values import from_json, is_state, to_json
from pcam_sklearn._training._weights import assign_named, named_values
from pcam_sklearn._workspaces import workspace


@dataclass(frozen=True)
class Epochs:
    """The epochs that an earlier process has trained: `n_done`, counted over all fits."""

    seed: int
    n_done: int
    stopped: bool
    history: dict[str, list[float]]
    generator: dict[str, Any]
    callbacks: list[dict[str, Any]]
    arrays: dict[str, np.ndarray]


class Checkpoint:
    """The file of one fit, and the epochs that are in it already.

    `done` is None where there is no file yet. The file is held until the context is left. An equal
    fit that runs at the same time, in a voting classifier for instance, takes the next name.
    """

    def __init__(self, folder: str | Path, identity: str) -> None:
        folder = expand_home(folder)
        folder.mkdir(parents=True, exist_ok=True)
        self._held = ExitStack()
        # First the files that are there: their fits may have ended, and not this one's.
        found = sorted(folder.glob(f"fit-{identity}-*.npz"))
        names = (folder / f"fit-{identity}-{number}.npz" for number in itertools.count(1))
        for self.path in itertools.chain(found, names):
            with suppress(BlockingIOError):
                self._held.enter_context(workspace(self.path, alone=True))
                break
        try:
            self.done = self._read() if self.path.exists() else None
        except BaseException:
            self._held.close()
            raise

    def __enter__(self) -> "Checkpoint":
        return self

    def __exit__(self, *_: object) -> None:
        self._held.close()

    def write(self, done: Epochs) -> None:
        """Replace the file."""
        arrays = dict(done.arrays)
        state = {name: value for name, value in vars(done).items() if name != "arrays"}
        text = json.dumps(to_json(state, arrays))
        with atomic_path(self.path) as path:
            np.savez(path, **{"state": np.array(text), **arrays})  # type: ignore[arg-type]

    def remove(self) -> None:
        """Remove the file, once the fit is done, unless the folder keeps it."""
        if not (self.path.parent / KEEP).exists():
            self.path.unlink(missing_ok=True)

    def _read(self) -> Epochs:
        try:
            with open(self.path, "rb") as opened, np.load(opened, allow_pickle=False) as file:
                arrays = {name: file[name] for name in file.files}
            state = from_json(json.loads(str(arrays.pop("state"))), arrays)
            state["callbacks"] = [dict(noted) for noted in state["callbacks"]]
            return Epochs(**state, arrays={"rows": arrays["rows"], **arrays})
        except OSError:
            raise
        except Exception as error:  # A damaged file can make NumPy raise anything.
            raise ValueError(
                f"{self.path} is damaged: {type(error).__name__}: {error}. Remove it, and the fit "
                "starts anew."
            ) from error


class SaveEpochs(keras.callbacks.Callback):
    """Write the checkpoint after each epoch, and begin with what it holds.

    It has to be the last of all callbacks: the others set themselves back when training begins.
    """

    def __init__(self, checkpoint: Checkpoint, seed: int, shuffle: Shuffle) -> None:
        super().__init__()
        self.others: Callbacks = []
        self._checkpoint = checkpoint
        self._seed = seed
        self._shuffle = shuffle
        done = checkpoint.done
        self._history = {k: list(v) for k, v in done.history.items()} if done else {}

    def set_model(self, model: keras.Model) -> None:
        """Let logs go on: they are opened when training begins."""
        super().set_model(model)
        for callback in self.others:
            if self._checkpoint.done and isinstance(callback, keras.callbacks.CSVLogger):
                callback.append = True

    def on_train_begin(self, logs: dict[str, float] | None = None) -> None:
        """Put everything back as it was after the last epoch in the file."""
        done = self._checkpoint.done
        if done is None:
            return
        for part, variables in self._variables().items():
            prefix = f"{part}/"
            saved = {name: v for name, v in done.arrays.items() if name.startswith(prefix)}
            values = {name.removeprefix(prefix): v for name, v in saved.items()}
            assign_named(variables, values, f"The {part} of {self._checkpoint.path}")
        self._shuffle.rng.bit_generator.state = done.generator
        # The next order is drawn from the one that the other process has come to.
        self._shuffle.batches.rows = done.arrays["rows"]
        current_framework().set_random_state(done.arrays.get("framework"))
        for callback, noted in zip(self.others, done.callbacks, strict=True):
            vars(callback).update(_allowed(callback, noted))
            if isinstance(callback, keras.callbacks.CSVLogger):
                callback.append_header = False

    def on_epoch_end(self, epoch: int, logs: dict[str, float] | None = None) -> None:
        """Write the file."""
        self._history = add_epoch(self._history, logs)
        arrays = {"rows": self._shuffle.batches.rows}
        random_state = current_framework().random_state()
        if random_state is not None:
            arrays["framework"] = random_state
        for part, variables in self._variables().items():
            arrays |= {
                f"{part}/{name}": _storable(v) for name, v in named_values(variables).items()
            }
        self._checkpoint.write(
            Epochs(
                seed=self._seed,
                n_done=epoch + 1,
                stopped=self.model.stop_training,
                history=self._history,
                generator=dict(self._shuffle.rng.bit_generator.state),
                callbacks=[_noted(callback) for callback in self.others],
                arrays=arrays,
            )
        )

    def _variables(self) -> dict[str, list[keras.Variable]]:
        return {"network": self.model.variables, "optimizer": self.model.optimizer.variables}


def _storable(values: np.ndarray) -> np.ndarray:
    """Return values that NumPy can write; it knows no bfloat16, whose values float32 holds."""
    return values.astype(np.float32) if values.dtype.kind == "V" else values


def _noted(callback: keras.callbacks.Callback) -> dict[str, Any]:
    """Return the attributes of a callback that can be written, and are no settings."""
    noted = _allowed(callback, vars(callback))
    return {name: value for name, value in noted.items() if is_state(value)}


def _allowed(callback: keras.callbacks.Callback, values: dict[str, Any]) -> dict[str, Any]:
    """Return the values of attributes that are neither settings nor methods."""
    kind = type(callback)
    settings = _settings(kind)
    return {
        name: value
        for name, value in values.items()
        if name not in settings and not callable(getattr(kind, name, None))
    }


def _settings(kind: type) -> set[str]:
    """Return the names of attributes that Keras' callbacks are given, and not what they note.

    Keras changes some of them when training begins, once for each object.
    """
    own = [cls for cls in kind.__mro__ if cls.__module__.partition(".")[0] == "keras"]
    return {"params", "_params"}.union(*(inspect.signature(cls).parameters for cls in own))
