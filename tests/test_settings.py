"""From options and files to the cells of a plan."""

from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bamgate.config import AttentionConfig, RunConfig, TrainingConfig
from bamgate.errors import UsageError
from bamgate.gates import GATES
from bamgate.options import options_of
from bamgate.recipes import RECIPES
from bamgate.studies.plan import make_plan
from bamgate.studies.settings import FIELDS, parse_seeds, read_file, split_gates


@pytest.fixture
def toml(tmp_path: Path) -> Path:
    return tmp_path / "study.toml"


def refusal(path: Path, text: str) -> str:
    """The whole message with which a file of this text is refused, the path in front taken off."""
    path.write_text(text)
    with pytest.raises(UsageError) as caught:
        read_file(path)
    message = str(caught.value)
    assert message.startswith(str(path))
    return message.removeprefix(str(path))


def plan_refusal(settings: dict[str, Any]) -> str:
    with pytest.raises(UsageError) as caught:
        make_plan(settings)
    return str(caught.value)


TOP = "dataset, model, seeds, recipe"
ATTENTION = "name, gate, branches, combine, reduction, dilation, residual, placement, layout, gate_init"
TRAINING = (
    "epochs, batch_size, lr, momentum, nesterov, weight_decay, attention_weight_decay, schedule, warmup_epochs, "
    "milestones, gamma, label_smoothing, augment, crop_padding, train_limit, precision, channels_last, compile"
)


def test_the_settings_are_the_configurations_fields_but_for_seeds_and_recipe() -> None:
    fields = [name for kind in (RunConfig, AttentionConfig, TrainingConfig) for name, *_ in options_of(kind)]
    assert len(set(fields)) == len(fields)
    assert set(FIELDS) == (set(fields) - {"seed", "name"}) | {"seeds", "recipe", "attention"}
    assert all(FIELDS[name].rule.help for name in FIELDS)


def test_a_file_is_read_into_flat_settings(toml: Path) -> None:
    toml.write_text(
        """
dataset = "digits"
model = 'resnet20'
seeds = "0-4"
recipe = "cifar"

[attention]
name = "cbam"
gate = "tanh"
reduction = 8
residual = true

[training]
epochs = 20
lr = 1
weight_decay = 1e-4
nesterov = false
schedule = "step"
milestones = [10, 15]
"""
    )
    assert read_file(toml) == {
        "dataset": "digits",
        "model": "resnet20",
        "seeds": "0-4",
        "recipe": "cifar",
        "attention": "cbam",
        "gate": "tanh",
        "reduction": 8,
        "residual": True,
        "epochs": 20,
        "lr": 1,
        "weight_decay": 1e-4,
        "nesterov": False,
        "schedule": "step",
        "milestones": (10, 15),
    }


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("", {}),
        ("# nothing\n", {}),
        ("seeds = 3\n", {"seeds": "3"}),
        ("seeds = [0, 1, 7]\n", {"seeds": "0,1,7"}),
        ('[attention]\ngate = ["sigmoid", "expr:max(z, 0)"]\n', {"gate": "sigmoid,expr:max(z, 0)"}),
        ("[training]\nmilestones = []\n", {"milestones": ()}),
        ("training.lr = 0.5\n", {"lr": 0.5}),
        ('attention = { name = "se", reduction = 4 }\n', {"attention": "se", "reduction": 4}),
        ('[attention]\nname = "bam"\n"gate" = "tänh"\n', {"attention": "bam", "gate": "tänh"}),
    ],
)
def test_other_ways_to_write_a_setting(toml: Path, text: str, expected: dict[str, Any]) -> None:
    toml.write_text(text, encoding="utf-8")
    assert read_file(toml) == expected


