"""Posting: a transaction's entries go behind the heads of their chains at its end, and are announced once."""

from collections import defaultdict

from oms_events.contracts.settlement import AccountTotal, JournalPosted
from oms_events.envelope import EventMeta
from oms_events.runtime.work import Work
from oms_settlement.adapters import journal
from oms_settlement.adapters.journal import Chain
from oms_settlement.domain.journal import Entry, chain


class Ledger:
    """The entries of one transaction. The heads are locked last, since others wait for them."""

    def __init__(self) -> None:
        self._entries: dict[Chain, list[Entry]] = defaultdict(list)
        self._causes: dict[Chain, EventMeta] = {}

    def post(self, entry: Entry, cause: EventMeta) -> None:
        """Post an entry. What caused the first of a chain is the cause of its announcement."""
        key = (entry.account, entry.currency)
        self._entries[key].append(entry)
        self._causes.setdefault(key, cause)

    async def save(self, work: Work) -> None:
        """Write and announce what was posted."""
        if not self._entries:
            return
        heads = await journal.lock_heads(work.connection, self._entries)
        numbered = {key: chain(*heads[key], entries) for key, entries in self._entries.items()}
        turnover = await journal.append(work.connection, numbered)
        for (account, currency), entries in sorted(numbered.items()):
            totals = sorted(
                (ledger_account, sides)
                for (of, in_, ledger_account), sides in turnover.items()
                if (of, in_) == (account, currency)
            )
            posted = JournalPosted(
                account=account,
                first_no=entries[0].entry_no,
                last_no=entries[-1].entry_no,
                head_hash=entries[-1].hash,
                currency=currency,
                totals=tuple(
                    AccountTotal(ledger_account=name, debit_minor=debit, credit_minor=credit)
                    for name, (debit, credit) in totals
                ),
                posted_at=work.now,
            )
            # It speaks of many orders: it is part of no order's trace.
            work.emit(posted, cause=self._causes[account, currency]._replace(traceparent=None))
