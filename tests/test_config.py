"""A configuration checks itself."""

import dataclasses
import hashlib
import json
from typing import Any

import pytest
from config_samples import DEFAULT_CONFIG, default_config, training
from hypothesis import given
from hypothesis import strategies as st

from bamgate.config import AttentionConfig, RunConfig, TrainingConfig
from bamgate.config.options import check_fields, option, options_of
from bamgate.config.recipes import RECIPES
from bamgate.errors import UsageError

# The cell that `bamgate run` without options trains. A change of this id orphans every stored cell.
DEFAULT_SHA256 = "c9f75eaaf8110bbedf87e5ec5fa954d1c878b49510915c4500c52d95c8b0abf4"


def message(kind: Any, **fields: Any) -> str:
    """The whole message with which `kind` refuses `fields`."""
    with pytest.raises(UsageError) as caught:
        kind(**fields)
    return str(caught.value)


def stored(config: RunConfig) -> dict[str, Any]:
    """The configuration as it comes back from config.json."""
    plain: dict[str, Any] = json.loads(json.dumps(config.to_dict()))
    return plain


def loaded(plain: dict[str, Any]) -> RunConfig:
    """A configuration from the plain types of a file."""
    training_fields = {**plain["training"], "milestones": tuple(plain["training"]["milestones"])}
    sections = {"attention": AttentionConfig(**plain["attention"]), "training": TrainingConfig(**training_fields)}
    return RunConfig(**{**plain, **sections})


def test_the_default_run_is_this_one() -> None:
    assert default_config().to_dict() == DEFAULT_CONFIG


@pytest.mark.parametrize(
    ("fields", "filled_in"),
    [
        ({}, ("sum", True, "bottleneck")),
        ({"layout": "released"}, ("product", True, "bottleneck")),
        ({"layout": "counted"}, ("sum", True, "bottleneck")),
        ({"layout": "released", "combine": "max"}, ("max", True, "bottleneck")),
        ({"residual": False, "placement": "block"}, ("sum", False, "block")),
        ({"name": "se"}, ("sum", False, "block")),
        ({"name": "cbam"}, ("sum", False, "block")),
        ({"name": "se", "residual": True, "placement": "bottleneck"}, ("sum", True, "bottleneck")),
        ({"name": "none", "gate": "none"}, ("sum", False, "block")),
        ({"name": "extra-block", "gate": "none"}, ("sum", False, "bottleneck")),
    ],
)
def test_what_is_left_out_is_filled_in_as_the_papers_have_it(fields: dict[str, Any], filled_in: Any) -> None:
    attention = AttentionConfig(**fields)
    assert (attention.combine, attention.residual, attention.placement) == filled_in


def test_the_attention_decays_as_the_network_unless_told_otherwise() -> None:
    assert training(weight_decay=0.25).attention_weight_decay == 0.25
    assert training(weight_decay=0.25, attention_weight_decay=0.0).attention_weight_decay == 0.0


@pytest.mark.parametrize(
    ("kind", "fields", "expected"),
    [
        (training, {"epochs": 2.0}, "epochs must be a whole number, got 2.0"),
        (training, {"epochs": "2"}, "epochs must be a whole number, got '2'"),
        (training, {"epochs": True}, "epochs must be a whole number, got True"),
        (training, {"train_limit": False}, "train_limit must be a whole number, got False"),
        (training, {"lr": "fast"}, "lr must be a number, got 'fast'"),
        (training, {"lr": True}, "lr must be a number, got True"),
        (training, {"nesterov": 1}, "nesterov must be true or false, got 1"),
        (training, {"nesterov": "yes"}, "nesterov must be true or false, got 'yes'"),
        (training, {"schedule": 3}, "schedule must be text, got 3"),
        (training, {"milestones": 60}, "milestones must be a list of numbers, got 60"),
        (training, {"milestones": ("60",)}, "milestones must be a list of numbers, got ('60',)"),
        (training, {"milestones": (True,)}, "milestones must be a list of numbers, got (True,)"),
        (AttentionConfig, {"reduction": "16"}, "reduction must be a whole number, got '16'"),
        (AttentionConfig, {"residual": 0}, "residual must be true or false, got 0"),
        (RunConfig, {"dataset": 10, "training": RECIPES.get("quick")}, "dataset must be text, got 10"),
    ],
)
def test_a_value_of_the_wrong_type_is_refused(kind: Any, fields: dict[str, Any], expected: str) -> None:
    assert message(kind, **fields) == expected


