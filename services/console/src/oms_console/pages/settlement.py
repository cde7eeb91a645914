"""Did the money come: the wallets, the statements, the differences, the books."""

import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Any
from uuid import UUID

from starlette.datastructures import UploadFile
from starlette.exceptions import HTTPException
from starlette.responses import Response

from oms_console.codes import DIFFERENCE_STATES, STATEMENT_FORMATS
from oms_console.drawing.charts import Bar, Segment, bars, segments
from oms_console.gateway import Forbidden, GatewayError, Query, Refused, or_gap, together
from oms_console.i18n import Tongue
from oms_console.roles import Role
from oms_console.sessions import Notice
from oms_console.visit import Visit, text_of

PER_PAGE = 50
_PAYOUT = "payout"
"""Money moved to the shop's bank: neither expected nor earned, and left out of what was settled."""
_SUMMED = ("expected_minor", "settled_minor", "paid_out_minor", "lines", "lines_cleared", "open", "gap_minor")
_BOOKED = ("debit_minor", "credit_minor", "balance_minor")
_FROM = {"write-off": "open", "undo-write-off": "written_off", "resolve": "open"}
"""In which state a difference must be for what can be decided of it."""
_LIMIT = re.compile(r"(?P<role>\w+)\.(?P<each>per_difference|per_day)_minor@")
_BEYOND_KEYS = {"per_difference": "notice.beyond_each", "per_day": "notice.beyond_day"}
_BEYOND = re.compile(r"(\d+) is above (\d+)")
_LINES_SHOWN = 100
_STATEMENTS_SHOWN = 8


async def show(visit: Visit) -> Response:
    """The cockpit: each wallet's expected money by what became of it, its differences, and the latest statements."""
    api = visit.api()
    found = await together(
        overview=api.get("/v1/settlement/overview"),
        statements=or_gap(api.get("/v1/statements", {"limit": _STATEMENTS_SHOWN})),
        balance=or_gap(api.get("/v1/trial-balance")),
    )
    accounts = [_account(account, visit.tongue) for account in found["overview"]["accounts"]]
    return visit.show(
        "settlement.html",
        totals=_totals(accounts),
        different=sorted((one for one in accounts if one["open"]), key=lambda one: one["gap_minor"], reverse=True),
        clear=[one for one in accounts if not one["open"]],
        statements=found["statements"],
        balance=found["balance"],
    )


def _account(account: Mapping[str, Any], tongue: Tongue) -> dict[str, Any]:
    """A wallet with its picture: what is expected, by what became of it. Amounts are signed, and add up to what is
    expected; a bar shows how much, whichever way it flows."""
    different = sum(reason["expected_minor"] for reason in account["differences"])
    parts = (
        ("matched", account["matched_minor"], "done"),
        ("different", different, "hold"),
        ("not_due", account["not_due_minor"], "go1"),
    )
    currency = account["currency"]
    paid_out = -sum(row["settled_minor"] for row in account["components"] if row["component"] == _PAYOUT)
    return {
        **account,
        "settled_minor": account["settled_minor"] + paid_out,
        "paid_out_minor": paid_out,
        "parts": segments([(key, abs(minor), tongue.money(minor, currency), tone) for key, minor, tone in parts]),
        "reasons": _reasons(account, tongue),
        "open": sum(reason["differences"] for reason in account["differences"]),
        "gap_minor": sum(abs(reason["difference_minor"]) for reason in account["differences"]),
    }


