"""The services' declarations fit together: nobody listens for what nobody says."""

from collections import Counter

from tests.services import DECLARED

from oms_console import codes
from oms_events.registry import current_type, events
from oms_gateway.routes import SERVICES as PROXIED
from oms_local.topology import SERVICES


def test_every_event_is_produced_by_exactly_one_service() -> None:
    produced = Counter(event.type for declared in DECLARED.values() for event in declared.produces)
    # What an upcaster reads as a newer version is perhaps produced no more.
    today = {type_ for type_ in events() if current_type(type_) == type_}
    assert {type_: produced[type_] for type_ in today} == dict.fromkeys(today, 1)
    assert all(count == 1 for count in produced.values())


def test_an_event_is_produced_by_the_service_that_its_topic_names() -> None:
    owners = {event.type: service for service, declared in DECLARED.items() for event in declared.produces}
    for type_, event in events().items():
        assert owners[type_] == ("gateway" if event.topic.service == "intake" else event.topic.service), type_


def test_every_consumed_event_is_produced_by_another_service() -> None:
    for service, declared in DECLARED.items():
        elsewhere = {event for other, told in DECLARED.items() if other != service for event in told.produces}
        assert set(declared.consumes) <= elsewhere, service


def test_gateway_and_console_know_every_service() -> None:
    assert set(PROXIED) == set(codes.SERVICES) == {service.name for service in SERVICES if service.has_database}


def test_the_launcher_gives_workers_to_those_who_consume() -> None:
    assert {service.name for service in SERVICES if service.consumes} == {
        service for service, declared in DECLARED.items() if declared.consumes
    }
