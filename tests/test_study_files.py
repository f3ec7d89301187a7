"""Study files: what they declare, and what each mistake in one is answered."""

import itertools
import re
from pathlib import Path

import pytest
import torch

from bamgate.data import DATASETS
from bamgate.errors import UsageError
from bamgate.networks.build import build_model, cost
from bamgate.study.expand import StudyCell, expand, study_sha256
from bamgate.study.names import check_names
from bamgate.study.study import Study, contexts, merged, read_study

CATALOGUE = sorted((Path(__file__).parents[1] / "studies" / "questions").glob("*.toml"))
HEAD = 'question = "q"\ncost = "c"\nexpected = "e"\nreference = "sigmoid"\nrope = 0.5\nseeds = "0-1"\n'
BASE = HEAD + 'gates = ["sigmoid", "tanh"]\n[settings]\nmodel = "resnet8"\n'


def read(tmp_path: Path, text: str) -> Study:
    (tmp_path / "mine.toml").write_text(text)
    return read_study(tmp_path / "mine.toml")


def test_what_a_file_declares(tmp_path: Path) -> None:
    text = BASE + '[axes]\ndilation = [2, 4]\nlr = [1, 0.1]\n[arms.se]\nattention = "se"\n'
    study = read(tmp_path, text + '[[exclude]]\narm = "tanh"\ndilation = 2\n')
    assert (study.name, study.question, study.rope, study.seeds) == ("mine", "q", 0.5, "0-1")
    assert study.arms == {"sigmoid": {"gate": "sigmoid"}, "tanh": {"gate": "tanh"}, "se": {"attention": "se"}}
    assert study.axes == {"dilation": [2, 4], "lr": [1.0, 0.1]}
    assert contexts(study) == [{"dilation": d, "lr": lr} for d, lr in itertools.product((2, 4), (1.0, 0.1))]


def test_cells_are_all_arms_in_all_contexts_less_the_exclusions(tmp_path: Path) -> None:
    text = BASE + '[axes]\ndilation = [2, 4]\n[[exclude]]\narm = "tanh"\ndilation = 2\n'
    cells = expand(read(tmp_path, text))
    found = [(cell.config.seed, cell.context["dilation"], cell.arm) for cell in cells]
    one_seed = [(2, "sigmoid"), (4, "sigmoid"), (4, "tanh")]
    assert found == [(seed, *rest) for seed in (0, 1) for rest in one_seed]
    assert all(cell.config.attention.dilation == cell.context["dilation"] for cell in cells)
    assert all(cell.gate.name == cell.arm == cell.config.attention.gate for cell in cells)
    assert cells[-1].name == "4 tanh seed 1"


def test_a_cell_is_the_one_of_bamgate_run(tmp_path: Path) -> None:
    from bamgate.run.resolve import make_plan

    (config, _), *_ = make_plan({"model": "resnet8", "gate": "tanh", "seeds": "1"}).cells
    assert config.cell in [cell.config.cell for cell in expand(read(tmp_path, BASE))]


def test_an_arm_with_another_attention_takes_none_of_the_attention_settings(tmp_path: Path) -> None:
    text = BASE + 'layout = "counted"\nepochs = 2\n[axes]\nreduction = [8, 16]\n[arms.plain]\nattention = "none"\n'
    study = read(tmp_path, text)
    assert merged(study, "plain", {"reduction": 8}) == {"model": "resnet8", "epochs": 2, "attention": "none"}
    assert merged(study, "tanh", {"reduction": 8})["layout"] == "counted"
    plain = {cell.config.cell for cell in expand(study) if cell.arm == "plain"}
    assert len(plain) == 2  # one a seed, in both contexts


