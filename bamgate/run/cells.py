"""The composition root: a configuration and a folder in, a finished cell out."""

import contextlib
from pathlib import Path
from typing import Any, cast

import torch

from bamgate.config import SCHEMA, WITHOUT_GATE, RunConfig
from bamgate.data import (
    DataSet,
    FileSplit,
    Splits,
    dead_workers_named,
    find_dataset,
    make_loader,
)
from bamgate.devices import cpu_threads, describe_device, exact_arithmetic, resolve_device
from bamgate.engines import ENGINES, Engine, Execution, Listener, Session, Trainer
from bamgate.engines.failures import failures_named, task_failures_named
from bamgate.errors import UsageError, blamed
from bamgate.gates import Gate, gate_curve, gate_facts, gate_location, named_gate
from bamgate.networks.build import build_model, cost
from bamgate.record.runlog import CellLog, open_cell, require_one_gate, require_one_listing
from bamgate.record.storage import sole_writer
from bamgate.run.resolve import task_of


def run_cell(
    config: RunConfig,
    out: Path,
    *,
    gate: Gate | None = None,
    execution: Execution | None = None,
    listener: Listener | None = None,
    in_study: bool = False,
) -> dict[str, Any]:
    """Train one cell under `out`, or go on with it, or read its result where it has finished.

    Args:
        gate: the part that config.attention.gate names; looked up by that name where it is not given, if that runs no
            code.
        in_study: `out` is the folder of a study that has this cell.

    Raises:
        UsageError, DataError: nothing was begun.
        GateError, TaskError: the gate's or task's code failed in training; the same call goes on from the last
            checkpoint.
        StoppedError: `execution.should_stop` said so; the same call goes on.
        TryAgainError: the disk is full, or another process is at work on the cell.
    """
    execution, listener = execution or Execution(), listener or Listener()
    gate = gate or named_gate(config.attention.gate)
    if gate.name != config.attention.gate:
        raise UsageError(f"the gate is {gate.name!r}, the configuration says {config.attention.gate!r}")
    log = CellLog(out / "cells" / config.cell, config.cell)
    if log.result() is None:
        engine = ENGINES.get(execution.engine)
        named = failures_named(gate, config.seed, execution.should_stop)
        with blamed("engine", engine.name, engine), cpu_threads(execution.threads):
            with exact_arithmetic(resolve_device(execution.device)), named:
                _train(config, gate, out, engine, execution, listener, in_study)
    else:
        log.claim(_identity(config, gate, None if in_study else log.folder))
    result = log.result()
    assert result is not None
    listener.ended(result)
    return result


def _train(
    config: RunConfig,
    gate: Gate,
    out: Path,
    engine: Engine,
    execution: Execution,
    listener: Listener,
    in_study: bool,
) -> None:
    device = resolve_device(execution.device)
    # All that can be refused is built before anything is written.
    data = find_dataset(config.dataset, execution.root).at(config.image_size)
    workers = execution.workers_for(data)
    splits = _splits(config.dataset, config.training.train_limit, execution.root, device)
    trainer = make_trainer(config, gate, data, splits, config.seed, workers=workers)
    counted = cost(trainer.model, data.image_shape)
    require_one_listing(out, config, _data_facts(splits).get("listing_sha256"))
    if not in_study:  # a study has the marks of all its gates in study.json
        require_one_gate(out, gate_facts(gate))
    with contextlib.ExitStack() as held:
        held.enter_context(dead_workers_named())
        held.enter_context(contextlib.closing(trainer.loader)).begin()
        log = open_cell(out, config, in_study=in_study)
        held.enter_context(sole_writer(log.folder))
        log.claim(_identity(config, gate, None if in_study else log.folder))
        facts = {**describe_device(device, execution.threads), **_data_facts(splits)}
        log.bind({"schema": SCHEMA, **facts, "engine": engine.name}, begun=any(log.folder.glob("checkpoint*")))
        if log.result() is None:
            if config.attention.name not in WITHOUT_GATE:
                log.write_curve(gate_curve(gate))
            log.begin()
            held.enter_context(task_failures_named(trainer.task, config.seed, execution.should_stop))
            session = Session(config, trainer, log, listener, counted, data.classes)
            engine.train([session], execution.should_stop)
            if log.result() is None:
                raise UsageError(
                    f"engine {execution.engine!r} returned before {log.folder} had ended; what it saved is kept"
                )


_kept: dict[tuple[str, int | None, Path, torch.device], Splits] = {}


def _splits(dataset: str, train_limit: int | None, root: Path, device: torch.device) -> Splits:
    """Both splits for the device; kept, so that the cells of one study read and check the files once."""
    asked = (dataset, train_limit, root, device)
    if asked not in _kept:
        _kept.clear()  # first, or the device would have to hold two data sets
        train, test = find_dataset(dataset, root).load(root)
        if train_limit is not None:
            train = train.first(train_limit)
        _kept[asked] = cast(Splits, (train.to(device), test.to(device)))
    return _kept[asked]


def _data_facts(splits: Splits) -> dict[str, Any]:
    """What data sets without a known checksum were trained on."""
    train, test = splits
    if not isinstance(train, FileSplit) or not isinstance(test, FileSplit):
        return {}
    return {"listing_sha256": train.listing_sha256, "class_names": test.class_names}


def _identity(config: RunConfig, gate: Gate, folder: Path | None) -> dict[str, Any]:
    """What config.json says of a cell.

    Args:
        folder: that of the cell, from which the code of its gate is found again; None where the study says it.
    """
    location = {} if folder is None else gate_location(gate, folder)
    return {
        "schema": SCHEMA,
        "cell": config.cell,
        "config": config.to_dict(),
        "config_sha256": config.sha256,
        "design_sha256": config.design_sha256,
        "gate": {**gate_facts(gate), **location},
    }


def make_trainer(
    config: RunConfig, gate: Gate, data: DataSet, splits: Splits, seed: int, *, workers: int = 0
) -> Trainer:
    """Network, batches and optimiser of a cell, on the device of the splits; `workers` decode image files."""
    training, device = config.training, splits[0].device
    if device.type == "cpu" and training.compile == "cuda-graphs":
        raise UsageError("compile 'cuda-graphs' needs --device cuda (allowed on the cpu: off, default)")
    task = task_of(data, training)
    loader = make_loader(data, splits, training, seed=seed, workers=workers)
    model = build_model(
        config.model,
        config.attention,
        gate,
        num_classes=data.classes,
        in_channels=data.channels,
        image_size=data.image_shape[1:],
        seed=seed,
    )
    return Trainer(model.to(device), loader, training, task)
