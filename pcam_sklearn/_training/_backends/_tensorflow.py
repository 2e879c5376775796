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

    _instead_of_distribution = ", and fit in the scope of a tf.distribute.MirroredStrategy"

    def placement(self) -> Any:
        """Return the strategy that is in scope, or None."""
        super().placement()
        if not tf.distribute.has_strategy():
            return None
        strategy = tf.distribute.get_strategy()
        if not isinstance(strategy, _STRATEGIES):
            allowed = " or ".join(f"tf.distribute.{kind.__name__}" for kind in _STRATEGIES)
            raise ValueError(
                f"A fit runs under {allowed}, got {type(strategy).__name__}; enter the scope of "
                "one of these."
            )
        return strategy

    def n_devices(self, placement: Any) -> int:
        """Return the number of replicas that share each batch."""
        return 1 if placement is None else placement.num_replicas_in_sync

    def copies_of_last(self, n_rows: int, batch_size: int) -> int:
        """Return the number of copies of its rows in the last batch, 1 if replicas can share it.

        Each replica then computes the whole batch. The history counts it once per replica.
        """
        n_replicas = self.n_devices(self.placement())
        n_last = (n_rows - 1) % batch_size + 1
        # TensorFlow cuts equal shares and leaves what is missing to the last replicas.
        share = -(-n_last // n_replicas)
        leaves_one_without = share * (n_replicas - 1) >= n_last
        # From the first batch Keras takes the mean over the replicas, so the shares must be equal.
        is_first = n_last == n_rows
        uneven = n_last % n_replicas > 0
        return n_replicas if uneven and (leaves_one_without or is_first) else 1

    def share_loss(self, loss: Any, outputs: Any) -> Any:
        """Return the loss with the gradient that counts all patches of all replicas alike.

        Keras takes the mean over the replicas, of which the last may have fewer patches.
        """
        context = tf.distribute.get_replica_context()
        if context is None or context.num_replicas_in_sync == 1:
            return loss
        n_own = tf.cast(tf.shape(outputs)[0], loss.dtype)
        weight = n_own / context.all_reduce(tf.distribute.ReduceOp.MEAN, n_own)
        return loss * weight + tf.stop_gradient(loss - loss * weight)

    def steps_per_execution(self, n_steps: int, wanted: int | None = None) -> int:
        """Return the number of steps that `keras.Model.fit` runs in one call of TensorFlow."""
        n_replicas = self.n_devices(self.placement())
        if n_replicas == 1:
            several = 16 if n_steps >= _WORTH_A_LOOP else 1
            return several if wanted is None else wanted
        # Keras' loop over steps fails with several replicas when the data end inside it.
        if wanted not in (None, 1):
            raise ValueError(
                f"compile__steps_per_execution={wanted} fails in Keras with {n_replicas} replicas; "
                "leave it out, or set it to 1."
            )
        return 1

    def dataset(
        self, columns: list[Any], rows: np.ndarray, batch_size: int
    ) -> tuple[Any, Callable[[np.ndarray], None]]:
        """Return a data set that cuts its batches without Python, and how to change its rows."""
        with tf.device("CPU"):  # Data pipelines run there.
            order = tf.Variable(rows, trainable=False)

        # A pass reads the order once, when it begins, so the next order may be drawn meanwhile.
        chosen = tf.data.Dataset.range(1).map(lambda _: order.read_value()).rebatch(batch_size)
        n_last = (len(rows) - 1) % batch_size + 1
        copies = self.copies_of_last(len(rows), batch_size)
        if copies > 1:
            chosen = chosen.map(
                lambda rows: tf.tile(rows, [tf.where(tf.shape(rows)[0] == n_last, copies, 1)])
            )
        gathered = chosen.map(lambda rows: tuple(tf.gather(column, rows) for column in columns))
        options = tf.data.Options()
        options.autotune.enabled = False  # Tuning takes a tenth of a small network's time.
        dataset = gathered.prefetch(2).with_options(options)
        n_batches = -(-len(rows) // batch_size)
        return dataset.apply(tf.data.experimental.assert_cardinality(n_batches)), order.assign

    @contextlib.contextmanager
    def training(self) -> Iterator[None]:
        """Silence the warning that takes a search, which trains many networks, for a leak.

        And explain the error of two strategies whose sums TensorFlow mixes up.
        """

        def keep(record: logging.LogRecord) -> bool:
            return "triggered tf.function retracing" not in record.getMessage()

        logger = logging.getLogger("tensorflow")
        logger.addFilter(keep)
        try:
            yield
        except tf.errors.OpError as error:
            if "in the collective instance" not in error.message:
                raise
            raise RuntimeError(
                "TensorFlow mixes up the sums of several strategies in one process, and needs a "
                "new process now; fit under one and the same strategy, or make each one with "
                "cross_device_ops=tf.distribute.ReductionToOneDevice()."
            ) from error
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

    def normalize(
        self, x: Any, scale: Any, offset: Any, epsilon: float
    ) -> tuple[Any, Any, Any] | None:
        """Return x normalized by one operation, whose gradient is one operation too.

        Keras' gradient is a sum of three, added in the order in which they become ready, so that
        the last digits differ between equal fits. It also takes half as long again.
        """
        # It keeps its statistics in 32 bits, whatever those of x.
        known = x.dtype in (tf.float32, tf.float16, tf.bfloat16) and scale.dtype == "float32"
        if not known or len(x.shape) != 4 or epsilon < _SMALLEST_EPSILON:
            return None
        nothing = tf.zeros(0, scale.dtype)
        y, mean, variance, *_ = tf.raw_ops.FusedBatchNormV3(
            x=x, scale=scale, offset=offset, mean=nothing, variance=nothing, epsilon=epsilon
        )
        n = tf.cast(tf.size(x, tf.int64) // tf.size(mean, tf.int64), variance.dtype)
        return y, mean, variance * (n - 1) / n  # It estimates the variance of a population.

    def infer(self, model: Any, patches: np.ndarray) -> np.ndarray:
        """Return the output of one batch, by one function for batches of any length."""
        functions, dtype = model.compiled_functions, patches.dtype.name
        if dtype not in functions:
            functions[dtype] = tf.function(
                lambda patches: model(patches, training=False),
                input_signature=[tf.TensorSpec((None, *patches.shape[1:]), dtype)],
            ).get_concrete_function()
        return functions[dtype](tf.constant(patches)).numpy()

    def upside_down(self, planes: Any) -> Any:
        """Return planes, of shape (n, channels, height, width), upside down, for an ONNX file."""
        # In ONNX, `tf.reverse` is a dozen nodes, and no quantizer knows one of them.
        return tf.gather(planes, range(planes.shape[2])[::-1], axis=2)

    def input_gradient(self, head: Any, features: Any) -> Any:
        """Return the gradient of a model's summed output with respect to its input."""
        with tf.GradientTape() as tape:
            tape.watch(features)
            score = tf.reduce_sum(head(features, training=False))
        return tape.gradient(score, features)


_WORTH_A_LOOP = 200  # A loop over steps takes half a second to compile, and saves 2 ms per step.
_SMALLEST_EPSILON = 1.001e-5  # NVIDIA's library refuses a smaller one.
_STRATEGIES = (tf.distribute.MirroredStrategy, tf.distribute.OneDeviceStrategy)


class _OneReplica(tf.distribute.ReplicaContext):
    """The context of a single replica, whose values are their own sum."""

    def all_reduce(self, reduce_op: Any, value: Any, options: Any = None) -> Any:
        return value


framework = TensorFlow("tensorflow")
