"""Each epoch of a fit as a task that scikit-learn's callbacks are told of."""

import contextlib
import functools
from collections.abc import Iterator, Mapping
from typing import Any

import keras
import numpy as np

from pcam_sklearn._training._data import TrainingSet
from pcam_sklearn._training._fit import assign, own_memory, values_of
from pcam_sklearn._training._model import PatchModel


class EpochTasks(keras.callbacks.Callback):
    """Tell scikit-learn's callbacks of a fit and of the epochs within it.

    Nothing is computed of which no callback asks: a callback that takes ``fitted_estimator`` gets
    a classifier with the weights that it would have if training ended there.

    Parameters
    ----------
    estimator : CNNClassifier
        The classifier; its method that trains is under `with_callbacks`.
    epochs : int
        The largest number of epochs.
    sample_weight : array-like of shape (n_samples,) or None
        As the user gave it.
    """

    def __init__(self, estimator: Any, epochs: int, sample_weight: Any) -> None:
        super().__init__()
        self._estimator = estimator
        self._sample_weight = sample_weight
        self._whole = estimator._init_callback_context(max_subtasks=epochs)
        self._epoch: Any = None
        self._given: dict[str, Any] = {}
        self._learned: dict[str, Any] = {}
        self._history: dict[str, list[float]] = {}

    def begin(
        self,
        data: TrainingSet,
        rows: np.ndarray,
        learned: Mapping[str, Any],
        history: Mapping[str, list[float]],
    ) -> None:
        """Tell that the fit begins.

        Parameters
        ----------
        data : TrainingSet
            The patches.
        rows : ndarray of int
            The rows that are trained on: these are the callbacks' X and y.
        learned : mapping of str to object
            What the fit sets on the classifier and is known already, the network among it.
        history : mapping of str to list of float
            Of the epochs before this fit.
        """
        rows, weights = np.sort(rows), self._sample_weight
        everything = len(rows) == len(data.codes)
        self._learned = dict(learned)
        self._history = {name: list(values) for name, values in history.items()}
        self._given = {
            "estimator": self._estimator,
            "X": lambda: data.X if everything else data.X[rows],
            "y": lambda: data.classes[data.codes[rows]],
        }
        if weights is not None:
            self._given["metadata"] = lambda: {"sample_weight": np.asarray(weights)[rows]}
        self._whole.call_on_fit_task_begin(**self._given)

    def on_epoch_begin(self, epoch: int, logs: dict[str, float] | None = None) -> None:
        """Tell that an epoch begins."""
        self._epoch = self._whole.subcontext(task_name="epoch")
        self._epoch.call_on_fit_task_begin(**self._given)

    def on_epoch_end(self, epoch: int, logs: dict[str, float] | None = None) -> None:
        """Tell that an epoch has ended, and end the training if a callback says so."""
        for name, value in (logs or {}).items():
            self._history.setdefault(name, []).append(float(value))
        with contextlib.ExitStack() as until_told:

            def learned() -> dict[str, Any]:
                until_told.enter_context(_final_weights(self.model))
                return self._learned_by(epoch + 1)

            stops = self._epoch.call_on_fit_task_end(
                **self._given, reconstruction_attributes=learned
            )
        if stops:
            self.model.stop_training = True

    def end(self) -> None:
        """Tell that the fit has ended, and all that it learned is set on the classifier."""
        self._whole.call_on_fit_task_end(
            **self._given, reconstruction_attributes=lambda: {"trainer_": self._predicting}
        )

    def _learned_by(self, n_iter: int) -> dict[str, Any]:
        return {
            **self._learned,
            "trainer_": self._predicting,
            "history_": {name: list(values) for name, values in self._history.items()},
            "n_iter_": n_iter,
            "best_epoch_": n_iter,
        }

    @functools.cached_property
    def _predicting(self) -> PatchModel:
        """The network once more, as predicting with `self.model` would change what that holds."""
        return PatchModel(self._learned["model_"])


@contextlib.contextmanager
def _final_weights(trainer: keras.Model) -> Iterator[None]:
    """Give the network the weights with which training would end now: averaged ones, if any."""
    variables = trainer.trainable_variables
    values = values_of(variables)
    trainer.optimizer.finalize_variable_values(variables)
    own_memory(variables)
    try:
        yield
    finally:
        assign(variables, values)
