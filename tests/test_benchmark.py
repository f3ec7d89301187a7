"""The benchmark measures what it says: same network, same work on both sides. No figure is asserted."""

from pathlib import Path

import numpy as np
import pytest
import torch
from torch.nn import functional as F

from bamgate.benchmark import BENCH, IMAGE_FOLDER, compare, compare_decoding
from bamgate.benchmark.contenders import contenders, random_images
from bamgate.benchmark.photographs import SIZE, make_photographs, reference_batch
from bamgate.benchmark.plain import PilImages, PlainLoop, plain_batches
from bamgate.config import AttentionConfig
from bamgate.gates import GATES
from bamgate.networks.build import build_model
from bamgate.record.tables import format_rows, parse_rows


def test_the_plain_loop_trains() -> None:
    model = build_model(
        "resnet8", AttentionConfig(), GATES.get("sigmoid"), num_classes=10, in_channels=3, image_size=(32, 32), seed=0
    )
    loop = PlainLoop(model)
    x, labels = torch.randn(16, 3, 16, 16, generator=torch.Generator().manual_seed(0)), torch.arange(16) % 10
    first = loop.step(x, labels)
    assert first == pytest.approx(F.cross_entropy(_fresh()(x), labels).item(), rel=1e-4)
    for _ in range(10):
        last = loop.step(x, labels)
    assert last < first


def _fresh() -> torch.nn.Module:
    model = build_model(
        "resnet8", AttentionConfig(), GATES.get("sigmoid"), num_classes=10, in_channels=3, image_size=(32, 32), seed=0
    )
    return model.train()


def test_the_plain_input_pipeline_gives_whole_batches() -> None:
    images = np.zeros((10, 32, 32, 3), np.uint8)
    batches = list(plain_batches(images, list(range(10)), batch_size=4, workers=0))
    assert [x.shape for x, _ in batches] == [(4, 3, 32, 32)] * 2
    x, label = PilImages(images, list(range(10)))[3]
    assert label == 3
    assert x[0, 0, 0] == pytest.approx(-0.5071 / 0.2673, rel=1e-5)


def test_both_sides_train_the_same_network() -> None:
    for rival in contenders(
        "resnet8", image_size=16, batch_size=8, workers=0, device=torch.device("cpu"), compile="off"
    ):
        assert rival.run(1) > 0
    assert random_images(64, 24, torch.device("cpu")).images.shape == (64, 24, 24, 3)


def test_a_comparison_gives_rows_of_its_table(monkeypatch: pytest.MonkeyPatch) -> None:
    told: list[str] = []
    rows = list(
        compare(
            "resnet8",
            rounds=1,
            image_size=16,
            batch_size=8,
            threads=1,
            workers=0,
            device=torch.device("cpu"),
            compile="off",
            tell=told.append,
        )
    )
    assert [row["ratio"] for row in rows if row["contender"] == "plain"] == [1.0] * 3
    assert {row["task"] for row in rows} == {"end-to-end", "step", "input"}
    assert len(told) == len(rows) == 8
    text = format_rows(BENCH, rows, header=True)
    assert [row["images_per_s"] for row in parse_rows(BENCH, text, __file__)] == [row["images_per_s"] for row in rows]  # type: ignore[arg-type]


def test_photographs_are_decoded_by_both_sides(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr("bamgate.benchmark.photographs.PHOTOGRAPHS", 4)
    root = make_photographs(tmp_path / "photographs")
    x = reference_batch(root)
    assert x.shape == (4, 3, SIZE, SIZE)
    assert float(x.std()) > 0.1
    again = make_photographs(tmp_path / "again")
    assert [path.read_bytes() for path in sorted(root.rglob("*.jpg"))] == [
        path.read_bytes() for path in sorted(again.rglob("*.jpg"))
    ]
    rows = list(compare_decoding(rounds=1, tell=lambda text: None))
    assert [row["contender"] for row in rows] == ["torchvision reference", "bamgate", "bamgate to bytes"]
    assert {(row["model"], row["task"], row["threads"], row["workers"]) for row in rows} == {
        (IMAGE_FOLDER, "input-224", 1, 0)
    }
    assert format_rows(BENCH, rows, header=False).count("\n") == 3
