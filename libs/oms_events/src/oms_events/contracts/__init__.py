"""Contracts: the events that services publish, one module per owning service, and nothing else."""

from oms_events.contracts import catalog, fulfilment, intake, inventory, logistics, orders, settlement

__all__ = ["catalog", "fulfilment", "intake", "inventory", "logistics", "orders", "settlement"]
