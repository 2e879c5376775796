"""One line of progress per fit, kept whole while other fits write lines of theirs."""

import contextlib
import multiprocessing
import sys
import threading
import time
from collections.abc import Iterator, Mapping
from typing import Any

import keras
from tqdm.auto import tqdm

_SHOWN = ("val_auc", "auc", "val_loss")  # The line shows the first of these that is followed.
_FORMAT = "{desc} |{bar:20}| {remaining} left{postfix}"


class EndLine(keras.callbacks.Callback):
    """Write a line to stderr in the end: epochs, loss and AUC of the kept epoch, time taken."""

    def __init__(
        self, stopper: keras.callbacks.EarlyStopping | None, logs: dict[int, dict[str, float]]
    ) -> None:
        super().__init__()
        self._stopper = stopper
        self._logs = logs  # By epoch, counted from 1; those that another process has trained.
        self._start = time.monotonic()

    def on_epoch_end(self, epoch: int, logs: dict[str, float] | None = None) -> None:
        """Note the epoch's loss and AUC."""
        self._logs[epoch + 1] = dict(logs or {})

    def on_train_end(self, logs: dict[str, float] | None = None) -> None:
        """Write the line in one call, so that no other process can write into it."""
        if not self._logs:
            return
        kept = last = max(self._logs)
        epochs = f"epoch {last}/{self.params['epochs']}"
        if self._stopper is not None and self._stopper.best_weights is not None:
            kept = self._stopper.best_epoch + 1
            epochs += f", best {kept}"
        took = tqdm.format_interval(time.monotonic() - self._start)
        line = f"{epochs}, {_values(self._logs[kept])}, took {took}\n"
        tqdm.write(line, file=sys.stderr, end="")

    def close(self) -> None:
        """Leave no line unfinished."""


class LiveLine(EndLine):
    """Rewrite the line while training goes on, with the time left instead of that taken."""

    _bar: Any = None
    _before = 0

    def on_epoch_begin(self, epoch: int, logs: dict[str, float] | None = None) -> None:
        """Show which epoch it is."""
        epochs = self.params["epochs"]
        name = f"epoch {epoch + 1}/{epochs}"
        if self._bar is None:
            total = (epochs - epoch) * self._steps
            looks = {"bar_format": _FORMAT, "smoothing": 0, "dynamic_ncols": True}
            self._bar = tqdm(desc=name, total=total, **looks)
        self._before = self._bar.n
        self._bar.set_description_str(name)

    def on_train_batch_end(self, batch: int, logs: dict[str, float] | None = None) -> None:
        """Show how far the epoch is."""
        # Keras counts whole calls of several steps, and the last one may reach past the epoch.
        self._show(self._before + min(batch + 1, self._steps), logs or {})

    def on_epoch_end(self, epoch: int, logs: dict[str, float] | None = None) -> None:
        """Show the epoch's loss and AUC."""
        super().on_epoch_end(epoch, logs)
        self._show(self._before + self._steps, {})

    def on_train_end(self, logs: dict[str, float] | None = None) -> None:
        """Put the last line in the place of the one that was rewritten."""
        if self._bar is not None:
            self._bar.leave = False
            self.close()
        super().on_train_end(logs)

    def close(self) -> None:
        """End the line if training failed before its end."""
        if self._bar is not None:
            self._bar.close()

    @property
    def _steps(self) -> int:
        return int(self.params["steps"] or 1)

    def _show(self, n_steps: int, logs: Mapping[str, float]) -> None:
        latest = self._logs[max(self._logs)] if self._logs else {}
        self._bar.set_postfix_str(_values({**latest, **logs}), refresh=False)
        if not self._bar.n:  # The first steps do not tell the speed: they were compiled.
            self._bar.unpause()
            self._bar.initial = n_steps
        self._bar.update(n_steps - self._bar.n)


@contextlib.contextmanager
def progress_line(
    verbose: int | str,
    stopper: keras.callbacks.EarlyStopping | None,
    logs: dict[int, dict[str, float]],
) -> Iterator[tuple[int | str, list[keras.callbacks.Callback]]]:
    """Show the progress of the training within; give Keras' own `verbose` and the callbacks.

    `logs` are those of the epochs done, by epoch.
    1, or "auto", shows one line on stderr. 0 and 2 are left to Keras.
    """
    if verbose not in (1, "auto"):
        yield verbose, []
        return
    line = LiveLine(stopper, logs) if _may_rewrite() else EndLine(stopper, logs)
    try:
        yield 0, [line]
    finally:
        line.close()


def _may_rewrite() -> bool:
    """Return whether this process can rewrite a line without others writing into it."""
    in_main = multiprocessing.parent_process() is None
    in_main = in_main and threading.current_thread() is threading.main_thread()
    return in_main and (sys.stderr.isatty() or "ipykernel" in sys.modules)


def _values(logs: Mapping[str, float]) -> str:
    shown = ["loss", *[name for name in _SHOWN if name in logs][:1]]
    return ", ".join(f"{name} {logs[name]:.4f}" for name in shown if name in logs)
