"""What fulfilment does with each event, command and query."""
