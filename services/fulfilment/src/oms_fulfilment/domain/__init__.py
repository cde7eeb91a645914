"""Rules of fulfilment: pure functions, no I/O, no clock."""
