"""Names come from users: in every format they come out as they were typed, and none of them does anything."""

import csv
import html
import re
import xml.etree.ElementTree as ET
from html.parser import HTMLParser
from pathlib import Path

import pytest
from report_samples import EVIL, PROVENANCE, figures, sample

from bamgate.record.tables import plain_text
from bamgate.reports.pages import PageFigure, write_pages
from bamgate.reports.pages.markdown import escaped
from bamgate.reports.pages.svg import inline_svg
from bamgate.reports.pages.texescape import tex

VOID = {"meta", "link", "br", "img", "hr", "input"}


class Page(HTMLParser):
    """What a page holds; tags must close in the order in which they opened."""

    def __init__(self, text: str) -> None:
        super().__init__(convert_charrefs=True)
        self.open: list[str] = []
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.text = ""
        self.cells: list[str] = []
        self.feed(text)
        self.close()
        assert self.open == []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))
        if tag in ("td", "th"):
            self.cells.append("")
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        if "style" not in self.open:
            self.text += data
        if {"td", "th"} & set(self.open):
            self.cells[-1] += data

    def of(self, tag: str) -> list[dict[str, str | None]]:
        return [attributes for name, attributes in self.tags if name == tag]


@pytest.fixture(scope="module")
def hostile(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("hostile")
    write_pages(sample("hostile"), figures("a<b>&'\""), folder, provenance=PROVENANCE)
    return folder


@pytest.fixture(scope="module")
def page(hostile: Path) -> Page:
    return Page((hostile / "report.html").read_text())


def test_html_shows_names_as_they_are(page: Page) -> None:
    for name in EVIL:
        assert name in page.cells
    assert not page.of("script")
    assert not page.of("b")
    assert "Does <b>tanh</b> & co. beat sigmoid_$?" in page.text
    assert not any(key.startswith("on") for _, attributes in page.tags for key in attributes)


def test_html_asks_for_nothing(page: Page, hostile: Path) -> None:
    for tag, attributes in page.tags:
        for key, value in attributes.items():
            if key in ("src", "href", "xlink:href", "action", "data", "srcset", "poster"):
                assert value is not None
                assert value.startswith(("#", "data:")), (tag, key, value)
    text = (hostile / "report.html").read_text()
    assert not re.search(r"https?:|@import|url\((?!#)", text)
    policy = next(meta for meta in page.of("meta") if meta.get("http-equiv") == "Content-Security-Policy")
    content = policy["content"]
    assert content is not None
    assert content.startswith("default-src 'none'; style-src 'unsafe-inline'; img-src data:;")
    assert "script-src" not in content


def test_html_is_built_for_every_reader(page: Page) -> None:
    assert page.of("html")[0]["lang"] == "en"
    assert len(page.of("h1")) == 1
    for landmark in ("header", "nav", "main", "footer"):
        assert len(page.of(landmark)) == 1
    ids = [attributes["id"] for _, attributes in page.tags if "id" in attributes]
    assert len(ids) == len(set(ids))
    links = [
        value[1:] for _, a in page.tags for key, value in a.items() if key in ("href", "aria-labelledby") and value
    ]
    named = {attributes["aria-labelledby"] for _, attributes in page.tags if "aria-labelledby" in attributes}
    assert named <= set(ids)
    assert {link for link in links if link and "#" + link in [a.get("href") for _, a in page.tags]} <= set(ids)
    assert len(page.of("table")) == len(page.of("caption"))
    for table_head in page.of("th"):
        assert table_head["scope"] in ("col", "row")
    drawings = page.of("svg")
    assert len(drawings) == len(page.of("figure")) == len(figures())
    assert all(drawing["role"] == "img" and drawing["aria-label"] for drawing in drawings)


def test_the_title_says_study_and_verdict(hostile: Path) -> None:
    text = (hostile / "report.html").read_text()
    title = re.search(r"<title>(.*?)</title>", text)
    assert title is not None
    assert html.unescape(title[1]) == "=quick_&<b>: undecided – bamgate report"


def test_markdown_cells_hold_their_names(hostile: Path) -> None:
    lines = (hostile / "report.md").read_text().splitlines()
    table = [line for line in lines if line.startswith("| dataset=")][:10]
    found = [re.split(r"(?<!\\)\|", line)[2].strip() for line in table]
    shown = [re.sub(r"\\([!-/:-@\[-`{-~])", r"\1", html.unescape(cell)) for cell in found]
    assert shown == [*EVIL, *EVIL]
    assert "<script" not in "\n".join(lines).split("---\n", 2)[-1]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("a|b\\c", r"a\|b\\c"),
        ("=cmd()", r"\=cmd()"),
        ("@here", r"\@here"),
        ("+0.29 points", "+0.29 points"),
        ("- no list", r"\- no list"),
        ("1. no list", "&#49;. no list"),
        ("# no title", r"\# no title"),
        ("two\nlines\r\n", "two lines "),
        ("<img src=x>", "&lt;img src=x&gt;"),
        ("$x$ a_b *c* `d` ~e~", r"\$x\$ a\_b \*c\* \`d\` \~e\~"),
        (":tada:", r"\:tada:"),
        ("[x](javascript:y)", r"\[x\](javascript:y)"),
    ],
)
def test_markdown_text_has_no_markup(text: str, expected: str) -> None:
    assert escaped(text) == expected


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("a&b_%$#", r"a\&b\_\allowbreak{}\%\$\#"),
        ("\\{}", r"\textbackslash{}\{\}"),
        ("~^", r"{\ttfamily\char126}{\ttfamily\char94}"),
        ("<>|", r"\ensuremath{<}\ensuremath{>}\ensuremath{|}"),
        ('"--', r"{\ttfamily\char34}-{}-{}"),
        ("±−×", r"\ensuremath{\pm}\ensuremath{-}\ensuremath{\times}"),
        ("é ñ ï ø", r"\'{e} \~{n} \"{\i} \o{}"),
        ("α Ω Α λ", r"\ensuremath{\alpha} \ensuremath{\Omega} A \ensuremath{\lambda}"),
        ("x² H₂", r"x\ensuremath{^{\mathrm{2}}} H\ensuremath{_{\mathrm{2}}}"),
        ("中🎉", r"{\ttfamily{[}U+4E2D{]}}{\ttfamily{[}U+1F389{]}}".replace("{[}", "[").replace("{]}", "]")),
        ("a\nb\x00c", "a b c"),
        ("[x]", "{[}x{]}"),
    ],
)
def test_latex_text_has_no_commands(text: str, expected: str) -> None:
    assert tex(text) == expected


