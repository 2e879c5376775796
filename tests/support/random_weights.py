"""Random weights, for networks that look as if they had been trained."""

import numpy as np


def with_random_weights(network, seed=0):
    """Give a network random weights and random statistics of its normalization, and return it.

    A fresh network has zeros and ones in many places, where a mistake would not show.
    """
    rng = np.random.default_rng(seed)
    for weight in network.weights:
        if weight.path.endswith(("moving_variance", "gamma")):
            weight.assign(rng.uniform(0.5, 1.5, weight.shape))
        else:
            fan_in = np.prod(weight.shape[:-1]) if len(weight.shape) > 1 else 50
            weight.assign(rng.normal(0, (2 / fan_in) ** 0.5, weight.shape))
    return network
