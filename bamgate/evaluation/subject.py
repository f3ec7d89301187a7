"""A trained network and the test images on which it is evaluated: from a file to findings."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

import torch

from bamgate.config import TrainingConfig
from bamgate.data import (
    Batches,
    DataSet,
    FileSplit,
    Normalisation,
    Splits,
    dead_workers_named,
    find_dataset,
    make_loader,
)
from bamgate.devices import exact_arithmetic, resolve_device
from bamgate.engines import Execution
from bamgate.errors import UsageError
from bamgate.evaluation.scores import Scores, score
from bamgate.gates import Gate, fingerprint
from bamgate.observe.what_if import Answers, answers_of, choose_sites, held, regated, switched_off
from bamgate.record.metric import FIRST_TASK
from bamgate.tasks.ranking import ranked
from bamgate.weights import build, load_network, load_weights

BATCH = 128


@dataclass(frozen=True, kw_only=True)
class Finding:
    """Scores under one condition.

    Args:
        name: the condition.
        changed: how many predictions differ from those of the network as it was trained.
    """

    name: str
    changed: int
    scores: Scores


class Subject:
    """A network to evaluate, with its test images, on its device.

    Args:
        source: a cell of a run, a checkpoint, a safetensors file or a checkpoint of the authors' code.
        model: name of the network, if the file does not say it.
        dataset: a data set with the same classes and channels; by default the one that it was trained on.
        image_size: pixels per side, for image folders; by default as trained.
        allow_code: run a gate that is code because the source names it, provided that the code has not changed.
        gates: gates that the user has loaded. If one is the network's own by name and function, it is used.
        precision: "fp32" or "bf16"; by default as in the run.

    Raises:
        UsageError, DataError: something is missing or does not fit; nothing has been computed.
    """

    def __init__(
        self,
        source: Path,
        *,
        model: str | None,
        dataset: str | None,
        image_size: int | None,
        execution: Execution,
        precision: str | None,
        allow_code: bool = False,
        gates: Sequence[Gate] = (),
    ) -> None:
        self.execution, self.device = execution, resolve_device(execution.device)
        self.network, state = load_network(source, model=model)
        self.precision = precision or self.network.precision
        self.autocast = torch.autocast(self.device.type, dtype=torch.bfloat16, enabled=self.precision == "bf16")
        name = dataset or self.network.dataset
        if name is None:
            raise UsageError(f"{source} does not say on what it was trained; name a data set, as --dataset imagenet")
        self.data = self._find(name, image_size)
        self._check()
        # A gate of the user's that is the network's own: it may be code, and the user has allowed it by naming it.
        trained = (self.network.attention.gate, self.network.gate_fingerprint)
        own = next((gate for gate in gates if (gate.name, fingerprint(gate)) == trained), None)
        self.model = build(self.network, own, allow_code=allow_code)
        load_weights(self.model, state, str(source))
        self.model = self.model.to(self.device)
        if self.network.channels_last:
            self.model = self.model.to(memory_format=torch.channels_last)
        self.loader, self.class_names = self._images()
        self.scaled_by_the_file = self.network.dataset is not None or self.data.files
        if self.scaled_by_the_file:
            self.loader.normalise = self._normalisation()

    def _find(self, name: str, image_size: int | None) -> DataSet:
        data = find_dataset(name, self.execution.root)
        if data.size is None and image_size is None:
            image_size = max(self.network.image_size)
        return data.at(image_size)

    def _check(self) -> None:
        for whose, task in (
            (self.network.source or "the network", self.network.task),
            (self.data.name, self.data.task),
        ):
            if task != FIRST_TASK:
                raise UsageError(f"{whose} is for task {task!r}; only {FIRST_TASK} can be evaluated again")
        for what, has, takes in (
            ("classes", self.data.classes, self.network.num_classes),
            ("channels", self.data.channels, self.network.in_channels),
        ):
            if has != takes:
                raise UsageError(f"{self.data.name} has {has} {what}, the network was trained with {takes}")

    def _images(self) -> tuple[Batches, list[str]]:
        data = self.data
        train, test = data.load(self.execution.root)
        names = _class_names(test, data.classes)
        if isinstance(test, FileSplit) and self.network.class_names not in (None, tuple(names)):
            raise UsageError(f"{data.name} has other classes than the network: {self._first_other(names)}")
        splits = cast(Splits, (train.to(self.device), test.to(self.device)))
        # The batch size of the run: with another one rounding differs, and with it, rarely, a prediction.
        batch_size = max(2, min(self.network.batch_size or BATCH, len(train)))
        training = TrainingConfig(batch_size=batch_size, channels_last=self.network.channels_last)
        return make_loader(data, splits, training, seed=0, workers=self.execution.workers_for(data)), names

    def _first_other(self, names: list[str]) -> str:
        pairs = zip(names, self.network.class_names or (), strict=True)
        number, (here, there) = next((i, pair) for i, pair in enumerate(pairs) if pair[0] != pair[1])
        return f"its class {number} is {here!r}, the network was trained with {there!r}"

    def _normalisation(self) -> Normalisation:
        """Images are normalised as those that the network was trained on, even if they are of another data set.

        A file that does not say on what the network was trained does not say how its images were normalised either.
        Then photographs are normalised by ImageNet's figures, as is usual, and images in memory by those of their own
        training images, as in a run on them.
        """
        mean, std = (
            torch.tensor(v, dtype=torch.float64, device=self.device) for v in (self.network.mean, self.network.std)
        )
        return Normalisation(mean=mean, std=std)

    def findings(
        self, *, gates: list[Gate], off: str | None, hold: str | None, tell: Callable[[str], None]
    ) -> Iterator[Finding]:
        """Evaluate the network as trained, then with each other gate, with gates off (s = 1), and with gates held.

        A gate that is held has its mean scale over the test images, whatever the image.

        Args:
            off, hold: sites; see `choose_sites`.
            tell: is called with the name of the next condition.
        """
        # Find wrong names now, rather than after an hour of computing.
        texts = [text for text in (off, hold, "all" if gates else None) if text is not None]
        asked = {text: choose_sites(self.model, text) for text in texts}
        tell("as trained")
        own = self.answers()
        self.mean_scales = own.mean_scales
        scores = score(own.logits, own.labels)
        yield Finding(name="as trained", changed=0, scores=scores)
        first = ranked(own.logits, own.labels).predicted
        changes: list[tuple[str, AbstractContextManager[None]]] = [
            *((f"gate {gate.name}", regated(self.model, gate)) for gate in gates),
            *((f"off: {name}", switched_off(self.model, sites)) for name, sites in asked.get(off or "", [])),
            *(
                (f"held: {name}", held(self.model, {site: own.mean_scales[site] for site in sites}))
                for name, sites in asked.get(hold or "", [])
            ),
        ]
        for name, change in changes:
            tell(name)
            with change:
                other = self.answers()
            changed = int((ranked(other.logits, other.labels).predicted != first).sum())
            yield Finding(name=name, changed=changed, scores=score(other.logits, other.labels))

    def answers(self) -> Answers:
        """One pass over the test images."""
        with dead_workers_named(), exact_arithmetic(self.device):
            return answers_of(self.model, self.loader.evaluation_batches(), self.autocast)

    def facts(self) -> dict[str, Any]:
        """What was evaluated, in plain types."""
        return {
            "network": self.network.to_dict(),
            "dataset": self.data.name,
            "image_size": list(self.data.image_shape[1:]),
            "class_names": self.class_names,
            "normalisation": {name: getattr(self.loader.normalise, name).double().tolist() for name in ("mean", "std")},
        }


def _class_names(test: Any, classes: int) -> list[str]:
    """The names of the class folders; numbers if the images are not files."""
    if not isinstance(test, FileSplit):
        return [str(i) for i in range(classes)]
    return test.class_names
