"""Whatever the API is sent, it never fails on its own account."""

from oms_events.testing.fuzz import fuzz


async def test_no_request_makes_the_service_fail(desk, sale, statement) -> None:
    one = sale("A-1")
    await desk.scenario.given(*one.whole())
    handed = statement().settle("A-1", commission=-500)
    await desk.hand_in(handed)
    (difference,) = await desk.differences()
    known = {
        "statement_id": (await desk.statement(handed))["statement_id"],
        "difference_id": difference["difference_id"],
        "order_id": str(one.order_id),
    }
    answers = await fuzz(desk.scenario, known=known)
    assert {200, 404, 422} <= answers.keys()
