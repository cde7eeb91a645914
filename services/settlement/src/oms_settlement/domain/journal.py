"""Journal entries and their chain: the hash of an entry covers the entry and the hash of the one before it."""

import hashlib
from collections.abc import Iterable, Mapping
from datetime import datetime
from typing import NamedTuple

GENESIS = "0" * 64
"""What stands before the first entry."""


class Unbalanced(ValueError):
    """An entry whose postings do not add up to nothing."""


class Entry(NamedTuple):
    """A balanced entry, not yet numbered. Debits are above zero, credits below."""

    account: str
    currency: str
    entry_id: str
    purpose: str
    booked_at: datetime
    ledger_accounts: tuple[str, ...]
    components: tuple[str, ...]
    amounts: tuple[int, ...]
    order_id: str | None = None
    statement_id: str | None = None
    reverses: str | None = None


class Numbered(NamedTuple):
    """An entry in its place."""

    entry_no: int
    hash: str
    entry: Entry


def entry(
    account: str,
    currency: str,
    entry_id: str,
    purpose: str,
    *,
    booked_at: datetime,
    postings: Mapping[tuple[str, str], int],
    order_id: str | None = None,
    statement_id: str | None = None,
    reverses: str | None = None,
) -> Entry:
    """An entry of postings, in an order of its own. Raises Unbalanced."""
    sides = [(where, amount) for where, amount in sorted(postings.items()) if amount]
    if not sides or sum(amount for _, amount in sides) != 0:
        raise Unbalanced(f"{purpose} {entry_id} does not balance")
    return Entry(
        account,
        currency,
        entry_id,
        purpose,
        booked_at,
        tuple([where[0] for where, _ in sides]),
        tuple([where[1] for where, _ in sides]),
        tuple([amount for _, amount in sides]),
        order_id,
        statement_id,
        reverses,
    )


def digest(previous: str, entry_no: int, one: Entry) -> str:
    """The hash of an entry in its place. Every field is in it; none can hold the separator."""
    content = "\x1f".join(
        (
            previous,
            one.account,
            one.currency,
            str(entry_no),
            one.entry_id,
            one.purpose,
            one.order_id or "",
            one.statement_id or "",
            one.reverses or "",
            one.booked_at.isoformat(),
            ",".join(one.ledger_accounts),
            ",".join(one.components),
            ",".join(map(str, one.amounts)),
        )
    )
    return hashlib.sha256(content.encode()).hexdigest()


def chain(last_no: int, head: str, entries: Iterable[Entry]) -> list[Numbered]:
    """Entries in their places behind the head of a chain."""
    numbered = []
    for number, one in enumerate(entries, start=last_no + 1):
        head = digest(head, number, one)
        numbered.append(Numbered(number, head, one))
    return numbered