def test_the_hash_changes_with_the_design_and_not_with_seeds_and_words(tmp_path: Path) -> None:
    first = study_sha256(read(tmp_path, BASE))
    assert study_sha256(read(tmp_path, BASE.replace("0-1", "0-9").replace('"q"', '"other"'))) == first
    assert study_sha256(read(tmp_path, BASE.replace("0.5", "0.6"))) != first
    assert study_sha256(read(tmp_path, BASE + "epochs = 2\n")) != first


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (BASE.replace("reference", "referense"), "line 4: unknown key 'referense'; did you mean 'reference'?"),
        (BASE.replace('"sigmoid"\nrope', '"sigmod"\nrope'), "line 4: unknown reference arm 'sigmod'; did you mean"),
        (BASE.replace("0.5", "-1"), "line 5: rope must be a number above 0, got -1"),
        (BASE.replace('"0-1"', '"5-1"'), "line 6: seeds '5-1': a range goes from a lower to a higher seed"),
        (BASE.replace('"q"', '""'), "line 1: question must be a text, got ''"),
        (BASE.replace('question = "q"\n', ""), "question is missing"),
        (BASE + "lerning_rate = 1\n", "line 10: unknown setting 'lerning_rate'"),
        (BASE + "reduction = 0\n", "line 10: reduction must be at least 1, got 0"),
        (BASE + "seeds = 3\n", "line 10: seeds stand at the top level of a study"),
        (BASE + "[axes]\ndilation = 2\n", "line 11: axis dilation must be a list of values, got 2"),
        (BASE + "[axes]\ndilation = [2, 2]\n", "line 11: axis dilation has a value twice"),
        (BASE + "[axes]\ndilation = [2, 'x']\n", "line 11: dilation must be a whole number, got 'x'"),
        (BASE + '[axes]\nmodel = ["resnet20"]\n', "line 11: model stands in [settings] and in [axes]; leave one out"),
        (BASE + '[axes]\ngate = ["tanh"]\n', "line 11: gate is an axis, and arm 'sigmoid' sets it too"),
        (BASE + "[arms.tanh]\ndilation = 2\n", "line 10: arm 'tanh' is a gate's arm already"),
        (BASE + '[arms."a b"]\ndilation = 2\n', "arm 'a b' needs another name"),
        (BASE + '[[exclude]]\narms = "tanh"\n', "exclude: unknown key 'arms'"),
        (BASE + '[[exclude]]\narm = "tahn"\n', "line 11: exclude: arm has no value 'tahn'; did you mean 'tanh'?"),
        (BASE + '[[exclude]]\narm = "tanh"\n[[exclude]]\narm = "si"\n', "line 13: exclude: arm has no value 'si'"),
        (HEAD, "a study needs arms: gates = [...] or [arms.NAME]"),
        (BASE.replace('["sigmoid", "tanh"]', '["sigmoid", "sigmoid"]'), "line 7: gates names a gate twice"),
        ("question = ", "is not valid TOML"),
    ],
)
def test_a_mistake_is_named_with_its_line(tmp_path: Path, text: str, message: str) -> None:
    with pytest.raises(UsageError) as caught:
        read(tmp_path, text)
    found = str(caught.value)
    assert found.startswith(str(tmp_path / "mine.toml"))
    assert message.removeprefix("exclude: ") in found
    assert "\n" not in found


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (BASE.replace('"tanh"]', '"tahn"]'), "line 7: unknown gate 'tahn'; did you mean 'tanh'?"),
        (BASE.replace('"tanh"]', '"expr:z+y"]'), "line 7: formula 'z+y'"),
        (BASE.replace('"resnet8"', '"resnet9"'), "line 9: unknown model 'resnet9'; did you mean 'resnet8'?"),
        (BASE + 'dataset = "cifar10O"\n', "line 10: unknown dataset 'cifar10O'; did you mean 'cifar10'?"),
        (BASE + '[arms.mine]\ngate = "hard"\n', "line 11: unknown gate 'hard'"),
        (BASE + '[arms.mine]\nepochs = 2\n[axes]\nrecipe = ["quick", "cifr"]\n', "line 13: unknown recipe 'cifr'"),
    ],
)
def test_an_unknown_name_is_named_with_its_line(tmp_path: Path, text: str, message: str) -> None:
    study = read(tmp_path, text)
    with pytest.raises(UsageError) as caught:
        check_names(tmp_path / "mine.toml", study)
    assert str(caught.value).startswith(f"{tmp_path / 'mine.toml'}, {message}")


def test_code_is_not_looked_up(tmp_path: Path) -> None:
    text = BASE.replace('"tanh"]', '"no.such:gate", "nowhere.py:gate"]') + 'dataset = "folder:nowhere"\n'
    check_names(tmp_path / "mine.toml", read(tmp_path, text))


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (BASE + '[arms.same]\ngate = "tanh"\n', "arms 'tanh' and 'same' are the same runs; leave one out"),
        (BASE + '[arms.two]\ngate = "tanh,arctan"\n', "arm 'two' has several gates; make an arm of each"),
        (BASE.replace('"tanh"]', '"tahn"]'), "arm 'tahn': unknown gate 'tahn'; did you mean 'tanh'?"),
        (BASE + '[axes]\nbranches = ["channel"]\ndilation = [2]\n', "dilation 2: dilation=2 would have no effect"),
        (BASE + '[[exclude]]\narm = "tanh"\n[[exclude]]\narm = "sigmoid"\n', "nothing is left after its exclusions"),
    ],
)
def test_cells_that_do_not_fit_together_are_named(tmp_path: Path, text: str, message: str) -> None:
    with pytest.raises(UsageError) as caught:
        expand(read(tmp_path, text))
    assert str(caught.value).startswith("study mine")
    assert message in str(caught.value)


def test_the_catalogue() -> None:
    assert {path.stem for path in CATALOGUE} >= {
        *("quick", "sigmoid-vs-tanh-cifar100", "theory-batchnorm", "gate-init", "gate-weight-decay"),
        *("paper-table1a", "paper-table1b", "paper-table1c", "paper-table2", "paper-table3-cifar"),
        *("paper-table3-imagenet", "paper-table5-se"),
    }


def _exaflop(cells: list[StudyCell]) -> float:
    """Forward and backward count thrice the forward's multiply-adds, of two operations each."""
    macs: dict[str, int] = {}
    total = 0
    for cell in cells:
        config = cell.config
        data = DATASETS.get(config.dataset).at(config.image_size)
        key = f"{config.model}{config.image_size}{config.design()['attention']}"
        if key not in macs:
            with torch.device("meta"):
                model = build_model(
                    config.model,
                    config.attention,
                    cell.gate,
                    num_classes=data.classes,
                    in_channels=data.channels,
                    image_size=data.image_shape[1:],
                    seed=0,
                )
            macs[key] = cost(model, data.image_shape).macs
        total += 6 * macs[key] * data.train * config.training.epochs
    return total / 1e18


@pytest.mark.slow
@pytest.mark.parametrize("path", CATALOGUE, ids=lambda path: path.stem)
def test_a_study_of_the_catalogue_resolves_and_costs_what_it_says(path: Path) -> None:
    study = read_study(path)
    cells = expand(study)
    assert path.read_text().startswith(f"# bamgate study run {path.stem}")
    runs, epochs = re.match(r"(\d+) runs of (?:(\d+) epochs|about)", study.cost).groups()  # type: ignore[union-attr]
    assert int(runs) == len(cells) == len({cell.config.cell for cell in cells})
    if epochs is not None:
        assert {cell.config.training.epochs for cell in cells} == {int(epochs)}
        stated = re.search(r"([\d.]+) EFLOP", study.cost)
        assert stated is not None
        assert _exaflop(cells) == pytest.approx(float(stated[1]), rel=0.05)
