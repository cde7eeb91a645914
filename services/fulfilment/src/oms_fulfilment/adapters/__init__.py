"""All SQL of fulfilment."""
