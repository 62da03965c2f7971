/* SPDX-License-Identifier: Apache-2.0 */

import java.io.FileReader;
import java.time.Duration;
import java.util.ArrayList;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.Properties;
import java.util.concurrent.ExecutionException;
import java.util.concurrent.Future;
import org.apache.kafka.clients.consumer.ConsumerRecord;
import org.apache.kafka.clients.consumer.KafkaConsumer;
import org.apache.kafka.clients.producer.KafkaProducer;
import org.apache.kafka.clients.producer.ProducerRecord;
import org.apache.kafka.clients.producer.RecordMetadata;
import org.apache.kafka.common.serialization.StringDeserializer;
import org.apache.kafka.common.serialization.StringSerializer;

/**
 * An application in small, for any version of the Java client: writes, reads in a group, or both.
 *
 * Prints lines "wrote PARTITION OFFSET VALUE" and "read PARTITION OFFSET VALUE"; fails with "error CLASS: text".
 */
public final class JavaClient {
    private final Map<String, String> options = new HashMap<>();
    private final Properties properties = new Properties();

    private JavaClient(String[] arguments) throws Exception {
        for (int i = 0; i + 1 < arguments.length; i += 2) {
            options.put(arguments[i], arguments[i + 1]);
        }
        try (FileReader reader = new FileReader(options.get("--config"))) {
            properties.load(reader);
        }
    }

    public static void main(String[] arguments) throws Exception {
        JavaClient self = new JavaClient(arguments);
        try {
            self.write();
            self.read();
            System.exit(0);
        } catch (ExecutionException error) {
            System.out.println("error " + error.getCause());
        } catch (Exception error) {
            System.out.println("error " + error);
            error.printStackTrace();
        }
        System.exit(1);
    }

    private int number(String option, int otherwise) {
        return Integer.parseInt(options.getOrDefault(option, String.valueOf(otherwise)));
    }

    private void write() throws Exception {
        int count = number("--produce", 0);
        if (count == 0) {
            return;
        }
        boolean transactional = options.containsKey("--transactional");
        if (transactional) {
            properties.put("transactional.id", options.get("--transactional"));
        }
        try (KafkaProducer<String, String> producer =
                 new KafkaProducer<>(properties, new StringSerializer(), new StringSerializer())) {
            if (transactional) {
                producer.initTransactions();
                producer.beginTransaction();
            }
            List<Future<RecordMetadata>> pending = new ArrayList<>();
            for (int i = 0; i < count; i++) {
                String value = options.getOrDefault("--prefix", "record") + "-" + i;
                pending.add(producer.send(new ProducerRecord<>(options.get("--topic"), value, value)));
            }
            if (transactional) {
                producer.commitTransaction();
            }
            for (int i = 0; i < count; i++) {
                RecordMetadata where = pending.get(i).get();
                System.out.println("wrote " + where.partition() + " " + where.offset() + " "
                    + options.getOrDefault("--prefix", "record") + "-" + i);
            }
        }
    }

    private void read() {
        int count = number("--consume", 0);
        if (count == 0) {
            return;
        }
        properties.put("group.id", options.get("--group"));
        properties.put("auto.offset.reset", "earliest");
        properties.put("isolation.level", "read_committed");
        long deadline = System.nanoTime() + number("--timeout", 30) * 1_000_000_000L;
        try (KafkaConsumer<String, String> consumer =
                 new KafkaConsumer<>(properties, new StringDeserializer(), new StringDeserializer())) {
            consumer.subscribe(List.of(options.get("--topic")));
            int found = 0;
            while (found < count) {
                if (System.nanoTime() > deadline) {
                    throw new IllegalStateException("only " + found + " of " + count + " records in time");
                }
                for (ConsumerRecord<String, String> record : consumer.poll(Duration.ofMillis(200))) {
                    System.out.println("read " + record.partition() + " " + record.offset() + " " + record.value());
                    found++;
                }
            }
            consumer.commitSync();
        }
    }
}
