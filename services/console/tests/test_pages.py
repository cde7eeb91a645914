"""Pages over a gateway that plays back what a real one answered: what they show, refuse, and do without."""

import html
import json
import re
from pathlib import Path
from typing import Any

import httpx
import pytest

from oms_console.throttle import FREE_FAILURES, Throttle

from .fake import PASSWORD, Client, PlayedBack, started_console

PATHS = (
    "/",
    "/overview/figures",
    "/orders",
    "/orders/{order}",
    "/holds",
    "/stock",
    "/stock/{sku}",
    "/settlement",
    "/settlement/differences",
    "/settlement/statements",
    "/settlement/books",
    "/profit",
    "/dead-letters",
    "/search",
)
PROTECTED = [path for path in PATHS if "{" not in path]


def shown(answer: httpx.Response) -> str:
    """The text of a page."""
    return html.unescape(re.sub(r"<[^>]+>", " ", answer.text))


@pytest.mark.parametrize("language", ["en", "zh"])
@pytest.mark.parametrize("path", PATHS)
async def test_every_page_is_made_of_what_was_recorded(
    client: Client, recorded: dict[str, Any], path: str, language: str
) -> None:
    client.http.headers["accept-language"] = language
    await client.enter("ann")
    answer = await client.get(path.format(**{name: recorded[name] for name in ("order", "sku")}))
    assert answer.status_code == 200
    assert not re.search(r'\sstyle="|<script(?! src="/static/)|\son\w+="', answer.text), "the policy allows none of it"
    if "figures" not in path:
        assert f'lang="{"zh-CN" if language == "zh" else "en-GB"}"' in answer.text


async def test_an_order_shows_money_as_the_gateway_told_it(client: Client, recorded: dict[str, Any]) -> None:
    order = recorded["answers"][f"GET /v1/orders/{recorded['order']}"]["content"]
    await client.enter("vic")
    text = shown(await client.get(f"/orders/{recorded['order']}"))
    assert order["channel_order_no"] in text
    assert f"£{order['total_minor'] // 100:,}.{order['total_minor'] % 100:02d}" in text
    for line in order["lines"]:
        assert line["sku"] in text


async def test_headers_leave_a_hostile_text_no_way_out(client: Client) -> None:
    await client.enter("vic")
    for path in ("/orders", "/nowhere", "/static/console.css", "/livez"):
        headers = (await client.get(path)).headers
        assert "default-src 'none'" in headers["content-security-policy"]
        assert "unsafe" not in headers["content-security-policy"]
        assert headers["x-content-type-options"] == "nosniff"
        assert headers["referrer-policy"] == "no-referrer"
        assert re.match(r"total;dur=[\d.]+, gateway;dur=", headers["server-timing"])
    assert (await client.get("/orders")).headers["cache-control"] == "no-store"
    assert "immutable" in (await client.get("/static/console.css")).headers["cache-control"]


HOSTILE = "\"><script>alert(1)</script>'{{7*7}}"


async def test_hostile_texts_are_escaped_everywhere(
    client: Client, gateway: PlayedBack, recorded: dict[str, Any]
) -> None:
    """Every text of every answer is replaced by one that would be code, where a page lets it be anything."""

    def spoiled(content: Any, name: str = "") -> Any:
        if isinstance(content, dict):
            return {key: spoiled(value, key) for key, value in content.items()}
        if isinstance(content, list):
            return [spoiled(item, name) for item in content]
        free = isinstance(content, str) and not name.endswith(("_at", "currency", "_id", "at", "day"))
        return HOSTILE if free else content

    gateway.answers = {
        question: {**answer, "content": spoiled(answer["content"])} for question, answer in gateway.answers.items()
    }
    await client.enter("ann")
    for path in PATHS:
        answer = await client.get(path.format(**{name: recorded[name] for name in ("order", "sku")}))
        assert answer.status_code == 200, path
        assert "<script>alert" not in answer.text, path
        assert "49" not in shown(answer).replace("7*7", "") or "{{7*7}}" in shown(answer), path