def test_every_character_comes_out_as_ascii_latex() -> None:
    for code in [*range(0x2500), *range(0x3000, 0x3100), 0x1F600, 0x10FFFF]:
        found = tex(chr(code))
        assert found.isascii()
        assert found.count("{") - found.count(r"\{") == found.count("}") - found.count(r"\}"), chr(code)


def test_latex_source_is_ascii(hostile: Path) -> None:
    for path in hostile.rglob("*.tex"):
        assert path.read_text().isascii(), path.name


def test_csv_runs_nothing_and_loses_nothing(hostile: Path) -> None:
    stats = sample("hostile")
    with (hostile / "tables" / "arms.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert all(not value.startswith(("=", "+", "@", "\t", "\r")) for row in rows for value in row.values())
    assert [plain_text(row["arm"]) for row in rows] == [*EVIL, *EVIL]
    assert [row["arm"] for row in rows][2] == "'=cmd()"
    for row, level in zip(rows, stats["levels"], strict=True):
        assert float(row["mean"]) == level["level"]["mean"]
        assert row["mean"] == repr(level["level"]["mean"])
    known = {(c["context"], c["arm"]): c for c in stats["contrasts"]}
    for row in rows:
        contrast = known.get((row["context"], plain_text(row["arm"])))
        if contrast is None:
            assert row["low"] == row["p"] == row["verdict"] == ""
        else:
            assert float(row["low"]) == contrast["t"]["low"]
            assert row["holm_p"] == repr(contrast["holm_p"])
    text = (hostile / "tables" / "arms.csv").read_text()
    assert "−" not in text
    assert text.endswith("\n")


def test_an_svg_loses_what_could_reach_out_and_shares_no_id() -> None:
    wicked = (
        '<svg xmlns="http://www.w3.org/2000/svg" xmlns:xlink="http://www.w3.org/1999/xlink" width="72pt" '
        'viewBox="0 0 72 72" onload="x()"><script>x()</script><style>*{fill: red}</style>'
        '<g id="a" onclick="x()"><image href="http://x/y.png"/><image xlink:href="data:image/png;base64,AA=="/>'
        '<use xlink:href="#a"/><rect clip-path="url(#a)" style="fill: url(http://x/y); stroke: red"/>'
        "<foreignObject><b/></foreignObject><text>a &lt; b</text></g></svg>"
    )
    first, second = (ET.fromstring(inline_svg(wicked, name=name, alt='say "a" & b')) for name in ("one", "two"))
    assert first.get("aria-label") == 'say "a" & b'
    assert first.get("role") == "img"
    assert first.get("style") == "max-width:96px;--natural:96px"
    text = ET.tostring(first, encoding="unicode")
    assert not re.search(r"http|script|onload|onclick|foreignObject|xmlns", text)
    assert 'href="#one-a"' in text
    assert 'clip-path="url(#one-a)"' in text
    assert "#one-svg *{fill: red}" in text
    assert "data:image/png" in text
    assert "a &lt; b" in text
    ids = [{e.get("id") for e in tree.iter() if e.get("id")} for tree in (first, second)]
    assert not ids[0] & ids[1]


def test_a_figure_needs_a_file_name_and_an_alternative() -> None:
    with pytest.raises(AssertionError):
        PageFigure(name="../x", title="t", caption="c", alt="a", svg="<svg/>")
    with pytest.raises(AssertionError):
        PageFigure(name="x", title="t", caption="c", alt="", svg="<svg/>")
