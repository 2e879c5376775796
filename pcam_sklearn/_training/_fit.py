"""One fit, from top to bottom."""

from typing import Any

from pcam_sklearn._training._backends import current_framework
from pcam_sklearn._training._callbacks import (
    Shuffle,
    find_best_epoch,
    order_callbacks,
    recipe_callbacks,
)
from pcam_sklearn._training._checkpoint import SaveEpochs
from pcam_sklearn._training._data import Batches, check_shares, watched_batch_size
from pcam_sklearn._training._epoch_tasks import EpochTasks
from pcam_sklearn._training._history import Record, join_histories
from pcam_sklearn._training._plan import TrainingPlan
from pcam_sklearn._training._progress import progress_line
from pcam_sklearn._training._randomness import seeded
from pcam_sklearn._training._recipe import warn_of_long_average
from pcam_sklearn._training._weights import restored_on_error, separate_memory

_WATCH_AT_LEAST = 256  # Held-out patches need no small batches.


def run(
    plan: TrainingPlan,
    *,
    batch_size: int,
    verbose: int | str,
    tasks: EpochTasks | None = None,
    **fit_options: Any,
) -> dict[str, Any]:
    """Train as planned, and return what was learned by the name of the attribute.

    `fit_options` are further parameters of `keras.Model.fit`. If anything fails, a network that was
    trained before has its weights back.
    """
    framework = current_framework()
    framework.prepare_devices()
    n_devices = framework.n_devices(framework.placement())
    check_shares(batch_size, n_devices)

    # All random numbers of the fit. Their order is part of what `random_state` promises.
    rng = plan.generator
    training, held_out = plan.rows
    seed = int(rng.integers(2**32))
    with seeded(seed):
        trainer = plan.make_trainer(seed, batch_size)
        users = plan.classifier._build_callbacks()
    framework_seed = int(rng.integers(2**31))

    batches = Batches(plan.data, training, batch_size)
    watched = None
    if len(held_out):
        size = watched_batch_size(len(held_out), max(batch_size, _WATCH_AT_LEAST), n_devices)
        watched = Batches(plan.data, held_out, size).for_keras()

    warn_of_long_average(plan.classifier.weight_averaging, plan.epochs * len(batches))
    stopper = plan.make_stopper()
    recipe = recipe_callbacks(plan.rate, trainer.optimizer, users, keeps_best=stopper is not None)
    if tasks is not None:
        tasks.begin(plan, trainer)
    shuffle, record = Shuffle(batches, rng), Record()
    saver = None if plan.checkpoint is None else SaveEpochs(plan.checkpoint, plan.seed, shuffle)
    with (
        framework.training(),
        framework.seeded(framework_seed),
        restored_on_error(trainer),
        progress_line(verbose, stopper, plan.logs_done) as (keras_verbose, progress),
    ):
        trainer.fit(
            batches.for_keras(),
            validation_data=watched,
            callbacks=order_callbacks(
                shuffle, tasks, users, recipe, progress, stopper, record, saver
            ),
            initial_epoch=plan.next_epoch,
            epochs=plan.first_epoch + plan.epochs,
            shuffle=False,  # `Shuffle` does it, with this fit's own numbers.
            verbose=keras_verbose,
            **fit_options,
        )
        separate_memory(trainer.trainable_variables)

    best_epoch = find_best_epoch([*users, stopper])
    history = join_histories(plan.history_done, record.history)
    learned = plan.learned(trainer, history, best_epoch)
    if plan.checkpoint is not None:
        plan.checkpoint.remove()
    return learned
