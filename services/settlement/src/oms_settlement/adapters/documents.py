"""Rate cards, profiles and limits as people write them and as they are stored."""

from typing import Annotated, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, model_validator

from oms_events.contracts.shared import Code, Currency, Instant, Text, Words

Scope = Annotated[str, Field(min_length=1, max_length=64, pattern=r"^(\*|[A-Za-z0-9][A-Za-z0-9._-]*)$")]
"""A shop by its code, or `*` for all."""
Fee = Annotated[int, Field(ge=0, le=10**12)]


class Document(BaseModel):
    """Base of what people write: frozen, and strict about names, so that a slip of the pen is an error."""

    model_config = ConfigDict(frozen=True, extra="forbid")


class RateCardDocument(Document):
    """What a platform takes of an order's dispatched value: `rate_ppm` millionths of it, plus a fixed part, at least
    and at most so much. `commission` is taken of goods, `payment_fee` of goods and shipping. A shop's own card counts
    before the channel's (`*`); of several, the newest that is in force."""

    channel: Code
    shop: Scope = "*"
    component: Literal["commission", "payment_fee"]
    currency: Currency
    rate_ppm: Annotated[int, Field(ge=0, le=1_000_000)]
    fixed_minor: Fee = 0
    min_minor: Fee | None = None
    max_minor: Fee | None = None
    version: Text
    valid_from: Instant

    @model_validator(mode="after")
    def _room_between_bounds(self) -> Self:
        if self.min_minor is not None and self.max_minor is not None and self.min_minor > self.max_minor:
            raise ValueError("min_minor must not be above max_minor")
        return self


class ProfileDocument(Document):
    """How a shop's wallet is settled. `due_days` run from the dispatch. `marketplace` and `order_key` say where in
    its statements a platform names the shop and the order."""

    currency: Currency
    format: Literal["canonical", "amazon_v2", "stripe_balance"] = "canonical"
    due_days: Annotated[int, Field(ge=0, le=365)] = 14
    marketplace: Annotated[Words, Field(max_length=64)] = ""
    order_key: Annotated[Words, Field(min_length=1, max_length=64)] = "order_no"


class AccountDocument(ProfileDocument):
    """A shop's wallet and how it is settled."""

    channel: Code
    shop: Code

    def profile(self) -> ProfileDocument:
        """What is stored beside the names."""
        return ProfileDocument(**self.model_dump(exclude={"channel", "shop"}))


class Limit(Document):
    """How much may be given up: per difference, and in sum per account and day, in minor units of its currency."""

    per_difference_minor: Fee
    per_day_minor: Fee


class RoundingLimit(Document):
    """What is written off by rule: differences of computed fees so small that only rounding can have made them."""

    per_line_minor: Fee = 1
    per_order_minor: Fee = 2
    per_day_minor: Fee = 1_000


class WriteOffPolicyDocument(Document):
    """Who may write off how much. The newest version is in force."""

    rounding: RoundingLimit = RoundingLimit()
    operator: Limit = Limit(per_difference_minor=500, per_day_minor=10_000)
    finance: Limit = Limit(per_difference_minor=50_000, per_day_minor=1_000_000)
