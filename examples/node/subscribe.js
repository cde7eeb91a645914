// Reads every order of an OMS from Kafka and prints a line for each. Needs kafkajs and nothing of the OMS.
//
//   OMS_KAFKA_BOOTSTRAP=127.0.0.1:29092 OMS_GROUP=my-orders node subscribe.js

import { readFileSync } from "node:fs";
import { Kafka, logLevel } from "kafkajs";

const TOPIC = "oms.orders.order.v1";
const REMEMBERED = 100_000;

// The latest event ids. An event may come twice; its id is the same for the same fact, for ever.
// This one forgets when the program ends. Where the work goes to a database, write the id in the same
// transaction: then twice is once, whatever crashes.
const seen = new Set();

function isNew(eventId) {
  if (seen.has(eventId)) return false;
  seen.add(eventId);
  if (seen.size > REMEMBERED) seen.delete(seen.values().next().value);
  return true;
}

// The work: one line per order, or none.
function lineOf(message) {
  if (message.value === null) return ""; // a tombstone: the key's last record no longer counts
  const type = message.headers.ce_type?.toString();
  if (type !== "oms.orders.OrderPlaced.v1") return ""; // other events of the topic, and types that are not known yet
  if (!isNew(message.headers.ce_id.toString())) return "";
  const order = JSON.parse(message.value.toString());
  const shop = `${order.channel}/${order.shop}`;
  return `${order.order_id} ${shop} ${order.channel_order_no} ${order.lines.length} lines ${order.total_minor} ${order.currency}\n`;
}

const written = (text) => new Promise((resolve) => process.stdout.write(text, resolve));

const { env } = process;
const security = env.OMS_KAFKA_SECURITY ?? "PLAINTEXT";
const file = (name) => (env[name] ? readFileSync(env[name]) : undefined);
const kafka = new Kafka({
  clientId: "example-node",
  brokers: (env.OMS_KAFKA_BOOTSTRAP ?? "127.0.0.1:29092").split(","),
  // Without a file of its own, it trusts whom Node trusts.
  ssl: security.endsWith("SSL") && {
    ca: file("OMS_KAFKA_CA_FILE"),
    cert: file("OMS_KAFKA_CERT_FILE"),
    key: file("OMS_KAFKA_KEY_FILE"),
  },
  sasl: security.startsWith("SASL")
    ? {
        mechanism: (env.OMS_KAFKA_SASL_MECHANISM ?? "SCRAM-SHA-512").toLowerCase(),
        username: env.OMS_KAFKA_USERNAME,
        password: env.OMS_KAFKA_PASSWORD,
      }
    : undefined,
  logLevel: logLevel.ERROR,
});
const consumer = kafka.consumer({
  groupId: env.OMS_GROUP ?? "example-node",
  sessionTimeout: 10_000, // a member that died is noticed after so long
  maxWaitTimeInMs: 500, // how long the broker keeps a question open, and so how long a stop may take
});

for (const signal of ["SIGTERM", "SIGINT"]) {
  process.once(signal, async () => {
    await consumer.disconnect(); // waits for the batch in hand
    process.exit(0);
  });
}

await consumer.connect();
await consumer.subscribe({ topics: [TOPIC], fromBeginning: true });
await consumer.run({
  autoCommit: false,
  eachBatch: async ({ batch }) => {
    await written(batch.messages.map(lineOf).join(""));
    const next = (BigInt(batch.lastOffset()) + 1n).toString();
    // After the work: what a crash interrupts is read again.
    await consumer.commitOffsets([{ topic: batch.topic, partition: batch.partition, offset: next }]);
  },
});
