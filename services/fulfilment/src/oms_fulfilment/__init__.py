"""Fulfilment: who ships which lines of an order, and why; and the life of each shipment until it leaves."""
