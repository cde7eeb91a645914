"""The doors: what is accepted, as which events, and every way of being refused."""

import asyncio
import json
from collections.abc import Awaitable, Sequence
from datetime import timedelta
from typing import Any

import httpx
import pytest

from oms_events.codec import Record, decode
from oms_events.contracts.intake import (
    ChannelCancellationReceived,
    ChannelOrderReceived,
    ChannelPaymentReceived,
    StockReportReceived,
    TrackingScanReceived,
    WarehouseReportReceived,
)
from oms_events.testing.scenario import CollectingSink
from oms_events.values import order_id
from oms_gateway import admission
from oms_gateway.keys import Role

from .conftest import House, MakeOrder

JSON = {"content-type": "application/json"}
NDJSON = {"content-type": "application/x-ndjson"}
SHIPMENT = "0190a3c1-0000-8000-8000-000000000001"


async def post(house: House, path: str, body: object, *, role: Role = Role.CHANNEL, **options: Any) -> httpx.Response:
    content = body if isinstance(body, bytes) else json.dumps(body).encode()
    options.setdefault("auth", house.auth(role))
    options.setdefault("headers", JSON)
    return await house.client.post(path, content=content, **options)


def assert_problem(answer: httpx.Response, status: int, *words: str) -> None:
    assert answer.status_code == status, answer.text
    assert answer.headers["content-type"] == "application/problem+json"
    for word in words:
        assert word in answer.text


# --- accepted -------------------------------------------------------------------------------------------------------


async def test_an_order_becomes_an_event_before_the_answer(house: House, order: MakeOrder) -> None:
    answer = await post(house, "/v1/orders", order(), headers=JSON | {"traceparent": f"00-{'a' * 32}-{'b' * 16}-01"})
    assert answer.status_code == 202
    expected = order_id("webshop", "berlin", "A-1001")
    receipt = answer.json()
    assert receipt["id"] == str(expected)
    assert receipt["status_url"] == f"/v1/orders/{expected}"
    received = decode(house.sink.records[0])
    assert isinstance(received.event, ChannelOrderReceived)
    assert received.event.order_id == expected
    assert received.event.order.total_minor == 2990
    assert str(received.meta.id) == receipt["event_id"]
    assert received.meta.time == house.now
    assert received.meta.correlationid == receipt["event_id"]
    assert received.meta.traceparent == f"00-{'a' * 32}-{'b' * 16}-01"
    assert house.sink.records[0].key == str(expected).encode()


async def test_the_same_order_twice_is_the_same_event(house: House, order: MakeOrder) -> None:
    first = await post(house, "/v1/orders", order())
    house.advance(timedelta(days=400))
    # Another order of keys, another zone for the same instant, a default said aloud: the same document.
    again = dict(reversed(order(placed_at="2026-03-02T07:59:00Z", version=1).items()))
    second = await post(house, "/v1/orders", again)
    assert first.json() == second.json()
    changed = await post(house, "/v1/orders", order(total_minor=2991))
    assert changed.json()["id"] == first.json()["id"]
    assert changed.json()["event_id"] != first.json()["event_id"]


@pytest.mark.parametrize(
    ("path", "role", "body", "event"),
    [
        (
            "/v1/payments",
            Role.CHANNEL,
            {
                "channel": "webshop",
                "shop": "berlin",
                "channel_order_no": "A-1001",
                "payment_no": "P1",
                "currency": "EUR",
                "amount_minor": 2990,
                "paid_at": "2026-03-02T09:00:00Z",
            },
            ChannelPaymentReceived,
        ),
        (
            "/v1/cancellations",
            Role.CHANNEL,
            {
                "channel": "webshop",
                "shop": "berlin",
                "channel_order_no": "A-1001",
                "cancellation_no": "C1",
                "requested_at": "2026-03-02T09:00:00Z",
            },
            ChannelCancellationReceived,
        ),
        (
            "/v1/warehouse-reports",
            Role.WAREHOUSE,
            {
                "node": "HAM",
                "shipment_id": SHIPMENT,
                "report_no": "R1",
                "kind": "accepted",
                "occurred_at": "2026-03-02T09:00:00Z",
            },
            WarehouseReportReceived,
        ),
        (
            "/v1/stock-reports",
            Role.WAREHOUSE,
            {
                "node": "HAM",
                "sku": "MUG/red",
                "report_no": "R1",
                "kind": "movement",
                "quantity": -3,
                "occurred_at": "2026-03-02T09:00:00Z",
            },
            StockReportReceived,
        ),
        (
            "/v1/tracking-scans",
            Role.CARRIER,
            {"carrier": "dhl", "waybill_no": "W1", "status": "delivered", "occurred_at": "2026-03-02T09:00:00Z"},
            TrackingScanReceived,
        ),
    ],
)
async def test_every_door_takes_one_and_many(
    house: House, path: str, role: Role, body: dict[str, Any], event: type
) -> None:
    single = await post(house, path, body, role=role)
    assert single.status_code == 202, single.text
    batch = await post(house, f"{path}:batch", [body, body], role=role)
    assert batch.status_code == 202
    assert [item["event_id"] for item in batch.json()["items"]] == [single.json()["event_id"]] * 2
    assert [type(e) for e in house.events()] == [event] * 3
    wrong = await post(house, path, body, role=Role.VIEWER)
    assert_problem(wrong, 403, role.value, "operator", "viewer")


