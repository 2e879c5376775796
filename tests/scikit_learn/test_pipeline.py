"""The ready-made pipeline and its search spaces."""

import pytest
from sklearn.model_selection import ParameterGrid, ParameterSampler

from pcam_sklearn import make_pcam_pipeline, make_search_space


def test_the_steps_have_the_names_of_make_pipeline():
    assert list(make_pcam_pipeline().named_steps) == [
        "patchreader",
        "centercropnormalizer",
        "cnnclassifier",
    ]


def test_sizes_and_classifier_parameters_reach_their_steps():
    params = make_pcam_pipeline(crop_size=48, dtype="float32", dropout=0.1).get_params()
    assert params["centercropnormalizer__crop_size"] == 48
    assert params["centercropnormalizer__dtype"] == "float32"
    assert params["cnnclassifier__dropout"] == 0.1


@pytest.mark.parametrize(("network", "crop_size"), [("notebook", 32), ("residual", 96)])
def test_the_crop_is_the_labelled_center_for_the_notebook_s_network_and_all_for_others(
    network, crop_size
):
    pipeline = make_pcam_pipeline(network=network)
    assert pipeline.get_params()["centercropnormalizer__crop_size"] == crop_size


def test_an_unknown_parameter_is_refused_at_once():
    with pytest.raises(TypeError, match="dropuot"):
        make_pcam_pipeline(dropuot=0.1)


@pytest.mark.parametrize("distributions", [False, True])
def test_every_candidate_of_a_search_space_can_be_set(distributions):
    space = make_search_space(distributions=distributions)
    candidates = (
        ParameterSampler(space, 5, random_state=0) if distributions else ParameterGrid(space)
    )
    for candidate in candidates:
        make_pcam_pipeline(network="notebook").set_params(**candidate)