@pytest.mark.parametrize("path", PROTECTED)
async def test_without_a_session_there_is_only_the_way_in(client: Client, gateway: PlayedBack, path: str) -> None:
    answer = await client.get(path)
    assert answer.status_code == 303
    assert answer.headers["location"].startswith("/sign-in?next=")
    assert gateway.asked == []


async def test_a_script_without_a_session_is_told_so(client: Client) -> None:
    assert (await client.get("/overview/figures", **{"x-fragment": "1"})).status_code == 401


async def test_signing_in_leads_to_where_one_wanted_and_nowhere_else(client: Client) -> None:
    answer = await client.sign_in("ann", next_="/orders?state=on_hold")
    assert (answer.status_code, answer.headers["location"]) == (303, "/orders?state=on_hold")
    assert "HttpOnly" in answer.headers["set-cookie"]
    assert "SameSite=lax" in answer.headers["set-cookie"]
    assert (await client.sign_in("ann", next_="https://evil.example/")).headers["location"] == "/"


async def test_over_tls_cookies_are_bound_to_the_host(tmp_path: Path, gateway: PlayedBack) -> None:
    async with started_console(tmp_path, httpx.MockTransport(gateway), console_secure_cookies=True) as client:
        answer = await client.get("/sign-in")
    assert answer.headers["set-cookie"].startswith("__Host-oms-console-session=")
    assert "Secure" in answer.headers["set-cookie"]
    assert "Domain" not in answer.headers["set-cookie"]
    assert "strict-transport-security" in answer.headers


@pytest.mark.parametrize(("name", "password"), [("ann", "wrong"), ("nobody", PASSWORD), ("", ""), ("ann", "x" * 5000)])
async def test_a_wrong_name_and_a_wrong_password_look_the_same(client: Client, name: str, password: str) -> None:
    answer = await client.sign_in(name, password)
    assert answer.status_code == 401
    assert "Name or password is wrong" in shown(answer)
    assert (await client.get("/orders")).status_code == 303


async def test_guessing_is_slowed_down_even_for_the_right_password(client: Client) -> None:
    client.console.throttle = Throttle(monotonic=lambda: 0.0)  # however long the hashes take
    for _ in range(FREE_FAILURES):
        assert (await client.sign_in("ann", "wrong")).status_code == 401
    answer = await client.sign_in("ann")
    assert answer.status_code == 429
    assert int(answer.headers["retry-after"]) >= 1


async def test_a_session_planted_before_signing_in_is_not_the_one_after_it(client: Client) -> None:
    await client.get("/sign-in")
    before = client.http.cookies["oms-console-session"]
    await client.sign_in("ann")
    after = client.http.cookies["oms-console-session"]
    read = client.console.seal.read
    assert read(before)[0].sid != read(after)[0].sid


async def test_another_password_and_removal_end_a_session(client: Client) -> None:
    await client.enter("ann")
    assert (await client.get("/orders")).status_code == 200
    ann = client.console.users.find("ann")
    assert ann is not None
    client.console.users._users["ann"] = ann.model_copy(update={"password": ann.password[:-4] + "abc="})
    answer = await client.get("/orders")
    assert (answer.status_code, "ended=1" in answer.headers["location"]) == (303, True)


async def test_signing_out_ends_it(client: Client) -> None:
    await client.enter("ann")
    assert (await client.post("/sign-out")).status_code == 303
    assert (await client.get("/orders")).status_code == 303


FORMS = [
    ("/holds", {"hold": "x", "outcome": "resolved"}),
    ("/dead-letters/orders/1", {"action": "replay"}),
    ("/settlement/statements", {}),
    ("/sign-out", {}),
    ("/taste", {"theme": "dark"}),
]


@pytest.mark.parametrize(("path", "fields"), FORMS)
async def test_a_form_without_our_token_changes_nothing(
    client: Client, gateway: PlayedBack, path: str, fields: dict[str, str]
) -> None:
    await client.enter("ann")
    gateway.asked.clear()
    for token in ({}, {"token": ""}, {"token": "0" * 64}):
        answer = await client.http.post(path, data={**fields, **token})
        assert answer.status_code == 403
        assert "Nothing was changed" in shown(answer)
    elsewhere = await client.http.post(path, data=fields, headers={"sec-fetch-site": "cross-site"})
    assert elsewhere.status_code == 403
    assert gateway.asked == []


