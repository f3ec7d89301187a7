"""From settings to cells: recipe, then file, then options; every gate with every seed."""

from collections.abc import Callable
from dataclasses import asdict, dataclass, replace
from pathlib import Path

from bamgate.config import WITHOUT_GATE, AttentionConfig, RunConfig, TrainingConfig
from bamgate.config.recipes import RECIPES
from bamgate.config.settings import FIELDS, Settings, parse_seeds, split_gates
from bamgate.data import IMAGE_SIZE, DataSet, check_augment, default_root, find_dataset
from bamgate.errors import TaskError, UsageError, one_line
from bamgate.gates import Gate, named_gate
from bamgate.networks import find_backbone
from bamgate.tasks import TASKS, Task

Loader = Callable[[str], Gate]


@dataclass(frozen=True, kw_only=True)
class Plan:
    """The cells of one command: every gate with every seed, one design."""

    base: RunConfig
    gates: list[Gate]
    seeds: list[int]

    @property
    def cells(self) -> list[tuple[RunConfig, Gate]]:
        """Seed by seed, so that a plan cut short has whole pairs."""
        return [(with_gate(self.base, gate.name, seed), gate) for seed in self.seeds for gate in self.gates]

    def folder(self) -> Path:
        """Where the cells go if nobody says otherwise."""
        base = self.base
        name = f"{base.dataset}-{base.model}-{base.attention.name}-{base.design_sha256[:8]}"
        return Path("runs") / name.replace(":", "-").replace("/", "-")


def with_gate(config: RunConfig, gate: str, seed: int) -> RunConfig:
    return replace(config, seed=seed, attention=replace(config.attention, gate=gate))


def make_plan(settings: Settings, data_root: Path | None = None, load: Loader = named_gate) -> Plan:
    """Resolve names to parts and check everything, before anything has been begun.

    Args:
        load: makes a gate of its name; by default one that runs no code.

    Raises:
        UsageError: a setting is wrong.
        DataError: the data set is a folder in `data_root` (or `default_root`) that cannot be used.
    """
    data = find_dataset(settings.get("dataset", FIELDS["dataset"].default), data_root or default_root())
    image_size = settings.get("image_size", IMAGE_SIZE if data.files else None)
    data = data.at(image_size)
    model = settings.get("model", data.model)
    find_backbone(model)
    if settings.get("train_limit", 0) > data.train:
        raise UsageError(
            f"train_limit {settings['train_limit']} is more than the {data.train} training images of {data.name}"
        )
    gates = _gates(settings, load)
    training = _training(settings, data.recipe)
    check_augment(training.augment, files=data.files)
    task_of(data, training)
    images = training.train_limit or data.train
    if training.batch_size > images:
        raise UsageError(
            f"batch_size {training.batch_size} is more than the {images} training images; choose a smaller one"
        )
    attention = {"name": settings["attention"]} if "attention" in settings else {}
    attention |= {name: settings[name] for name in _names("attention", settings) if name != "attention"}
    base = RunConfig(
        dataset=data.name,
        model=model,
        image_size=image_size,
        attention=AttentionConfig(**{**attention, "gate": gates[0].name}),
        training=training,
    )
    return Plan(base=base, gates=gates, seeds=parse_seeds(settings.get("seeds", FIELDS["seeds"].default)))


def task_of(data: DataSet, training: TrainingConfig) -> Task:
    """The task of a data set; UsageError if there is none by its name, or it refuses a setting."""
    task = TASKS.get(data.task)
    try:
        task.check(training)
    except UsageError as error:
        raise UsageError(f"task {task.name!r} of {data.name}: {error}") from None
    except Exception as error:  # it is somebody else's code
        raise TaskError(f"task {task.name!r} failed in its check of the settings: {one_line(error)}") from error
    return task


def _gates(settings: Settings, load: Loader) -> list[Gate]:
    default = "none" if settings.get("attention") in WITHOUT_GATE else FIELDS["gate"].default
    gates = [load(spec) for spec in split_gates(settings.get("gate", default))]
    seen: dict[str, Gate] = {}
    for gate in gates:
        other = seen.setdefault(gate.name, gate)
        if other is not gate and other.source_sha256 != gate.source_sha256:
            raise UsageError(f"two different gates are called {gate.name!r}; rename one of the files")
        if other is not gate or gates.count(gate) > 1:
            raise UsageError(f"gate {settings['gate']!r} names a gate twice")
    return gates


def _names(section: str, settings: Settings) -> list[str]:
    return [name for name in settings if FIELDS[name].section == section]


def _training(settings: Settings, default_recipe: str) -> TrainingConfig:
    """The recipe with the user's changes. A new number of epochs stretches warm-up and milestones along."""
    given = {name: settings[name] for name in _names("training", settings)}
    recipe = RECIPES.get(settings.get("recipe", default_recipe))
    base = asdict(recipe) | {"attention_weight_decay": None}
    if given.get("schedule", recipe.schedule) != recipe.schedule:
        base |= {"milestones": (), "gamma": TrainingConfig.gamma}
    if given.get("augment") in ("none", "resized-crop-flip"):
        base |= {"crop_padding": TrainingConfig.crop_padding}
    stretch = given.get("epochs", recipe.epochs) / recipe.epochs
    base["warmup_epochs"] *= stretch
    base["milestones"] = tuple(milestone * stretch for milestone in base["milestones"])
    return TrainingConfig(**(base | given))
