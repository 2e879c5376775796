"""The plan of one training: all that is decided before it begins, and all that it learns."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from numbers import Integral
from typing import Any

import numpy as np

from pcam_sklearn._groups import join_groups
from pcam_sklearn._training._blueprint import Blueprint, build_optimizer
from pcam_sklearn._training._callbacks import BestEpoch
from pcam_sklearn._training._checkpoint import Checkpoint
from pcam_sklearn._training._data import TrainingSet
from pcam_sklearn._training._history import join_histories, values_by_epoch
from pcam_sklearn._training._identity import identify
from pcam_sklearn._training._model import PatchModel, make_trainer
from pcam_sklearn._training._randomness import draw_seed
from pcam_sklearn._training._recipe import Rate, check_loss, smooth_labels
from pcam_sklearn._training._state import placed_as_new
from pcam_sklearn.model_selection import hold_out


@dataclass(frozen=True)
class TrainingPlan:
    """One training of a classifier: its seed, its rows, its network.

    `classifier` gives the parameters and, where `resume` is set, the network and the history that
    the training resumes. The training sets nothing on it: it learns all that `learned` lists.
    """

    classifier: Any
    data: TrainingSet
    epochs: int
    resume: bool = False
    validation_fraction: float = 0.0
    schedule: str = "constant"
    keeps_checkpoint: bool = False

    @cached_property
    def seed(self) -> int:
        """The seed, drawn once from `random_state`; a training that goes on keeps its own."""
        drawn = draw_seed(self.classifier.random_state)
        done = self.checkpoint and self.checkpoint.done
        return done.seed if done else drawn

    @cached_property
    def checkpoint(self) -> Checkpoint | None:
        """The file of the epochs done, if the classifier keeps one."""
        folder = self.classifier.checkpoint_dir
        if folder is None or not self.keeps_checkpoint:
            return None
        if "steps_per_epoch" in self.classifier._routed("fit"):
            raise ValueError(
                "checkpoint_dir keeps whole epochs, and with fit__steps_per_epoch they begin in "
                "the midst of the patches; leave one of the two out."
            )
        return Checkpoint(folder, identify(self))

    @property
    def first_epoch(self) -> int:
        """The first epoch, counted from 0 over all trainings that this one resumes."""
        return self.classifier.n_iter_ if self.resume else 0

    @property
    def history_done(self) -> dict[str, list[float]]:
        """The history of the epochs that an earlier process has trained."""
        done = self.checkpoint and self.checkpoint.done
        return done.history if done else {}

    @property
    def logs_done(self) -> dict[int, dict[str, float]]:
        """The same by epoch, counted from 1."""
        return dict(enumerate(values_by_epoch(self.history_done), start=self.first_epoch + 1))

    @property
    def next_epoch(self) -> int:
        """The first epoch that is not done, counted from 0; with nothing left, the one after."""
        done = self.checkpoint and self.checkpoint.done
        if not done:
            return self.first_epoch
        return self.first_epoch + self.epochs if done.stopped else done.n_done

    @cached_property
    def rows(self) -> tuple[np.ndarray, np.ndarray]:
        """The rows to train on and those held out."""
        return split_rows(self.data, self.validation_fraction, self._seed_of_split)

    @property
    def _seed_of_split(self) -> int:
        """A number that is the same for a fit that resumes another, so both watch the same rows."""
        if isinstance(self.classifier.random_state, Integral):
            return self.seed
        return self.classifier.trainer_.blueprint.seed if self.resume else self.seed_of_network

    @property
    def generator(self) -> np.random.Generator:
        """The source of all random numbers of the fit, at its beginning."""
        return np.random.default_rng([self.seed, self.first_epoch])

    @property
    def seed_of_network(self) -> int:
        """The first number of the generator, with which the network is built."""
        return int(self.generator.integers(2**32))

    @property
    def rate(self) -> Rate:
        """The learning rate by epoch."""
        return Rate(self.schedule, self.first_epoch, self.epochs, self.classifier.warmup)

    def make_trainer(self, seed: int, batch_size: int) -> PatchModel:
        """Return the model that trains the network: a new one, or the one to resume.

        `seed` is that of the global generators.
        """
        clf = self.classifier
        if self.resume:
            trained = placed_as_new(clf.trainer_, type(clf))
            network, blueprint = trained.network, trained.blueprint
        else:
            blueprint = Blueprint.of(clf, self.data.shape[1:], seed)
            network = blueprint.build_network(type(clf))
            self.slides_before  # noqa: B018 -- while the file of the weights is there
        parameters = clf._compile_parameters({})
        check_loss(parameters["loss"])
        parameters["loss"] = smooth_labels(parameters["loss"], clf.label_smoothing)
        # A resumed one keeps its moments, even if the parameters were changed since.
        parameters["optimizer"] = getattr(network, "optimizer", None) or build_optimizer(clf)
        n_steps = self.epochs * -(-len(self.rows[0]) // batch_size)
        trainer = make_trainer(network, blueprint, clf.augment, parameters, n_steps)
        self._show_slides(trainer)
        return trainer

    def _show_slides(self, trainer: PatchModel) -> None:
        """Let augmentation measure the slides that the network is trained on."""
        layers = [] if trainer.augmentation is None else trainer.augmentation.layers
        learning = [layer for layer in layers if layer.learns_of_slides]
        few = self.data.few_of_each_slide(self.rows[0]) if learning else None
        if few is not None:
            for layer in learning:
                layer.adapt(*few)

    def make_stopper(self) -> BestEpoch | None:
        """Return the callback that stops early and keeps the best epoch, if asked for."""
        clf = self.classifier
        if not clf.early_stopping or not len(self.rows[1]):
            return None
        self._check_that_it_looks()
        return BestEpoch(clf.monitor, clf.monitor_mode, clf.n_iter_no_change, self.rate.top)

    def _check_that_it_looks(self) -> None:
        """Raise ValueError if no epoch of the training looks at the held-out patches."""
        every = vars(self.classifier).get("fit__validation_freq", 1)
        epochs = range(self.first_epoch + 1, self.first_epoch + self.epochs + 1)
        if isinstance(every, Integral):
            looks = any(epoch % every == 0 for epoch in epochs)
        else:  # Keras takes the numbers of the epochs too, and refuses anything else.
            looks = not isinstance(every, Sequence) or bool({*every} & {*epochs})
        if not looks:
            raise ValueError(
                f"early_stopping=True needs epochs that look at held-out patches, and with "
                f"fit__validation_freq={every!r} none of {epochs[0]} to {epochs[-1]} does; leave "
                "it out, or train longer."
            )

    def learned(
        self, trainer: PatchModel, history: Mapping[str, list[float]], best_epoch: int | None = None
    ) -> dict[str, Any]:
        """Return all attributes that the classifier has learned after the epochs in `history`."""
        n_iter = self.first_epoch + len(history.get("loss", ()))
        return {
            "classes_": self.data.classes,
            "n_classes_": 2,
            **self._slides(),
            "X_shape_": self.data.shape,
            "n_features_in_": self.data.shape[1],
            "model_": trainer.network,
            "trainer_": trainer,
            "history_": join_histories(self.classifier.history_ if self.resume else {}, history),
            "n_iter_": n_iter,
            "best_epoch_": n_iter if best_epoch is None else best_epoch,
        }

    @cached_property
    def slides_before(self) -> tuple[np.ndarray | None, bool]:
        """The slides that the network has seen before this training, and whether these are all."""
        clf = self.classifier
        if not self.resume:
            return Blueprint.of(clf, self.data.shape[1:], self.seed).slides_behind_weights()
        return clf.groups_, getattr(clf, "groups_complete_", clf.groups_ is not None)

    def _slides(self) -> dict[str, Any]:
        """Return the slides known of all patches that the network has seen, and whether all are."""
        before, complete = self.slides_before
        if not self.epochs:  # Nothing is trained.
            return {"groups_": before, "groups_complete_": complete}
        groups = self.data.groups
        now = None if groups is None else groups[np.union1d(*self.rows)]
        known = [slides for slides in (before, now) if slides is not None and len(slides)]
        return {
            "groups_": join_groups(known) if known else None,
            "groups_complete_": complete and now is not None,
        }


def split_rows(data: TrainingSet, fraction: float, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Return the rows to train on and those held out, about `fraction` of all, by whole slides.

    Rows of weight 0 are on neither side.
    """
    rows = np.arange(len(data.codes)) if data.weights is None else np.flatnonzero(data.weights)
    if not fraction:
        return rows, rows[:0]
    codes, groups = data.codes[rows], None if data.groups is None else data.groups[rows]
    try:
        stay, held_out = hold_out(codes, groups, float(fraction), random_state=seed)
    except ValueError as error:
        n_of_class = np.bincount(codes, minlength=2).tolist()
        counts = dict(zip(data.classes.tolist(), n_of_class, strict=True))
        raise ValueError(
            f"validation_fraction={fraction} cannot be held out of so few patches of each class, "
            f"{counts}: {str(error).rstrip('.')}. Try another fraction. Pass more patches, or "
            "validation_fraction=0 and early_stopping=False."
        ) from error
    return rows[stay], rows[held_out]