@pytest.mark.parametrize(
    ("name", "method", "path", "role"),
    [
        ("vic", "GET", "/dead-letters", "Operator"),
        ("fin", "GET", "/dead-letters/orders/1", "Operator"),
        ("vic", "POST", "/holds", "Operator"),
        ("vic", "POST", "/settlement/statements", "Finance"),
        ("fin", "POST", "/dead-letters/orders/1", "Operator"),
    ],
)
async def test_who_lacks_the_role_is_told_which_and_the_gateway_is_not_asked(  # noqa: PLR0917 - fixtures and cases
    client: Client, gateway: PlayedBack, name: str, method: str, path: str, role: str
) -> None:
    await client.enter(name)
    gateway.asked.clear()
    answer = await (client.get(path) if method == "GET" else client.post(path))
    assert answer.status_code == 403
    assert f"needs the role “{role}”" in shown(answer)
    assert [asked.url.path for asked in gateway.asked] == []


async def test_each_role_has_its_own_key_at_the_gateway(client: Client, gateway: PlayedBack) -> None:
    for name, key in (("vic", "key of viewer"), ("fin", "key of finance"), ("ann", "key of operator")):
        await client.enter(name)
        gateway.asked.clear()
        await client.get("/orders")
        assert {asked.headers["x-oms-key"] for asked in gateway.asked} == {key}


async def test_holds_are_answered_each_by_itself(client: Client, gateway: PlayedBack) -> None:
    refusal = httpx.Response(422, json={"detail": "this hold ends by itself", "errors": []})
    gateway.instead = {"POST /v1/holds/bad:resolve": refusal, "POST /v1/holds/": httpx.Response(200, json={})}
    await client.enter("ann")
    gateway.asked.clear()
    answer = await client.post("/holds", hold=["a", "bad", "c", "a"], outcome="resolved", note=" seen ", back="/holds")
    assert answer.headers["location"] == "/holds"
    posted = [json.loads(asked.content) for asked in gateway.asked if asked.method == "POST"]
    assert posted == [{"outcome": "resolved", "by": "ann", "note": "seen"}] * 3
    assert "2 done, 1 refused: this hold ends by itself" in shown(await client.get("/holds"))
    assert "2 done" not in shown(await client.get("/holds")), "a notice is shown once"


@pytest.mark.parametrize(
    ("code", "said"), [("NO_ROUTE", '<p class="words" lang="en">'), ("CUSTOM", '<p class="words">')]
)
async def test_why_an_order_is_held_is_said_in_the_language_in_which_it_was_written(
    client: Client, gateway: PlayedBack, recorded: dict[str, Any], code: str, said: str
) -> None:
    (asked,) = [asked for asked in recorded["answers"] if asked.startswith("GET /v1/holds?")]
    hold = recorded["answers"][asked]["content"]["items"][0] | {"code": code, "reason": "why it waits"}
    gateway.instead = {"GET /v1/holds?": httpx.Response(200, json={"items": [hold], "next_cursor": None})}
    client.http.headers["accept-language"] = "zh"
    await client.enter("ann")
    assert f"{said}why it waits</p>" in (await client.get("/holds")).text


async def test_a_statement_is_handed_on_as_it_is_and_signed_over_its_hash(client: Client, gateway: PlayedBack) -> None:
    receipt = {"id": "6f1c2a8e-0000-8000-8000-000000000001", "event_id": "e", "status_url": "/v1/statements/x"}
    gateway.instead = {"POST /v1/statements": httpx.Response(202, json=receipt)}
    await client.enter("fin")
    content = b"order,amount\n" * 100_000
    token = re.search(r'name="token" value="(\w+)"', (await client.get("/search")).text)
    assert token is not None
    fields = {"token": token[1], "account": "web/uk", "format": "canonical"}
    answer = await client.http.post("/settlement/statements", data=fields, files={"file": ("may\n.csv", content)})
    assert answer.headers["location"] == f"/settlement/statements/{receipt['id']}"
    (asked,) = [asked for asked in gateway.asked if asked.method == "POST"]
    assert asked.content == content
    assert dict(asked.url.params)["channel"] == "web"
    assert asked.headers["x-oms-key"] == "key of finance"
    assert int(asked.headers["content-length"]) == len(content)


