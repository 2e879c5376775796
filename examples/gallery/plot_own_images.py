"""
Your own images, any two classes
================================

Nothing in the pipeline knows tumour. It tells two kinds of images apart, by any labels. Here it
sorts images that are out of focus from sharp ones, as quality control needs it.
"""

# %%
# Folders by class
# ----------------
# Most people have a folder for each class. These images are 80 pixels wide, in JPEG, and drawn.

import tempfile
from pathlib import Path

import cv2
import numpy as np
from PIL import Image

from pcam_sklearn import make_pcam_pipeline
from pcam_sklearn.datasets import load_folder, make_patches
from pcam_sklearn.model_selection import slide_train_test_split
from pcam_sklearn.plotting import PatchGalleryDisplay, RocBandDisplay

data = make_patches(n_samples=400, n_slides=16, patch_size=80, random_state=0)
folder = tempfile.TemporaryDirectory()
root = Path(folder.name)
blurred = np.random.default_rng(0).random(len(data.images)) < 0.4
rows = ["id,slide"]
for number, (drawn, slide) in enumerate(zip(data.images, data.groups, strict=True)):
    kind = "blurred" if blurred[number] else "sharp"
    image = cv2.GaussianBlur(drawn, (0, 0), 1.1) if blurred[number] else drawn
    (root / kind).mkdir(exist_ok=True)
    Image.fromarray(image).save(root / kind / f"{number:03}.jpg", quality=92)
    rows.append(f"{kind}/{number:03}.jpg,{slide}")

# %%
# If you know which slide, patient or batch an image is from, say so in ``slides.csv``. An id is
# the path within the folder.

(root / "slides.csv").write_text("\n".join(rows))
images = load_folder(root)
print(len(images.paths), "files, classes:", *enumerate(images.target_names))
kinds = np.array(images.target_names)[images.target]

# %%
# Train and test
# --------------
# Labels may be text; the second one by the alphabet is the class that probabilities are for.
# Images of another size than 96 pixels are resized first, and a crop of 96 keeps all of them.
# Colours do not matter for focus, and turning does not change it.

train, test = slide_train_test_split(kinds, images.groups, random_state=0)
pipeline = make_pcam_pipeline(
    crop_size=64,
    network="residual",
    filters=(8, 16),
    augment=("d4", "stain"),
    learning_rate=0.005,
    epochs=6,
    random_state=0,
)
pipeline.fit(images.paths[train], kinds[train])
print("the classes of the probabilities:", *pipeline.classes_)
# Picture: the ROC curve for sharp against blurred images of other slides, with its band.
RocBandDisplay.from_estimator(
    pipeline, images.paths[test], kinds[test], images.groups[test], random_state=0
)

# %%
# The images it is most wrong about:

# Picture: the four images with the worst predictions, with class and probability.
PatchGalleryDisplay.from_estimator(
    pipeline, images.paths[test], kinds[test], select="most wrong", n_patches=4,
    views=("patch",),
)  # fmt: skip

# %%
# New images need no classes
# --------------------------
# A plain folder gives paths and ids.

new = load_folder(root / "blurred")
for name, kind in zip(new.ids[:3], pipeline.predict(new.paths[:3]), strict=True):
    print(name, kind)
folder.cleanup()