async def test_a_sku_with_a_slash_has_a_status_url_that_leads_there(house: House) -> None:
    body = {
        "node": "HAM",
        "sku": "MUG/red é",
        "report_no": "R1",
        "kind": "snapshot",
        "quantity": 3,
        "occurred_at": "2026-03-02T09:00:00Z",
    }
    answer = await post(house, "/v1/stock-reports", body, role=Role.WAREHOUSE)
    assert answer.json()["id"] == "MUG/red é"
    assert answer.json()["status_url"] == "/v1/stock/MUG%2Fred%20%C3%A9"


async def test_an_order_of_1114_lines(house: House, order: MakeOrder) -> None:
    lines = [{"line_no": str(n), "listing": f"L{n}", "quantity": 1, "unit_price_minor": 100} for n in range(1114)]
    answer = await post(house, "/v1/orders", order(lines=lines, total_minor=111_400))
    assert answer.status_code == 202
    (event,) = house.events()
    assert isinstance(event, ChannelOrderReceived)
    assert len(event.order.lines) == 1114


@pytest.mark.parametrize("number", ["🦄-1", "'; drop table orders; --", "<script>", "№ 5/%2e%2e", "نظام", "a" * 64])
async def test_order_numbers_are_taken_verbatim(house: House, order: MakeOrder, number: str) -> None:
    answer = await post(house, "/v1/orders", order(channel_order_no=number))
    assert answer.status_code == 202, answer.text
    (event,) = house.events()
    assert isinstance(event, ChannelOrderReceived)
    assert event.order.channel_order_no == number


async def test_a_note_may_have_lines(house: House, order: MakeOrder) -> None:
    assert (await post(house, "/v1/orders", order(buyer_note="ring twice\n\tthen wait 🙂"))).status_code == 202


# --- refused --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"colour": "red"}, ["colour", "extra_forbidden"]),
        (
            {"lines": [{"line_no": "1", "listing": "x", "quantity": 1, "unit_price_minor": 1, "qty": 2}]},
            ["lines.0.qty"],
        ),
        ({"version": "1"}, ["version", "int_type"]),
        ({"version": 1.0}, ["version", "int_type"]),
        ({"version": True}, ["version", "int_type"]),
        ({"version": 10**400}, ["version", "less_than_equal"]),
        ({"lines": [{"line_no": "1", "listing": "x", "quantity": -1, "unit_price_minor": 1}]}, ["lines.0.quantity"]),
        ({"lines": [{"line_no": "1", "listing": "x", "quantity": 0, "unit_price_minor": 1}]}, ["lines.0.quantity"]),
        ({"lines": [{"line_no": "1", "listing": "x", "quantity": 1, "unit_price_minor": 1}] * 2}, ["lines", "line_no"]),
        (
            {"lines": [{"line_no": "1", "listing": "x", "quantity": 10**6, "unit_price_minor": 10**9}]},
            ["lines", "unit_price_minor"],
        ),
        ({"lines": []}, ["lines"]),
        ({"lines": "x"}, ["lines"]),
        ({"currency": "EUX"}, ["currency", "ISO 4217"]),
        ({"currency": "eur"}, ["currency"]),
        ({"total_minor": -1}, ["total_minor"]),
        ({"total_minor": 29.9}, ["total_minor"]),
        ({"placed_at": "2026-03-02T09:00:00"}, ["placed_at", "timezone"]),
        ({"placed_at": 1767225600}, ["placed_at"]),
        ({"placed_at": "0001-01-01T00:00:00+14:00"}, ["placed_at"]),
        ({"placed_at": "9999-12-31T23:59:59-12:00"}, ["placed_at"]),
        ({"channel_order_no": "a\x00b"}, ["channel_order_no"]),
        ({"channel_order_no": "a\nb"}, ["channel_order_no"]),
        ({"channel_order_no": "x" * 65}, ["channel_order_no"]),
        ({"channel_order_no": ""}, ["channel_order_no"]),
        ({"channel_order_no": None}, ["channel_order_no"]),
        ({"channel": "web shop"}, ["channel"]),
        ({"buyer_note": "a\x00"}, ["buyer_note"]),
        ({"ship_to": {"country": "DE", "city": "\x1b[31m"}}, ["ship_to.city"]),
        ({"ship_to": {"country": "Germany"}}, ["ship_to.country"]),
        ({"delivery_tier": "yesterday"}, ["delivery_tier"]),
    ],
)
async def test_a_broken_rule_is_named(
    house: House, order: MakeOrder, changes: dict[str, Any], words: Sequence[str]
) -> None:
    answer = await post(house, "/v1/orders", order(**changes))
    assert_problem(answer, 422, *words)
    assert answer.json()["errors"][0].keys() == {"field", "rule", "detail"}
    assert house.sink.records == []


