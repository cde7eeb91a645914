"""`python -m oms_local`."""

from oms_local.cli import main

raise SystemExit(main())
