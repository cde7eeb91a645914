"""Reads every order of an OMS from Kafka and prints a line for each. Needs confluent-kafka and nothing of the OMS.

OMS_KAFKA_BOOTSTRAP=127.0.0.1:29092 OMS_GROUP=my-orders python subscribe.py
"""

import json
import os
import signal
import sys
from collections import OrderedDict

from confluent_kafka import Consumer, KafkaException, Message

TOPIC = "oms.orders.order.v1"
REMEMBERED = 100_000
SECURITY = os.environ.get("OMS_KAFKA_SECURITY", "PLAINTEXT")
MECHANISM = os.environ.get("OMS_KAFKA_SASL_MECHANISM", "SCRAM-SHA-512")
BROKER = {
    "bootstrap.servers": os.environ.get("OMS_KAFKA_BOOTSTRAP", "127.0.0.1:29092"),
    "security.protocol": SECURITY,
    "sasl.mechanism": MECHANISM if SECURITY.startswith("SASL") else None,
    "sasl.username": os.environ.get("OMS_KAFKA_USERNAME"),
    "sasl.password": os.environ.get("OMS_KAFKA_PASSWORD"),
    "ssl.ca.location": os.environ.get("OMS_KAFKA_CA_FILE"),  # without it, whom the system trusts
    "ssl.certificate.location": os.environ.get("OMS_KAFKA_CERT_FILE"),
    "ssl.key.location": os.environ.get("OMS_KAFKA_KEY_FILE"),
}

stopping = False


class Seen:
    """The latest event ids. An event may come twice; its id is the same for the same fact, for ever.

    This one forgets when the program ends. Where the work goes to a database, write the id in the same
    transaction: then twice is once, whatever crashes.
    """

    def __init__(self) -> None:
        self._ids: OrderedDict[str, None] = OrderedDict()

    def add(self, event_id: str) -> bool:
        """Remember an id; False when it is known."""
        if event_id in self._ids:
            return False
        self._ids[event_id] = None
        if len(self._ids) > REMEMBERED:
            self._ids.popitem(last=False)
        return True


def handle(message: Message, seen: Seen) -> None:
    """The work: one line per order."""
    if message.value() is None:
        return  # a tombstone: the key's last record no longer counts
    headers = {name: value for name, value in message.headers() or [] if value is not None}
    if headers.get("ce_type") != b"oms.orders.OrderPlaced.v1":
        return  # other events of the topic, and types that are not known yet
    if not seen.add(headers["ce_id"].decode()):
        return
    order = json.loads(message.value())
    print(
        order["order_id"],
        f"{order['channel']}/{order['shop']}",
        order["channel_order_no"],
        f"{len(order['lines'])} lines",
        order["total_minor"],
        order["currency"],
    )


def stop(*_: object) -> None:
    """Finish the batch in hand, then end."""
    global stopping  # noqa: PLW0603
    stopping = True


def main() -> None:
    signal.signal(signal.SIGTERM, stop)
    signal.signal(signal.SIGINT, stop)
    consumer = Consumer(
        {
            **{option: value for option, value in BROKER.items() if value},
            "group.id": os.environ.get("OMS_GROUP", "example-python"),
            "auto.offset.reset": "earliest",
            "enable.auto.commit": False,
            "session.timeout.ms": 10_000,  # a member that died is noticed after so long
        }
    )
    consumer.subscribe([TOPIC])
    seen = Seen()
    try:
        while not stopping:
            batch = consumer.consume(num_messages=500, timeout=1.0)
            for message in batch:
                if message.error():
                    raise KafkaException(message.error())
                handle(message, seen)
            if batch:
                sys.stdout.flush()
                consumer.commit(asynchronous=False)  # after the work: what a crash interrupts is read again
    finally:
        consumer.close()


if __name__ == "__main__":
    main()
