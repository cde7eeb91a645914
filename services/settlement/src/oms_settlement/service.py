"""Table of contents of the settlement service."""

from oms_events.contracts.settlement import (
    AccrualPosted,
    DifferenceAttributed,
    DifferenceResolved,
    JournalPosted,
    RateCardSet,
    StatementImported,
    StatementLineMatched,
    StatementRefused,
    WriteOffPosted,
)
from oms_events.runtime.service import Service
from oms_settlement.entrypoints.api import router

service = Service(
    "settlement",
    produces=[
        RateCardSet,
        AccrualPosted,
        StatementImported,
        StatementRefused,
        StatementLineMatched,
        DifferenceAttributed,
        DifferenceResolved,
        WriteOffPosted,
        JournalPosted,
    ],
    api=router,
)
