"""What the paper prints, how a count compares with it, and `bamgate models` for the whole paper."""

import json
import shutil
import subprocess
import sys
from collections.abc import Callable
from typing import Any

import pytest
from paper_samples import OTHER_GFLOPS, OTHER_PARAMETERS, PRINTED, counted

from bamgate.cli import models as command
from bamgate.cli.app import main
from bamgate.networks import BACKBONES
from bamgate.networks.paper import (
    CIFAR100,
    HOMES,
    IMAGENET,
    IMAGENET_192,
    NOTES,
    SIZES,
    Agreement,
    Images,
    compare,
    images_of,
)

PAPER = list(dict.fromkeys(name for name, *_ in PRINTED))
Run = Callable[..., tuple[int, str, str]]


@pytest.fixture
def run(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Run:
    """Exit code, stdout and stderr of a command; in this process, for speed."""

    def call(*arguments: str) -> tuple[int, str, str]:
        monkeypatch.setattr(sys, "argv", ["bamgate", *arguments])
        with pytest.raises(SystemExit) as end:
            main()
        output = capsys.readouterr()
        return int(end.value.code or 0), output.out, output.err

    return call


@pytest.mark.parametrize(
    ("value", "printed", "expected"),
    [
        (23.7051, "23.71", "="),
        (23.7149, "23.71", "="),
        (23.7151, "23.71", "~"),  # 23.72
        (23.7199, "23.71", "~"),
        (23.7201, "23.71", "x"),
        (23.7001, "23.71", "~"),
        (23.6999, "23.71", "x"),
        (0.846, "0.84", "~"),  # cut off instead of rounded
        (0.8004, "0.8", "="),
        (0.749, "0.8", "~"),
        (0.699, "0.8", "x"),
        (0.2446, "0.245", "="),
        (0.2439, "0.245", "x"),
        (0.246, "0.24", "~"),
    ],
)
def test_a_count_beside_a_printed_figure(value: float, printed: str, expected: str) -> None:
    assert compare(value, printed) is Agreement(expected)


def test_the_printed_sizes_are_those_of_the_tables() -> None:
    images = {32: CIFAR100, 192: IMAGENET_192, 224: IMAGENET}
    found = {(*at, kind): printed[:2] for at, kinds in SIZES.items() for kind, printed in kinds.items()}
    assert found == {(name, images[size], kind): (params, gflops) for name, size, kind, params, gflops in PRINTED}
    assert all(printed.tables for kinds in SIZES.values() for printed in kinds.values())


def test_each_data_set_has_its_size_and_classes() -> None:
    assert (CIFAR100, IMAGENET, IMAGENET_192) == (
        ("CIFAR-100", 32, 100),
        ("ImageNet", 224, 1000),
        ("ImageNet", 192, 1000),
    )


def test_on_which_images_a_network_is_counted() -> None:
    assert images_of("resnet50") == [CIFAR100, IMAGENET]
    assert images_of("mobilenet") == [IMAGENET, IMAGENET_192]
    assert images_of("resnet8") == [CIFAR100]
    assert images_of("vgg16") == [IMAGENET]
    assert images_of("resnet34") == [CIFAR100, IMAGENET]
    assert images_of("timm:resnet50") == [IMAGENET]
    assert {name for name, _ in SIZES} | set(HOMES) <= set(BACKBONES.names())


@pytest.fixture(scope="module")
def rows() -> list[dict[str, Any]]:
    """The whole paper as `bamgate models --json` prints it, counted where the paper prints a figure."""
    wanted = {row[:3] for row in PRINTED}
    printed: list[Any] = []

    def count(name: str, kind: str, images: Images) -> dict[str, Any] | None:
        if (name, images.size, kind) not in wanted:
            return None
        found = counted(name, images.size, kind)
        return {"parameters": found.params, "macs": found.macs}

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("bamgate.cli.console.print_json", printed.append)
        patch.setattr(command, "_count", count)
        command.command([*PAPER], json=True)
    return json.loads(json.dumps(printed[0]))  # type: ignore[no-any-return]


@pytest.fixture(scope="module")
def marks(rows: list[dict[str, Any]]) -> dict[tuple[str, int, str], dict[str, str]]:
    """What is printed, and = ~ or x for parameters and GFLOPs."""
    return {
        (row["network"], row["size"], kind): {**row[kind]["agreement"], "printed": row[kind]["printed"]}
        for row in rows
        for kind in ("plain", "SE", "BAM", "BAM-C", "extra block")
        if row[kind] and "agreement" in row[kind]
    }


Marks = dict[tuple[str, int, str], dict[str, Any]]


def test_every_printed_figure_is_compared_and_none_is_invented(marks: Marks) -> None:
    found = {at: (mark["printed"]["parameters"], mark["printed"]["gflops"]) for at, mark in marks.items()}
    assert found == {(name, size, kind): (params, gflops) for name, size, kind, params, gflops in PRINTED}


def test_parameters_with_bam_are_the_printed_ones_but_for_two_that_are_cut_off(marks: Marks) -> None:
    with_bam = {at: mark["parameters"] for at, mark in marks.items() if at[2] == "BAM"}
    assert len(with_bam) == 18  # MobileNet stands there at 224 and at 192 pixels, with the same parameters
    other = {at: mark for at, mark in with_bam.items() if mark != "="}
    assert other == {("densenet100-bc", 32, "BAM"): "~", ("mobilenet", 224, "BAM"): "~", ("mobilenet", 192, "BAM"): "~"}


def test_parameters_of_every_plain_network_are_the_printed_ones(marks: Marks) -> None:
    assert {mark["parameters"] for at, mark in marks.items() if at[2] == "plain"} == {"="}


def test_what_differs_is_what_is_known_to_differ_and_has_a_note(marks: Marks) -> None:
    known = {"parameters": OTHER_PARAMETERS, "gflops": OTHER_GFLOPS}
    for figure, others in known.items():
        differs = {at for at, mark in marks.items() if mark.get(figure) == "x"}
        near = {at for at, mark in marks.items() if mark.get(figure) == "~"}
        assert differs <= set(others) <= differs | near, figure
        assert {name for name, _, _ in differs} <= set(NOTES)
        for name, size, kind in others:
            assert NOTES[name], (name, size, kind)


def test_a_markdown_table_has_a_row_for_each_network_and_size(
    run: Run, rows: list[dict[str, Any]], monkeypatch: pytest.MonkeyPatch
) -> None:
    counted = {(row["network"], row["size"]): row for row in rows}
    monkeypatch.setattr(command, "_row", lambda name, images, tell: counted[name, images.size])
    code, out, err = run("models", "--markdown")
    table, notes = out.split("\n\n= the printed digits, ~ within one unit of the last digit, x differs")
    lines = table.splitlines()
    assert (code, err) == (0, "")
    assert lines[0] == "| network | images | plain | SE | BAM | BAM-C | extra block |"
    assert {line.count("|") for line in lines} == {8}
    expected = list(dict.fromkeys((name, size) for name, size, *_ in PRINTED))
    found = [tuple(cell.strip() for cell in line.split("|")[1:3]) for line in lines[2:]]
    assert sorted(found) == sorted(
        (name, f"{'CIFAR-100' if size == 32 else 'ImageNet'} {size}") for name, size in expected
    )
    row = next(line for line in lines if line.startswith("| resnet50 | CIFAR-100 32 |"))
    assert "| 23.705 / 1.223<br>23.71 = / 1.22 = |" in row
    assert row.endswith("| 25.173 / 1.436<br>25.14 x |")
    assert [note.split(":")[0] for note in notes.splitlines() if note.startswith("- ")] == [
        f"- {name}" for name in PAPER if name in NOTES
    ]


def test_json_and_markdown_together_are_refused(run: Run) -> None:
    code, out, err = run("models", "--json", "--markdown")
    assert (code, out) == (2, "")
    assert err == "bamgate: --json and --markdown exclude each other; give one of them\n"


def test_each_kind_is_counted_as_it_is_built(run: Run) -> None:
    _, out, _ = run("models", "squeezenet1.1", "resnet20", "--json")
    squeeze, small = json.loads(out)
    kinds = ("plain", "SE", "BAM", "BAM-C", "extra block")
    found = {kind: (squeeze[kind]["parameters"], squeeze[kind]["macs"]) for kind in kinds}
    assert found == {kind: counted("squeezenet1.1", 224, kind) for kind in kinds}
    assert (small["images"], small["size"], small["classes"]) == ("CIFAR-100", 32, 100)
    assert small["plain"] == {"parameters": 272_474 + 90 * 65, "macs": 40_813_184 + 90 * 64}
    assert squeeze["plain"]["agreement"] == {"parameters": "=", "gflops": "x"}


def test_a_table_of_two_networks(run: Run) -> None:
    code, out, err = run("models", "resnet8", "vgg16")
    assert code == 0
    assert err.splitlines()[-1] == "Next: bamgate run --model resnet8 --dry-run"
    lines = [line.split() for line in out.splitlines()]
    assert ["resnet8", "32", "plain"] in [line[:3] for line in lines]
    first = next(i for i, line in enumerate(lines) if line[:1] == ["vgg16"])
    # 138,357,544 parameters and 15.47 G multiply-adds: torchvision's page of VGG-16. Not printed by the paper.
    assert lines[first] == ["vgg16", "224", "plain", "138.358", "-", "15.470", "-"]
    # It has no residual blocks: no SE, no BAM-C. What it can have more of is convolutions.
    assert [line[0] for line in lines[first + 1 :]] == ["BAM", "extra"]


@pytest.mark.skipif(shutil.which("script") is None, reason="needs the command script, for a terminal")
def test_the_table_is_whole_on_a_terminal_of_80_columns() -> None:
    """Names as long as the longest of ours, figures with their marks: nothing is cut."""
    command = f"stty cols 80; {sys.executable} -m bamgate models resnext50-32x4d-v1.5 preresnet110 2>/dev/null"
    shown = subprocess.run(["script", "-qec", command, "/dev/null"], capture_output=True, text=True, check=True).stdout
    assert "…" not in shown
    assert "1.733 =" in shown
    assert "0.246 =" in shown


def test_a_misspelt_network_is_refused_before_anything_is_counted(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(command, "_count", None)
    code, out, err = run("models", "resnet50", "vgg-16")
    assert (code, out) == (2, "")
    assert err.startswith("bamgate: unknown model 'vgg-16'; did you mean 'vgg16'? (allowed: ")
