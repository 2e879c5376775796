"""The Keras networks, by name: short functions that build one for any shape of patches."""

from pcam_sklearn.networks._by_name import (
    NETWORKS,
    build_network,
    check_hyper_parameters,
    get_network,
)
from pcam_sklearn.networks._d4 import d4
from pcam_sklearn.networks._d4_layers import D4Convolution, D4Normalization
from pcam_sklearn.networks._efficientnet_lite import efficientnet_lite0
from pcam_sklearn.networks._enlarged import Enlargement
from pcam_sklearn.networks._normalized import NormalizedConvolution
from pcam_sklearn.networks._notebook import notebook
from pcam_sklearn.networks._residual import residual
from pcam_sklearn.networks._transfer import transfer
from pcam_sklearn.networks._two_stream import two_stream

__all__ = [
    "NETWORKS",
    "D4Convolution",
    "D4Normalization",
    "Enlargement",
    "NormalizedConvolution",
    "build_network",
    "check_hyper_parameters",
    "d4",
    "efficientnet_lite0",
    "get_network",
    "notebook",
    "residual",
    "transfer",
    "two_stream",
]