@pytest.mark.parametrize(
    ("kind", "fields", "expected"),
    [
        (
            training,
            {"schedule": "cosin"},
            "unknown schedule 'cosin'; did you mean 'cosine'? (allowed: constant, step, cosine, one-cycle)",
        ),
        (training, {"precision": "int8"}, "unknown precision 'int8' (allowed: fp32, bf16)"),
        (
            training,
            {"augment": "crop_flip"},
            "unknown augment 'crop_flip'; did you mean 'crop-flip'? "
            "(allowed: none, crop, crop-flip, resized-crop-flip)",
        ),
        (
            training,
            {"compile": "OFF"},
            "unknown compile 'OFF'; did you mean 'off'? (allowed: off, default, cuda-graphs)",
        ),
        (
            AttentionConfig,
            {"branches": "chanel"},
            "unknown branches 'chanel'; did you mean 'channel'? (allowed: both, channel, spatial, full)",
        ),
        (AttentionConfig, {"combine": ""}, "unknown combine '' (allowed: sum, product, max)"),
    ],
)
def test_an_unknown_choice_is_refused_with_the_nearest_one(kind: Any, fields: dict[str, Any], expected: str) -> None:
    assert message(kind, **fields) == expected


@pytest.mark.parametrize(
    ("fields", "expected"),
    [
        ({"epochs": 0}, "epochs must be at least 1, got 0"),
        ({"batch_size": 1}, "batch_size must be at least 2, got 1"),
        ({"lr": 0}, "lr must be above 0, got 0.0"),
        ({"lr": -0.1}, "lr must be above 0, got -0.1"),
        ({"lr": float("inf")}, "lr must be above 0, got inf"),
        ({"lr": float("nan")}, "lr must be above 0, got nan"),
        ({"momentum": 1.5}, "momentum must be at least 0 and at most 1, got 1.5"),
        ({"momentum": float("nan")}, "momentum must be at least 0 and at most 1, got nan"),
        ({"weight_decay": -1e-9}, "weight_decay must be at least 0, got -1e-09"),
        ({"attention_weight_decay": float("-inf")}, "attention_weight_decay must be at least 0, got -inf"),
        ({"warmup_epochs": -1}, "warmup_epochs must be at least 0, got -1.0"),
        ({"gamma": 0.0}, "gamma must be above 0 and at most 1, got 0.0"),
        ({"gamma": 1.01}, "gamma must be above 0 and at most 1, got 1.01"),
        ({"label_smoothing": 2}, "label_smoothing must be at least 0 and at most 1, got 2.0"),
        ({"crop_padding": 0, "augment": "crop"}, "crop_padding must be at least 1, got 0"),
        ({"train_limit": 1}, "train_limit must be at least 2, got 1"),
        ({"schedule": "step", "milestones": (0, 5)}, "milestones must be above 0, got 0.0"),
    ],
)
def test_a_number_out_of_its_range_is_refused(fields: dict[str, Any], expected: str) -> None:
    assert message(training, **fields) == expected


@pytest.mark.parametrize("name", ["reduction", "dilation"])
def test_reduction_and_dilation_are_at_least_one(name: str) -> None:
    assert message(AttentionConfig, **{name: 0}) == f"{name} must be at least 1, got 0"


def test_the_ends_of_a_range_are_in_it() -> None:
    made = training(epochs=1, batch_size=2, momentum=1, weight_decay=0, label_smoothing=1, train_limit=2)
    assert (made.momentum, made.weight_decay, made.label_smoothing) == (1.0, 0.0, 1.0)
    assert training(epochs=2, schedule="step", milestones=(1,), gamma=1.0).gamma == 1.0
    assert RunConfig(seed=2**31 - 1, training=training()).seed == 2147483647


@pytest.mark.parametrize("seed", [-1, 2**31])
def test_a_seed_that_torch_would_not_take_is_refused_with_the_exact_limits(seed: int) -> None:
    expected = f"seed must be at least 0 and at most 2147483647, got {seed}"
    assert message(RunConfig, seed=seed, training=training()) == expected


def test_a_number_without_limits_must_be_finite() -> None:
    @dataclasses.dataclass(frozen=True, kw_only=True)
    class Free:
        x: float = option(0.0, "any number")

        def __post_init__(self) -> None:
            check_fields(self)

    assert Free(x=-1e300).x == -1e300
    assert message(Free, x=float("nan")) == "x must be a finite number, got nan"


