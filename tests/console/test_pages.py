"""Every page in a real Chromium, on the whole house: in both languages, light and dark, on a desk and on a phone."""

import asyncio
import re
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field

import pytest
import pytest_asyncio
from axe_playwright_python.async_playwright import Axe
from playwright.async_api import Browser, BrowserContext, Page, ViewportSize, expect
from tests.system.players import ident

from .house import HOSTILE, PASSWORD, House

pytestmark = [
    pytest.mark.integration,
    pytest.mark.browser,
    pytest.mark.asyncio(loop_scope="session"),
    pytest.mark.timeout(300),
]

DESK, PHONE = ViewportSize(width=1280, height=800), ViewportSize(width=360, height=740)
PAGES = {
    "overview": "/",
    "orders": "/orders",
    "orders of a state": "/orders?state=on_hold&channel=web&from=2026-01-01",
    "no orders": "/orders?no=nothing",
    "order": f"/orders/{ident('W-1001')}",
    "held order": f"/orders/{ident('W-1005')}",
    "unmapped order": f"/orders/{ident('W-1009')}",
    "cancelled order": f"/orders/{ident('W-1011')}",
    "hostile order": f"/orders/{ident(HOSTILE[:60])}",
    "holds": "/holds",
    "resolved holds": "/holds?state=RESOLVED",
    "stock": "/stock",
    "SKU": "/stock/A",
    "settlement": "/settlement",
    "differences": "/settlement/differences",
    "statements": "/settlement/statements",
    "books": "/settlement/books",
    "profit": "/profit",
    "profit by SKU": "/profit?by=sku&version=accrued",
    "dead letters": "/dead-letters",
    "dead letter": "/dead-letters/orders/1",
    "search": "/search?q=nothing",
}


@dataclass
class Desk:
    """A signed-in person's browser, and what went wrong in it."""

    house: House
    page: Page
    trouble: list[str] = field(default_factory=list)

    async def go(self, path: str) -> Page:
        """To a page of the console, which must be there."""
        answer = await self.page.goto(self.house.url + path)
        assert answer is not None
        assert answer.status == 200, (path, answer.status)
        return self.page


DeskOf = Callable[..., Awaitable[Desk]]


@pytest_asyncio.fixture(loop_scope="session")
async def desk_of(house: House, chromium: Browser) -> AsyncIterator[DeskOf]:
    """Signs somebody in."""
    async with AsyncExitStack() as stack:

        async def open_desk(
            name: str = "ann", *, language: str = "en-GB", theme: str = "light", size: ViewportSize = DESK
        ) -> Desk:
            context = await stack.enter_async_context(_context(chromium, language, theme, size))
            desk = Desk(house, await context.new_page())
            _watch(desk)
            await _sign_in(desk, name)
            return desk

        yield open_desk


@asynccontextmanager
async def _context(browser: Browser, language: str, theme: str, size: ViewportSize) -> AsyncIterator[BrowserContext]:
    context = await browser.new_context(
        viewport=size, locale=language, color_scheme="dark" if theme == "dark" else "light", reduced_motion="reduce"
    )
    try:
        yield context
    finally:
        await context.close()


def _watch(desk: Desk) -> None:
    desk.page.on("pageerror", lambda error: desk.trouble.append(f"error: {error}"))
    desk.page.on("dialog", lambda dialog: desk.trouble.append(f"a script of somebody else ran: {dialog.message}"))
    desk.page.on(
        "console",
        lambda said: desk.trouble.append(f"console: {said.text}") if said.type in {"error", "warning"} else None,
    )
    desk.page.on(
        "request",
        lambda asked: None if asked.url.startswith(desk.house.url) else desk.trouble.append(f"went to {asked.url}"),
    )


async def _sign_in(desk: Desk, name: str, password: str = PASSWORD) -> None:
    await desk.page.goto(desk.house.url + "/sign-in")
    await desk.page.fill("[name=name]", name)
    await desk.page.fill("[name=password]", password)
    await desk.page.click("form[action='/sign-in'] button")


@pytest.mark.parametrize(
    ("language", "theme", "size"),
    [("en-GB", "light", DESK), ("zh-CN", "dark", PHONE)],
    ids=["English, light, on a desk", "Chinese, dark, on a phone"],
)
async def test_every_page_is_sound(desk_of: DeskOf, language: str, theme: str, size: ViewportSize) -> None:
    """No error in the browser, nothing from elsewhere, nothing wider than the screen, and clean to axe."""
    desk = await desk_of(language=language, theme=theme, size=size)
    axe, found = Axe(), []
    for name, path in PAGES.items():
        page = await desk.go(path)
        assert await page.locator("html").get_attribute("lang") == language
        wider = await page.evaluate("document.documentElement.scrollWidth - window.innerWidth")
        found += [f"{name}: {wider} px wider than the screen"] if wider > 0 else []
        result = await axe.run(page)
        found += [f"{name}: {one['id']}: {_places(one)}" for one in result.response["violations"]]
    assert found == []
    assert desk.trouble == []


def _places(violation: dict[str, list[dict[str, object]]]) -> str:
    return "; ".join(str(node["html"])[:160] for node in violation["nodes"][:3])


