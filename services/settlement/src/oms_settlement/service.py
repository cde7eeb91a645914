"""Table of contents of the settlement service."""

from oms_events.contracts.fulfilment import ShipmentDispatched
from oms_events.contracts.intake import StatementReceived
from oms_events.contracts.orders import OrderCancelled, OrderLinesCancelled, OrderPaid, OrderPlaced
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
from oms_events.runtime.service import Service, every, gauge, on, step_by_step
from oms_settlement.adapters.gauges import CLEAR_RATE, OPEN_DIFFERENCES, clear_rates, open_differences
from oms_settlement.app.accruals import on_order_news
from oms_settlement.app.ageing import adopt_orphans, call_overdue
from oms_settlement.app.imports import import_statements, on_statement_received
from oms_settlement.entrypoints.api import router

service = Service(
    "settlement",
    consumes=[
        on(OrderPlaced, on_order_news),
        on(OrderPaid, on_order_news),
        on(OrderLinesCancelled, on_order_news),
        on(OrderCancelled, on_order_news),
        on(ShipmentDispatched, on_order_news),
        on(StatementReceived, on_statement_received),
    ],
    jobs=[every(10.0, call_overdue), every(15.0, adopt_orphans)],
    long_jobs=[step_by_step(0.5, import_statements)],
    gauges=[gauge(CLEAR_RATE, clear_rates), gauge(OPEN_DIFFERENCES, open_differences)],
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
