"""Parameters of the pipeline as text and as JSON."""

import json

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pcam_sklearn import make_pcam_pipeline
from pcam_sklearn.cli._parameters import (
    build_pipeline,
    check_names,
    check_values,
    from_json_values,
    parse_grid,
    parse_settings,
    to_json_values,
)


def test_settings_are_read_as_python_and_text_needs_no_quotes():
    read = parse_settings(["a=0.3", "b=None", "c={0: 1, 1: 2}", "d=balanced", "e=x=y"])
    assert read == {"a": 0.3, "b": None, "c": {0: 1, 1: 2}, "d": "balanced", "e": "x=y"}


@pytest.mark.parametrize("text", ["dropout", "=0.3", "dropout="])
def test_a_setting_without_name_or_value_is_an_error_with_an_example(text):
    with pytest.raises(ValueError, match=r"cnnclassifier__dropout=0\.3"):
        parse_settings([text])


@pytest.mark.slow
@settings(deadline=None)
@given(
    st.lists(st.one_of(st.none(), st.integers(), st.sampled_from(["d4", "notebook"])), min_size=1)
)
def test_a_grid_is_read_as_it_was_written(values):
    assert parse_grid(["name=" + ",".join(map(str, values))]) == {"name": values}


def test_a_grid_may_mix_words_with_tuples():
    assert parse_grid(["a=d4,('d4','stain'),none"]) == {"a": ["d4", ("d4", "stain"), None]}
    assert parse_grid(["a=(8,8),none"]) == {"a": [(8, 8), None]}


def test_none_may_be_written_as_the_option_augment_takes_it():
    assert parse_grid(["a=none,d4"]) == {"a": [None, "d4"]}
    assert parse_settings(["a=none"]) == {"a": None}


@pytest.mark.slow
@settings(deadline=None)
@given(
    weights=st.one_of(st.none(), st.just("balanced"), st.just({0: 1, 1: 3.5})),
    filters=st.one_of(st.none(), st.tuples(*[st.integers(1, 9)] * 3)),
    dropout=st.one_of(st.none(), st.floats(0, 0.9)),
)
def test_parameters_come_back_from_json_as_they_were(weights, filters, dropout):
    pipeline = make_pcam_pipeline(class_weight=weights, filters=filters, dropout=dropout)
    pipeline.set_params(cnnclassifier__optimizer__learning_rate=1e-3)
    values = json.loads(json.dumps(to_json_values(pipeline)))
    again = build_pipeline({}, {}, from_json_values(values))
    steps = {"steps", *pipeline.named_steps}
    before, after = (
        {k: v for k, v in p.get_params().items() if k not in steps} for p in (pipeline, again)
    )
    assert before == after


def test_only_given_parameters_differ_from_the_defaults():
    plain, built = make_pcam_pipeline(), build_pipeline({"epochs": 7}, {}, None)
    differing = {k for k, v in built.get_params().items() if repr(plain.get_params()[k]) != repr(v)}
    assert {k for k in differing if "__" in k} == {"cnnclassifier__epochs"}


def test_a_name_that_is_set_twice_is_an_error():
    with pytest.raises(ValueError, match="--set names a several times; set each name once"):
        parse_settings(["a=1", "a=2"])


def test_text_without_quotes_within_brackets_is_an_error_that_shows_them():
    with pytest.raises(ValueError, match=r"text needs quotes, such as \"\('d4', 'stain'\)\""):
        parse_grid(["cnnclassifier__augment=(d4,stain),none"])
    with pytest.raises(ValueError, match="text needs quotes"):
        parse_settings(["cnnclassifier__augment=(d4,stain)"])


def test_a_wrong_value_of_a_later_candidate_is_found_before_the_search():
    pipeline = make_pcam_pipeline()
    with pytest.raises(ValueError, match="got 'd5'"):
        check_values(pipeline, [{"cnnclassifier__augment": name} for name in ("d4", "d5")])
    assert pipeline[-1].augment == make_pcam_pipeline()[-1].augment


def test_a_name_that_a_grid_has_twice_is_an_error_instead_of_half_a_grid():
    with pytest.raises(ValueError, match="--grid names a several times"):
        parse_grid(["a=1,2", "b=1", "a=3"])


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("cnnclassifier", "has the steps of make_pcam_pipeline"),
        ("centercropnormalizer", "has the steps of make_pcam_pipeline"),
        ("steps", "has the steps of make_pcam_pipeline"),
        ("cnnclassifier__checkpoint_dir", "see --resume"),
    ],
)
def test_what_a_run_decides_itself_cannot_be_set_or_searched_over(name, message):
    with pytest.raises(ValueError, match=f"{name} cannot be set.*{message}"):
        check_names(make_pcam_pipeline(), [name])
    with pytest.raises(ValueError, match=f"{name} cannot be set.*{message}"):
        build_pipeline({}, {name: "passthrough"}, None)


def test_a_name_without_a_step_is_an_error_that_names_the_steps():
    with pytest.raises(ValueError, match=r"nothing is no parameter.*cnnclassifier__"):
        check_names(make_pcam_pipeline(), ["nothing"])
