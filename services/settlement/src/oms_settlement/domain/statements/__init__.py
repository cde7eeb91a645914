"""Reads platforms' statements: bytes in, lines out, or one refusal that names the rule and the row.

    reader = read("canonical", chunks, account=ExpectedAccount("web", "main", "GBP"))
    for lines in reader:      # lists of some thousand lines; what is kept between them does not grow with the file
        ...
    reader.totals             # once the last list was given: the statement foots

Nothing that was read counts before the end was reached without `Refused`: what makes a statement foot comes last.
"""

from oms_settlement.domain.statements.read import FORMATS, Reader, read
from oms_settlement.domain.statements.statement import (
    COMPONENTS,
    ExpectedAccount,
    Refused,
    Rule,
    StatementLine,
    Totals,
)

__all__ = [
    "COMPONENTS",
    "FORMATS",
    "ExpectedAccount",
    "Reader",
    "Refused",
    "Rule",
    "StatementLine",
    "Totals",
    "read",
]