def test_a_file_of_every_field_of_a_stored_configuration_is_read_back(toml: Path) -> None:
    """What `--dry-run` prints can be given to --config."""
    plain = RunConfig(training=RECIPES.get("cifar")).to_dict()

    def written(values: dict[str, Any]) -> str:
        texts = {True: "true", False: "false"}
        return "".join(
            f"{name} = {texts[value] if isinstance(value, bool) else repr(value)}\n"
            for name, value in values.items()
            if value is not None and not isinstance(value, dict) and name != "seed"
        )

    toml.write_text(
        written(plain) + "[attention]\n" + written(plain["attention"]) + "[training]\n" + written(plain["training"])
    )
    assert make_plan(read_file(toml)).base.to_dict() == plain


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (
            'dataset = "digits"\nmodle = "resnet8"\n',
            f", line 2: unknown key 'modle' in the top level; did you mean 'model'? (allowed: {TOP})",
        ),
        ("lr = 0.1\n", f", line 1: unknown key 'lr' in the top level (allowed: {TOP})"),
        (
            'attention = "bam"\n',
            f", line 1: unknown key 'attention' in the top level; did you mean 'dataset'? (allowed: {TOP})",
        ),
        ("seed = 1\n", f", line 1: unknown key 'seed' in the top level; did you mean 'seeds'? (allowed: {TOP})"),
        (
            "\n[attention]\n# a comment\ngaet = 'tanh'\n",
            f", line 4: unknown key 'gaet' in [attention]; did you mean 'gate'? (allowed: {ATTENTION})",
        ),
        (
            "[training]\nlr = 0.1\n  epoch = 3\n",
            f", line 3: unknown key 'epoch' in [training]; did you mean 'epochs'? (allowed: {TRAINING})",
        ),
        ("[training]\nseeds = '0'\n", f", line 2: unknown key 'seeds' in [training] (allowed: {TRAINING})"),
        (
            "[trainning]\nlr = 0.1\n",
            ", line 1: unknown section 'trainning'; did you mean 'training'? (allowed: attention, training)",
        ),
        ("[x]\n", ", line 1: unknown section 'x' (allowed: attention, training)"),
    ],
)
def test_an_unknown_key_or_section_is_named_with_its_line_and_the_nearest(toml: Path, text: str, expected: str) -> None:
    assert refusal(toml, text) == expected


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (
            '[attention]\nname = "bam"\n\n[training]\nname = "fast"\n',
            f", line 5: unknown key 'name' in [training]; did you mean 'augment'? (allowed: {TRAINING})",
        ),
        (
            "[attention]\nattention = 'se'\n",
            f", line 2: unknown key 'attention' in [attention]; did you mean 'dilation'? (allowed: {ATTENTION})",
        ),
        (
            "[training]\nlr = 0.1\n[attention]\nlr = 0.1\n",
            f", line 4: unknown key 'lr' in [attention] (allowed: {ATTENTION})",
        ),
    ],
)
def test_the_line_is_that_of_the_section_in_which_the_key_stands(toml: Path, text: str, expected: str) -> None:
    assert refusal(toml, text) == expected


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (
            '[training]\nschedule = "cosin"\n',
            ", line 2: unknown schedule 'cosin'; did you mean 'cosine'? (allowed: constant, step, cosine, one-cycle)",
        ),
        ('[attention]\nlayout = "best"\n', ", line 2: unknown layout 'best' (allowed: paper, counted, released)"),
        ("[training]\n\nepochs = 0\n", ", line 3: epochs must be at least 1, got 0"),
    ],
)
def test_a_value_that_is_not_allowed_is_named_with_file_and_line(toml: Path, text: str, expected: str) -> None:
    assert refusal(toml, text) == expected


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("dataset = 10\n", ", line 1: dataset must be a text, got 10"),
        ('[training]\nepochs = "20"\n', ", line 2: epochs must be a whole number, got '20'"),
        ("[training]\nepochs = 20.0\n", ", line 2: epochs must be a whole number, got 20.0"),
        ("[training]\nepochs = true\n", ", line 2: epochs must be a whole number, got True"),
        ("[training]\nlr = false\n", ", line 2: lr must be a number, got False"),
        ("[training]\nlr = [0.1]\n", ", line 2: lr must be a number, got [0.1]"),
        ("[training]\nnesterov = 1\n", ", line 2: nesterov must be true or false, got 1"),
        (
            "[training]\nmilestones = 60\n",
            ", line 2: milestones must be a list of numbers, got 60",
        ),
        ("seeds = true\n", ", line 1: seeds must be a text, got True"),
        ("seeds = 1.5\n", ", line 1: seeds must be a text, got 1.5"),
        (
            "[attention]\nresidual = 'yes'\n",
            ", line 2: residual must be true or false, got 'yes'",
        ),
    ],
)
def test_a_value_of_the_wrong_type_is_refused(toml: Path, text: str, expected: str) -> None:
    assert refusal(toml, text) == expected


