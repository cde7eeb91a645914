"""What is called growth, and what services count."""

import pytest
from bench.bare.pipeline import derived
from bench.soak import judge
from bench.stages import Stages
from bench.trend import second_half, slope


def test_slope_is_that_of_the_line_that_fits_best() -> None:
    assert slope([(0, 1), (1, 3.1), (2, 4.9), (3, 7)]) == pytest.approx(1.98)
    assert slope([(1, 5)]) == 0


def test_the_second_half_is_of_time_not_of_samples() -> None:
    assert second_half([(0, 1), (1, 1), (2, 1), (10, 2), (20, 3)]) == [(10, 2), (20, 3)]


def samples(**last_mb: float) -> list[tuple[float, dict[str, float]]]:
    """Every process begins at 100 MiB; in the second half it moves evenly to what is given."""
    return [
        (second, {name: 100 + (mb - 100) * max(0, second - 300) / 300 for name, mb in last_mb.items()})
        for second in range(0, 601, 10)
    ]


def test_memory_that_rises_by_a_fiftieth_grows() -> None:
    judged = judge(samples(orders=103.0, inventory=101.0), rate=100)
    assert judged["verdict"] == "growing: orders"
    assert judged["memory"]["orders"]["bytes_per_order"] == pytest.approx(3 * 2**20 / 300 / 100, rel=0.01)


def test_what_grows_to_its_settings_is_not_judged() -> None:
    assert judge(samples(orders=99.0, postgres=300.0, kafka=300.0, player=300.0), rate=100)["verdict"] == "flat"


def counted(cpu: float, applied: int) -> Stages:
    stages = Stages()
    stages._count(
        "# TYPE oms_stage_cpu_seconds counter\n"
        f'oms_stage_cpu_seconds_total{{group="orders.flow",stage="decode"}} {cpu}\n'
        "# TYPE oms_consumer_records counter\n"
        f'oms_consumer_records_total{{group="orders.flow",type="a",outcome="applied"}} {applied}\n'
        'oms_consumer_records_total{group="orders.flow",type="a",outcome="duplicate"} 7\n'
    )
    return stages


def test_stages_are_told_per_event_applied() -> None:
    since = counted(cpu=1.5, applied=3_000).since(counted(cpu=0.5, applied=1_000))
    assert since["stage_cpu_us_per_event"] == {"decode": 500.0}
    assert since["stage_cpu_us_per_event_by_group"] == {"orders.flow": {"decode": 500.0}}


def test_services_that_count_no_stages_tell_of_none() -> None:
    assert Stages().since(Stages()) == {}


def test_ids_of_the_bare_pipeline_keep_their_cause_s_time() -> None:
    cause = "0199aabbccdd" + 20 * "7"
    assert derived(cause, "placed").startswith("0199aabbccdd")
    assert derived(cause, "placed") == derived(cause, "placed") != derived(cause, "routed")