async def test_the_sign_in_page_is_clean_too(house: House, chromium: Browser) -> None:
    for language, theme, size in (("en-GB", "dark", PHONE), ("zh-CN", "light", DESK)):
        async with _context(chromium, language, theme, size) as context:
            desk = Desk(house, await context.new_page())
            _watch(desk)
            await _sign_in(desk, "ann", "a wrong password")
            await expect(desk.page.get_by_role("alert")).to_be_visible()
            assert (await Axe().run(desk.page)).violations_count == 0
            assert [one for one in desk.trouble if "401" not in one] == []


async def test_a_page_follows_the_signing_in_that_it_asked_for(house: House, chromium: Browser) -> None:
    async with _context(chromium, "en-GB", "light", DESK) as context:
        page = await context.new_page()
        await page.goto(house.url + "/orders?state=on_hold")
        await expect(page).to_have_url(re.compile(r"/sign-in\?next="))
        await page.fill("[name=name]", "ann")
        await page.fill("[name=password]", PASSWORD)
        await page.click("form[action='/sign-in'] button")
        await expect(page).to_have_url(house.url + "/orders?state=on_hold")
        (session,) = [one for one in await context.cookies() if one["name"] == "oms-console-session"]
        assert session["httpOnly"]
        assert session["sameSite"] == "Lax"
        session["value"] = session["value"][:-3] + "xyz"
        await context.add_cookies([{"name": session["name"], "value": session["value"], "url": house.url}])
        await page.goto(house.url + "/orders")
        await expect(page).to_have_url(re.compile(r"/sign-in\?next=%2Forders&ended=1"))
        await expect(page.get_by_role("status")).to_contain_text("session has ended")


async def test_the_way_of_an_order_is_drawn(desk_of: DeskOf) -> None:
    desk = await desk_of()
    page = await desk.go(f"/orders/{ident('W-1001')}")
    steps = page.locator(".journey .step")
    assert await steps.count() >= 10
    await expect(steps.first).to_contain_text("Order received")
    await expect(steps.last).to_contain_text("Order completed")
    assert await page.locator(".journey .lane-1 path").count() >= 2, "a lane that leaves and one that comes back"
    await expect(page.locator(".stations .reached")).to_have_count(7)
    await expect(page.locator(".decision .chosen")).to_contain_text("GB-LON")
    await expect(page.get_by_text("not enough of B")).to_be_visible()


async def test_the_keyboard_leads_through_a_list_and_to_the_search(desk_of: DeskOf) -> None:
    desk = await desk_of()
    page = await desk.go("/orders")
    for _ in range(3):
        await page.keyboard.press("j")
    await page.keyboard.press("k")
    focused = page.locator("tbody tr").nth(1).locator("a")
    await expect(focused).to_be_focused()
    await page.keyboard.press("/")
    await expect(page.locator("#q")).to_be_focused()
    await page.keyboard.type("W-1001j")
    await expect(page.locator("#q")).to_have_value("W-1001j")
    await page.fill("#q", "W-1001")
    await page.keyboard.press("Enter")
    await expect(page).to_have_url(f"{desk.house.url}/orders/{ident('W-1001')}")


async def test_the_first_key_leads_past_the_menus(desk_of: DeskOf) -> None:
    page = await (await desk_of()).go("/orders")
    await page.keyboard.press("Tab")
    await expect(page.locator(".skip")).to_be_focused()
    await page.keyboard.press("Enter")
    await expect(page.locator("main")).to_be_focused()


async def test_language_theme_and_zone_are_chosen_and_kept(desk_of: DeskOf) -> None:
    desk = await desk_of()
    page = await desk.go(f"/orders/{ident('W-1001')}")
    await page.click(".me summary")
    await page.get_by_role("button", name="中文").click()
    await expect(page.locator("h2").first).to_have_text("明细与金额")
    await page.click(".me summary")
    await page.get_by_role("button", name="深色").click()
    assert await page.evaluate("getComputedStyle(document.body).backgroundColor") == "rgb(18, 21, 23)"
    await page.click(".me summary")
    await page.select_option("[name=zone]", "Asia/Shanghai")
    await page.get_by_role("button", name="确定").click()
    await expect(page.locator(".station-time").first).to_contain_text("2026年3月2日 17:00")
    assert desk.trouble == []


async def test_figures_move_by_themselves(desk_of: DeskOf, house: House) -> None:
    desk = await desk_of()
    page = await desk.go("/")
    tile = page.locator(".tile", has_text="Orders").first.locator(".tile-text")
    before = int(await tile.inner_text())
    await house.outside.buy("W-2001", a=1)
    await expect(tile).to_have_text(str(before + 1), timeout=20_000)
    assert desk.trouble == []


