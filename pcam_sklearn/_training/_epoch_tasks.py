"""Each epoch of a fit as a task that scikit-learn's callbacks are told of."""

import contextlib
import functools
from typing import Any

import keras
import numpy as np

from pcam_sklearn._training._history import add_epoch
from pcam_sklearn._training._model import PatchModel
from pcam_sklearn._training._plan import TrainingPlan
from pcam_sklearn._training._weights import final_weights


class EpochTasks(keras.callbacks.Callback):
    """Tell scikit-learn's callbacks of a fit and of the epochs within it.

    Whatever no callback asks for is not computed. A callback that takes ``fitted_estimator`` gets a
    classifier with the weights that it would have if training ended there.
    """

    def __init__(self, estimator: Any, epochs: int, sample_weight: Any) -> None:
        super().__init__()
        self._estimator = estimator
        self._sample_weight = sample_weight
        self._fit_task = estimator._init_callback_context(max_subtasks=epochs)
        self._epoch_task: Any = None
        self._facts: dict[str, Any] = {}
        self._history: dict[str, list[float]] = {}

    def begin(self, plan: TrainingPlan, trainer: PatchModel) -> None:
        """Tell that the fit begins; callbacks get the patches that are trained on as X and y."""
        self._plan = plan
        self._trainer = trainer
        data, rows = plan.data, np.sort(plan.rows[0])
        takes_all = len(rows) == len(data.codes)
        self._facts = {
            "estimator": self._estimator,
            "X": lambda: data.X if takes_all else data.X[rows],
            "y": lambda: data.classes[data.codes[rows]],
        }
        weights = self._sample_weight
        if weights is not None:
            self._facts["metadata"] = lambda: {"sample_weight": np.asarray(weights)[rows]}
        self._fit_task.call_on_fit_task_begin(**self._facts)

    def on_epoch_begin(self, epoch: int, logs: dict[str, float] | None = None) -> None:
        """Tell that an epoch begins."""
        self._epoch_task = self._fit_task.subcontext(task_name="epoch")
        self._epoch_task.call_on_fit_task_begin(**self._facts)

    def on_epoch_end(self, epoch: int, logs: dict[str, float] | None = None) -> None:
        """Tell that an epoch has ended, and end the training if a callback says so."""
        self._history = add_epoch(self._history, logs)
        with contextlib.ExitStack() as until_told:

            def learned() -> dict[str, Any]:
                until_told.enter_context(final_weights(self.model))
                history = {name: list(values) for name, values in self._history.items()}
                return self._plan.learned(self._predicting, history)

            stops = self._epoch_task.call_on_fit_task_end(
                **self._facts, reconstruction_attributes=learned
            )
        if stops:
            self.model.stop_training = True

    def end(self) -> None:
        """Tell that the fit has ended, once the classifier holds what was learned."""
        self._fit_task.call_on_fit_task_end(
            **self._facts, reconstruction_attributes=lambda: {"trainer_": self._predicting}
        )

    @functools.cached_property
    def _predicting(self) -> PatchModel:
        """A second model around the network: prediction would change the state of `self.model`."""
        return self._trainer.for_prediction()