async def test_a_form_that_is_too_large_is_not_read(tmp_path: Path, gateway: PlayedBack) -> None:
    async with started_console(tmp_path, httpx.MockTransport(gateway), console_upload_bytes=10_000) as client:
        await client.enter("fin")
        answer = await client.http.post("/settlement/statements", files={"file": ("a", b"x" * 20_000)})
        assert answer.status_code == 413
        assert (await client.http.post("/taste", content=b"x" * 300_000)).status_code == 413


@pytest.mark.parametrize(
    ("beginning", "path", "text"),
    [
        ("GET /v1/decisions", "/orders/{order}", "Not available for the moment"),
        ("GET /v1/parcels", "/orders/{order}", "Not available for the moment"),
        ("GET /v1/profit", "/", "Not available for the moment: profit"),
        ("GET /v1/movements", "/stock/{sku}", "Not available for the moment"),
        ("GET /v1/services/catalog/dead-letters", "/dead-letters", "Not available for the moment: catalog"),
    ],
)
async def test_a_service_that_is_down_leaves_a_gap_and_the_rest_stands(  # noqa: PLR0917 - fixtures and cases
    client: Client, gateway: PlayedBack, recorded: dict[str, Any], beginning: str, path: str, text: str
) -> None:
    gateway.instead = {beginning: httpx.Response(503, json={"detail": "the service does not answer", "errors": []})}
    await client.enter("ann")
    answer = await client.get(path.format(**{name: recorded[name] for name in ("order", "sku")}))
    assert answer.status_code == 200
    assert text in shown(answer)


@pytest.mark.parametrize(
    ("instead", "status", "text"),
    [
        (httpx.Response(503, json={"detail": "the service orders does not answer"}), 503, "orders does not answer"),
        (httpx.ConnectError("no"), 503, "Nothing is lost"),
        (httpx.Response(500, text="<html>"), 503, "no JSON"),
        (httpx.Response(404, json={"detail": "order x does not exist"}), 404, "Not found"),
        (httpx.Response(403, json={"detail": "role: no"}), 403, "does not allow"),
        (httpx.Response(401, json={"detail": "unknown key"}), 422, "unknown key"),
    ],
)
async def test_what_the_gateway_refuses_is_said(
    client: Client, gateway: PlayedBack, instead: httpx.Response | Exception, status: int, text: str
) -> None:
    gateway.instead = {"GET /v1/orders": instead}
    await client.enter("ann")
    answer = await client.get("/orders")
    assert answer.status_code == status
    assert text in shown(answer)


DIFFERENCE = {
    "difference_id": "0b0f2a0e-0000-4000-8000-000000000001",
    "account": "web/uk",
    "order_id": None,
    "order_no": "A-1",
    "statement_id": None,
    "currency": "GBP",
    "component": "goods",
    "reason": "SHORT_PAID",
    "expected_minor": 300000,
    "settled_minor": 50000,
    "difference_minor": -250000,
    "detail": "",
    "state": "open",
    "opened_at": "2026-03-02T09:00:00Z",
    "closed_at": None,
    "closed_by": None,
    "note": None,
    "write_offs": [],
}


def beyond(rule: str) -> dict[str, Any]:
    broken = {"field": "limit", "rule": f"finance.{rule}@3", "detail": "250000 is above 100000"}
    return {"detail": f"limit {broken['rule']}: {broken['detail']}", "errors": [broken]}