async def test_what_was_wrong_is_not_repeated(house: House, order: MakeOrder) -> None:
    answer = await post(house, "/v1/orders", order(ship_to={"country": "Anna Muster"}))
    assert "Anna" not in answer.text


@pytest.mark.parametrize(
    ("body", "status", "words"),
    [
        (b"", 400, ["line 1, column 1"]),
        (b'{"channel":\n "a",}', 400, ["line 2, column"]),
        (b"\xff\xfe", 400, ["UTF-8", "byte 1"]),
        (b"[" * 100_000, 400, ["nested"]),
        (b'{"a":' * 500 + b"1" + b"}" * 500, 422, ["nesting"]),
        (b'{"total_minor": ' + b"9" * 5000 + b"}", 400, ["digits"]),
        (b'{"total_minor": NaN}', 422, ["NaN"]),
        (b'{"total_minor": -Infinity}', 422, ["Infinity"]),
        (b'{"total_minor": 1e999}', 422, ["total_minor"]),
        (b'{"shop": "a", "shop": "b"}', 422, ["duplicate_key", "shop"]),
        (b'{"ship_to": {"city": "a", "city": "a"}}', 422, ["duplicate_key", "city"]),
        (b'{"shop": "\\ud800"}', 422, ["surrogate"]),
        (b"null", 422, ["body"]),
        (b"[]", 422, ["body"]),
        (b'"order"', 422, ["body"]),
        (b"{} {}", 400, ["Extra data"]),
    ],
)
async def test_what_is_no_order_at_all(house: House, body: bytes, status: int, words: Sequence[str]) -> None:
    assert_problem(await post(house, "/v1/orders", body), status, *words)
    batch = await post(house, "/v1/orders:batch", b"[" + body + b"]")
    assert batch.status_code in {400, 422}
    lines = await post(house, "/v1/orders:batch", body.replace(b"\n", b" "), headers=NDJSON)
    assert lines.status_code == 422


@pytest.mark.parametrize("kind", ["text/plain", "", "application/xml", "application/json; charset=utf-16"])
async def test_content_types(house: House, order: MakeOrder, kind: str) -> None:
    assert_problem(await post(house, "/v1/orders", order(), headers={"content-type": kind}), 415, "application/json")


async def test_compressed_bodies_are_not_taken(house: House, order: MakeOrder) -> None:
    answer = await post(house, "/v1/orders", order(), headers=JSON | {"content-encoding": "gzip"})
    assert_problem(answer, 415, "Content-Encoding")


async def test_lines_are_for_batches(house: House, order: MakeOrder) -> None:
    assert_problem(await post(house, "/v1/orders", order(), headers=NDJSON), 415)
    charset = {"content-type": "Application/JSON; charset=UTF-8"}
    assert (await post(house, "/v1/orders", order(), headers=charset)).status_code == 202


async def test_a_body_too_large_is_refused_by_its_declared_length(house: House) -> None:
    assert_problem(await post(house, "/v1/orders", b" " * (2 * 1024 * 1024 + 1)), 413, "2097152")
    assert_problem(await post(house, "/v1/orders:batch", b" " * (10 * 1024 * 1024 + 1)), 413, "10485760")


