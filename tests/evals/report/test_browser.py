"""The page in a real browser: Debian's `chromium` and `chromium-driver`, without a display."""

import json
import shutil
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from quillgraph.evals.report.contents import read_contents
from quillgraph.evals.report.page import render_page, write_page

HOSTILE = (
    '<script>document.title="owned"</script></textarea></div><!-- </style>'
    "<img src=http://127.0.0.1:9/x onerror=\"document.title='owned'\">\u2028\u202e"
)
PHONE = {"width": 390, "height": 844, "deviceScaleFactor": 2, "mobile": True}
DESKTOP = {"width": 1280, "height": 900, "deviceScaleFactor": 1, "mobile": False}

webdriver = pytest.importorskip("selenium.webdriver", reason="selenium is not installed")


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    chromium, driver = shutil.which("chromium"), shutil.which("chromedriver")
    if chromium is None or driver is None:
        pytest.skip("no chromium with chromedriver here; apt-get install chromium chromium-driver")
    options = webdriver.ChromeOptions()
    options.binary_location = chromium
    for argument in ("--headless=new", "--no-sandbox", "--disable-dev-shm-usage", "--disable-gpu"):
        options.add_argument(argument)
    options.set_capability("goog:loggingPrefs", {"browser": "ALL", "performance": "ALL"})
    service = webdriver.ChromeService(executable_path=driver)
    opened = webdriver.Chrome(options=options, service=service)
    yield opened
    opened.quit()


@pytest.fixture
def opened(browser: Any, tmp_path: Path) -> Callable[..., Any]:
    """Opens the page of a run, or a page as it is, on a screen of a size."""

    def open_page(run: Path | str, screen: dict[str, Any] = DESKTOP) -> Any:
        page = tmp_path / "report.html"
        write_page(run if isinstance(run, str) else render_page(read_contents(run)), page)
        browser.get_log("performance")  # reading a log empties it
        browser.get_log("browser")
        browser.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", screen)
        browser.get(page.as_uri())
        return browser

    return open_page


def _requests(browser: Any) -> list[str]:
    """Addresses that were asked for, whether or not an answer came."""
    events = (json.loads(entry["message"])["message"] for entry in browser.get_log("performance"))
    return [
        event["params"]["request"]["url"]
        for event in events
        if event["method"] == "Network.requestWillBeSent"
    ]


def _until(check: Callable[[], bool]) -> None:
    """Wait for what the browser does by itself after a key or a click."""
    end = time.monotonic() + 30
    while not check():
        assert time.monotonic() < end
        time.sleep(0.02)


def _find(browser: Any, selector: str) -> list[Any]:
    elements: list[Any] = browser.find_elements("css selector", selector)
    return elements


@pytest.mark.parametrize("screen", [DESKTOP, PHONE], ids=["desktop", "phone"])
@pytest.mark.parametrize("words", ["", HOSTILE + "x" * 10_000], ids=["plain", "hostile"])
def test_the_page_opens_without_an_error_or_a_request_and_fits_the_screen(
    opened: Callable[..., Any], tmp_path: Path, hand: Any, screen: dict[str, Any], words: str
) -> None:
    browser = opened(hand.write_run(tmp_path / "run", words), screen)
    assert browser.title == "run · quillgraph report"
    _is_sound(browser, screen)


@pytest.mark.parametrize("screen", [DESKTOP, PHONE], ids=["desktop", "phone"])
def test_the_page_of_a_training_run_opens_as_well(
    opened: Callable[..., Any], tmp_path: Path, hand: Any, screen: dict[str, Any]
) -> None:
    folder = tmp_path / "run"
    hand.put(folder, "run.json", hand.run_facts(status="stopped by a guard", error=HOSTILE))
    names = ("loss", "criteria/reward", "eval/reward", "watch/words", f"time/{HOSTILE}")
    rows = [{"stage": "rl", "step": n} | dict.fromkeys(names, n / 9) for n in range(50)]
    hand.put(folder, "metrics.jsonl", [*rows, {"stage": "rl", "step": 9, "guard/win_rate": 0.4}])
    texts = [{"step": n, "request": HOSTILE, "text": HOSTILE, "value": None} for n in range(50)]
    hand.put(folder, "samples.jsonl", texts)
    browser = opened(folder, screen)
    _is_sound(browser, screen)
    assert "A guard stopped the run" in _find(browser, "#training")[0].text


