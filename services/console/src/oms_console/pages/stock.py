"""Stock: a list by SKU, and one SKU through its four layers."""

from starlette.responses import Response

from oms_console.drawing.layers import layers
from oms_console.gateway import Query, or_gap, segment, together
from oms_console.visit import Visit

PER_PAGE = 100
_MOVEMENTS_SHOWN = 50


async def show(visit: Visit) -> Response:
    """SKUs at nodes, and the totals."""
    asked = {"node": visit.query("node")}
    if sku := visit.query("sku"):
        return visit.go(f"/stock/{segment(sku)}")
    api = visit.api()
    found = await together(
        page=api.get("/v1/stock", {**asked, "limit": PER_PAGE, "cursor": visit.query("cursor")}),
        summary=or_gap(api.get("/v1/services/inventory/summary")),
        nodes=or_gap(api.get("/v1/nodes")),
    )
    page = found["page"]
    return visit.show(
        "stock.html",
        rows=page["items"],
        asked=asked,
        summary=found["summary"],
        nodes=[node["node"] for node in found["nodes"]] if found["nodes"] else [],
        following=page["next_cursor"] and visit.address("/stock", **asked, cursor=page["next_cursor"]),
    )


async def show_sku(visit: Visit) -> Response:
    """The picture of its layers, the same in figures, and what moved last."""
    api, sku = visit.api(), visit.part("sku")
    asked: Query = {"sku": sku, "newest_first": True, "limit": _MOVEMENTS_SHOWN, "cursor": visit.query("cursor")}
    found = await together(
        stock=api.get(f"/v1/stock/{segment(sku)}"),
        about=or_gap(api.get(f"/v1/skus/{segment(sku)}")),
        movements=or_gap(api.get("/v1/movements", asked)),
    )
    movements = found["movements"]
    here = f"/stock/{segment(sku)}"
    return visit.show(
        "sku.html",
        sku=sku,
        about=found["about"],
        stock=found["stock"],
        layers=layers(found["stock"], visit.tongue.number),
        movements=movements and movements["items"],
        following=movements and movements["next_cursor"] and visit.address(here, cursor=movements["next_cursor"]),
    )