@given(value=st.one_of(st.integers(), st.floats(), st.booleans(), st.text(), st.none(), st.binary()))
def test_label_smoothing_holds_a_number_from_0_to_1_whatever_is_given(value: Any) -> None:
    is_number = isinstance(value, int | float) and not isinstance(value, bool)
    if is_number and 0 <= value <= 1:
        made = training(label_smoothing=value).label_smoothing
        assert made == value
        assert type(made) is float
    elif value is not None:
        assert message(training, label_smoothing=value).startswith("label_smoothing must be ")


def test_every_field_has_a_help_text_and_a_default_that_it_accepts() -> None:
    for kind in (AttentionConfig, TrainingConfig, RunConfig):
        names = {item.name for item in dataclasses.fields(kind)} - {"attention", "training"}
        described = list(options_of(kind))
        assert {name for name, *_ in described} == names
        for _, plain_type, default, rule in described:
            assert rule.help
            assert default is None or type(default) is plain_type
            assert not rule.choices or default is None or default in rule.choices


def _inert(name: str, value: Any, attention: str) -> str:
    return f"{name}={value!r} would have no effect: attention {attention!r} has no such option; leave it out"


@pytest.mark.parametrize(
    ("fields", "expected"),
    [
        *(
            ({"name": attention, name: value}, _inert(name, value, attention))
            for attention in ("se", "cbam")
            for name, value in (
                ("branches", "channel"),
                ("combine", "product"),
                ("combine", "max"),
                ("dilation", 2),
                ("layout", "counted"),
                ("layout", "released"),
            )
        ),
        *(
            ({"name": attention, "gate": "none", name: value}, _inert(name, value, attention))
            for attention, wrong_placement in (("none", "bottleneck"), ("extra-block", "block"))
            for name, value in (
                ("branches", "spatial"),
                ("combine", "max"),
                ("dilation", 1),
                ("layout", "released"),
                ("reduction", 8),
                ("residual", True),
                ("placement", wrong_placement),
                ("gate_init", "zero"),
            )
        ),
        *(
            (
                {"name": name, "gate": gate},
                f"gate={gate!r} would have no effect: attention {name!r} has no gate; leave it out",
            )
            for name in ("none", "extra-block")
            for gate in ("sigmoid", "tanh")
        ),
        *(
            (
                {"branches": branches, "combine": "max"},
                f"combine='max' would have no effect: branches='{branches}' leaves nothing to combine; leave it out",
            )
            for branches in ("channel", "spatial", "full")
        ),
        (
            {"branches": "spatial", "layout": "released", "combine": "sum"},
            "combine='sum' would have no effect: branches='spatial' leaves nothing to combine; leave it out",
        ),
        (
            {"branches": "channel", "dilation": 2},
            "dilation=2 would have no effect: the channel branch has no convolution; leave it out",
        ),
        *(
            (
                {"branches": branches, "layout": "counted"},
                f"layout 'counted' is the same as 'paper' for branches='{branches}'; leave it out",
            )
            for branches in ("channel", "full")
        ),
    ],
)
def test_an_attention_option_without_effect_is_refused(fields: dict[str, Any], expected: str) -> None:
    assert message(AttentionConfig, **fields) == expected


@pytest.mark.parametrize(
    "fields",
    [
        {"name": "se", "reduction": 4, "residual": True, "placement": "bottleneck", "gate_init": "zero"},
        {"name": "cbam", "reduction": 4, "residual": True, "placement": "bottleneck", "gate_init": "zero"},
        {"branches": "spatial", "dilation": 2, "layout": "counted"},
        {"branches": "full", "dilation": 2, "layout": "released"},
        {"branches": "channel", "layout": "released", "reduction": 2},
        {"combine": "max", "dilation": 1, "layout": "counted", "gate_init": "zero"},
    ],
)
def test_an_attention_option_with_an_effect_is_taken(fields: dict[str, Any]) -> None:
    made = AttentionConfig(**fields)
    assert {name: getattr(made, name) for name in fields} == fields


