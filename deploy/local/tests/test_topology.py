import socket
import subprocess
import sys
from graphlib import CycleError

import pytest

from oms_local.ports import LOCALHOST, Ports
from oms_local.topology import CONSOLE, GATEWAY, SERVICES, Service, draw_urls, start_order


def names(ranks: list[list[Service]]) -> list[set[str]]:
    return [{service.name for service in rank} for rank in ranks]


def test_the_gateway_starts_after_all_services_and_alone_and_then_its_pages():
    *_, gateway, pages = names(start_order(SERVICES))
    assert (gateway, pages) == ({GATEWAY}, {CONSOLE})


def test_every_need_is_a_service_and_starts_earlier():
    started: set[str] = set()
    for rank in start_order(SERVICES):
        for service in rank:
            assert set(service.needs) <= started
        started |= {service.name for service in rank}
    assert started == {service.name for service in SERVICES}


def test_a_need_that_is_not_run_does_not_hold_a_service_back():
    assert names(start_order([Service("console", 9000, needs=("gateway",))])) == [{"console"}]


def test_services_that_need_each_other_are_refused():
    with pytest.raises(CycleError):
        start_order([Service("a", 1, needs=("b",)), Service("b", 2, needs=("a",))])


def test_preferred_ports_do_not_clash():
    ports = [service.preferred_port for service in SERVICES]
    assert len(ports) == len(set(ports))


def test_a_taken_port_is_passed_over():
    with socket.create_server((LOCALHOST, 0)) as taken:
        port = taken.getsockname()[1]
        assert Ports().draw(port) != port


def test_a_port_is_drawn_once():
    ports = Ports()
    first = ports.draw()
    assert ports.draw(first) != first


def test_what_one_process_has_drawn_another_is_not_given():
    ours, any_free = Ports().draw(), 0
    draw = f"ports._draw_ours = iter([{ours}, {any_free}]).__next__; print(ports.Ports().draw())"
    drawing = [sys.executable, "-c", f"from oms_local import ports; {draw}"]
    drawn = subprocess.run(drawing, capture_output=True, text=True, check=True).stdout
    assert int(drawn) == any_free


def test_without_preference_a_service_does_not_take_its_usual_port():
    urls = draw_urls([Service("alpha", 8999)], Ports(), prefer=False)
    assert urls["alpha"].startswith("http://127.0.0.1:")
    assert not urls["alpha"].endswith(":8999")
