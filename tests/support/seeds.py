"""Keras' global seed."""

import keras


def seed_keras(seed):
    """Seed Keras; in older releases a generator that has drawn goes on unless all is forgotten."""
    keras.utils.clear_session()
    keras.utils.set_random_seed(seed)
