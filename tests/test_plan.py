"""From settings to cells: what wins, what stretches, what is refused."""

from pathlib import Path
from typing import Any

import pytest
from folder_samples import make_folder
from hypothesis import given
from hypothesis import strategies as st

from bamgate.config import AttentionConfig, RunConfig
from bamgate.config.recipes import RECIPES
from bamgate.config.settings import read_file
from bamgate.errors import UsageError
from bamgate.gates import GATES
from bamgate.run.resolve import make_plan


def plan_refusal(settings: dict[str, Any]) -> str:
    with pytest.raises(UsageError) as caught:
        make_plan(settings)
    return str(caught.value)


def test_no_settings_at_all_are_the_quick_run_on_cluttered_digits() -> None:
    plan = make_plan({})
    assert plan.base == RunConfig(training=RECIPES.get("quick"))
    assert (plan.seeds, [gate.name for gate in plan.gates]) == ([0], ["sigmoid"])


@pytest.mark.parametrize(
    ("dataset", "model", "recipe"),
    [
        ("digits", "resnet8", "quick"),
        ("cluttered-digits", "resnet8", "quick"),
        ("cifar100", "resnet20", "cifar"),
        ("fashion-mnist", "resnet20", "cifar"),
        ("imagenet", "resnet18", "imagenet"),
    ],
)
def test_a_data_set_brings_its_network_and_recipe(dataset: str, model: str, recipe: str) -> None:
    base = make_plan({"dataset": dataset}).base
    assert (base.dataset, base.model, base.training) == (dataset, model, RECIPES.get(recipe))


def test_image_folders_have_a_size_to_choose(tmp_path: Path) -> None:
    make_folder(tmp_path / "tiny", train=90, test=1)
    plan = make_plan({"dataset": "folder:tiny"}, tmp_path)
    assert (plan.base.image_size, plan.base.model, plan.base.training) == (224, "resnet18", RECIPES.get("imagenet"))
    assert plan.folder().name.startswith("folder-tiny-resnet18-bam-")
    assert make_plan({"dataset": "folder:tiny", "image_size": 64}, tmp_path).base.image_size == 64
    assert make_plan({"dataset": "folder:tiny", "augment": "none"}, tmp_path).base.training.augment == "none"
    assert make_plan({"dataset": "digits"}).base.image_size is None
    expected = "batch_size 271 is more than the 270 training images; choose a smaller one"
    with pytest.raises(UsageError, match=expected):
        make_plan({"dataset": "folder:tiny", "batch_size": 271}, tmp_path)


def test_the_imagenet_recipe_is_the_printed_one() -> None:
    found = make_plan({"dataset": "imagenet"}).base.training
    assert (found.epochs, found.batch_size, found.lr, found.momentum, found.weight_decay) == (90, 256, 0.1, 0.9, 1e-4)
    assert (found.schedule, found.milestones, found.gamma, found.nesterov) == ("step", (30, 60), 0.1, False)
    assert make_plan({"dataset": "imagenet", "epochs": 9}).base.training.milestones == (3, 6)


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
            "unknown dataset 'cifar'; did you mean 'cifar10'? "
            "(allowed: cifar10, cifar100, digits, cluttered-digits, fashion-mnist, imagenet, folder:NAME)",
        ),
        ({"recipe": "quik"}, "unknown recipe 'quik'; did you mean 'quick'? (allowed: quick, cifar, imagenet)"),
        ({"gate": "tanh,tanh"}, "gate 'tanh,tanh' names a gate twice"),
        ({"gate": "expr:tanh( z ),tanh,expr:tanh(z)"}, "gate 'expr:tanh( z ),tanh,expr:tanh(z)' names a gate twice"),
        ({"gate": "tanh,"}, "gate 'tanh,' contains an empty name; remove the extra comma"),
        ({"seeds": "0-"}, "seeds '0-' cannot be read (allowed: 0, 0-4 or 0,3,7-9)"),
        ({"epochs": 0}, "epochs must be at least 1, got 0"),
        ({"epochs": -3, "recipe": "cifar"}, "epochs must be at least 1, got -3"),
        (
            {"attention": "none", "gate": "tanh"},
            "gate='tanh' would have no effect: attention 'none' has no gate; leave it out",
        ),
        (
            {"attention": "extra-block", "gate": "tanh"},
            "gate='tanh' would have no effect: attention 'extra-block' has no gate; leave it out",
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
            {"dataset": "cifar100", "image_size": 64},
            "image_size would have no effect: cifar100 images are 32x32; leave it out",
        ),
        ({"dataset": "imagenet", "image_size": 7}, "image_size must be at least 8, got 7"),
        (
            {"dataset": "imagenet", "recipe": "cifar"},
            "augment 'crop-flip' is for images of one size (allowed for image folders: none, resized-crop-flip)",
        ),
        (
            {"dataset": "digits", "recipe": "imagenet", "batch_size": 8},
            "augment 'resized-crop-flip' is for image folders (allowed for images of one size: none, crop, crop-flip)",
        ),
        (
            {"dataset": "imagenet", "crop_padding": 2},
            "crop_padding would have no effect: augment 'resized-crop-flip' pads nothing; leave it out",
        ),
        (
            {"dataset": "folder:"},
            "dataset 'folder:' must name one folder in the data folder (--data-dir), as folder:NAME",
        ),
        (
            {"recipe": "cifar", "schedule": "one-cycle"},
            "schedule 'one-cycle' needs warmup_epochs above 0, the epochs of its rising part",
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
    expected = "unknown attention 'bma'; did you mean 'bam'? (allowed: bam, se, cbam, extra-block, none)"
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


@given(epochs=st.integers(1, 2000), recipe=st.sampled_from(["quick", "cifar", "imagenet"]))
def test_any_number_of_epochs_makes_a_plan(epochs: int, recipe: str) -> None:
    dataset = "imagenet" if recipe == "imagenet" else "cifar100"
    training = make_plan({"dataset": dataset, "recipe": recipe, "epochs": epochs}).base.training
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
