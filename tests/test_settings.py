"""Settings as users write them: files, seeds, gates."""

from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from study_samples import HEAD

from bamgate.config import AttentionConfig, RunConfig, TrainingConfig
from bamgate.config.options import options_of
from bamgate.config.recipes import RECIPES
from bamgate.config.settings import FIELDS, parse_seeds, read_file, split_gates
from bamgate.errors import UsageError
from bamgate.run.resolve import make_plan
from bamgate.study.study import read_study


def refusal(path: Path, text: str) -> str:
    """The whole message with which a file of this text is refused, the path in front taken off."""
    path.write_text(text)
    with pytest.raises(UsageError) as caught:
        read_file(path)
    message = str(caught.value)
    assert message.startswith(str(path))
    return message.removeprefix(str(path))


TOP = "dataset, model, image_size, seeds, recipe"


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
        ("dataset = 10\n", ", line 1: dataset must be text, got 10"),
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
        ("seeds = true\n", ", line 1: seeds must be text, got True"),
        ("seeds = 1.5\n", ", line 1: seeds must be text, got 1.5"),
        (
            "[attention]\nresidual = 'yes'\n",
            ", line 2: residual must be true or false, got 'yes'",
        ),
    ],
)
def test_a_value_of_the_wrong_type_is_refused(toml: Path, text: str, expected: str) -> None:
    assert refusal(toml, text) == expected


def test_a_file_that_is_no_toml_is_refused_with_the_place(toml: Path) -> None:
    expected = " is not valid TOML: Invalid value (at line 2, column 6)"
    assert refusal(toml, "[training]\nlr = fast\n") == expected


def test_a_key_given_twice_is_no_toml(toml: Path) -> None:
    expected = " is not valid TOML: Cannot overwrite a value (at line 2, column 10)"
    assert refusal(toml, 'model = "a"\nmodel="b"\n') == expected


def test_a_file_of_other_bytes_is_refused(toml: Path) -> None:
    toml.write_bytes(b'model = "\xff"\n')
    with pytest.raises(UsageError) as caught:
        read_file(toml)
    reason = "'utf-8' codec can't decode byte 0xff in position 9: invalid start byte"
    assert str(caught.value) == f"{toml} is not valid TOML: {reason}"


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
        ("1234567890,2147483646-2147483647", [1_234_567_890, 2_147_483_646, 2_147_483_647]),
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
        ("2147483648", "seed 2147483648 is too large (allowed: 0 to 2147483647)"),
        ("1-9999999999", "seed 9999999999 is too large (allowed: 0 to 2147483647)"),
        ("9" * 5000, "seed 99999999999999999999... is too large (allowed: 0 to 2147483647)"),
        ("\u0663", UNREADABLE.format("\u0663")),
        ("0 1 2", UNREADABLE.format("0 1 2")),
        ("1,4-2", "seeds '4-2': a range goes from a lower to a higher seed and has at most 10,000"),
        ("0-10000", "seeds '0-10000': a range goes from a lower to a higher seed and has at most 10,000"),
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
    assert str(caught.value) == f"gate {text!r} contains an empty name; remove the extra comma"


FORMULA = st.recursive(
    st.sampled_from(["z", "0.5", "tanh(z)"]),
    lambda inner: st.lists(inner, min_size=1, max_size=3).map(lambda parts: f"max({', '.join(parts)})"),
    max_leaves=6,
)


@given(gates=st.lists(FORMULA.map("expr:{}".format), min_size=1, max_size=4))
def test_formulas_of_any_depth_stay_whole(gates: list[str]) -> None:
    assert split_gates(",".join(gates)) == gates


def test_a_byte_order_mark_is_no_part_of_the_settings(toml: Path) -> None:
    toml.write_bytes("\ufeff[training]\nepochs = 3\nepocs = 4\n".encode())
    with pytest.raises(UsageError, match=r"line 3: unknown key 'epocs' in \[training\]; did you mean 'epochs'"):
        read_file(toml)
    toml.write_bytes("\ufeffseeds = [1, 2]\n".encode())
    assert read_file(toml) == {"seeds": "1,2"}


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (f"seeds = {'[' * 900}{']' * 900}", "cannot be read: its lists or tables are nested too deeply"),
        (f"{'a.' * 5000}a = 1", "cannot be read: its lists or tables are nested too deeply"),
        (f"epochs = {10**5000:#x}", "cannot be read: a number in it has too many digits"),
        (f"epochs = 1{'0' * 5000}", "cannot be read: a number in it has too many digits"),
        (f"epochs = 1{'0' * 400}", "unknown key 'epochs' in the top level"),
        (
            f"[training]\nepochs = 1{'0' * 400}",
            "epochs must be at least 1 and at most 9007199254740992, got 1000",
        ),
        (f"[training]\nlr = 1{'0' * 400}", "line 2: lr must be a number, got 1000"),
        ("[training]\nlr = 1e308", "line 2: lr must be at most 1e+38, got 1e+308"),
    ],
)
def test_what_is_out_of_all_bounds_is_one_line(text: str, expected: str, toml: Path) -> None:
    toml.write_text(text)
    with pytest.raises(UsageError) as caught:
        make_plan(read_file(toml))
    message = str(caught.value)
    assert message.startswith(str(toml)) or text.endswith("1e308")
    assert expected.removeprefix("line 2: " if text.endswith("1e308") else "") in message
    assert "\n" not in message
    assert len(message) < 600


def test_a_rope_out_of_all_bounds(tmp_path: Path) -> None:
    path = tmp_path / "s.toml"
    path.write_text(f'{HEAD.replace("1.0", "1" + "0" * 400)}seeds = "0"\ngates = ["sigmoid"]\n')
    with pytest.raises(UsageError, match="line 5: rope must be a number above 0, got 1000"):
        read_study(path)


def test_paths_of_gates_lead_from_the_file(tmp_path: Path) -> None:
    (tmp_path / "c.toml").write_text(
        '[attention]\ngate = ["tanh", "./g.py:a", "/x/g.py:b", "my.mod:c", "expr:max(z, 0)"]\n'
    )
    gates = f"tanh,{tmp_path}/./g.py:a,/x/g.py:b,my.mod:c,expr:max(z, 0)"
    assert read_file(tmp_path / "c.toml") == {"gate": gates}
