"""Who reads what: partitions of a consumer group's topics that none of its members owns.

A static member that comes back within its session is given its old partitions without a new assignment, and the
client looks for added partitions only while it runs. Those added while it was away would belong to nobody, for good.
"""

from collections.abc import Sequence

from aiokafka import TopicPartition
from aiokafka.coordinator.protocol import ConsumerProtocol
from aiokafka.errors import for_code

from oms_events.runtime.broker import Broker

_STABLE = "Stable"


async def unowned(broker: Broker, group: str, topics: Sequence[str]) -> set[TopicPartition] | None:
    """Partitions that exist and have no owner; None while the group is still dividing them. Raises KafkaError, and
    SettingRefused where the broker does not let us in any more."""
    async with broker.admin() as admin:
        (answer,) = await admin.describe_consumer_groups([group])
        described = answer.to_object()["groups"][0]
        if described["error_code"]:
            raise for_code(described["error_code"])(group)
        if described["state"] != _STABLE:
            return None
        existing = {
            TopicPartition(topic["topic"], partition["partition"])
            for topic in await admin.describe_topics(list(topics))
            for partition in topic["partitions"]
        }
    owned = {
        TopicPartition(topic, partition)
        for member in described["members"]
        for topic, partitions in ConsumerProtocol.ASSIGNMENT.decode(member["member_assignment"]).assignment
        for partition in partitions
    }
    return existing - owned
