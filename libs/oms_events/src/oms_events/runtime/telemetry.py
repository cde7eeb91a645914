"""Metrics of the runtime. Their names and labels live here and nowhere else."""

from prometheus_client import Counter, Gauge, Histogram

RECORDS = Counter("oms_consumer_records_total", "Records taken from Kafka", ["group", "type", "outcome"])
BATCH_SIZE = Histogram(
    "oms_consumer_batch_size",
    "Records of one transaction",
    ["group"],
    buckets=(1, 2, 5, 10, 20, 50, 100, 200, 500),
)
HANDLE_SECONDS = Histogram(
    "oms_consumer_handle_seconds",
    "Time of one transaction",
    ["group"],
    buckets=(0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1, 2, 5),
)
EVENT_AGE = Histogram(
    "oms_event_age_seconds",
    "From an event's time to its handling",
    ["group"],
    buckets=(0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1, 2, 5, 10, 60, 600),
)
LAG = Gauge(
    "oms_consumer_lag_records", "Records not yet applied, of the partitions this process reads", ["group", "topic"]
)
OLDEST = Gauge(
    "oms_consumer_oldest_seconds", "Age of the oldest record not yet applied, 0 when there is none", ["group"]
)
LOOP_SILENT = Gauge("oms_loop_silent_seconds", "Since a loop last came round, at the last look", ["service", "loop"])
STAGE_CPU = Counter(
    "oms_stage_cpu_seconds_total", "CPU time of a consumer's thread by stage of its work", ["group", "stage"]
)
RETRIES = Counter("oms_retries_total", "Attempts that failed and are repeated", ["group", "error"])
DEAD_LETTERS_OPEN = Gauge("oms_dead_letters_open", "Dead and parked letters that wait for somebody", ["service"])
PUBLISHED = Counter("oms_published_total", "Records acknowledged by the broker", ["topic"])
RELAYED = Counter("oms_relay_rows_total", "Outbox rows that the relay had to publish", ["service"])
EMITTED = Counter("oms_emitted_total", "Events that committed work has caused", ["type"])
OUTBOX_ROWS = Gauge("oms_outbox_rows", "Outbox rows not yet published", ["service"])
OUTBOX_AGE = Gauge("oms_outbox_oldest_seconds", "Age of the oldest unpublished outbox row", ["service"])
HTTP_SECONDS = Histogram(
    "oms_http_request_seconds",
    "From a request's arrival to the end of its answer; the route is a template, never a path",
    ["service", "method", "route", "status"],
    buckets=(0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 10),
)
