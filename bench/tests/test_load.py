"""What loads are made of."""

from itertools import islice

from bench.load import CHANNEL, endless, paced, size

SKUS = [f"S{number}" for number in range(3)]


def test_a_paced_load_is_what_its_rate_makes_of_the_time_in_small_posts() -> None:
    orders = paced("test", 50, 2, SKUS)
    assert size(orders) == 100
    assert {len(batch.ids) for batch in orders} == {2}
    assert len({order for batch in orders for order in batch.ids}) == 100
    assert CHANNEL.encode() in orders[0].orders


def test_an_endless_load_comes_in_posts_of_the_same_size_and_repeats_no_order() -> None:
    posts = list(islice(endless("test", 50, SKUS), 10))
    assert {len(batch.ids) for batch in posts} == {2}
    assert len({order for batch in posts for order in batch.ids}) == 20


def test_the_slowest_load_has_posts_of_one() -> None:
    assert [len(batch.ids) for batch in islice(endless("test", 0.001, SKUS), 2)] == [1, 1]