def test_a_file_that_is_no_toml_is_refused_with_the_place(toml: Path) -> None:
    expected = " is no valid TOML: Invalid value (at line 2, column 6)"
    assert refusal(toml, "[training]\nlr = fast\n") == expected


def test_a_key_given_twice_is_no_toml(toml: Path) -> None:
    expected = " is no valid TOML: Cannot overwrite a value (at line 2, column 10)"
    assert refusal(toml, 'model = "a"\nmodel="b"\n') == expected


def test_a_file_of_other_bytes_is_refused(toml: Path) -> None:
    toml.write_bytes(b'model = "\xff"\n')
    with pytest.raises(UsageError) as caught:
        read_file(toml)
    reason = "'utf-8' codec can't decode byte 0xff in position 9: invalid start byte"
    assert str(caught.value) == f"{toml} is no valid TOML: {reason}"


def test_a_missing_file_is_named(toml: Path) -> None:
    with pytest.raises(UsageError) as caught:
        read_file(toml)
    assert str(caught.value) == f"there is no configuration file '{toml}'"


def test_a_folder_is_no_configuration_file(tmp_path: Path) -> None:
    with pytest.raises(UsageError) as caught:
        read_file(tmp_path)
    assert str(tmp_path) in str(caught.value)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("0", [0]),
        ("0-4", [0, 1, 2, 3, 4]),
        ("0,3,7-9", [0, 3, 7, 8, 9]),
        ("5, 2-3", [5, 2, 3]),
        (" 4 - 6 ", [4, 5, 6]),
        ("007", [7]),
        ("999999999", [999_999_999]),
        ("0-9999", list(range(10_000))),
    ],
)
def test_seeds_are_read(text: str, expected: list[int]) -> None:
    assert parse_seeds(text) == expected


UNREADABLE = "seeds {!r} cannot be read (allowed: 0, 0-4 or 0,3,7-9)"


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        *((text, UNREADABLE.format(text)) for text in ("", ",", "0,", "a", "-1", "1-", "1.5", "0-2-4", "1e3", "0;1")),
        ("1234567890", UNREADABLE.format("1234567890")),
        ("0 1 2", UNREADABLE.format("0 1 2")),
        ("1,4-2", "seeds '4-2': a range rises and holds at most 10,000 seeds"),
        ("0-10000", "seeds '0-10000': a range rises and holds at most 10,000 seeds"),
        ("0-4,2", "seeds '0-4,2' name a seed twice"),
        ("1,01", "seeds '1,01' name a seed twice"),
    ],
)
def test_seeds_that_cannot_be_are_refused(text: str, expected: str) -> None:
    with pytest.raises(UsageError) as caught:
        parse_seeds(text)
    assert str(caught.value) == expected


@given(parts=st.lists(st.tuples(st.integers(0, 500), st.integers(0, 5)), min_size=1, max_size=6))
def test_seeds_are_the_ranges_one_after_the_other(parts: list[tuple[int, int]]) -> None:
    text = ",".join(f"{first}-{first + more}" if more else str(first) for first, more in parts)
    expected = [seed for first, more in parts for seed in range(first, first + more + 1)]
    if len(set(expected)) == len(expected):
        assert parse_seeds(text) == expected
    else:
        with pytest.raises(UsageError) as caught:
            parse_seeds(text)
        assert str(caught.value) == f"seeds {text!r} name a seed twice"


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("tanh", ["tanh"]),
        ("sigmoid,tanh", ["sigmoid", "tanh"]),
        (" sigmoid , tanh ", ["sigmoid", "tanh"]),
        ("expr:min(max(z,0),1),tanh", ["expr:min(max(z,0),1)", "tanh"]),
        ("expr:max(z, 0)", ["expr:max(z, 0)"]),
        ("a,expr:(z,(z,z)),./f.py:g", ["a", "expr:(z,(z,z))", "./f.py:g"]),
    ],
)
def test_gates_are_split_at_the_commas_outside_parentheses(text: str, expected: list[str]) -> None:
    assert split_gates(text) == expected


@pytest.mark.parametrize("text", ["", " ", ",", "tanh,", ",tanh", "tanh,,sigmoid", "tanh, ,sigmoid"])
def test_an_empty_gate_is_refused(text: str) -> None:
    with pytest.raises(UsageError) as caught:
        split_gates(text)
    assert str(caught.value) == f"gate {text!r} has an empty name in it"


