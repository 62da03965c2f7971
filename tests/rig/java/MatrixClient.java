/* SPDX-License-Identifier: Apache-2.0 */

import java.io.FileInputStream;
import java.io.FileOutputStream;
import java.io.FileReader;
import java.io.InputStream;
import java.io.OutputStream;
import java.security.KeyStore;
import java.security.cert.CertificateFactory;
import java.time.Duration;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.Properties;
import java.util.concurrent.ExecutorService;
import java.util.concurrent.Executors;
import java.util.concurrent.TimeUnit;
import org.apache.kafka.clients.consumer.ConsumerRecord;
import org.apache.kafka.clients.consumer.ConsumerRecords;
import org.apache.kafka.clients.consumer.KafkaConsumer;
import org.apache.kafka.clients.producer.KafkaProducer;
import org.apache.kafka.clients.producer.ProducerRecord;
import org.apache.kafka.common.TopicPartition;
import org.apache.kafka.common.serialization.StringDeserializer;
import org.apache.kafka.common.serialization.StringSerializer;

/**
 * Many logins in one JVM, with any client from 0.10.2 to 4.x: each properties file named is one, whose topic is its client.id.
 * Writes one record, "TOPIC-PARTITION", to each of its rig.partitions and reads them back.
 *
 * Prints a line for each: "written NAME COUNT", "read NAME VALUE" or "error NAME text". rig.ca, a PEM file, becomes the trust
 * store that clients before 2.7 can read.
 */
public final class MatrixClient {
    private static final int THREADS = 4;
    private static final long DEADLINE_S = 40;

    private final String name;
    private final Properties properties = new Properties();
    private final List<TopicPartition> partitions = new ArrayList<>();

    private MatrixClient(String file) throws Exception {
        try (FileReader reader = new FileReader(file)) {
            properties.load(reader);
        }
        name = properties.getProperty("client.id");
        int count = Integer.parseInt((String) properties.remove("rig.partitions"));
        for (int i = 0; i < count; i++) {
            partitions.add(new TopicPartition(name, i));
        }
        trust((String) properties.remove("rig.ca"), file + ".p12");
    }

    public static void main(String[] arguments) throws Exception {
        ExecutorService pool = Executors.newFixedThreadPool(THREADS);
        for (String file : arguments) {
            MatrixClient client = new MatrixClient(file);
            pool.submit(client::run);
        }
        pool.shutdown();
        pool.awaitTermination(DEADLINE_S * 4, TimeUnit.SECONDS);
        System.exit(0);
    }

    private void trust(String ca, String store) throws Exception {
        if (ca == null) {
            return;
        }
        KeyStore trusted = KeyStore.getInstance("PKCS12");
        trusted.load(null, null);
        try (InputStream in = new FileInputStream(ca); OutputStream out = new FileOutputStream(store)) {
            trusted.setCertificateEntry("ca", CertificateFactory.getInstance("X.509").generateCertificate(in));
            trusted.store(out, "trusted".toCharArray());
        }
        properties.putAll(Map.of("ssl.truststore.type", "PKCS12", "ssl.truststore.location", store,
            "ssl.truststore.password", "trusted"));
    }

    private void run() {
        try {
            write();
            read();
        } catch (Throwable error) {
            System.out.println("error " + name + " " + error + (error.getCause() == null ? "" : " / " + error.getCause()));
        }
    }

    private void write() throws Exception {
        Properties own = new Properties();
        own.putAll(properties);
        own.put("acks", "all");
        try (KafkaProducer<String, String> producer = new KafkaProducer<>(own, new StringSerializer(), new StringSerializer())) {
            for (TopicPartition at : partitions) {
                producer.send(new ProducerRecord<>(name, at.partition(), null, name + "-" + at.partition()))
                    .get(DEADLINE_S, TimeUnit.SECONDS);
            }
        }
        System.out.println("written " + name + " " + partitions.size());
    }

    private void read() {
        Properties own = new Properties();
        own.putAll(properties);
        own.put("enable.auto.commit", "false");
        long end = System.nanoTime() + TimeUnit.SECONDS.toNanos(DEADLINE_S);
        try (KafkaConsumer<String, String> consumer =
                 new KafkaConsumer<>(own, new StringDeserializer(), new StringDeserializer())) {
            consumer.assign(partitions);
            consumer.seekToBeginning(partitions);
            for (int found = 0; found < partitions.size();) {
                if (System.nanoTime() > end) {
                    throw new IllegalStateException("only " + found + " records in time");
                }
                for (ConsumerRecord<String, String> record : poll(consumer)) {
                    System.out.println("read " + name + " " + record.value());
                    found++;
                }
            }
        }
    }

    /* Each of the two is missing at one end of the range of clients. */
    @SuppressWarnings("deprecation")
    private static ConsumerRecords<String, String> poll(KafkaConsumer<String, String> consumer) {
        try {
            return consumer.poll(Duration.ofMillis(200));
        } catch (NoSuchMethodError old) {
            return consumer.poll(200);
        }
    }
}
