"""Changes to rate cards, profiles and limits. Each is safe to repeat."""

from oms_events.contracts.settlement import RateCardSet, account_of, rate_key
from oms_events.envelope import origin
from oms_events.runtime.problems import FieldError, Problem
from oms_events.runtime.work import Work
from oms_settlement.adapters import terms
from oms_settlement.adapters.documents import AccountDocument, RateCardDocument, WriteOffPolicyDocument
from oms_settlement.adapters.terms import Policy
from oms_settlement.app.source import SOURCE


async def put_rate_card(work: Work, document: RateCardDocument) -> bool:
    """Add a version of a card; answers whether it is new. Raises Problem 409 when the version says something else."""
    await terms.new_edition(work.connection)
    known = await terms.rate_card(work.connection, document)
    if known is not None:
        if known != document:
            detail = f"{document.version} exists with other terms: a version never changes"
            raise Problem(
                409, f"version: {detail}", errors=[FieldError(field="version", rule="immutable", detail=detail)]
            )
        return False
    await terms.add_rate_card(work.connection, document)
    key = rate_key(document.channel, document.shop, document.component, document.currency, document.version)
    cause = origin(SOURCE, "rate-card", key, document.version, at=work.now)
    work.emit(RateCardSet(rate_key=key, **document.model_dump()), cause=cause)
    return True


async def put_account(work: Work, document: AccountDocument) -> None:
    """Set a wallet's profile. Money that is already due keeps its day."""
    await terms.new_edition(work.connection)
    await terms.save_profile(work.connection, account_of(document.channel, document.shop), document)


async def put_policy(work: Work, document: WriteOffPolicyDocument, by: str) -> Policy:
    """Put a write-off policy in force; the one in force given again stays it."""
    await terms.new_edition(work.connection)  # its row makes writers wait for each other
    policy = await terms.policy(work.connection)
    if policy.document == document:
        return policy
    await terms.add_policy(work.connection, policy.version + 1, document, by)
    return Policy(policy.version + 1, document)
