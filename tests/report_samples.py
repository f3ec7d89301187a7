"""Studies that were never run: made-up records with known shape, and what a report makes of them."""

import copy
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from bamgate.record.tables import EPOCHS, GATES, RUNS, SCALE_EDGES
from bamgate.reports.analysis import analyse
from bamgate.reports.design import Design, Place
from bamgate.reports.pages import PageFigure
from bamgate.reports.records import Outcomes, Records

ARMS = {  # arm: gate, accuracy in percent
    "sigmoid": ("sigmoid", 88.1),
    "tanh": ("tanh", 86.7),
    "hard-sigmoid": ("hard-sigmoid", 88.0),
    "softsign": ("softsign", 87.0),
    "centred-sigmoid": ("centred-sigmoid", 88.3),
    "tanh-quarter": ("tanh-quarter", 87.9),
    "constant-half": ("constant-half", 87.2),
    "no-attention": (None, 86.9),
}
EVIL = {
    "a&b_%$#": ("sigmoid", 88.1),
    "<script>alert(1)</script>": ("./my gate.py:g", 86.7),
    "=cmd()": ("=cmd()", 87.1),
    "expr:2*sigmoid(2*z)-1": ("expr:2*sigmoid(2*z)-1", 87.5),
    "né±→中|\\x{`\"'~^": ("softsign", 87.0),
}
IMAGES, LAST = 1000, 8
_FEW_ARMS = {"one-seed": 2, "added": 2, "contexts": 4}
SITES = ("layer1", "layer2")
PROVENANCE = {
    "schema": 1,
    "inputs_sha256": {"quick/runs.csv": "ab" * 32},
    "runs": {"git_commit": ["c0ffee"], "env_id": ["0123456789ab"], "torch": ["2.9.0"]},
    "versions": {"bamgate": "0.1.0", "scipy": "1.17.1"},
}


class MadeUp(Outcomes):
    """Outcomes that agree with the counts of the runs."""

    def __init__(self, runs: pd.DataFrame) -> None:
        super().__init__([])
        self._correct = dict(zip(runs["cell"], runs["correct"], strict=True))

    def of(self, cell: str) -> np.ndarray | None:
        order = np.random.default_rng(len(cell) + int(self._correct[cell])).permutation(IMAGES)
        return np.asarray(order < int(self._correct[cell]))


def sample(kind: str = "plain") -> dict[str, Any]:
    """The dict of stats.json, of its own each time.

    plain: 8 arms, 5 seeds. contexts: 4 arms, 3 networks. interim: runs are missing. one-seed. diverged: one run.
    hostile: names that are markup somewhere. added: ten seeds, two of them added.
    """
    return copy.deepcopy(_stats(kind))


@cache
def _stats(kind: str) -> dict[str, Any]:
    design, records = study(kind)
    return analyse(design, records, MadeUp(records.runs))


@cache
def study(kind: str) -> tuple[Design, Records]:
    """The design and the rows of a sample."""
    arms = EVIL if kind == "hostile" else ARMS
    if kind in _FEW_ARMS:
        arms = dict(list(ARMS.items())[: _FEW_ARMS[kind]])
    seeds = {"one-seed": 1, "added": 10}.get(kind, 5)
    axis = {"contexts": "model=resnet{}; reduction=16", "hostile": "dataset=</td>{}_%&"}.get(kind)
    contexts = (
        ("",) if axis is None else tuple(axis.format(n) for n in ("8", "20", "50")[: 2 if kind == "hostile" else 3])
    )
    places = [
        Place(arm=arm, context=context, seed=seed, cell=f"{number:02d}{place}{seed}")
        for place, context in enumerate(contexts)
        for number, arm in enumerate(arms)
        for seed in range(seeds)
    ]
    design = Design(
        name="=quick_&<b>" if kind == "hostile" else "quick",
        question="Does <b>tanh</b> & co. beat sigmoid_$?"
        if kind == "hostile"
        else "Does a tanh gate beat a sigmoid gate in BAM, on cluttered digits?",
        cost="40 runs of about 10 s: 3 minutes 10 seconds on two CPU cores",
        expected="tanh below sigmoid: four epochs are short for a gate that starts as strong noise",
        reference=next(iter(arms)),
        rope=1.0,
        arms=tuple(arms),
        contexts=contexts,
        places=tuple(places),
        added_seeds=(8, 9) if kind == "added" else (),
        sources=("quick",),
        settings={"dataset": "cluttered-digits", "model": "resnet8"},
        arm_settings={arm: {"gate": gate} for arm, (gate, _) in arms.items() if gate},
    )
    return design, _records(kind, design, arms)


