"""Exit code 0 when the service in this container is ready: `python -m oms_events.runtime.probe`.

Asked every few seconds for as long as a container lives, so it imports next to nothing.
"""

import http.client
import os
import sys

_TIMEOUT_S = 4.0


def ready(port: int, path: str = "/readyz") -> bool:
    """Whether the service on this port of this machine says that it is ready."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=_TIMEOUT_S)
    try:
        connection.request("GET", path)
        return connection.getresponse().status == http.client.OK
    except (OSError, http.client.HTTPException):
        return False
    finally:
        connection.close()


if __name__ == "__main__":
    sys.exit(0 if ready(int(os.environ.get("OMS_HTTP_PORT", "8080"))) else 1)
