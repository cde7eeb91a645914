"""Catalog: what is sold, where, and at what price."""