def _records(kind: str, design: Design, arms: dict[str, tuple[str | None, float]]) -> Records:
    rng = np.random.default_rng(7)
    shared = {(p.context, p.seed): rng.normal(0, 0.5) for p in design.places}
    ended = [p for p in design.places if not (kind == "interim" and p.seed >= 3 and (p.seed > 3 or p.arm != "sigmoid"))]
    runs, epochs, gates = [], [], []
    for number, place in enumerate(ended):
        gate, accuracy = arms[place.arm]
        accuracy += 2 * design.contexts.index(place.context) * (0.4 if gate == "tanh" else 1)
        correct = round(IMAGES / 100 * (accuracy + shared[place.context, place.seed] + rng.normal(0, 0.5)))
        diverged = kind == "diverged" and place.arm == "tanh" and place.seed == 3
        runs.append(_run(place, gate, 100 if diverged else correct, "diverged" if diverged else "finished", number))
        epochs += [_epoch(place, epoch, correct, rng) for epoch in range(1, LAST + 1)]
        gates += [] if gate is None else [_gate(place, gate, e, s, rng) for e in range(LAST + 1) for s in SITES]
    frame = pd.DataFrame(runs, columns=[*RUNS, "value"])
    return Records(
        runs=frame,
        epochs=pd.DataFrame(epochs, columns=[*EPOCHS, "value"]),
        gates=pd.DataFrame(gates, columns=list(GATES)),
    )


def _run(place: Place, gate: str | None, correct: int, status: str, number: int) -> dict[str, Any]:
    return {
        "schema": 1,
        "study": "quick",
        "arm": place.arm,
        "context": place.context,
        "cell": place.cell,
        "dataset": "cluttered-digits",
        "model": "resnet8",
        "attention": "none" if gate is None else "bam",
        "gate": "sigmoid" if gate is None else gate,
        "seed": place.seed,
        "attempt": 1,
        "status": status,
        "epochs": LAST,
        "correct": correct,
        "total": IMAGES,
        "params": 78_410,
        "macs": 4_210_000,
        "images_per_s": 5021.5,
        "wall_s": 9.5 + number / 100,
        "device": "cpu",
        "device_name": "A processor",
        "threads": 1,
        "torch": "2.9.0",
        "precision": "float32",
        "compile": "no",
        "executor": "eager",
        "design_sha256": "none" if gate is None else "d" * 8,
        "git_commit": "c0ffee",
        "env_id": "0123456789ab",
        "value": 100 * correct / IMAGES,
    }


