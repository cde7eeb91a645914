"""What a broker and a database are for: it decides how durable and how large they are."""

from enum import Enum


class Profile(Enum):
    """RUN keeps its data under the run folder between runs. TEST throws it away and trades safety for speed.

    FAULTS is as durable as RUN, since its servers are killed on purpose, and takes any free ports as TEST does. Its
    data are in the run folder, which its owner throws away.
    """

    RUN = "run"
    TEST = "test"
    FAULTS = "faults"

    @property
    def keeps(self) -> bool:
        """Whether the data are in the run folder given."""
        return self is not Profile.TEST

    @property
    def prefers_ports(self) -> bool:
        """Whether a person wants to find it at the ports it had last time."""
        return self is Profile.RUN
