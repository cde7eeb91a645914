"""Whether the books hold: every chain and every kept balance, computed anew from the entries."""

from typing import NamedTuple

from sqlalchemy.ext.asyncio import AsyncConnection

from oms_settlement.adapters import journal
from oms_settlement.domain.journal import GENESIS, Numbered, digest

PAGE = 5000


class Fault(NamedTuple):
    """What is wrong, and where: entry 0 is about a whole chain."""

    account: str
    currency: str
    entry_no: int
    what: str


class Verification(NamedTuple):
    """What was looked at, and what is wrong with it."""

    chains: int
    entries: int
    faults: tuple[Fault, ...]


async def verify(connection: AsyncConnection) -> Verification:
    """Walk every chain from its beginning. Wants a connection in no transaction yet."""
    # All entries and all balances as of one moment, while the service goes on posting.
    await connection.execution_options(isolation_level="REPEATABLE READ")
    faults: list[Fault] = []
    entries, turnover = 0, journal.turnover(())
    heads = await journal.heads(connection)
    for head in heads:
        number, link = 0, GENESIS
        async for page in journal.entries_of(connection, head.account, head.currency, PAGE):
            for one in page:
                faults += _faults_of(one, number, link)
                number, link = one.entry_no, one.hash
            for key, sides in journal.turnover(one.entry for one in page).items():
                turnover[key][0] += sides[0]
                turnover[key][1] += sides[1]
            entries += len(page)
        if (number, link) != (head.last_no, head.head_hash):
            faults.append(Fault(head.account, head.currency, 0, "the chain does not end where its head says"))
    faults += await _balance_faults(connection, turnover)
    return Verification(len(heads), entries, tuple(faults))


def _faults_of(one: Numbered, last_no: int, link: str) -> list[Fault]:
    account, currency = one.entry.account, one.entry.currency
    found = []
    if one.entry_no != last_no + 1:
        found.append(f"entry {last_no + 1} is missing")
    if sum(one.entry.amounts) != 0:
        found.append("the entry does not balance")
    if digest(link, one.entry_no, one.entry) != one.hash:
        found.append("the hash is not that of the entry and those before it")
    return [Fault(account, currency, one.entry_no, what) for what in found]


async def _balance_faults(connection: AsyncConnection, turnover: journal.Turnover) -> list[Fault]:
    kept = await journal.balances(connection)
    return [
        Fault(key[0], key[1], 0, f"the kept balance of {key[2]} is not the sum of its postings")
        for key in sorted(kept.keys() | turnover.keys())
        if list(kept.get(key, [0, 0])) != list(turnover.get(key, [0, 0]))
    ]
