"""Carrier options as others see them."""

from typing import Any

from pydantic import TypeAdapter

from oms_events.contracts.logistics import CarrierOption
from oms_logistics.domain.choice import MAX_COST_MINOR, Choice, Option

_options = TypeAdapter(tuple[CarrierOption, ...])
_LIMIT = 50
"""As many as the contract carries."""


def shown(choice: Choice) -> tuple[CarrierOption, ...]:
    """The chosen option first, then by cost, those that cannot carry the consignment last."""

    def rank(option: Option) -> tuple[bool, int]:
        bid = option.bid
        return bid is not choice.winner, bid.cost_minor if bid else MAX_COST_MINOR + 1

    views = [_view(option, choice) for option in sorted(choice.options, key=rank)[:_LIMIT]]
    return _options.validate_python(views)


def _view(option: Option, choice: Choice) -> dict[str, Any]:
    # As plain members: all options are validated at once, at a fraction of what one by one costs.
    bid = option.bid
    return {
        "carrier": option.carrier,
        "service": option.service,
        "cost_minor": bid.cost_minor if bid else None,
        "promised_at": bid.promised_at if bid else None,
        "chosen": bid is not None and bid is choice.winner,
        "reason": option.reason,
    }
