"""What TensorFlow need not do in a training step: a sum over one replica, Adam in ten parts."""

import contextlib
from collections.abc import Callable, Iterator
from typing import Any

import keras


@contextlib.contextmanager
def lean_step(model: keras.Model) -> Iterator[None]:
    """Take a training step of a model with less to do and the same result.

    Elsewhere than on TensorFlow, and under a `tf.distribute` strategy, the step stays as it is.

    Parameters
    ----------
    model : keras.Model
        The model, compiled; its optimizer is built.
    """
    if keras.backend.backend() != "tensorflow":
        yield
        return
    import tensorflow as tf

    if tf.distribute.has_strategy():
        yield
        return
    with _one_replica(), _adam_at_once(model):
        yield


def _one_replica() -> contextlib.AbstractContextManager[Any]:
    """Leave gradients as they are where TensorFlow would sum them over its one replica.

    It registers a gradient of that sum for good, and with it the graph and all variables, so that
    each fit would take memory: https://github.com/tensorflow/tensorflow/issues/97697.
    """
    import tensorflow as tf

    class OneReplica(tf.distribute.ReplicaContext):
        def all_reduce(self, reduce_op: Any, value: Any, options: Any = None) -> Any:
            return value

    return OneReplica(tf.distribute.get_strategy(), replica_id_in_sync_group=0)


@contextlib.contextmanager
def _adam_at_once(model: keras.Model) -> Iterator[None]:
    """Let Keras' Adam and AdamW change a weight by TensorFlow's one operation for it.

    Keras writes the update out, as a dozen operations on each weight, which takes up to a tenth of
    a small network's step. The optimizer's own variables are used and it is put back, so that
    what is saved is Keras' optimizer. One with another update keeps that, and so do 16-bit weights,
    which the operation rounds otherwise.
    """
    optimizer = model.optimizer
    slots = _adam_slots(optimizer, model.trainable_variables)
    if slots is None:
        yield
        return
    optimizer.update_step = _adam_update(optimizer, slots)
    try:
        yield
    finally:
        del optimizer.update_step


def _adam_slots(
    optimizer: keras.optimizers.Optimizer, weights: list[keras.Variable]
) -> dict[Any, tuple[keras.Variable, keras.Variable]] | None:
    """Return Adam's two averages of each weight's gradient, or None of another optimizer."""
    if type(optimizer) not in (keras.optimizers.Adam, keras.optimizers.AdamW) or optimizer.amsgrad:
        return None
    if "update_step" in vars(optimizer):
        return None
    if any(weight.dtype not in ("float32", "float64") for weight in weights):
        return None
    momentums, velocities = (
        [variable for variable in optimizer.variables if variable.path.endswith(name)]
        for name in ("_momentum", "_velocity")
    )
    if not len(weights) == len(momentums) == len(velocities):  # Some weights were frozen since.
        return None
    averages = zip(momentums, velocities, strict=True)
    return {weight.value.ref(): pair for weight, pair in zip(weights, averages, strict=True)}


def _adam_update(
    optimizer: keras.optimizers.Adam, slots: dict[Any, tuple[keras.Variable, keras.Variable]]
) -> Callable[[Any, Any, Any], None]:
    """Return what stands in for `keras.optimizers.Adam.update_step`."""
    import tensorflow as tf

    def update_step(gradient: Any, variable: Any, learning_rate: Any) -> None:
        if isinstance(gradient, tf.IndexedSlices):  # Keras squares these before it adds them up.
            type(optimizer).update_step(optimizer, gradient, variable, learning_rate)
            return
        momentum, velocity = slots[variable.ref()]
        step = tf.cast(optimizer.iterations + 1, variable.dtype)
        tf.raw_ops.ResourceApplyAdam(
            var=variable.handle,
            m=momentum.value.handle,
            v=velocity.value.handle,
            beta1_power=tf.pow(tf.cast(optimizer.beta_1, variable.dtype), step),
            beta2_power=tf.pow(tf.cast(optimizer.beta_2, variable.dtype), step),
            lr=tf.cast(learning_rate, variable.dtype),
            beta1=optimizer.beta_1,
            beta2=optimizer.beta_2,
            epsilon=optimizer.epsilon,
            grad=tf.cast(gradient, variable.dtype),
        )

    return update_step