def _totals(accounts: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """All wallets of a currency together."""
    totals = []
    for currency in sorted({account["currency"] for account in accounts}):
        ours = [account for account in accounts if account["currency"] == currency]
        summed = {name: sum(account[name] for account in ours) for name in _SUMMED}
        share = summed["lines_cleared"] / summed["lines"] if summed["lines"] else None
        totals.append({**summed, "currency": currency, "clear_rate": share})
    return totals


def _reasons(account: Mapping[str, Any], tongue: Tongue) -> list[Bar]:
    rows = sorted(account["differences"], key=lambda reason: -abs(reason["difference_minor"]))
    return bars((row["reason"], row["difference_minor"], _told(row, account["currency"], tongue)) for row in rows)


def _told(reason: Mapping[str, Any], currency: str, tongue: Tongue) -> str:
    count = tongue.say("settlement.differ", count=reason["differences"])
    return f"{count} · {tongue.money(reason['difference_minor'], currency)}"


async def differences(visit: Visit) -> Response:
    """Differences, by reason, wallet and state."""
    asked = {
        "state": visit.query("state", "open"),
        "reason": visit.query("reason"),
        "channel": visit.query("channel"),
        "shop": visit.query("shop"),
    }
    api = visit.api()
    found = await together(
        page=api.get("/v1/differences", {**asked, "limit": PER_PAGE, "cursor": visit.query("cursor")}),
        summary=or_gap(api.get("/v1/services/settlement/summary")),
    )
    page = found["page"]
    return visit.show(
        "differences.html",
        rows=page["items"],
        asked=asked,
        counts=_counts(found["summary"], asked),
        states=DIFFERENCE_STATES,
        following=page["next_cursor"] and visit.address("/settlement/differences", **asked, cursor=page["next_cursor"]),
    )


def _counts(summary: Any, asked: Mapping[str, str]) -> list[tuple[str, int | None]]:  # noqa: ANN401 - an answer, or a gap
    """Reasons, with how many are open of each. They are counted over all wallets: for one the number would mislead."""
    counted = asked["state"] == "open" and not asked["channel"] and not asked["shop"]
    rows = summary["differences"] if summary else []
    return [(row["reason"], row["differences"] if counted else None) for row in rows]


async def difference(visit: Visit) -> Response:
    """One difference, what was decided of it, and the forms to decide."""
    row = await visit.api().get(f"/v1/differences/{visit.part('difference_id')}")
    return visit.show("difference.html", row=row, may=_deciding(visit) is not None)


async def decide(visit: Visit) -> Response:
    """Write it off or take that back, or say that it is resolved."""
    form = await visit.form()
    difference_id, action = visit.part("difference_id"), text_of(form, "action")
    if action not in _FROM:
        raise HTTPException(400)
    here = f"/settlement/differences/{difference_id}"
    body = {"note": f"{visit.name}: {text_of(form, 'note', longest=400)}"}
    try:
        await visit.api(_deciding(visit) or Role.OPERATOR).post(f"/v1/differences/{difference_id}:{action}", body)
    except (Refused, Forbidden) as error:
        return visit.go(here, await _why_not(visit, difference_id, action, error))
    return visit.go(here, Notice(key=f"notice.{action}"))


async def _why_not(visit: Visit, difference_id: str, action: str, error: GatewayError) -> Notice:
    """The refusal in the person's words where it is one of the two that happen: beyond a limit, or too late."""
    row = await visit.api().get(f"/v1/differences/{difference_id}")
    for broken in error.errors:
        rule, said = _LIMIT.match(broken.rule), _BEYOND.fullmatch(broken.detail)
        if rule and said:
            amount, most = (visit.tongue.money(int(minor), row["currency"]) for minor in said.groups())
            values = {"role": visit.tongue.word("role", rule["role"]), "most": most, "amount": amount}
            return Notice(key=_BEYOND_KEYS[rule["each"]], tone="bad", values=values)
    if row["state"] != _FROM[action]:
        values = {"state": visit.tongue.word("difference", row["state"]), "by": row["closed_by"] or "–"}
        return Notice(key="notice.too_late", tone="warn", values=values)
    return Notice(key="notice.refused", tone="bad", values={"detail": error.detail})


def _deciding(visit: Visit) -> Role | None:
    """The role in which a person may decide about a difference: finance goes further than an operator may."""
    return next((role for role in (Role.FINANCE, Role.OPERATOR) if visit.may(role)), None)


async def statements(visit: Visit) -> Response:
    """All statements, newest first."""
    api, state = visit.api(), visit.query("state")
    page = await api.get("/v1/statements", {"state": state, "limit": PER_PAGE, "cursor": visit.query("cursor")})
    return visit.show(
        "statements.html",
        statements=page["items"],
        following=page["next_cursor"]
        and visit.address("/settlement/statements", state=state, cursor=page["next_cursor"]),
        formats=STATEMENT_FORMATS,
        may_import=visit.may(Role.FINANCE),
    )


async def import_statement(visit: Visit) -> Response:
    """Hand a file on to the gateway. It is read as it comes, kept on disk, and never whole in memory."""
    form = await visit.form(largest_bytes=visit.console.settings.console_upload_bytes)
    file = form.get("file")
    channel, _, shop = text_of(form, "account").partition("/")
    asked = {"channel": channel.strip(), "shop": shop.strip(), "format": text_of(form, "format")}
    if not isinstance(file, UploadFile) or not file.size or not all(asked.values()):
        return visit.go("/settlement/statements", Notice(key="notice.no_file", tone="warn"))
    name = "".join(character for character in (file.filename or "") if character.isprintable())[:255]
    try:
        receipt = await visit.api(Role.FINANCE).upload("/v1/statements", {**asked, "file_name": name}, file.file)
    except Refused as error:
        return visit.go(
            "/settlement/statements", Notice(key="notice.refused", tone="bad", values={"detail": error.detail})
        )
    return visit.go(f"/settlement/statements/{receipt['id']}", Notice(key="notice.uploaded"))


async def statement(visit: Visit) -> Response:
    """One statement and its lines; while it is worked on, how far it is."""
    api, statement_id = visit.api(), UUID(visit.part("statement_id"))
    order_no = visit.query("order_no")
    asked: Query = {"limit": _LINES_SHOWN, "cursor": visit.query("cursor"), "order_no": order_no}
    path = f"/v1/statements/{statement_id}"
    found = await together(statement=or_gap(api.get(path)), lines=or_gap(api.get(f"{path}/lines", asked)))
    here, lines = f"/settlement/statements/{statement_id}", found["lines"]
    cursor = lines and lines["next_cursor"]
    return visit.show(
        "statement.html",
        statement_id=statement_id,
        statement=found["statement"],
        progress=progress(found["statement"], visit.tongue),
        lines=lines and lines["items"],
        order_no=order_no,
        following=cursor and visit.address(here, order_no=order_no, cursor=cursor),
    )


async def statement_progress(visit: Visit) -> Response:
    """What changes on it while it is worked on."""
    found = await or_gap(visit.api().get(f"/v1/statements/{visit.part('statement_id')}"))
    return visit.fragment("statement_progress.html", statement=found, progress=progress(found, visit.tongue))


def progress(statement: Any, tongue: Tongue) -> list[Segment]:  # noqa: ANN401 - an answer, or a gap
    """Its lines: cleared, with a difference, still to do."""
    if not statement or not statement["lines"]:
        return []
    cleared, done, lines = statement["lines_cleared"], statement["lines_done"], statement["lines"]
    parts = (
        ("cleared", cleared, "done"),
        ("different", max(0, done - cleared), "hold"),
        ("to_do", max(0, lines - done), "off"),
    )
    return segments([(key, count, tongue.number(count), tone) for key, count, tone in parts])


async def books(visit: Visit) -> Response:
    """The trial balance: of one wallet, or of all together."""
    account = visit.query("account")
    balance = await visit.api().get("/v1/trial-balance")
    rows = _by_ledger_account(row for row in balance["rows"] if account in {"", row["account"]})
    return visit.show(
        "books.html",
        balanced=balance["balanced"],
        rows=rows,
        totals=balance["totals"],
        account=account,
        accounts=sorted({row["account"] for row in balance["rows"]}),
    )


def _by_ledger_account(rows: Iterable[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """Sums of all wallets, by ledger account and currency."""
    summed: dict[tuple[str, str], dict[str, Any]] = {}
    for row in sorted(rows, key=lambda row: (row["ledger_account"], row["currency"])):
        key = (row["ledger_account"], row["currency"])
        known = summed.setdefault(key, {"ledger_account": key[0], "currency": key[1], **dict.fromkeys(_BOOKED, 0)})
        known.update({name: known[name] + row[name] for name in _BOOKED})
    return list(summed.values())
