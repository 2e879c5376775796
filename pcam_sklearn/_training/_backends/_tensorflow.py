"""TensorFlow."""

import contextlib
import logging
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import tensorflow as tf

from pcam_sklearn._training._backends._base import Framework


class TensorFlow(Framework):
    """Batches from a `tf.data` pipeline, several steps per call, inference by its own functions."""

    keeps_data = True
    compiles_resampling = False  # XLA has no kernel for it.

    def prepare_devices(self) -> None:
        """Let TensorFlow take a GPU's memory as it needs it, not the whole card at once."""
        for gpu in tf.config.list_physical_devices("GPU"):
            try:
                tf.config.experimental.set_memory_growth(gpu, True)
            except RuntimeError:  # The program started the card before, as it chose.
                return

    def has_started(self) -> bool:
        """Return whether TensorFlow has its threads and devices already."""
        threads = tf.config.threading.get_inter_op_parallelism_threads()
        try:  # To set another number is refused from then on.
            tf.config.threading.set_inter_op_parallelism_threads(threads + 1)
        except RuntimeError:
            return True
        tf.config.threading.set_inter_op_parallelism_threads(threads)
        return False

    def steps_per_execution(self) -> int:
        """Return the number of steps that `keras.Model.fit` runs in one call of TensorFlow."""
        # With several replicas Keras fails where an epoch is no multiple of the steps.
        return 16 if tf.distribute.get_strategy().num_replicas_in_sync == 1 else 1

    def dataset(
        self, columns: list[Any], rows: np.ndarray, batch_size: int
    ) -> tuple[Any, Callable[[np.ndarray], None]]:
        """Return a data set that cuts its batches without Python, and how to change its rows."""
        with tf.device("CPU"):  # Data pipelines run there.
            order = tf.Variable(rows, trainable=False)

        # A pass reads the order once, when it begins, so the next order may be drawn meanwhile.
        chosen = tf.data.Dataset.range(1).map(lambda _: order.read_value()).rebatch(batch_size)
        gathered = chosen.map(lambda rows: tuple(tf.gather(column, rows) for column in columns))
        options = tf.data.Options()
        options.autotune.enabled = False  # Tuning takes a tenth of a small network's time.
        dataset = gathered.prefetch(2).with_options(options)
        n_batches = -(-len(rows) // batch_size)
        return dataset.apply(tf.data.experimental.assert_cardinality(n_batches)), order.assign

    @contextlib.contextmanager
    def training(self) -> Iterator[None]:
        """Silence the warning that takes a search, which trains many networks, for a leak."""

        def keep(record: logging.LogRecord) -> bool:
            return "triggered tf.function retracing" not in record.getMessage()

        logger = logging.getLogger("tensorflow")
        logger.addFilter(keep)
        try:
            yield
        finally:
            logger.removeFilter(keep)

    def lean_step(self) -> contextlib.AbstractContextManager[Any]:
        """Leave gradients as they are, where Keras would sum them over the one replica.

        TensorFlow registers a gradient of that sum for good, and with it the graph and all
        variables, so each fit would take memory:
        https://github.com/tensorflow/tensorflow/issues/97697.
        """
        if tf.distribute.has_strategy():
            return contextlib.nullcontext()
        return _OneReplica(tf.distribute.get_strategy(), replica_id_in_sync_group=0)

    def infer(self, model: Any, patches: np.ndarray) -> np.ndarray:
        """Return the output of one batch, by one function for batches of any length."""
        functions, dtype = model.compiled_functions, patches.dtype.name
        if dtype not in functions:
            functions[dtype] = tf.function(
                lambda patches: model(patches, training=False),
                input_signature=[tf.TensorSpec((None, *patches.shape[1:]), dtype)],
            ).get_concrete_function()
        return functions[dtype](tf.constant(patches)).numpy()

    def input_gradient(self, head: Any, features: Any) -> Any:
        """Return the gradient of a model's summed output with respect to its input."""
        with tf.GradientTape() as tape:
            tape.watch(features)
            score = tf.reduce_sum(head(features, training=False))
        return tape.gradient(score, features)


class _OneReplica(tf.distribute.ReplicaContext):
    """The context of a single replica, whose values are their own sum."""

    def all_reduce(self, reduce_op: Any, value: Any, options: Any = None) -> Any:
        return value


framework = TensorFlow("tensorflow")
