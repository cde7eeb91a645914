"""What names our own causes: commands, deadlines, jobs."""

SOURCE = "/oms/settlement"