def _is_sound(browser: Any, screen: dict[str, Any]) -> None:
    """No error, no request, as wide as the screen, whole, and every picture drawn."""
    assert browser.get_log("browser") == []
    assert [url for url in _requests(browser) if not url.startswith(("file:", "data:"))] == []
    width = browser.execute_script("return document.documentElement.scrollWidth")
    assert width <= screen["width"]
    assert _find(browser, "#sources")  # nothing has swallowed the end of the page
    pictures = browser.execute_script(
        "return [...document.images].map((image) => image.complete && image.naturalWidth > 0)"
    )
    assert pictures
    assert all(pictures)


def test_a_script_that_got_into_the_page_would_not_run(
    opened: Callable[..., Any], tmp_path: Path, hand: Any
) -> None:
    page = render_page(read_contents(hand.write_run(tmp_path / "run")))
    browser = opened(page.replace("</main>", HOSTILE.partition("</textarea>")[0] + "</main>"))
    assert browser.title != "owned"
    assert any(
        "Content Security Policy" in entry["message"] for entry in browser.get_log("browser")
    )


def test_a_picture_from_the_network_that_got_into_the_page_would_not_be_fetched(
    opened: Callable[..., Any], tmp_path: Path, hand: Any
) -> None:
    page = render_page(read_contents(hand.write_run(tmp_path / "run")))
    browser = opened(page.replace("</main>", '<img src="http://127.0.0.1:9/x.png"></main>'))
    requests = list[str]()

    def is_told() -> bool:
        messages = (entry["message"] for entry in browser.get_log("browser"))
        requests.extend(message for message in messages if "127.0.0.1:9" in message)
        return bool(requests)

    _until(is_told)
    assert all("Content Security Policy" in message for message in requests)


def test_a_criterion_that_is_clicked_marks_its_words_in_request_drafts_and_texts(
    opened: Callable[..., Any], tmp_path: Path, hand: Any
) -> None:
    browser = opened(hand.write_run(tmp_path / "run"))

    def marked(kind: str) -> list[str]:
        return [mark.text for mark in _find(browser, f".text mark.{kind}")]

    assert marked("cited") == []
    _find(browser, 'details[data-criterion="k1.0"] > summary')[0].click()
    _until(lambda: marked("cited") == ["A toast to rain.", "Rain falls"])
    assert marked("behind") == ["on the square"]
    # the draft, the draft again beside its revision (cut where it differs), the revision
    assert "".join(marked("quoted")) == "The rain came." * 2 + "The rain came late."
    assert _find(browser, ".announcement")[0].text == "Marked in the texts: Rain is praised."
    _find(browser, 'details[data-criterion="h1"] > summary')[0].click()
    _until(lambda: marked("cited") == ["No umbrella."])
    assert len(_find(browser, "details.criterion[open]")) == 1


def test_the_keyboard_alone_opens_a_criterion_and_jumps_to_its_words(
    opened: Callable[..., Any], tmp_path: Path, hand: Any
) -> None:
    from selenium.webdriver.common.keys import Keys

    browser = opened(hand.write_run(tmp_path / "run"), PHONE)

    def focused() -> Any:
        return browser.switch_to.active_element

    def tab_to(reached: Callable[[Any], bool]) -> None:
        for _ in range(40):
            focused().send_keys(Keys.TAB)
            if reached(focused()):
                return
        raise AssertionError("the keyboard does not get there")

    tab_to(lambda element: "Rain is praised" in element.text)
    focused().send_keys(Keys.ENTER)
    _until(lambda: len(_find(browser, ".text mark.cited")) == 2)
    tab_to(lambda element: element.text == "[d1.n1]")
    focused().send_keys(Keys.ENTER)
    _until(lambda: browser.current_url.endswith("#d1.n1"))
    top = "return document.getElementById('d1.n1').getBoundingClientRect().top"
    _until(lambda: 0 <= browser.execute_script(top) < PHONE["height"])


def test_the_page_of_five_thousand_calls_opens(
    opened: Callable[..., Any], tmp_path: Path, hand: Any
) -> None:
    calls = (hand.call(n, role=f"role{n % 7}", reply="x" * 200) for n in range(5_000))
    browser = opened(hand.write_run(tmp_path / "run", calls=calls), PHONE)
    assert browser.get_log("browser") == []
    assert "5,000 calls" in _find(browser, "#calls")[0].text
    assert len(_find(browser, "ol.calls > li")) == 300
    assert (tmp_path / "report.html").stat().st_size < 2_000_000
