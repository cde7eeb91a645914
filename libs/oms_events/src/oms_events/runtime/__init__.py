"""The runtime: takes events from Kafka, applies each once in a service's database, publishes what follows.

Guarantees: at-least-once delivery everywhere, applied once per consumer (inbox, work and outbox share one
transaction), events of one key in order. A service declares itself with `Service` and starts with `cli.main`.
"""