async def test_holds_are_answered_one_by_one_and_together(desk_of: DeskOf, house: House) -> None:
    desk = await desk_of()
    page = await desk.go(f"/orders/{ident('W-1005')}")
    await page.fill(".hold [name=note]", "called the buyer")
    await page.get_by_role("button", name="Let it go on").click()
    await expect(page.get_by_role("status")).to_contain_text("The hold is resolved")
    await expect(page.locator(".hold").first).to_contain_text("Closed by ann")
    await expect(page.locator(".hold").first).to_contain_text("called the buyer")
    await house.outside.system.calm()
    assert await house.outside.state("W-1005") != "on_hold"

    page = await desk.go("/holds?code=BUYER_NOTE")
    boxes = page.locator("[name=hold]")
    assert await boxes.count() == 3
    await page.get_by_label("All on this page").check()
    await boxes.first.uncheck()
    await page.get_by_role("button", name="Let it go on").click()
    await expect(page.get_by_role("status")).to_contain_text("2 holds resolved")
    await expect(page.locator("[name=hold]")).to_have_count(1)
    await page.locator("[name=hold]").check()
    await page.get_by_role("button", name="Reject and cancel").click()
    await expect(page.get_by_role("status")).to_contain_text("The hold is rejected")
    await page.get_by_role("button", name="Let it go on").count()
    assert desk.trouble == []


async def test_an_order_is_stopped_and_cancelled_by_hand(desk_of: DeskOf, house: House) -> None:
    desk = await desk_of()
    page = await desk.go(f"/orders/{ident('W-1004')}")
    await page.get_by_text("Stop this order").click()
    await page.fill("[name=reason] >> nth=0", "wrong address")
    await page.get_by_role("button", name="Stop it").click()
    await expect(page.get_by_role("status")).to_contain_text("The order is stopped")
    await expect(page.locator(".hold.open")).to_contain_text("wrong address")
    await page.get_by_text("Cancel this order").click()
    await page.locator("form[action$='/cancel'] [name=reason]").fill("asked by phone")
    await page.get_by_role("button", name="Cancel it").click()
    await expect(page.get_by_role("status")).to_contain_text("cancelled as far as")
    await house.outside.system.calm()
    assert await house.outside.state("W-1004") == "cancelled"


async def test_a_dead_letter_is_shown_replayed_and_discarded(desk_of: DeskOf, house: House) -> None:
    desk = await desk_of()
    page = await desk.go("/dead-letters")
    await page.locator(".queue a").first.click()
    await expect(page.locator("pre").first).to_contain_text("<b>no uuid</b>")
    await page.get_by_role("button", name="Apply again").click()
    await expect(page.get_by_role("status")).to_contain_text("applied again")
    await _until_dead_again(page)
    await page.locator(".queue a").first.click()
    await page.get_by_role("button", name="Discard").click()
    await expect(page.get_by_role("status")).to_contain_text("discarded")
    await expect(page.locator(".empty")).to_be_visible()
    await desk.go("/dead-letters?closed=1")
    await expect(page.locator(".queue")).to_contain_text("Discarded")


async def _until_dead_again(page: Page) -> None:
    """It cannot be read now either: the page says so once the service has tried."""
    async with asyncio.timeout(60):
        while await page.locator(".queue .badge.bad").count() == 0:
            await asyncio.sleep(0.2)
            await page.reload()


async def test_a_statement_is_handed_in_and_its_progress_shown(desk_of: DeskOf, house: House) -> None:
    desk = await desk_of("fin")
    page = await desk.go("/settlement/statements")
    await page.fill("[name=account]", "web/uk")
    await page.set_input_files(
        "[name=file]", {"name": "<b>may</b>.csv", "mimeType": "text/csv", "buffer": b"not,a,statement\n" * 40_000}
    )
    await page.get_by_role("button", name="Import").click()
    await expect(page).to_have_url(re.compile(r"/settlement/statements/[0-9a-f-]{36}$"))
    panel = page.locator(".panel").first
    await expect(panel.locator(".badge")).to_have_text("Received", timeout=60_000)
    await house.outside.system.calm()  # what is done now and then is done now
    await expect(panel.locator(".badge")).to_have_text("Refused", timeout=60_000)
    await expect(panel.locator(".notice")).to_contain_text("header_changed · Row 1")
    await expect(page.locator("h1")).to_have_text("<b>may</b>.csv")
    assert desk.trouble == []


async def test_who_lacks_the_role_is_told_which(desk_of: DeskOf) -> None:
    desk = await desk_of("vic")
    page = await desk.go("/holds")
    await expect(page.locator("[name=hold]")).to_have_count(0)
    await expect(page.locator(".side a")).to_have_count(6)
    answer = await page.goto(desk.house.url + "/dead-letters")
    assert answer is not None
    assert answer.status == 403
    await expect(page.locator("main")).to_contain_text("Operator")
    await expect(page.locator("main")).to_contain_text("Viewer")


async def test_hostile_names_stay_names(desk_of: DeskOf) -> None:
    desk = await desk_of()
    page = await desk.go(f"/orders/{ident(HOSTILE[:60])}")
    await expect(page.locator("h1")).to_have_text(HOSTILE[:60])
    await desk.go("/orders")
    await desk.go(f"/search?q={'%22%3E%3Cscript%3Ealert(1)%3C/script%3E'}")
    await page.wait_for_load_state("networkidle")
    assert await page.locator("main script").count() == 0
    assert desk.trouble == []