@pytest.mark.parametrize(
    ("refusal", "found", "language", "said"),
    [
        ((403, beyond("per_difference_minor")), {}, "en", "This is £2,500.00. As Finance you may write off up to £1,0"),
        ((403, beyond("per_day_minor")), {}, "zh", "当日核销将达 £2,500.00，超出财务在该账户的每日上限 £1,000.00"),
        ((409, {"detail": "state"}), {"state": "resolved", "closed_by": "bob"}, "en", "already: Resolved, by bob"),
        ((409, {"detail": "reason: CONFLICT holds no money"}), {}, "en", "Refused: reason: CONFLICT holds no money"),
    ],
)
async def test_a_write_off_that_is_refused_says_why_in_the_persons_words(  # noqa: PLR0917 - fixtures and cases
    client: Client,
    gateway: PlayedBack,
    refusal: tuple[int, dict[str, Any]],
    found: dict[str, Any],
    language: str,
    said: str,
) -> None:
    path = f"/v1/differences/{DIFFERENCE['difference_id']}"
    gateway.instead = {
        f"POST {path}:write-off": httpx.Response(refusal[0], json=refusal[1]),
        f"GET {path}": httpx.Response(200, json=DIFFERENCE | found),
    }
    client.http.headers["accept-language"] = language
    await client.enter("fin")
    answer = await client.post(
        f"/settlement/differences/{DIFFERENCE['difference_id']}", action="write-off", note="small"
    )
    assert answer.status_code == 303
    assert said in shown(await client.get(answer.headers["location"]))


async def test_a_mistake_of_ours_is_logged_and_not_shown(client: Client, gateway: PlayedBack) -> None:
    gateway.instead = {"GET /v1/orders": httpx.Response(200, json={"nothing": "as it should be"})}
    await client.enter("ann")
    answer = await client.get("/orders")
    assert answer.status_code == 500
    assert "KeyError" not in answer.text
    assert "default-src 'none'" in answer.headers["content-security-policy"]


async def test_filters_become_questions_in_the_persons_zone(client: Client, gateway: PlayedBack) -> None:
    await client.enter("ann")
    await client.post("/taste", zone="Asia/Shanghai")
    gateway.asked.clear()
    await client.get("/orders?state=on_hold&from=2026-03-01&to=2026-03-01&shop=uk&cursor=abc&channel=")
    (asked,) = gateway.asked
    assert dict(asked.url.params) == {
        "newest_first": "true",
        "limit": "50",
        "state": "on_hold",
        "shop": "uk",
        "placed_from": "2026-03-01T00:00:00+08:00",
        "placed_until": "2026-03-02T00:00:00+08:00",
        "cursor": "abc",
    }


async def test_many_screens_ask_the_gateway_once(client: Client, gateway: PlayedBack) -> None:
    await client.enter("ann")
    gateway.asked.clear()
    for _ in range(5):
        await client.get("/overview/figures")
    questions = [asked.url.path for asked in gateway.asked]
    assert len(questions) == len(set(questions)) > 4


async def test_health_and_metrics_are_open(client: Client, gateway: PlayedBack) -> None:
    gateway.instead = {"GET /livez": httpx.Response(200, json={"live": True})}
    assert (await client.get("/livez")).json() == {"live": True}
    assert (await client.get("/readyz")).json() == {"ready": True, "reason": None}
    gateway.instead = {"GET /livez": httpx.ConnectError("no")}
    assert (await client.get("/readyz")).status_code == 503
    await client.get("/sign-in")
    assert 'oms_console_answers_total{page="/sign-in",status="200"}' in (await client.get("/metrics")).text


@pytest.mark.parametrize(("asked", "counted"), [("", True), ("?channel=uci", False), ("?state=resolved", False)])
async def test_reasons_are_counted_where_the_count_is_of_what_is_listed(
    client: Client, gateway: PlayedBack, asked: str, *, counted: bool
) -> None:
    open_ones = {"differences": [{"reason": "SHORT_PAID", "differences": 3}]}
    nothing = {"items": [], "next_cursor": None}
    gateway.instead = {
        "GET /v1/services/settlement/summary": httpx.Response(200, json=open_ones),
        "GET /v1/differences": httpx.Response(200, json=nothing),
    }
    await client.enter("ann")
    page = (await client.get(f"/settlement/differences{asked}")).text
    (count,) = re.findall(r'<a href="[^"]*reason=SHORT_PAID[^"]*"[^>]*>[^<]*(<b>3)?', page)
    assert count == ("<b>3" if counted else "")
