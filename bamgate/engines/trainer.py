"""The training loop. Start reading here.

Nothing inside an epoch waits for the device: losses and hits are summed there and fetched at its end.
"""

import contextlib
import math
import time
from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from bamgate.attention import AttentionModule, Scale
from bamgate.config import TrainingConfig
from bamgate.data import Batches
from bamgate.engines.randomness import may_draw
from bamgate.engines.schedule import learning_rate
from bamgate.seeding import drawing_from, stream_key
from bamgate.tasks.ranking import ranked

CHECK_EVERY = 50  # steps between looks at whether the loss is still finite


@dataclass(kw_only=True)
class Position:
    """Where a run stands: epochs done, steps done in the present epoch, and that epoch's sums so far."""

    epoch: int = 0
    step: int = 0
    loss_sum: float = 0.0
    correct: int = 0
    seconds: float = 0.0
    diverged: bool = False


@dataclass(frozen=True, kw_only=True)
class Evaluation:
    """One pass over the test set. `predicted` is int64, one class an image, in the set's order."""

    loss: float
    correct: int
    top5_correct: int
    total: int
    predicted: Tensor


class Trainer:
    """A model, its optimiser and its batches.

    Args:
        model: on the device already.
        loader: batches on the same device.
        config: the recipe.
    """

    def __init__(self, model: nn.Module, loader: Batches, config: TrainingConfig) -> None:
        self.model, self.loader, self.config = model, loader, config
        self.device = next(model.parameters()).device
        if config.channels_last:
            model.to(memory_format=torch.channels_last)
        self.draws = may_draw(model)
        self.optimizer = self._optimizer()
        self.forward = self._compiled()

    def _optimizer(self) -> torch.optim.SGD:
        scales = [module for module in self.model.modules() if isinstance(module, Scale)]
        modules = [module for module in self.model.modules() if isinstance(module, AttentionModule)]
        gate = {id(p) for scale in scales for p in scale.gate.parameters()}
        attention = {id(p) for module in modules for p in module.parameters()} - gate
        # No decay on a gate's own parameters: they are what a study asks about, and decay would pull them to 0 whatever
        # the data say.
        decays = {"gate": 0.0, "attention": self.config.attention_weight_decay, "trunk": self.config.weight_decay}
        groups: dict[str, list[nn.Parameter]] = {name: [] for name in decays}
        for p in self.model.parameters():
            groups["gate" if id(p) in gate else "attention" if id(p) in attention else "trunk"].append(p)
        settings: list[dict[str, Any]] = [
            {"params": params, "weight_decay": decays[name]} for name, params in groups.items() if params
        ]
        return torch.optim.SGD(
            settings,
            lr=self.config.lr,
            momentum=self.config.momentum,
            nesterov=self.config.nesterov,
            fused=self.device.type == "cuda",
        )

    def _compiled(self) -> Callable[[Tensor], Tensor]:
        if self.config.compile == "off":
            return self.model
        torch.compiler.reset()  # torch gives up compiling after some models of one class in a process
        mode = "reduce-overhead" if self.config.compile == "cuda-graphs" else "default"
        compiled: Callable[[Tensor], Tensor] = torch.compile(self.model, mode=mode)
        return compiled

    def autocast(self) -> AbstractContextManager[Any]:
        """The precision of the network's arithmetic."""
        return torch.autocast(self.device.type, dtype=torch.bfloat16, enabled=self.config.precision == "bf16")

    def learning_rate(self, position: Position) -> float:
        """The learning rate of the last step before `position`."""
        done = position.epoch * self.loader.steps + position.step
        return learning_rate(self.config, max(done - 1, 0), self.loader.steps)

    def step(self, x: Tensor, labels: Tensor, number: int) -> tuple[Tensor, Tensor]:
        """One step of SGD; (loss, hits) of the batch, still on the device."""
        if self.config.compile == "cuda-graphs":
            torch.compiler.cudagraph_mark_step_begin()  # type: ignore[no-untyped-call]
        for group in self.optimizer.param_groups:
            group["lr"] = learning_rate(self.config, number, self.loader.steps)
        self.optimizer.zero_grad()
        with self.autocast():
            logits = self.forward(x).float()
        loss = F.cross_entropy(logits, labels, label_smoothing=self.config.label_smoothing)
        loss.backward()  # type: ignore[no-untyped-call]
        self.optimizer.step()
        return loss.detach(), (logits.detach().argmax(dim=1) == labels).sum()

    def _dropout(self, step: int) -> AbstractContextManager[None]:
        """What is drawn in a step comes from seed and step; a network that draws nothing is spared the bookkeeping."""
        if not self.draws:
            return contextlib.nullcontext()
        return drawing_from(stream_key(self.loader.seed, "dropout", step), self.device)

    def train_epoch(self, position: Position, pause: Callable[[Position], bool]) -> bool:
        """Train from `position` to the end of its epoch; True when the end was reached.

        `pause` is asked after every step and stops the epoch at that boundary. A loss that is not finite ends
        the epoch and sets `position.diverged`.
        """
        self.model.train()
        loss_sum = torch.tensor(position.loss_sum, dtype=torch.float64, device=self.device)
        correct = torch.tensor(position.correct, device=self.device)
        start = time.perf_counter()
        offset = position.epoch * self.loader.steps
        reached_end = True
        for x, labels in self.loader.training_batches(position.epoch, position.step):
            with self._dropout(offset + position.step):
                loss, hits = self.step(x, labels, offset + position.step)
            loss_sum += loss
            correct += hits
            position.step += 1
            # At fixed steps only: when a run notices must not depend on when somebody asked it to stop.
            at_end = position.step == self.loader.steps
            if (at_end or position.step % CHECK_EVERY == 0) and not math.isfinite(float(loss_sum)):
                position.diverged = True
                break
            if not at_end and pause(position):
                reached_end = False
                break
        position.loss_sum, position.correct = float(loss_sum), int(correct)
        position.seconds += time.perf_counter() - start
        return reached_end

    @torch.no_grad()
    def evaluate(self) -> Evaluation:
        """Loss, top-1 and top-5 hits on the test set, in evaluation mode, without compilation."""
        self.model.eval()
        loss = torch.zeros((), dtype=torch.float64, device=self.device)
        top5, predicted = torch.zeros((), dtype=torch.int64, device=self.device), []
        for x, labels in self.loader.evaluation_batches():
            with self.autocast():
                logits = self.model(x).float()
            loss += F.cross_entropy(logits, labels, reduction="sum")
            found = ranked(logits, labels)
            top5 += found.top5.sum()
            predicted.append(found.predicted)
        first, total = torch.cat(predicted), len(self.loader.test_labels)
        correct = int((first == self.loader.test_labels).sum())
        return Evaluation(
            loss=float(loss) / total, correct=correct, top5_correct=int(top5), total=total, predicted=first.cpu()
        )

    def state(self) -> dict[str, Tensor]:
        """Weights, buffers and momenta by name: all that the rest of the run depends on besides its position."""
        tensors = {f"model/{name}": tensor for name, tensor in self.model.state_dict().items()}
        for name, parameter in self.model.named_parameters():
            momentum = (
                self.optimizer.state[parameter].get("momentum_buffer") if parameter in self.optimizer.state else None
            )
            if momentum is not None:
                tensors[f"momentum/{name}"] = momentum
        return tensors

    def load_state(self, tensors: dict[str, Tensor]) -> None:
        """Restore what `state` gave."""
        model_state = {k.removeprefix("model/"): v for k, v in tensors.items() if k.startswith("model/")}
        self.model.load_state_dict(model_state)
        for name, parameter in self.model.named_parameters():
            if f"momentum/{name}" in tensors:
                momentum = torch.empty_like(parameter, memory_format=torch.preserve_format)
                self.optimizer.state[parameter]["momentum_buffer"] = momentum.copy_(tensors[f"momentum/{name}"])