def _epoch(place: Place, epoch: int, last: int, rng: np.random.Generator) -> dict[str, Any]:
    correct = last if epoch == LAST else round(last - 80 / epoch + rng.normal(0, 8))
    counts = {"train_correct": 9 * correct // 10, "train_total": IMAGES, "test_correct": correct, "test_total": IMAGES}
    shares = {"value": 100 * correct / IMAGES}
    return {"schema": 1, "cell": place.cell, "epoch": epoch, "lr": 0.1, **counts, **shares}


def _gate(place: Place, gate: str, epoch: int, site: str, rng: np.random.Generator) -> dict[str, Any]:
    wide = gate in ("tanh", "softsign")
    centre, width = (1.0, 0.2 + 0.05 * epoch) if wide else (1.5, 0.08 + 0.02 * epoch)
    centre += rng.normal(0, 0.01)
    levels = {"min": -2, "q01": -1.6, "q05": -1.2, "q25": -0.5, "q50": 0, "q75": 0.5, "q95": 1.2, "q99": 1.6, "max": 2}
    bins = np.exp(-(((np.array([*SCALE_EDGES, 2.05]) - centre - 0.025) / width) ** 2))
    counts = np.rint(1000 * bins / bins.sum()).astype(int)
    return {
        "schema": 1,
        "cell": place.cell,
        "epoch": epoch,
        "site": site,
        "channels": 16,
        "height": 8,
        "width": 8,
        "values": 1000,
        "mean": centre,
        "sd": width,
        **{name: centre + z * width for name, z in levels.items()},
        "histogram": " ".join(map(str, counts)),
        "attenuated": 430 + int(rng.integers(0, 60)) if wide else 0,
        "relatively_attenuated": 480,
        "saturated": 30 if wide else 4,
        "mean_slope": 0.8 if wide else 0.22,
        "logit_mean": 0.0,
        "logit_sd": 0.7,
        "channel_sd": 0.1,
        "spatial_sd": 0.2,
        "on_object": centre + 0.08 + rng.normal(0, 0.01),
        "off_object": centre - 0.04,
        "gradient_attention": 0.05 + rng.uniform(0, 0.01),
        "gradient_trunk": 0.5,
        "learned": "depth=0.41" if gate == "softsign" else None,
    }


FIGURE_NAMES = ("differences", "forest", "curves", "scales")


def figures(words: str = "") -> list[PageFigure]:
    """Small figures with what matplotlib's files hold: a prolog, namespaces, ids, a style, links, metadata."""
    return [
        PageFigure(
            name=name,
            title=f"Figure of {name}",
            caption=f"What is drawn: {words or 'points and lines'}.",
            alt=f"A picture of {name}: {words or 'two lines'}.",
            svg=_SVG.format(words=words.replace("&", "&amp;").replace("<", "&lt;")),
        )
        for name in FIGURE_NAMES
    ]


_SVG = """<?xml version="1.0" encoding="utf-8" standalone="no"?>
<!DOCTYPE svg PUBLIC "-//W3C//DTD SVG 1.1//EN" "http://www.w3.org/Graphics/SVG/1.1/DTD/svg11.dtd">
<svg xmlns:xlink="http://www.w3.org/1999/xlink" width="540pt" height="288pt" viewBox="0 0 540 288"
 xmlns="http://www.w3.org/2000/svg" version="1.1">
 <metadata><rdf:RDF xmlns:rdf="http://www.w3.org/1999/02/22-rdf-syntax-ns#"/></metadata>
 <defs>
  <style type="text/css">*{{stroke-linejoin: round; stroke-linecap: butt}}</style>
  <path id="tick" d="M 0 0 L 0 3" style="stroke: #000000"/>
  <clipPath id="clip"><rect x="40" y="20" width="480" height="230"/></clipPath>
 </defs>
 <g id="figure_1">
  <rect x="0" y="0" width="540" height="288" style="fill: #ffffff"/>
  <path d="M 40 230 L 520 60" clip-path="url(#clip)" style="fill: none; stroke: #0072b2; stroke-width: 2"/>
  <use xlink:href="#tick" x="280" y="250" style="stroke: #000000"/>
  <text x="60" y="40" style="font: 12px 'DejaVu Sans', sans-serif">{words}</text>
 </g>
</svg>
"""


def write_pdfs(folder: Path) -> None:
    """The figures' PDF files, for LaTeX."""
    (folder / "figures").mkdir(parents=True, exist_ok=True)
    for name in FIGURE_NAMES:
        (folder / "figures" / f"{name}.pdf").write_bytes(_pdf())


def _pdf() -> bytes:
    """One page with one line on it."""
    drawing = b"10 10 m 190 90 l S"
    objects = [
        b"<</Type/Catalog/Pages 2 0 R>>",
        b"<</Type/Pages/Kids[3 0 R]/Count 1>>",
        b"<</Type/Page/Parent 2 0 R/MediaBox[0 0 200 100]/Contents 4 0 R/Resources<<>>>>",
        b"<</Length %d>>stream\n%s\nendstream" % (len(drawing), drawing),
    ]
    body, offsets = b"%PDF-1.4\n", []
    for number, content in enumerate(objects, 1):
        offsets.append(len(body))
        body += b"%d 0 obj%s endobj\n" % (number, content)
    table = b"".join(b"%010d 00000 n \n" % offset for offset in offsets)
    end = b"xref\n0 5\n0000000000 65535 f \n" + table
    return body + end + b"trailer<</Size 5/Root 1 0 R>>\nstartxref\n%d\n%%%%EOF\n" % len(body)
