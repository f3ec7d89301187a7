"""Texts of other people on a terminal: in one line, and without what would drive it."""

import io
from pathlib import Path

import pytest
from code_samples import refused
from folder_samples import make_folder
from rich.console import Console
from study_samples import study_file
from weight_samples import described

from bamgate.cli.console import err, out, table
from bamgate.config import AttentionConfig
from bamgate.data import find_dataset
from bamgate.errors import DataError, UsageError, one_line, printable, unknown
from bamgate.gates import load_gate
from bamgate.study.study import read_study
from bamgate.weights import Network

EVIL = "a\x1b[31mred\r\n\x00\x7f\x9b\u202eb\u2028\ud800\u200d\U0001f469é가"
SHOWN = "a\\x1b[31mred\\r\\n\\x00\\x7f\\x9b\\u202eb\\u2028\\ud800\u200d\U0001f469é가"


def test_what_drives_a_terminal_is_escaped_and_letters_stay() -> None:
    assert printable(EVIL) == SHOWN
    assert printable(SHOWN) == SHOWN
    assert printable("") == ""


def test_every_error_is_one_line() -> None:
    assert str(UsageError(EVIL)) == SHOWN
    assert str(DataError(EVIL)) == SHOWN
    assert str(UsageError(f"{UsageError(EVIL)}")) == SHOWN
    assert "\n" not in str(unknown("gate", "a\nb", ["c\nd"]))


class _Loud(Exception):
    def __str__(self) -> str:
        raise RuntimeError("no text")


class _Odd(Exception):
    def __str__(self) -> str:
        return 3  # type: ignore[return-value]


def test_any_exception_in_one_line() -> None:
    assert one_line(ValueError("first\nsecond")) == "ValueError: first"
    assert one_line(ValueError("\x1b[31mred")) == "ValueError: \\x1b[31mred"
    assert one_line(ValueError()) == "ValueError: no message"
    assert one_line(_Loud()) == "_Loud: no message"
    assert one_line(_Odd()) == "_Odd: no message"
    assert one_line(type("a\nb", (Exception,), {})("c")) == "a\\nb: c"


def test_a_gate_whose_exception_has_no_text(tmp_path: Path) -> None:
    path = tmp_path / "loud.py"
    raises = "class Loud(Exception):\n    def __str__(self):\n        raise self\n\n"
    path.write_text(f"{raises}def g(z):\n    raise Loud\n")
    with pytest.raises(UsageError, match=r"gate 'loud\.py:g' fails on a .* tensor: Loud: no message"):
        load_gate(f"{path}:g")


def _written(console: Console, *texts: object) -> str:
    console.file = io.StringIO()
    for text in texts:
        console.print(text, markup=False)
    return console.file.getvalue()


@pytest.mark.parametrize("make", [out, err])
def test_a_console_shows_escapes(make: type[Console]) -> None:
    text = EVIL.replace("\r\n", "")
    assert _written(make(), text) == SHOWN.replace("\\r\\n", "").replace("\\x00", "\\x00") + "\n"
    assert _written(make(), "two\nlines") == "two\nlines\n"


def test_a_table_shows_escapes_and_keeps_its_rows() -> None:
    grid = table("title\n\x1b[2J", "class", "images")
    grid.add_row(EVIL, "3")
    grid.add_row("plain", "4")
    lines = _written(out(), grid).splitlines()
    assert [line.rstrip() for line in lines[:1]] == ["title\\n\\x1b[2J"]
    assert [line.split() for line in lines[1:]] == [["class", "images"], [SHOWN, "3"], ["plain", "4"]]


@pytest.mark.parametrize("character", ["\x1b", "\n", "\u202e", "\x7f"])
def test_a_gate_with_control_characters_is_refused_before_it_is_run(
    character: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    code = f"open({str(tmp_path / 'MARK')!r}, 'w').close()\ndef f(z):\n    return z\n"
    (tmp_path / f"g{character}g.py").write_text(code)
    for spec in (f"g{character}g.py:f", f"expr:z{character}+z", f"my{character}mod:f", f"tanh{character}x"):
        line = refused("run", "--gate", spec, "--epochs", "1", "--out", str(tmp_path / "rr"))
        assert "contains control characters or line breaks; remove them" in line
        assert character not in line
    assert not (tmp_path / "MARK").exists()
    assert not (tmp_path / "rr").exists()


def test_a_gate_whose_file_name_is_not_utf8(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"contains control characters"):
        load_gate("g\udcff.py:f")


def test_a_folder_that_drives_a_terminal(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    for words in (["run", "--epochs", "1"], ["study", "run", str(study_file(tmp_path))]):
        line = refused(*words, "--out", "runs/a\nb")
        assert line == "--out 'runs/a\\nb' contains control characters or line breaks; remove them"
    assert [path.name for path in tmp_path.iterdir()] == ["tiny.toml"]


@pytest.mark.parametrize("key", ["question", "cost", "expected"])
def test_texts_of_a_study_are_one_printable_line(key: str, tmp_path: Path) -> None:
    path = study_file(tmp_path)
    text = path.read_text()
    path.write_text(text.replace(f'{key} = "{key[0]}"', f'{key} = "two\\nlines"'))
    with pytest.raises(UsageError) as caught:
        read_study(path)
    assert str(caught.value).endswith(f": {key} 'two\\nlines' contains control characters or line breaks; remove them")
    path.write_text(text.replace(f'{key} = "{key[0]}"', f'{key} = "한국어 é \\u200d"'))
    read_study(path)


def test_a_study_whose_file_name_drives_a_terminal(tmp_path: Path) -> None:
    path = study_file(tmp_path).rename(tmp_path / "t\x1b.toml")
    with pytest.raises(UsageError, match=r"the study's file name 't.x1b' contains control characters"):
        read_study(path)


def test_settings_are_printable() -> None:
    with pytest.raises(UsageError, match=r"gate 'a\\x1b' contains control characters"):
        AttentionConfig(gate="a\x1b")


def test_stored_networks_are_printable() -> None:
    with pytest.raises(DataError, match=r"gate 'a\\x1b' contains control characters"):
        Network.from_dict({**described().to_dict(), "attention": {"gate": "a\x1b"}}, "x.safetensors")


def test_a_class_folder_is_called_something_printable(tmp_path: Path) -> None:
    root = make_folder(tmp_path / "tiny", train=1, test=1)
    for split in ("train", "val"):
        (root / split / "class-0").rename(root / split / "c\x1b[2J")
    with pytest.raises(DataError) as caught:
        find_dataset(f"folder:{root.name}", root.parent)
    assert "has a class folder 'c\\x1b[2J' with control characters; rename it" in str(caught.value)
