"""The pages in a real Chromium: search, links, light and dark, a phone's width, and not a word on the console."""

import shutil
import socket
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
import uvicorn
from playwright.sync_api import Browser, Page, expect, sync_playwright
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from oms_gateway.pages.events_page import events_page
from oms_gateway.pages.http_page import http_page

CHROMIUM = shutil.which("chromium") or shutil.which("google-chrome")
PAPER = "getComputedStyle(document.body).backgroundColor"
WHOLE_API = Path(__file__).parents[3] / "contracts" / "openapi" / "oms.json"

pytestmark = [
    pytest.mark.integration,
    pytest.mark.skipif(CHROMIUM is None, reason="CHROMIUM IS MISSING: the pages are not looked at (Debian: chromium)"),
]


@pytest.fixture(scope="module")
def site() -> Iterator[str]:
    """Both pages as the gateway answers them, of the whole API."""
    shown = http_page(WHOLE_API.read_bytes())

    async def docs(request: Request) -> Response:
        return shown.answer(request)

    async def event_docs(request: Request) -> Response:
        return events_page().answer(request)

    app = Starlette(routes=[Route("/docs", docs), Route("/docs/events", event_docs)])
    server = uvicorn.Server(uvicorn.Config(app, log_level="warning"))
    with socket.create_server(("127.0.0.1", 0)) as door:  # who comes before the server has started waits in line
        thread = threading.Thread(target=server.run, kwargs={"sockets": [door]}, daemon=True)
        thread.start()
        yield f"http://127.0.0.1:{door.getsockname()[1]}"
        server.should_exit = True
        thread.join(10)


@pytest.fixture(scope="module")
def chromium() -> Iterator[Browser]:
    quiet = ["--no-sandbox", "--disable-gpu", "--disable-background-networking", "--disable-component-update"]
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=quiet)
        yield browser
        browser.close()


@pytest.fixture
def tab(chromium: Browser, site: str) -> Iterator[Page]:
    context = chromium.new_context(base_url=site, color_scheme="light")
    page = context.new_page()
    said: list[str] = []
    page.on("console", lambda message: said.append(message.text) if message.type == "error" else None)
    page.on("pageerror", lambda error: said.append(str(error)))
    yield page
    context.close()
    assert [text for text in said if "favicon" not in text and "404" not in text] == []


def test_search_leaves_what_has_every_word(tab: Page) -> None:
    tab.goto("/docs/events")
    shown = tab.locator("article:visible")
    everything = tab.locator("article").count()
    expect(shown).to_have_count(everything)
    tab.keyboard.press("/")
    tab.keyboard.type("waybill carrier")
    wanted = tab.locator("article[data-words*='waybill'][data-words*='carrier']").count()
    assert 0 < wanted < everything
    expect(shown).to_have_count(wanted)
    expect(tab.locator("#found")).to_have_text(f"{wanted} of {everything}")
    expect(tab.locator("aside li[data-for]:visible")).to_have_count(wanted)
    tab.keyboard.press("Escape")
    expect(shown).to_have_count(everything)


def test_a_link_opens_what_it_names(tab: Page) -> None:
    tab.goto("/docs#receive-orders")
    operation = tab.locator("#receive-orders")
    expect(operation).to_have_attribute("open", "")
    expect(operation.locator("summary").first).to_be_in_viewport()
    tab.fill("#find", "tariffs")
    expect(operation).to_be_hidden()
    tab.evaluate("location.hash = '#receive-payments'")
    expect(tab.locator("#receive-payments")).to_have_attribute("open", "")
    expect(operation).to_be_visible()


def test_dark_is_kept_from_page_to_page(tab: Page) -> None:
    tab.goto("/docs")
    body = tab.locator("body")
    light = tab.evaluate(PAPER)
    expect(body).to_have_css("background-color", light)
    tab.click("#theme")
    expect(body).not_to_have_css("background-color", light)
    dark = tab.evaluate(PAPER)
    tab.click("text=Events")
    tab.wait_for_url("**/docs/events")
    expect(body).to_have_css("background-color", dark)


@pytest.mark.parametrize("path", ["/docs", "/docs/events"])
def test_a_phone_scrolls_one_way_only(tab: Page, path: str) -> None:
    tab.set_viewport_size({"width": 360, "height": 740})
    tab.goto(path)
    tab.evaluate("for (const one of document.querySelectorAll('main details')) one.open = true")
    assert tab.evaluate("document.documentElement.scrollWidth") == 360
    assert tab.locator("#index").get_attribute("open") is None


@pytest.mark.parametrize("path", ["/docs", "/docs/events"])
def test_a_page_opens_quickly(tab: Page, path: str) -> None:
    tab.goto(path)
    spent = tab.evaluate("performance.getEntriesByType('navigation')[0].domContentLoadedEventEnd")
    assert spent < 5000  # a busy machine; 200 ms on a quiet one