FORMULA = st.recursive(
    st.sampled_from(["z", "0.5", "tanh(z)"]),
    lambda inner: st.lists(inner, min_size=1, max_size=3).map(lambda parts: f"max({', '.join(parts)})"),
    max_leaves=6,
)


@given(gates=st.lists(FORMULA.map("expr:{}".format), min_size=1, max_size=4))
def test_formulas_of_any_depth_stay_whole(gates: list[str]) -> None:
    assert split_gates(",".join(gates)) == gates


def test_no_settings_at_all_are_the_quick_run_on_cluttered_digits() -> None:
    plan = make_plan({})
    assert plan.base == RunConfig(training=RECIPES.get("quick"))
    assert (plan.seeds, [gate.name for gate in plan.gates]) == ([0], ["sigmoid"])


@pytest.mark.parametrize(
    ("dataset", "model", "recipe"),
    [("digits", "resnet8", "quick"), ("cluttered-digits", "resnet8", "quick"), ("cifar100", "resnet20", "cifar")],
)
def test_a_data_set_brings_its_network_and_recipe(dataset: str, model: str, recipe: str) -> None:
    base = make_plan({"dataset": dataset}).base
    assert (base.dataset, base.model, base.training) == (dataset, model, RECIPES.get(recipe))


def test_options_win_over_the_file_and_the_file_over_the_recipe(toml: Path) -> None:
    toml.write_text('recipe = "cifar"\n[attention]\ngate = "tanh"\n[training]\nlr = 0.5\nbatch_size = 16\n')
    options = {"lr": 0.25, "dataset": "digits"}
    training = make_plan({**read_file(toml), **options}).base.training
    # lr: option; batch size: file; momentum and milestones: recipe "cifar", not the data set's "quick".
    assert (training.lr, training.batch_size, training.momentum) == (0.25, 16, 0.9)
    assert training.milestones == (60, 120, 160)
    plan = make_plan({**read_file(toml), "gate": "softsign"})
    assert [gate.name for gate in plan.gates] == ["softsign"]


@pytest.mark.parametrize(
    ("settings", "expected"),
    [
        (
            {"dataset": "cifar"},
            "unknown dataset 'cifar'; did you mean 'cifar10'? (allowed: cifar10, cifar100, digits, cluttered-digits)",
        ),
        ({"recipe": "quik"}, "unknown recipe 'quik'; did you mean 'quick'? (allowed: quick, cifar)"),
        ({"gate": "tanh,tanh"}, "gate 'tanh,tanh' names a gate twice"),
        ({"gate": "expr:tanh( z ),tanh,expr:tanh(z)"}, "gate 'expr:tanh( z ),tanh,expr:tanh(z)' names a gate twice"),
        ({"gate": "tanh,"}, "gate 'tanh,' has an empty name in it"),
        ({"seeds": "0-"}, "seeds '0-' cannot be read (allowed: 0, 0-4 or 0,3,7-9)"),
        ({"epochs": 0}, "epochs must be at least 1, got 0"),
        ({"epochs": -3, "recipe": "cifar"}, "epochs must be at least 1, got -3"),
        (
            {"attention": "none", "gate": "tanh"},
            "gate='tanh' would have no effect: attention 'none' has no gate; leave it out",
        ),
        (
            {"attention": "se", "combine": "max"},
            "combine='max' would have no effect: attention 'se' has no such option; leave it out",
        ),
        (
            {"milestones": (2,)},
            "milestones would have no effect: schedule 'one-cycle' has none; leave them out",
        ),
        (
            {"recipe": "cifar", "schedule": "one-cycle"},
            "schedule 'one-cycle' needs warmup_epochs above 0: its rising part",
        ),
    ],
)
def test_settings_that_make_no_plan_are_refused(settings: dict[str, Any], expected: str) -> None:
    assert plan_refusal(settings) == expected


def test_an_unknown_gate_is_refused_with_the_nearest_and_the_whole_list() -> None:
    listed = ", ".join(GATES.names())
    assert plan_refusal({"gate": "sigmoid,tahn"}) == f"unknown gate 'tahn'; did you mean 'tanh'? (allowed: {listed})"


def test_an_unknown_network_is_refused() -> None:
    assert plan_refusal({"model": "resnet9"}).startswith("unknown model 'resnet9'; did you mean 'resnet8'? (allowed: ")


