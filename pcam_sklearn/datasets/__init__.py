"""Data sets: folders of images, the official PatchCamelyon files, and patches made on the spot."""

from pcam_sklearn._hospitals import hospital_of_slide
from pcam_sklearn.datasets._audit import audit_patches
from pcam_sklearn.datasets._audit_report import AuditReport
from pcam_sklearn.datasets._fetch import fetch_pcam
from pcam_sklearn.datasets._folder import load_folder
from pcam_sklearn.datasets._kaggle import load_kaggle
from pcam_sklearn.datasets._official import load_pcam
from pcam_sklearn.datasets._slides import slides_from_official
from pcam_sklearn.datasets._synthetic import make_patches

__all__ = [
    "AuditReport",
    "audit_patches",
    "fetch_pcam",
    "hospital_of_slide",
    "load_folder",
    "load_kaggle",
    "load_pcam",
    "make_patches",
    "slides_from_official",
]
