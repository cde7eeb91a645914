"""Settings of the gateway, read from the environment (`OMS_...`)."""

from pathlib import Path

from pydantic import Field, SecretStr

from oms_events.runtime.settings import Settings
from oms_gateway.routes import SERVICES


class GatewaySettings(Settings):
    """Where the keys and the services are, and how much one process takes in. Times are in seconds."""

    gateway_keys_file: Path = Path("keys.json")
    gateway_root_key: SecretStr = Field(min_length=32)
    """Every caller's secret derives from it: at least 32 characters, the same in all processes."""

    catalog_url: str = "http://127.0.0.1:8081"
    inventory_url: str = "http://127.0.0.1:8082"
    orders_url: str = "http://127.0.0.1:8083"
    fulfilment_url: str = "http://127.0.0.1:8084"
    logistics_url: str = "http://127.0.0.1:8085"
    settlement_url: str = "http://127.0.0.1:8086"
    analytics_url: str = "http://127.0.0.1:8087"

    gateway_append_timeout_s: float = Field(default=10.0, gt=0)
    """How long a request waits for the broker before it answers 503."""
    gateway_max_waiting_bytes: int = Field(default=64 * 1024 * 1024, ge=1024 * 1024)
    """Accepted bytes that wait for the broker at one time; beyond this the answer is 503 at once."""

    def service_urls(self) -> dict[str, str]:
        """Base URL of each service behind the gateway."""
        return {service: getattr(self, f"{service}_url") for service in SERVICES}