def test_an_unknown_attention_is_called_attention() -> None:
    expected = "unknown attention 'bma'; did you mean 'bam'? (allowed: bam, se, cbam, none)"
    assert plan_refusal({"attention": "bma"}) == expected


def test_more_epochs_stretch_the_warm_up() -> None:
    # quick: 4 epochs, 1 of them rising.
    for epochs, warmup in ((8, 2.0), (4, 1.0), (2, 0.5), (1, 0.25), (6, 1.5)):
        assert make_plan({"epochs": epochs}).base.training.warmup_epochs == warmup
    assert make_plan({"epochs": 8, "warmup_epochs": 1.0}).base.training.warmup_epochs == 1.0


def test_more_epochs_stretch_the_milestones() -> None:
    # cifar: 60, 120 and 160 of 200.
    for epochs, milestones in ((100, (30, 60, 80)), (400, (120, 240, 320)), (10, (3, 6, 8)), (5, (1.5, 3, 4))):
        assert make_plan({"recipe": "cifar", "epochs": epochs}).base.training.milestones == milestones
    assert make_plan({"recipe": "cifar", "epochs": 100, "milestones": (50,)}).base.training.milestones == (50,)


@given(epochs=st.integers(1, 2000), recipe=st.sampled_from(["quick", "cifar"]))
def test_any_number_of_epochs_makes_a_plan(epochs: int, recipe: str) -> None:
    training = make_plan({"recipe": recipe, "epochs": epochs}).base.training
    assert training.epochs == epochs
    assert all(0 < milestone < epochs for milestone in training.milestones)


def test_another_schedule_drops_the_milestones() -> None:
    training = make_plan({"recipe": "cifar", "schedule": "cosine"}).base.training
    assert (training.schedule, training.milestones, training.gamma) == ("cosine", (), 0.2)
    same = make_plan({"recipe": "cifar", "schedule": "step", "gamma": 0.1}).base.training
    assert (same.milestones, same.gamma) == ((60, 120, 160), 0.1)


def test_augmentation_can_be_switched_off_and_on() -> None:
    assert make_plan({"recipe": "cifar", "augment": "none"}).base.training.augment == "none"
    cropped = make_plan({"augment": "crop", "crop_padding": 2}).base.training
    assert (cropped.augment, cropped.crop_padding) == ("crop", 2)


def test_the_weight_decay_is_that_of_the_attention_too() -> None:
    both = make_plan({"weight_decay": 0.01}).base.training
    assert (both.weight_decay, both.attention_weight_decay) == (0.01, 0.01)
    apart = make_plan({"weight_decay": 0.01, "attention_weight_decay": 0.0}).base.training
    assert (apart.weight_decay, apart.attention_weight_decay) == (0.01, 0.0)
    alone = make_plan({"attention_weight_decay": 0.0}).base.training
    assert (alone.weight_decay, alone.attention_weight_decay) == (0.0005, 0.0)


def test_without_attention_there_is_no_gate_to_name() -> None:
    plan = make_plan({"attention": "none", "seeds": "0-1"})
    assert plan.base.attention == AttentionConfig(name="none", gate="none")
    assert [(config.seed, gate.name) for config, gate in plan.cells] == [(0, "none"), (1, "none")]


def test_cells_come_seed_by_seed_with_every_gate_of_a_seed() -> None:
    plan = make_plan({"gate": "tanh,sigmoid,expr:max(z, 0)", "seeds": "3,1"})
    found = [(config.seed, config.attention.gate, gate.name) for config, gate in plan.cells]
    gates = ["tanh", "sigmoid", "expr:max(z,0)"]
    assert found == [(seed, gate, gate) for seed in (3, 1) for gate in gates]
    assert len({config.cell for config, _ in plan.cells}) == 6
    assert {config.design_sha256 for config, _ in plan.cells} == {plan.base.design_sha256}


def test_the_folder_is_named_after_the_design() -> None:
    plan = make_plan({"attention": "se", "gate": "tanh", "seeds": "5"})
    other = make_plan({"attention": "se", "gate": "sigmoid"})
    assert plan.folder() == Path("runs") / f"cluttered-digits-resnet8-se-{plan.base.design_sha256[:8]}"
    assert plan.folder() == other.folder()
    assert plan.folder() != make_plan({"attention": "se", "lr": 0.3}).folder()