async def test_a_body_without_a_length_is_read_no_further_than_the_limit(house: House) -> None:
    sent = 0
    auth = house.auth(Role.CHANNEL)
    signed = next(auth.auth_flow(httpx.Request("POST", "http://gateway.test/v1/orders", content=b"")))

    async def endless() -> Any:
        nonlocal sent
        while True:
            sent += 1
            yield b" " * 65536

    headers = {name: value for name, value in signed.headers.items() if name.startswith("x-oms")}
    answer = await house.client.post("/v1/orders", content=endless(), headers=JSON | headers)
    assert_problem(answer, 413)
    assert sent <= 2 * 1024 * 1024 / 65536 + 2


async def test_an_order_too_large_for_a_record(house: House, order: MakeOrder) -> None:
    lines = [
        {
            "line_no": f"{n:04}" + "🦄" * 60,
            "listing": "🦄" * 64,
            "quantity": 1,
            "unit_price_minor": 100,
            "discount_minor": 0,
        }
        for n in range(2000)
    ]
    body = json.dumps(order(lines=lines), ensure_ascii=False).encode()
    assert len(body) < 2 * 1024 * 1024
    assert_problem(await post(house, "/v1/orders", body), 413, "900000")
    batch = await post(house, "/v1/orders:batch", b"[" + body + b"," + json.dumps(order()).encode() + b"]")
    assert [item["status"] for item in batch.json()["items"]] == ["rejected", "accepted"]


# --- batches --------------------------------------------------------------------------------------------------------


async def test_one_bad_item_does_not_stop_the_others(house: House, order: MakeOrder) -> None:
    items = [order(), order(currency="EUX"), 7, order(channel_order_no="A-1002")]
    answer = await post(house, "/v1/orders:batch", items)
    assert answer.status_code == 202
    body = answer.json()
    assert (body["accepted"], body["rejected"]) == (2, 2)
    assert [item["index"] for item in body["items"]] == [0, 1, 2, 3]
    assert [item["status"] for item in body["items"]] == ["accepted", "rejected", "rejected", "accepted"]
    assert body["items"][1]["errors"][0]["field"] == "currency"
    assert body["items"][1]["event_id"] is None
    assert len(house.sink.records) == 2
    single = await post(house, "/v1/orders", order())
    assert single.json()["event_id"] == body["items"][0]["event_id"]


async def test_all_rejected_is_422(house: House, order: MakeOrder) -> None:
    answer = await post(house, "/v1/orders:batch", [order(version=0)])
    assert answer.status_code == 422
    assert answer.json()["rejected"] == 1


@pytest.mark.parametrize("count", [0, 501])
async def test_the_size_of_a_batch(house: House, count: int) -> None:
    assert_problem(await post(house, "/v1/orders:batch", [{}] * count), 422, "1 to 500")
    assert_problem(await post(house, "/v1/orders:batch", b"{}\n" * count, headers=NDJSON), 422, "1 to 500")


async def test_a_batch_is_an_array(house: House, order: MakeOrder) -> None:
    assert_problem(await post(house, "/v1/orders:batch", order()), 422, "array")


async def test_a_batch_that_is_no_json_names_line_and_column(house: House, order: MakeOrder) -> None:
    body = json.dumps([order()], indent=1).encode()[:-2] + b",\n}"
    assert_problem(await post(house, "/v1/orders:batch", body), 400, "line", "column")


async def test_a_bad_line_is_that_items_error(house: House, order: MakeOrder) -> None:
    lines = [json.dumps(order()).encode(), b"", b'{"channel": ', json.dumps(order(version=2)).encode() + b"\r"]
    answer = await post(house, "/v1/orders:batch", b"\n".join(lines) + b"\n", headers=NDJSON)
    assert answer.status_code == 202
    items = answer.json()["items"]
    assert [item["status"] for item in items] == ["accepted", "rejected", "accepted"]
    assert items[1]["errors"][0]["field"] == "line 3"
    assert "column" in items[1]["errors"][0]["detail"]


async def test_a_flood_of_empty_lines(house: House) -> None:
    assert_problem(await post(house, "/v1/orders:batch", b"\n" * 1_000_000, headers=NDJSON), 422, "1 to 500")


