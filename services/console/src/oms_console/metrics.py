"""What the console tells Prometheus."""

from prometheus_client import Counter, Histogram

PAGE_SECONDS = Histogram(
    "oms_console_page_seconds",
    "From a request to its answer",
    ["page"],
    buckets=(0.005, 0.01, 0.02, 0.03, 0.05, 0.1, 0.2, 0.5, 1, 5),
)
ANSWERS = Counter("oms_console_answers_total", "Answers to browsers", ["page", "status"])
CALLS = Counter("oms_console_gateway_calls_total", "Calls of the gateway", ["outcome"])
SIGN_INS = Counter("oms_console_sign_ins_total", "Attempts to sign in", ["outcome"])
