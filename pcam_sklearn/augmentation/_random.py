"""The base class of all layers that augment."""

import inspect
from typing import Any

import keras

# The darkest byte above black, because the optical density of black is infinite.
DARKEST = 1 / 255


class RandomLayer(keras.layers.Layer):
    """A layer that changes patches at random in training, and returns them unchanged otherwise."""

    learns_of_slides = False  # Whether a training calls `adapt(patches, slides)` first.
    _of_colors: str | None = None  # Its name, if it needs red, green and blue.

    def __init__(self, seed: int | None = None, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.seed = seed
        # With its own generator the layer neither reads nor moves Keras' global seed.
        self._generator = keras.random.SeedGenerator(seed)

    def build(self, input_shape: tuple[int | None, ...]) -> None:
        """Raise ValueError unless patches have the three colours that some augmentations change."""
        name = self._of_colors
        if name is not None and input_shape[3] != 3:
            raise ValueError(
                f"augment={name!r} needs red, green and blue, got {input_shape[3]} channel(s); "
                f"leave {name!r} out of augment."
            )
        super().build(input_shape)

    def call(self, patches: Any, training: bool | None = None) -> Any:
        """Return the patches, changed at random if `training`."""
        return self._augment(patches) if training else patches

    def _augment(self, patches: Any) -> Any:
        raise NotImplementedError

    def _uniform(self, shape: tuple[int, ...], low: float, high: float) -> Any:
        return keras.random.uniform(shape, low, high, seed=self._generator)

    def get_config(self) -> dict[str, Any]:
        """Return the parameters that rebuild the layer."""
        # As in scikit-learn, each argument of __init__ is kept as an attribute of its name.
        names = set(inspect.signature(type(self).__init__).parameters) - {"self", "kwargs"}
        return {**super().get_config(), **{name: getattr(self, name) for name in sorted(names)}}
