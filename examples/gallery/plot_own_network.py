"""
Bring your own network
======================

A network is a function from the shape of a patch to a Keras model. Its parameters can be tuned like
any other, and it is trained, saved and explained as the networks of the package are.
"""

# %%
# The function
# ------------
# It takes ``input_shape`` first. The model gets floats in [0, 1] and ends in one sigmoid unit. It
# is not compiled: the classifier does that, with its loss and optimizer.

import keras

from pcam_sklearn import make_pcam_pipeline
from pcam_sklearn.datasets import make_patches
from pcam_sklearn.model_selection import slide_train_test_split
from pcam_sklearn.plotting import GradCamDisplay, TrainingHistoryDisplay


def slim(input_shape, width=16, depth=3):
    """Build a network of separable convolutions."""
    layers = keras.layers
    x = inputs = keras.Input(input_shape)
    for block in range(depth):
        x = layers.SeparableConv2D(width * 2**block, 3, padding="same", use_bias=False)(x)
        x = layers.BatchNormalization(momentum=0.9)(x)
        x = layers.Activation("relu")(x)
        x = layers.MaxPooling2D()(x) if block < depth - 1 else x
    x = layers.GlobalAveragePooling2D()(x)
    return keras.Model(inputs, layers.Dense(1, activation="sigmoid")(x))


# %%
# In the pipeline
# ---------------
# ``model__NAME`` sets a parameter of the function, here and in the grid of a search.

data = make_patches(n_samples=600, n_slides=16, random_state=0)
train, test = slide_train_test_split(data.target, data.groups, random_state=0)
pipeline = make_pcam_pipeline(
    crop_size=32,
    network=slim,
    model__width=24,
    augment=("d4", "stain"),
    learning_rate=0.01,
    epochs=15,
    validation_fraction=0.15,
    random_state=0,
)
pipeline.fit(data.images[train], data.target[train])
print(f"{pipeline[-1].model_.count_params():,} parameters")
# Picture: accuracy, area under the ROC curve and loss by epoch, for training and held-out patches.
TrainingHistoryDisplay.from_estimator(pipeline)

# %%
# Explained
# ---------
# Grad-CAM finds the last convolution by itself. The maps show the center, which is all that this
# network sees.

positive = test[data.target[test] == 1][:3]
negative = test[data.target[test] == 0][:2]
shown = [*positive, *negative]
# Picture: the centers of five patches, and below them the same centers with the evidence for tumour
#  in yellow.
GradCamDisplay.from_estimator(pipeline, data.images[shown], data.target[shown])

# %%
# Saved
# -----
# A ``.pcam`` file holds no code, so whoever loads it passes the function:
# ``load_model("model.pcam", network=slim)``.