# --- who ------------------------------------------------------------------------------------------------------------


async def test_a_key_speaks_for_its_own_shops(house: House, order: MakeOrder) -> None:
    auth = house.auth(Role.CHANNEL, shops=["webshop/*"])
    assert (await post(house, "/v1/orders", order(), auth=auth)).status_code == 202
    assert_problem(await post(house, "/v1/orders", order(channel="other"), auth=auth), 403, "shop")
    batch = await post(house, "/v1/orders:batch", [order(channel="other"), order()], auth=auth)
    assert [item["status"] for item in batch.json()["items"]] == ["rejected", "accepted"]
    assert batch.json()["items"][0]["errors"][0]["rule"] == "scope"


async def test_a_warehouse_speaks_for_its_own_nodes(house: House) -> None:
    auth = house.auth(Role.WAREHOUSE, nodes=["HAM"])
    body = {
        "node": "LYS",
        "sku": "A",
        "report_no": "R1",
        "kind": "snapshot",
        "quantity": 1,
        "occurred_at": "2026-03-02T09:00:00Z",
    }
    assert_problem(await post(house, "/v1/stock-reports", body, auth=auth), 403, "node")
    assert (await post(house, "/v1/stock-reports", body | {"node": "HAM"}, auth=auth)).status_code == 202


async def test_an_idempotency_key_stands_for_one_body(house: House, order: MakeOrder) -> None:
    auth, headers = house.auth(Role.CHANNEL), JSON | {"idempotency-key": "k1"}
    refused = await post(house, "/v1/orders", order(version=0), auth=auth, headers=headers)
    assert refused.status_code == 422
    first = await post(house, "/v1/orders", order(), auth=auth, headers=headers)
    again = await post(house, "/v1/orders", order(), auth=auth, headers=headers)
    assert (first.status_code, first.content) == (again.status_code, again.content)
    other = await post(house, "/v1/orders", order(version=2), auth=auth, headers=headers)
    assert_problem(other, 409, "Idempotency-Key")
    someone_else = await post(house, "/v1/orders", order(version=2), headers=headers)
    assert someone_else.status_code == 202


async def test_a_batch_of_n_costs_n_tokens(house: House, order: MakeOrder) -> None:
    auth = house.auth(Role.CHANNEL, rate_per_s=0.5, burst=5)
    first = await post(house, "/v1/orders:batch", [order()] * 4, auth=auth)
    assert first.headers["ratelimit-policy"] == '"items";q=5;w=10'
    assert first.headers["ratelimit"].startswith('"items";r=1;')
    refused = await post(house, "/v1/orders:batch", [order()] * 2, auth=auth)
    assert_problem(refused, 429, "0.5 items a second")
    assert int(refused.headers["retry-after"]) >= 1
    assert (await post(house, "/v1/orders", order(), auth=auth)).status_code == 202
    assert (await post(house, "/v1/orders", order(), auth=auth)).status_code == 429


# --- signatures -----------------------------------------------------------------------------------------------------


async def test_without_headers(house: House) -> None:
    answer = await house.client.post("/v1/orders", content=b"{}", headers=JSON)
    assert_problem(answer, 401, "X-OMS-Key")
    assert answer.headers["www-authenticate"] == "OMS-HMAC-SHA256"


@pytest.mark.parametrize(("seconds", "status"), [(-301, 401), (-299, 202), (299, 202), (301, 401)])
async def test_the_window_of_five_minutes(house: House, order: MakeOrder, seconds: int, status: int) -> None:
    auth = house.auth(Role.CHANNEL)
    signed_at = house.now.timestamp() + seconds
    auth._clock = lambda: signed_at
    answer = await post(house, "/v1/orders", order(), auth=auth)
    assert answer.status_code == status
    if status == 401:
        assert_problem(answer, 401, "X-OMS-Timestamp")


@pytest.mark.parametrize("timestamp", ["", "now", "1.5", "-1", "9" * 400, "١٢٣"])
async def test_a_timestamp_that_is_none(house: House, timestamp: str) -> None:
    headers = JSON | {"x-oms-key": "k", "x-oms-signature": "s"}
    raw = [(name.encode(), value.encode()) for name, value in headers.items()] + [
        (b"x-oms-timestamp", timestamp.encode())
    ]
    answer = await house.client.post("/v1/orders", content=b"{}", headers=raw)
    assert_problem(answer, 401, "X-OMS-Timestamp")


