"""What the way of an order costs when nothing else is there: `python -m bench.bare`."""
