"""What an operator does to topics and groups."""

from aiokafka import AIOKafkaConsumer, TopicPartition
from aiokafka.admin import AIOKafkaAdminClient, NewPartitions


async def offsets_to_the_beginning(bootstrap: str, group: str) -> None:
    """Set every offset of an empty group to zero. The broker refuses it, with KafkaError, while a member is there."""
    admin = AIOKafkaAdminClient(bootstrap_servers=bootstrap)
    await admin.start()
    try:
        places: list[TopicPartition] = list(await admin.list_consumer_group_offsets(group))
    finally:
        await admin.close()
    consumer = AIOKafkaConsumer(bootstrap_servers=bootstrap, group_id=group, enable_auto_commit=False)
    consumer.assign(places)
    await consumer.start()
    try:
        await consumer.commit(dict.fromkeys(places, 0))
    finally:
        await consumer.stop()


async def double_partitions(bootstrap: str, topic: str) -> None:
    """Give a topic twice as many partitions as it has."""
    admin = AIOKafkaAdminClient(bootstrap_servers=bootstrap)
    await admin.start()
    try:
        (found,) = await admin.describe_topics([topic])
        await admin.create_partitions({topic: NewPartitions(2 * len(found["partitions"]))})
    finally:
        await admin.close()