async def test_an_unknown_key_and_a_wrong_signature_look_alike(house: House, order: MakeOrder) -> None:
    auth = house.auth(Role.CHANNEL)
    wrong, unknown = house.auth(Role.CHANNEL), house.auth(Role.CHANNEL)
    wrong._secret = "0" * 64
    unknown._key = "omk_unknown"
    answers = [await post(house, "/v1/orders", order(), auth=a) for a in (wrong, unknown)]
    assert_problem(answers[0], 401)
    assert answers[0].content == answers[1].content
    odd = await house.client.post(
        "/v1/orders",
        content=b"{}",
        headers=[
            (b"content-type", b"application/json"),
            (b"x-oms-key", auth._key.encode()),
            (b"x-oms-timestamp", str(int(house.now.timestamp())).encode()),
            (b"x-oms-signature", b"v1=\xff\xfe"),
        ],
    )
    assert_problem(odd, 401)


async def test_a_signature_is_for_one_body_and_one_target(house: House, order: MakeOrder) -> None:
    auth = house.auth(Role.CHANNEL)
    request = house.client.build_request("POST", "/v1/orders", json=order())
    signed = next(auth.auth_flow(request))
    headers = {name: value for name, value in signed.headers.items() if name.startswith("x-oms")} | JSON
    assert_problem(await house.client.post("/v1/orders", json=order(version=2), headers=headers), 401)
    assert_problem(await house.client.post("/v1/orders?x=1", json=order(), headers=headers), 401)
    assert (await house.client.send(signed)).status_code == 202


async def test_a_stranger_cannot_make_us_read_a_body(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    async def unread(*_: object) -> bytes:
        raise AssertionError("the body was read")

    monkeypatch.setattr(admission, "read_body", unread)
    headers = {
        "x-oms-key": "omk_nobody",
        "x-oms-timestamp": str(int(house.now.timestamp())),
        "x-oms-signature": "v1=0",
    }
    assert_problem(await house.client.post("/v1/orders", content=b"{}", headers=JSON | headers), 401)


# --- the broker -----------------------------------------------------------------------------------------------------


class GatedSink(CollectingSink):
    """Takes records and acknowledges when told."""

    def __init__(self) -> None:
        super().__init__()
        self.gate = asyncio.Event()
        self.taken = asyncio.Event()
        self.groups: list[int] = []
        self.error: Exception | None = None

    async def send(self, records: Sequence[Record]) -> Awaitable[None]:
        if self.error is not None:
            raise self.error
        self.groups.append(len(records))
        self.records.extend(records)
        self.taken.set()
        return asyncio.ensure_future(self._acknowledged())

    async def _acknowledged(self) -> None:
        await self.gate.wait()


class TestBroker:
    @pytest.fixture
    def sink(self) -> GatedSink:
        return GatedSink()

    async def test_no_answer_before_the_ack(self, house: House, sink: GatedSink, order: MakeOrder) -> None:
        asking = asyncio.create_task(post(house, "/v1/orders", order()))
        await sink.taken.wait()
        assert not asking.done()
        sink.gate.set()
        assert (await asking).status_code == 202

    async def test_a_broker_that_does_not_answer_is_503(self, house: House, order: MakeOrder) -> None:
        answer = await post(house, "/v1/orders", order())
        assert_problem(answer, 503, "harmless")
        assert answer.headers["retry-after"] == "2"

    async def test_a_broker_that_refuses_is_503_and_the_next_is_tried(
        self, house: House, sink: GatedSink, order: MakeOrder
    ) -> None:
        sink.error = ConnectionError("gone")
        assert_problem(await post(house, "/v1/orders", order()), 503)
        sink.error = None
        sink.gate.set()
        assert (await post(house, "/v1/orders", order())).status_code == 202

    async def test_what_waits_for_the_broker_is_bounded(self, house: House, sink: GatedSink, order: MakeOrder) -> None:
        note = order(buyer_note="x" * 1000)
        batch = json.dumps([note] * 500).encode()
        auth = house.auth(Role.CHANNEL)
        answers = await asyncio.gather(*(post(house, "/v1/orders:batch", batch, auth=auth) for _ in range(6)))
        assert {answer.status_code for answer in answers} == {503}
        assert any("too much waits" in answer.text for answer in answers)
        sink.gate.set()
        assert (await post(house, "/v1/orders", order())).status_code == 202
        assert house.gateway._appender._waiting_bytes == 0
