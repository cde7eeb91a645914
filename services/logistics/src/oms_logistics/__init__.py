"""Logistics: with whom a shipment travels, by when, for how much, and where it is."""
