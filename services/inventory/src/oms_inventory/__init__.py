"""Inventory: how many of a SKU can this shop sell right now, and why."""
