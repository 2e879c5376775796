"""Settings of the documentation site, which `.ci/run docs` builds."""

import os
import sys
import tomllib
from importlib.metadata import version as version_of
from pathlib import Path

HERE = Path(__file__).parent
ROOT = HERE.parent
sys.path.insert(0, str(HERE / "_ext"))
# The gallery prints what examples print, and TensorFlow would print its start.
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

project = "pcam_sklearn"
author = "the pcam_sklearn developers"
copyright = f"2026, {author}"
version = release = version_of("pcam-sklearn")

extensions = [
    "myst_parser",
    "numpydoc",
    "sphinx.ext.autodoc",
    "sphinx.ext.autosummary",
    "sphinx.ext.intersphinx",
    "sphinx.ext.viewcode",
    "sphinx_copybutton",
    "sphinx_design",
    "sphinx_gallery.gen_gallery",
    "code_ends",
    "gallery_pages",
    "layer_signatures",
    "other_projects",
    "public_names",
    "repository_links",
]
exclude_patterns = ["_build", "_ext", "_templates"]
templates_path = ["_templates"]

# Pages
myst_enable_extensions = ["colon_fence", "deflist", "fieldlist"]
myst_heading_anchors = 3

# API: types stand in the docstrings, and links to all names that the site knows
autosummary_generate = True
autosummary_ignore_module_all = False
autosummary_imported_members = True
autodoc_typehints = "none"
# A method that a class of Keras or SciKeras documents is documented there.
autodoc_inherit_docstrings = False
autodoc_member_order = "bysource"
autodoc_default_options = {
    "exclude-members": ", ".join(
        [
            # What scikit-learn adds to every class.
            *("set_fit_request", "set_partial_fit_request", "set_predict_request"),
            *("set_predict_proba_request", "set_score_request", "set_transform_request"),
            *("set_split_request", "get_metadata_routing", "set_output"),
            # What Keras calls of a layer.
            *("build", "call", "get_config", "from_config", "compute_output_shape"),
            *("input", "output"),
        ]
    ),
}
# Modules whose constants autosummary does not find, because they are imported.
autosummary_context = {
    "constants": {
        "pcam_sklearn.augmentation": {
            "AUGMENTATIONS": "The layer of each name that ``CNNClassifier(augment=)`` takes.",
            "VIEWS": "The function that makes the views of each ``test_time_augmentation``.",
        },
        "pcam_sklearn.networks": {
            "NETWORKS": "The function of each name that ``CNNClassifier(network=)`` takes.",
        },
        "pcam_sklearn.persistence": {
            "TRUSTED_TYPES": "Names of this package's types, for ``skops.io.load(trusted=)``.",
        },
    },
}
# Names of parameters stand in single backticks, as in scikit-learn.
default_role = "literal"
numpydoc_show_class_members = False
_numpydoc = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["numpydoc_validation"]
numpydoc_validation_checks = set(_numpydoc["checks"])
numpydoc_validation_exclude = set(_numpydoc["exclude"])

# Gallery: the examples run, and their pictures are made, each time the site is built
sphinx_gallery_conf = {
    "examples_dirs": "../examples/gallery",
    "gallery_dirs": "gallery",
    "filename_pattern": "/plot_",
    "within_subsection_order": "ExampleTitleSortKey",
    "backreferences_dir": "api/uses",
    "doc_module": ("pcam_sklearn",),
    "reference_url": {"pcam_sklearn": None},
    "inspect_global_variables": True,
    "image_scrapers": ("gallery_pages.scrape",),
    # A display is drawn; its text would be an address in memory.
    "ignore_repr_types": r"pcam_sklearn\.plotting",
    "abort_on_example_error": False,
    "remove_config_comments": True,
    "show_memory": False,
    "show_signature": False,
    "plot_gallery": "True",
    "min_reported_time": 60,
    "write_computation_times": False,
    "download_all_examples": False,
}

# Look
html_theme = "pydata_sphinx_theme"
html_title = "pcam_sklearn"
html_static_path = ["_static"]
html_css_files = ["site.css"]
html_js_files = ["site.js"]
html_copy_source = False
html_theme_options = {
    "show_prev_next": False,
    "navigation_with_keys": False,
    "header_links_before_dropdown": 6,
    "secondary_sidebar_items": ["page-toc"],
    "footer_start": ["copyright"],
    "footer_end": [],
}
# These pages have none below them.
html_sidebars = {"index": [], "getting_started": [], "benchmarks": []}
copybutton_prompt_text = r">>> |\.\.\. |\$ "
copybutton_prompt_is_regexp = True
