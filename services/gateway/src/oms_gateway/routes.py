"""What is passed on to which service, and for whom. The table drives the proxy and the merged OpenAPI document.

A row covers its path and everything below it (`/v1/skus`, `/v1/skus/A-1`, `/v1/skus:batch`). Operators may do
everything, viewers and finance may read everything, but for rows that say otherwise; `roles` are those who may too.
"""

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cached_property

from oms_gateway.keys import Key, Role

SERVICES = ("catalog", "inventory", "orders", "fulfilment", "logistics", "settlement", "analytics")


@dataclass(frozen=True)
class Scope:
    """The fields that say whose the data is, and which keys may see it. They stand in the path, in the query of a
    list, or in the answer for one thing."""

    fields: tuple[str, ...]
    limits: Callable[[Key], bool]
    allows: Callable[[Key, Mapping[str, str]], bool]


SHOP = Scope(
    ("channel", "shop"),
    lambda key: bool(key.shops),
    lambda key, whose: key.may_sell_at(whose["channel"], whose["shop"]),
)
NODE = Scope(("node",), lambda key: bool(key.nodes), lambda key, whose: key.may_use_node(whose["node"]))
CARRIER = Scope(("carrier",), lambda key: bool(key.carriers), lambda key, whose: key.may_use_carrier(whose["carrier"]))


@dataclass(frozen=True)
class Route:
    """One row. `target` replaces the path where the service knows it by another name."""

    service: str
    methods: str
    path: str
    roles: frozenset[Role] = frozenset()
    scope: Scope | None = None
    target: str | None = None
    viewers: bool = True

    @cached_property
    def pattern(self) -> re.Pattern[str]:
        """Matches the path and everything below it; names in braces take one segment each."""
        return re.compile(re.sub(r"\{(\w+)\}", r"(?P<\1>[^/:]+)", self.path) + r"(?=[/:]|\Z)")

    def allowed(self, method: str) -> frozenset[Role]:
        """Roles that may use it, besides operators."""
        return self.roles | {Role.VIEWER, Role.FINANCE} if method == "GET" and self.viewers else self.roles


_READ = "GET"
_WRITE = "POST PUT DELETE"
_BOTH = f"{_READ} {_WRITE}"
_FOR_CHANNELS = frozenset({Role.CHANNEL})
_FOR_WAREHOUSES = frozenset({Role.WAREHOUSE})
_FOR_CARRIERS = frozenset({Role.CARRIER})
_FOR_FINANCE = frozenset({Role.FINANCE})

ROUTES: tuple[Route, ...] = (
    Route("catalog", _BOTH, "/v1/products"),
    Route("catalog", _BOTH, "/v1/skus"),
    Route("catalog", _BOTH, "/v1/listings"),
    Route("catalog", _BOTH, "/v1/prices"),
    Route("catalog", _BOTH, "/v1/costs"),
    Route("inventory", _READ, "/v1/stock"),
    Route("inventory", _READ, "/v1/availability", _FOR_CHANNELS, SHOP),
    Route("inventory", _READ, "/v1/reservations"),
    Route("inventory", _READ, "/v1/movements"),
    Route("inventory", _READ, "/v1/waiting-orders"),
    Route("inventory", _BOTH, "/v1/stock-adjustments"),
    Route("inventory", _BOTH, "/v1/channel-rules"),
    Route("inventory", _BOTH, "/v1/safety-stock"),
    Route("inventory", _READ, "/v1/reconciliation"),
    Route("orders", _READ, "/v1/orders", _FOR_CHANNELS, SHOP),
    Route("orders", _READ, "/v1/order-counts"),
    Route("orders", _WRITE, "/v1/orders/{order_id}:cancel"),
    Route("orders", _WRITE, "/v1/orders/{order_id}/holds"),
    Route("orders", _BOTH, "/v1/holds"),
    Route("fulfilment", _READ, "/v1/nodes/{node}/releases", _FOR_WAREHOUSES, NODE),
    Route("fulfilment", _BOTH, "/v1/nodes"),
    Route("fulfilment", _BOTH, "/v1/rule-sets"),
    Route("fulfilment", "POST", "/v1/routing:dry-run"),
    Route("fulfilment", _READ, "/v1/decisions"),
    Route("fulfilment", _READ, "/v1/shipments", _FOR_WAREHOUSES, NODE),
    Route("fulfilment", _READ, "/v1/warehouse-reports"),
    Route("logistics", _BOTH, "/v1/carriers"),
    Route("logistics", _BOTH, "/v1/tariffs"),
    Route("logistics", "POST", "/v1/rates:quote"),
    Route("logistics", _READ, "/v1/waybills", _FOR_CARRIERS, CARRIER),
    Route("logistics", _READ, "/v1/parcels"),
    Route("logistics", _READ, "/v1/early-scans"),
    Route("logistics", _BOTH, "/v1/delivery-tiers"),
    Route("settlement", _READ, "/v1/statements"),
    Route("settlement", _READ, "/v1/expectations"),
    Route("settlement", _READ, "/v1/settlement"),
    Route("settlement", _BOTH, "/v1/differences", _FOR_FINANCE),
    Route("settlement", _READ, "/v1/journal-entries"),
    Route("settlement", _READ, "/v1/trial-balance"),
    Route("settlement", _READ, "/v1/ledger"),
    Route("settlement", _BOTH, "/v1/rate-cards", _FOR_FINANCE),
    Route("settlement", _BOTH, "/v1/settlement-accounts", _FOR_FINANCE),
    Route("settlement", _BOTH, "/v1/write-off-policy", _FOR_FINANCE),
    Route("analytics", _READ, "/v1/profit"),
    Route("analytics", _READ, "/v1/overview"),
    *(Route(name, _READ, f"/v1/services/{name}/summary", target="/v1/summary") for name in SERVICES),
    # Dead letters show whole events, with what they hold of persons.
    *(
        Route(name, _BOTH, f"/v1/services/{name}/dead-letters", target="/v1/dead-letters", viewers=False)
        for name in SERVICES
    ),
)


def find(method: str, path: str) -> Route | None:
    """The row for a request, or None."""
    return next((r for r in ROUTES if method in r.methods.split() and r.pattern.match(path)), None)


def methods_of(path: str) -> set[str]:
    """Methods that some row has for a path; empty for a path that no row knows."""
    return {method for route in ROUTES if route.pattern.match(path) for method in route.methods.split()}
