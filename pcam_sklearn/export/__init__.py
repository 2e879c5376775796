"""Fitted pipelines as ONNX files, and a classifier that serves such a file without Keras."""

from pcam_sklearn._lazy import lazy_names

TYPE_CHECKING = False
if TYPE_CHECKING:
    from pcam_sklearn.export._classifier import OnnxClassifier, make_onnx_pipeline
    from pcam_sklearn.export._export import OnnxExport, export_onnx

__all__ = ["OnnxClassifier", "OnnxExport", "export_onnx", "make_onnx_pipeline"]

# Only `export_onnx` needs Keras.
__getattr__, __dir__ = lazy_names(
    __name__,
    {
        "OnnxClassifier": "_classifier",
        "OnnxExport": "_export",
        "export_onnx": "_export",
        "make_onnx_pipeline": "_classifier",
    },
)
