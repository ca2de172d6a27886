// A small portal with Apache Kafka's own client: java -cp … Portal ask | withdraw | move | correct | accept | decline | hear
import static java.nio.charset.StandardCharsets.UTF_8;

import java.time.Duration;
import java.time.Instant;
import java.util.Base64;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.UUID;
import javax.crypto.Mac;
import javax.crypto.spec.SecretKeySpec;
import org.apache.kafka.clients.consumer.KafkaConsumer;
import org.apache.kafka.clients.producer.KafkaProducer;
import org.apache.kafka.clients.producer.ProducerRecord;
import org.apache.kafka.common.serialization.StringDeserializer;
import org.apache.kafka.common.serialization.StringSerializer;

public class Portal {
    static final String PORTAL = System.getenv("PORTAL");
    static final String KEY_ID = System.getenv("KEY_ID");
    static final String SECRET = System.getenv("SECRET");
    static final String SESSION_ID = System.getenv("SESSION_ID");
    static final String TO_SESSION_ID = System.getenv("TO_SESSION_ID");
    static final String AGENT_ID = System.getenv().getOrDefault("AGENT_ID", "EX-1");

    static final String EMAIL = System.getenv("EMAIL");
    static final String ANSWERS = System.getenv().getOrDefault("ANSWERS", "[]");

    static final String AGENT = """
        {"agent_id": "%s", "email": "%s@ville-exemple.fr", "given_name": "Zoé", "family_name": "Durand",
         "function": "agent",
         "employer": {"siret": "21350238800019", "name": "Ville de Rennes", "delegation": "bretagne"}}"""
        .formatted(AGENT_ID, AGENT_ID.toLowerCase());

    public static void main(String[] arguments) throws Exception {
        if (arguments.length == 1 && arguments[0].equals("correct") && (EMAIL == null || EMAIL.isEmpty())) {
            System.err.println("correct needs EMAIL: the address from now on");
            System.exit(2);
        }
        switch (arguments.length == 1 ? arguments[0] : "") {
            case "ask" -> send("EnrolmentRequested", 
                "\"agent\": " + AGENT + ", \"approval\": null, \"answers\": " + ANSWERS);
            case "withdraw" -> send("WithdrawalRequested", "\"agent_id\": \"" + AGENT_ID + "\"");
            case "move" -> send("SessionSwapRequested",
                "\"agent_id\": \"" + AGENT_ID + "\", \"to_session_id\": \"" + TO_SESSION_ID + "\", \"answers\": " + ANSWERS);
            case "correct" -> send("AgentCorrected",
                "\"agent_id\": \"" + AGENT_ID + "\", \"email\": \"" + EMAIL + "\"");
            case "accept" -> send("SeatOfferAnswered", "\"agent_id\": \"" + AGENT_ID + "\", \"accepted\": true");
            case "decline" -> send("SeatOfferAnswered", "\"agent_id\": \"" + AGENT_ID + "\", \"accepted\": false");
            case "hear" -> hear();
            default -> {
                System.err.println("java -cp … Portal ask | withdraw | move | correct | accept | decline | hear");
                System.exit(2);
            }
        }
    }

    /** These settings, with those of the connection. */
    static Map<String, Object> settings(Map<String, Object> own) {
        var settings = new HashMap<>(own);
        settings.put("bootstrap.servers", System.getenv("KAFKA_BOOTSTRAP_SERVERS"));
        if (System.getenv("KAFKA_SASL_USERNAME") != null) {
            settings.put("security.protocol", "SASL_SSL");
            settings.put("sasl.mechanism", "SCRAM-SHA-512");
            settings.put("sasl.jaas.config",
                "org.apache.kafka.common.security.scram.ScramLoginModule required username=\"%s\" password=\"%s\";"
                    .formatted(System.getenv("KAFKA_SASL_USERNAME"), System.getenv("KAFKA_SASL_PASSWORD")));
        }
        if (System.getenv("KAFKA_CA_FILE") != null) {
            settings.put("ssl.truststore.type", "PEM");
            settings.put("ssl.truststore.location", System.getenv("KAFKA_CA_FILE"));
        }
        return settings;
    }

    /** HMAC-SHA256 over the attributes of an event and the record's whole value. */
    static String sign(String id, String source, String type, String time, String value) throws Exception {
        Mac mac = Mac.getInstance("HmacSHA256");
        mac.init(new SecretKeySpec(Base64.getDecoder().decode(SECRET.replaceFirst("^whsec_", "")), "HmacSHA256"));
        String content = String.join("\n", "v1", KEY_ID, id, source, type, time, value);
        return "v1," + Base64.getEncoder().encodeToString(mac.doFinal(content.getBytes(UTF_8)));
    }

    /** Sends a request and prints its ce_id, once the broker has it. */
    static void send(String name, String facts) throws Exception {
        // What is about an agent alone has a topic of its own, and the agent as its key.
        boolean ofAgent = name.equals("AgentCorrected");
        String topic = ofAgent ? "portal.agents" : "portal.enrolments", key = ofAgent ? AGENT_ID : SESSION_ID;
        String value = "{" + (ofAgent ? "" : "\"session_id\": \"" + SESSION_ID + "\", ") + facts + "}";
        String id = UUID.randomUUID().toString();
        String source = "/portals/" + PORTAL;
        String type = "fr.cnfpt.portal." + name + ".v1";
        String time = Instant.now().toString();
        // The key is the session's id, or the agent's, and the partitioner murmur2, this client's own: order in line depends on it.
        var record = new ProducerRecord<>(topic, key, value);
        Map.of(
            "ce_specversion", "1.0", "ce_id", id, "ce_source", source, "ce_type", type, "ce_time", time,
            "content-type", "application/json", "ce_keyid", KEY_ID,
            "ce_signature", sign(id, source, type, time, value)
        ).forEach((header, content) -> record.headers().add(header, content.getBytes(UTF_8)));
        var settings = settings(Map.of("acks", "all"));
        try (var producer = new KafkaProducer<>(settings, new StringSerializer(), new StringSerializer())) {
            producer.send(record).get();
        }
        System.out.println(id);
    }

    /** Prints each answer to this portal, for ever. What is committed is not heard again. */
    static void hear() {
        var settings = settings(Map.of(
            "group.id", "portal." + PORTAL + ".example", "auto.offset.reset", "earliest", "enable.auto.commit", false));
        try (var consumer = new KafkaConsumer<>(settings, new StringDeserializer(), new StringDeserializer())) {
            consumer.subscribe(List.of("portal.answers." + PORTAL));
            while (true) {
                // An answer may come twice: ce_source and ce_id say which it is.
                for (var record : consumer.poll(Duration.ofSeconds(1))) {
                    System.out.println(new String(record.headers().lastHeader("ce_type").value(), UTF_8) + " " + record.value());
                }
                consumer.commitSync();
            }
        }
    }
}
