/* SPDX-License-Identifier: Apache-2.0 */

import com.fasterxml.jackson.databind.ObjectMapper;
import com.fasterxml.jackson.databind.node.ObjectNode;
import java.io.FileReader;
import java.io.PrintStream;
import java.nio.charset.StandardCharsets;
import java.time.Duration;
import java.util.ArrayList;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.Properties;
import java.util.TreeMap;
import java.util.concurrent.ExecutionException;
import java.util.concurrent.Future;
import java.util.concurrent.TimeUnit;
import org.apache.kafka.clients.admin.Admin;
import org.apache.kafka.clients.admin.Config;
import org.apache.kafka.clients.admin.NewTopic;
import org.apache.kafka.clients.consumer.ConsumerRecord;
import org.apache.kafka.clients.consumer.KafkaConsumer;
import org.apache.kafka.clients.consumer.OffsetAndMetadata;
import org.apache.kafka.clients.producer.KafkaProducer;
import org.apache.kafka.clients.producer.ProducerRecord;
import org.apache.kafka.clients.producer.RecordMetadata;
import org.apache.kafka.common.Node;
import org.apache.kafka.common.TopicPartition;
import org.apache.kafka.common.config.ConfigResource;
import org.apache.kafka.common.errors.UnknownTopicOrPartitionException;
import org.apache.kafka.common.serialization.StringDeserializer;
import org.apache.kafka.common.serialization.StringSerializer;

/**
 * One of everything an application does, on the client of any version: describes the cluster, creates a topic led by
 * nodes 1, 2 and 3, describes its configuration, writes, reads in a group and commits, and moves offsets in
 * transactions, of which one is aborted. Tells as one JSON object what came of it.
 */
public final class Tour {
    private static final int RECORDS = 30;
    private static final long TIMEOUT_S = 40;

    private final Properties properties = new Properties();
    private final ObjectNode told = new ObjectMapper().createObjectNode();
    private final String topic;

    private Tour(String file, String topic) throws Exception {
        this.topic = topic;
        try (FileReader reader = new FileReader(file)) {
            properties.load(reader);
        }
    }

    /** Tour FILE TOPIC: the settings, and a name for the topic, the group and the transactional id. */
    public static void main(String[] arguments) throws Exception {
        PrintStream out = new PrintStream(System.out, true, StandardCharsets.UTF_8);
        System.setOut(System.err);
        Tour tour = new Tour(arguments[0], arguments[1]);
        try (Admin admin = Admin.create(tour.properties)) {
            tour.administer(admin);
            tour.write();
            tour.read();
            tour.transact();
            var committed = admin.listConsumerGroupOffsets(tour.topic).partitionsToOffsetAndMetadata();
            tour.told.put("committed", committed.get(TIMEOUT_S, TimeUnit.SECONDS).values().stream()
                .mapToLong(OffsetAndMetadata::offset).sum());
        }
        out.println(tour.told);
        System.exit(0);
    }

    private void administer(Admin admin) throws Exception {
        var described = admin.describeCluster();
        told.put("controller", described.controller().get(TIMEOUT_S, TimeUnit.SECONDS).id());
        ObjectNode brokers = told.putObject("brokers");
        for (Node node : described.nodes().get(TIMEOUT_S, TimeUnit.SECONDS)) {
            brokers.put(node.idString(), node.host() + ":" + node.port());
        }
        Map<Integer, List<Integer>> replicas = new TreeMap<>(
            Map.of(0, List.of(1, 2, 3), 1, List.of(2, 3, 1), 2, List.of(3, 1, 2)));
        admin.createTopics(List.of(new NewTopic(topic, replicas))).all().get(TIMEOUT_S, TimeUnit.SECONDS);
        told.put("min.insync.replicas", describe(admin).get("min.insync.replicas").value());
    }