@pytest.mark.parametrize(
    ("fields", "expected"),
    [
        ({"schedule": "step"}, "schedule 'step' needs milestones, for instance --milestones 60,120,160"),
        *(
            (
                {"schedule": schedule, "milestones": (5,), "warmup_epochs": 1},
                f"milestones would have no effect: schedule {schedule!r} has none; leave them out",
            )
            for schedule in ("constant", "cosine", "one-cycle")
        ),
        *(
            (
                {"schedule": schedule, "gamma": 0.1, "warmup_epochs": 1},
                f"gamma would have no effect: schedule {schedule!r} has no drops; leave it out",
            )
            for schedule in ("constant", "cosine", "one-cycle")
        ),
        (
            {"crop_padding": 2},
            "crop_padding would have no effect: augment 'none' pads nothing; leave it out",
        ),
        ({"schedule": "step", "milestones": (120, 60)}, "milestones must increase, got 120, 60"),
        ({"schedule": "step", "milestones": (60, 60)}, "milestones must increase, got 60, 60"),
        ({"schedule": "step", "milestones": (60, 200)}, "milestones must be below epochs (200), got 60, 200"),
        ({"schedule": "one-cycle"}, "schedule 'one-cycle' needs warmup_epochs above 0, the epochs of its rising part"),
        ({"epochs": 4, "warmup_epochs": 4}, "warmup_epochs must be below epochs (4), got 4"),
        ({"epochs": 4, "warmup_epochs": 4.5}, "warmup_epochs must be below epochs (4), got 4.5"),
        ({"nesterov": True, "momentum": 0.0}, "nesterov needs momentum above 0 (or leave it out: --no-nesterov)"),
    ],
)
def test_a_training_option_without_effect_is_refused(fields: dict[str, Any], expected: str) -> None:
    assert message(training, **fields) == expected


def test_training_options_with_an_effect_are_taken() -> None:
    assert training(schedule="step", milestones=(3, 6), gamma=0.1).gamma == 0.1
    assert training(augment="crop", crop_padding=2).crop_padding == 2
    assert training(epochs=4, warmup_epochs=3.5).warmup_epochs == 3.5


@pytest.mark.parametrize(
    "attention",
    [
        {},
        {"layout": "released"},
        {"layout": "released", "branches": "channel"},
        {"layout": "counted", "branches": "spatial", "dilation": 2},
        {"branches": "full", "residual": False},
        {"combine": "max", "gate": "tanh", "gate_init": "zero"},
        {"name": "se"},
        {"name": "se", "residual": True, "placement": "bottleneck"},
        {"name": "cbam", "reduction": 4},
        {"name": "none", "gate": "none"},
        {"name": "extra-block", "gate": "none"},
    ],
    ids=str,
)
@pytest.mark.parametrize("recipe", ["quick", "cifar", "imagenet"])
def test_a_stored_configuration_loads_as_the_same_cell(attention: dict[str, Any], recipe: str) -> None:
    config = RunConfig(seed=7, attention=AttentionConfig(**attention), training=RECIPES.get(recipe))
    again = loaded(stored(config))
    assert again == config
    assert (again.sha256, again.design_sha256) == (config.sha256, config.design_sha256)


def test_a_list_of_milestones_as_json_holds_it_is_taken() -> None:
    assert training(schedule="step", milestones=[60, 120]) == training(schedule="step", milestones=(60, 120))
    plain = stored(RunConfig(training=RECIPES.get("cifar")))["training"]
    assert TrainingConfig(**plain) == RECIPES.get("cifar")


@pytest.mark.parametrize(
    ("kind", "name", "expected"),
    [
        (training, "epochs", "epochs must be a whole number, got None"),
        (training, "lr", "lr must be a number, got None"),
        (AttentionConfig, "gate", "gate must be text, got None"),
        (AttentionConfig, "layout", "layout must be text, got None"),
    ],
)
def test_none_is_no_value_where_nothing_would_fill_it_in(kind: Any, name: str, expected: str) -> None:
    assert message(kind, **{name: None}) == expected


def test_the_default_cell_keeps_its_id() -> None:
    config = default_config()
    assert (config.sha256, config.cell) == (DEFAULT_SHA256, "c9f75eaaf8110bbe")


def test_the_size_of_photographs_is_part_of_a_cell_and_nothing_of_other_cells() -> None:
    sized = RunConfig(dataset="imagenet", image_size=64, training=training())
    assert stored(sized)["image_size"] == 64
    assert loaded(stored(sized)) == sized
    assert sized.cell != RunConfig(dataset="imagenet", image_size=65, training=training()).cell
    assert "image_size" not in stored(default_config())
    assert message(RunConfig, image_size=7, training=training()) == "image_size must be at least 8, got 7"


def test_the_hash_is_that_of_the_sorted_json_with_its_schema() -> None:
    text = json.dumps({"schema": 1, **DEFAULT_CONFIG}, sort_keys=True, separators=(",", ":"))
    assert default_config().sha256 == hashlib.sha256(text.encode()).hexdigest()


def test_a_whole_number_and_its_float_are_the_same_cell() -> None:
    assert RunConfig(training=training(lr=1)).cell == RunConfig(training=training(lr=1.0)).cell
