"""The types that skops must be told to trust."""

# skops trusts scikit-learn's own estimators and NumPy's arrays by itself.
TRUSTED_TYPES = (
    "pcam_sklearn.classifier.CNNClassifier",
    "pcam_sklearn.preprocessing.CenterCropNormalizer",
    "pcam_sklearn.preprocessing.PatchReader",
)