    /** A broker may take a moment to hear of a new topic. */
    private Config describe(Admin admin) throws Exception {
        ConfigResource resource = new ConfigResource(ConfigResource.Type.TOPIC, topic);
        long deadline = System.nanoTime() + TIMEOUT_S * 1_000_000_000L;
        while (true) {
            try {
                return admin.describeConfigs(List.of(resource)).all().get(TIMEOUT_S, TimeUnit.SECONDS).get(resource);
            } catch (ExecutionException error) {
                if (!(error.getCause() instanceof UnknownTopicOrPartitionException) || System.nanoTime() > deadline) {
                    throw error;
                }
                Thread.sleep(50);
            }
        }
    }

    private KafkaProducer<String, String> producer() {
        return new KafkaProducer<>(properties, new StringSerializer(), new StringSerializer());
    }

    private void write() throws Exception {
        List<Future<RecordMetadata>> pending = new ArrayList<>();
        try (KafkaProducer<String, String> producer = producer()) {
            for (int i = 0; i < RECORDS; i++) {
                pending.add(producer.send(new ProducerRecord<>(topic, i % 3, null, "record-" + i)));
            }
            producer.flush();
        }
        for (Future<RecordMetadata> one : pending) {
            one.get();
        }
        told.put("written", pending.size());
    }

    private KafkaConsumer<String, String> consumer(String group) {
        Properties mine = new Properties();
        mine.putAll(properties);
        mine.putAll(Map.of("group.id", group, "auto.offset.reset", "earliest", "isolation.level", "read_committed",
            "enable.auto.commit", "false"));
        return new KafkaConsumer<>(mine, new StringDeserializer(), new StringDeserializer());
    }

    /** Reads so many records in a group and what comes in another half second; the values. */
    private static List<String> take(KafkaConsumer<String, String> consumer, int count) {
        List<String> values = new ArrayList<>();
        long deadline = System.nanoTime() + TIMEOUT_S * 1_000_000_000L;
        while (values.size() < count && System.nanoTime() < deadline) {
            for (ConsumerRecord<String, String> record : consumer.poll(Duration.ofMillis(200))) {
                values.add(record.value());
            }
        }
        consumer.poll(Duration.ofMillis(500)).forEach(record -> values.add(record.value()));
        return values;
    }

    private void read() {
        try (KafkaConsumer<String, String> consumer = consumer(topic)) {
            consumer.subscribe(List.of(topic));
            told.put("read", take(consumer, RECORDS).size());
            consumer.commitSync();
        }
    }

    /** Commits three records and the offsets of one partition more; then aborts three others. */
    private void transact() throws Exception {
        properties.put("transactional.id", topic);
        try (KafkaProducer<String, String> producer = producer();
             KafkaConsumer<String, String> consumer = consumer(topic)) {
            consumer.subscribe(List.of(topic));
            producer.initTransactions();
            producer.beginTransaction();
            for (int partition = 0; partition < 3; partition++) {
                producer.send(new ProducerRecord<>(topic, partition, null, "committed-" + partition));
            }
            producer.commitTransaction();
            told.put("committed_read", take(consumer, 3).size());
            Map<TopicPartition, OffsetAndMetadata> positions = new HashMap<>();
            for (TopicPartition partition : consumer.assignment()) {
                positions.put(partition, new OffsetAndMetadata(consumer.position(partition)));
            }
            producer.beginTransaction();
            producer.sendOffsetsToTransaction(positions, consumer.groupMetadata());
            producer.commitTransaction();
            producer.beginTransaction();
            for (int partition = 0; partition < 3; partition++) {
                producer.send(new ProducerRecord<>(topic, partition, null, "aborted-" + partition));
            }
            producer.flush();
            producer.abortTransaction();
        }
        properties.remove("transactional.id");
        try (KafkaConsumer<String, String> consumer = consumer(topic + "-again")) {
            consumer.subscribe(List.of(topic));
            List<String> values = take(consumer, RECORDS + 3);
            told.put("read_again", values.size());
            told.put("aborted_read", values.stream().filter(value -> value.startsWith("aborted")).count());
        }
    }
}
