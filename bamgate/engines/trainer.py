"""The training loop. Start reading here.

Nothing inside an epoch waits for the device: losses and hits are summed there and fetched at its end. What a loss is,
and what a hit, the task says.
"""

import contextlib
import math
import time
from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import Tensor, nn

from bamgate.attention import AttentionModule, Scale
from bamgate.config import TrainingConfig
from bamgate.data import Batches
from bamgate.engines.randomness import may_draw
from bamgate.engines.schedule import learning_rate
from bamgate.seeding import drawing_from, stream_key
from bamgate.tasks import CLASSIFICATION, Evaluated, Loss, Task
from bamgate.tasks.asked import asked_evaluation, asked_loss

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


class Trainer:
    """A model, its optimiser and its batches.

    Args:
        model: on the device already.
        loader: batches on the same device.
        config: the recipe.
        task: what is learned.
    """

    def __init__(self, model: nn.Module, loader: Batches, config: TrainingConfig, task: Task = CLASSIFICATION) -> None:
        self.model, self.loader, self.config, self.task = model, loader, config, task
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

    def loss(self, forward: Callable[[Tensor], Tensor], x: Tensor, targets: Tensor, **changes: Any) -> Loss:
        """The task's loss of a batch, with `changes` to the recipe."""
        return asked_loss(self.task, forward, x, targets, replace(self.config, **changes) if changes else self.config)

    def _answering(self, network: Callable[[Tensor], Tensor]) -> Callable[[Tensor], Tensor]:
        """The network's answers in the precision of its arithmetic, as float32."""

        def answers(x: Tensor) -> Tensor:
            with self.autocast():
                return network(x).float()

        return answers

    def step(self, x: Tensor, targets: Tensor, number: int) -> tuple[Tensor, Tensor | None]:
        """One step of SGD; (loss, hits) of the batch, still on the device. Only a task that counts has hits."""
        if self.config.compile == "cuda-graphs":
            torch.compiler.cudagraph_mark_step_begin()  # type: ignore[no-untyped-call]
        for group in self.optimizer.param_groups:
            group["lr"] = learning_rate(self.config, number, self.loader.steps)
        self.optimizer.zero_grad()
        loss = self.loss(self._answering(self.forward), x, targets)
        loss.value.backward()  # type: ignore[no-untyped-call]
        self.optimizer.step()
        return loss.value.detach(), loss.hits

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
        for x, targets in self.loader.training_batches(position.epoch, position.step):
            with self._dropout(offset + position.step):
                loss, hits = self.step(x, targets, offset + position.step)
            loss_sum += loss
            if hits is not None:
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
    def evaluate(self) -> Evaluated:
        """What the task finds on the test set, in evaluation mode, without compilation."""
        self.model.eval()
        batches = (batch for batch in self.loader.evaluation_batches())  # what is raised in them arises here
        return asked_evaluation(self.task, self._answering(self.model), batches, len(self.loader.test_labels))

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
