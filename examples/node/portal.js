// A small portal with KafkaJS: node portal.js ask | withdraw | move | correct | accept | decline | hear
"use strict";
const { readFileSync } = require("node:fs");
const { createHmac, randomUUID } = require("node:crypto");
const { Kafka, Partitioners, logLevel } = require("kafkajs");

const { KAFKA_BOOTSTRAP_SERVERS, PORTAL, KEY_ID, SECRET, SESSION_ID, TO_SESSION_ID, AGENT_ID = "EX-1" } = process.env;
const { EMAIL, ANSWERS = "[]" } = process.env;
const { KAFKA_SASL_USERNAME, KAFKA_SASL_PASSWORD, KAFKA_CA_FILE } = process.env;

const agent = {
  agent_id: AGENT_ID,
  email: `${AGENT_ID.toLowerCase()}@ville-exemple.fr`,
  given_name: "Zoé",
  family_name: "Durand",
  function: "agent",
  employer: { siret: "21350238800019", name: "Ville de Rennes", delegation: "bretagne" },
};
const answers = JSON.parse(ANSWERS);
const commands = {
  ask: ["EnrolmentRequested", { agent, approval: null, answers }],
  withdraw: ["WithdrawalRequested", { agent_id: AGENT_ID }],
  move: ["SessionSwapRequested", { agent_id: AGENT_ID, to_session_id: TO_SESSION_ID, answers }],
  correct: ["AgentCorrected", { agent_id: AGENT_ID, email: EMAIL }],
  accept: ["SeatOfferAnswered", { agent_id: AGENT_ID, accepted: true }],
  decline: ["SeatOfferAnswered", { agent_id: AGENT_ID, accepted: false }],
};
const kafka = new Kafka({
  clientId: `portal-${PORTAL}`,
  brokers: KAFKA_BOOTSTRAP_SERVERS.split(","),
  logLevel: logLevel.ERROR,
  ...(KAFKA_SASL_USERNAME && {
    ssl: KAFKA_CA_FILE ? { ca: [readFileSync(KAFKA_CA_FILE)] } : true,
    sasl: { mechanism: "scram-sha-512", username: KAFKA_SASL_USERNAME, password: KAFKA_SASL_PASSWORD },
  }),
});

// HMAC-SHA256 over the attributes of an event and the record's whole value.
function sign({ id, source, type, time }, value) {
  const key = Buffer.from(SECRET.replace(/^whsec_/, ""), "base64");
  const lines = ["v1", KEY_ID, id, source, type, time, ""].join("\n");
  return `v1,${createHmac("sha256", key).update(lines).update(value).digest("base64")}`;
}

async function send([name, facts]) {
  // What is about an agent alone has a topic of its own, and the agent as its key.
  const ofAgent = name === "AgentCorrected";
  const [topic, key] = ofAgent ? ["portal.agents", AGENT_ID] : ["portal.enrolments", SESSION_ID];
  const value = Buffer.from(JSON.stringify(ofAgent ? facts : { session_id: SESSION_ID, ...facts }));
  const attributes = {
    specversion: "1.0",
    id: randomUUID(),
    source: `/portals/${PORTAL}`,
    type: `fr.cnfpt.portal.${name}.v1`,
    time: new Date().toISOString(),
  };
  const headers = { "content-type": "application/json", ce_keyid: KEY_ID, ce_signature: sign(attributes, value) };
  for (const [attribute, content] of Object.entries(attributes)) headers[`ce_${attribute}`] = content;
  // DefaultPartitioner is murmur2, as Kafka's own clients have it: order in line depends on it.
  const producer = kafka.producer({ createPartitioner: Partitioners.DefaultPartitioner });
  await producer.connect();
  await producer.send({ topic, acks: -1, messages: [{ key, value, headers }] });
  await producer.disconnect();
  console.log(attributes.id);
}

// What is committed is not heard again.
async function hear() {
  const consumer = kafka.consumer({ groupId: `portal.${PORTAL}.example` });
  await consumer.connect();
  await consumer.subscribe({ topic: `portal.answers.${PORTAL}`, fromBeginning: true });
  await consumer.run({
    // KafkaJS commits once this has ended without an error. An answer may come twice: ce_source and ce_id
    // say which it is.
    eachMessage: async ({ message }) => console.log(String(message.headers.ce_type), String(message.value)),
  });
}

const command = process.argv[2];
if (command !== "hear" && !(command in commands)) {
  console.error("node portal.js ask | withdraw | move | correct | accept | decline | hear");
  process.exit(2);
}
if (command === "correct" && !EMAIL) {
  console.error("correct needs EMAIL: the address from now on");
  process.exit(2);
}
(command === "hear" ? hear() : send(commands[command])).catch((error) => {
  console.error(error.message);
  process.exit(1);
});
