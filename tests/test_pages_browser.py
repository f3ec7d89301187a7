"""The page in a real browser: nothing is asked for, nothing fails, nothing stands out at the side of a phone."""

import socket
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
from browser_samples import Browser, find_browser
from report_samples import PROVENANCE, figures, sample

from bamgate.reports.pages import write_pages

pytestmark = pytest.mark.skipif(find_browser() is None, reason="no Chromium is installed")
KINDS = ("plain", "contexts", "hostile", "interim")


class Listener:
    """A proxy that answers nobody and remembers who comes; the browser's own calls end here too."""

    def __init__(self) -> None:
        self.heard: list[bytes] = []
        self._socket = socket.create_server(("127.0.0.1", 0))
        self.port = self._socket.getsockname()[1]
        self._thread = threading.Thread(target=self._listen, daemon=True)
        self._thread.start()

    def _listen(self) -> None:
        while True:
            try:
                connection, _ = self._socket.accept()
            except OSError:
                return
            with connection:
                connection.settimeout(2)
                try:
                    self.heard.append(connection.recv(200))
                except OSError:
                    self.heard.append(b"")

    def close(self) -> None:
        self._socket.shutdown(socket.SHUT_RDWR)
        self._socket.close()
        self._thread.join(5)


@pytest.fixture(scope="module")
def proxy() -> Iterator[Listener]:
    listener = Listener()
    yield listener
    listener.close()


@pytest.fixture(scope="module")
def browser(proxy: Listener, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Browser]:
    options = [f"--proxy-server=127.0.0.1:{proxy.port}", "--proxy-bypass-list=<-loopback>"]
    with Browser(tmp_path_factory.mktemp("profile"), *options) as opened:
        yield opened


@pytest.fixture(scope="module", params=KINDS)
def page(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp(request.param)
    write_pages(sample(request.param), figures("<b>&"), folder, provenance=PROVENANCE)
    return folder / "report.html"


def _faults(browser: Browser) -> list[object]:
    kinds = ("Log.entryAdded", "Runtime.exceptionThrown", "Runtime.consoleAPICalled", "Network.loadingFailed")
    return [event for event in browser.events if event.get("method") in kinds]


def _asked(browser: Browser) -> list[str]:
    sent = [
        event["params"]["request"]["url"]
        for event in browser.events
        if event.get("method") == "Network.requestWillBeSent"
    ]
    return [url for url in sent if not url.startswith("data:")]


def test_it_opens_alone(browser: Browser, page: Path) -> None:
    browser.open(page, 1280, 900)
    assert _asked(browser) == [page.absolute().as_uri()]
    assert _faults(browser) == []
    assert browser.value("document.querySelectorAll('script, iframe, object, embed, [onload], [onclick]').length") == 0


def test_the_first_screen_holds_verdict_and_figure(browser: Browser, page: Path) -> None:
    browser.open(page, 1280, 900)
    for element in ("h1", ".opening .card", ".opening figure svg"):
        assert browser.value(f"document.querySelector('{element}').getBoundingClientRect().bottom") <= 900, element


@pytest.mark.parametrize("width", [360, 390, 768, 1280])
def test_nothing_stands_out_at_the_side(browser: Browser, page: Path, width: int) -> None:
    browser.open(page, width, 844)
    assert browser.value("document.documentElement.clientWidth") == width
    assert browser.value("document.scrollingElement.scrollWidth") <= width
    outside = """[...document.querySelectorAll('body *')].filter(e => !e.closest('.wide, .drawing, details:not([open])')
        && e.getBoundingClientRect().right > innerWidth + 1).map(e => e.outerHTML.slice(0, 80))"""
    assert browser.value(outside) == []


def test_dark_and_light_are_both_legible(browser: Browser, page: Path) -> None:
    """Contrast of each text with the ground that it stands on, by the formula of WCAG 2."""
    for dark in (False, True):
        browser.open(page, 1280, 900, dark=dark)
        poor = browser.value(_CONTRAST)
        assert poor == [], f"dark: {dark}"
        ground = browser.value("getComputedStyle(document.body).backgroundColor")
        assert (sum(int(part) for part in ground[4:-1].split(",")) < 200) is dark
        assert (
            browser.value("getComputedStyle(document.querySelector('.drawing')).backgroundColor")
            == "rgb(255, 255, 255)"
        )


_CONTRAST = """(() => {
  const parts = text => text.match(/[\\d.]+/g).map(Number);
  const light = ([r, g, b]) => [r, g, b].map(v => v / 255)
    .map(v => v <= 0.04045 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4)
    .reduce((sum, v, i) => sum + v * [0.2126, 0.7152, 0.0722][i], 0);
  const ground = element => {
    for (let e = element; e; e = e.parentElement) {
      const c = parts(getComputedStyle(e).backgroundColor);
      if (c.length === 3 || c[3] === 1) return c;
    }
    return [255, 255, 255];
  };
  const found = [];
  for (const e of document.querySelectorAll('body *')) {
    if (e.closest('svg') || ![...e.childNodes].some(n => n.nodeType === 3 && n.data.trim())) continue;
    const [a, b] = [light(parts(getComputedStyle(e).color)), light(ground(e))].sort((x, y) => y - x);
    if ((a + 0.05) / (b + 0.05) < 4.5) found.push(e.tagName + ' ' + e.textContent.slice(0, 40));
  }
  return found;
})()"""


def test_print_opens_the_details_and_is_never_dark(browser: Browser, page: Path) -> None:
    browser.open(page, 1280, 900, dark=True)
    hidden = "[...document.querySelectorAll('details dd')].filter(e => e.checkVisibility()).length"
    assert browser.value(hidden) == 0
    scheme = {"name": "prefers-color-scheme", "value": "dark"}
    browser.call("Emulation.setEmulatedMedia", media="print", features=[scheme])
    closed = browser.value("[...document.querySelectorAll('details dd')].filter(e => !e.checkVisibility()).length")
    assert closed == 0
    assert browser.value("getComputedStyle(document.body).color") == "rgb(31, 35, 38)"
    browser.call("Emulation.setEmulatedMedia", media="", features=[scheme])


REACHING = """<img src='http://{0}/picture.png'><script>document.title = 'ran'</script>
<script src='http://{0}/script.js'></script><link rel=stylesheet href='http://{0}/style.css'>
<style>@import 'http://{0}/more.css'; body {{ background: url(http://{0}/ground.png) }}</style>
<iframe src='http://{0}/frame'></iframe>"""


def test_the_policy_stops_what_should_ever_get_into_a_page(
    browser: Browser, proxy: Listener, page: Path, tmp_path: Path
) -> None:
    path = tmp_path / "reaching.html"
    path.write_text(page.read_text().replace("</main>", REACHING.format("stopped.invalid") + "</main>"))
    browser.open(path, 1280, 900)
    assert browser.value("document.images.length") == 1
    assert browser.value("document.title") != "ran"
    assert not [text for text in proxy.heard if b"stopped.invalid" in text]


def test_without_the_policy_the_same_is_heard(browser: Browser, proxy: Listener, tmp_path: Path) -> None:
    """The two tests above can fail: a page that does reach out is seen to."""
    path = tmp_path / "reaching.html"
    path.write_text("<!doctype html><title>x</title>" + REACHING.format("reaching.invalid"))
    browser.open(path, 1280, 900)
    assert any(b"reaching.invalid" in text for text in proxy.heard)
    assert browser.value("document.title") == "ran"
    assert len(_asked(browser)) > 1
    assert _faults(browser)
