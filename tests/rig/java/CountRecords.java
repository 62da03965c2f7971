/* SPDX-License-Identifier: Apache-2.0 */

import java.io.FileReader;
import java.time.Duration;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.BitSet;
import java.util.List;
import java.util.Map;
import java.util.Properties;
import java.util.SplittableRandom;
import java.util.concurrent.ConcurrentHashMap;
import java.util.concurrent.atomic.AtomicBoolean;
import java.util.concurrent.atomic.AtomicReference;
import org.apache.kafka.clients.consumer.ConsumerRecord;
import org.apache.kafka.clients.consumer.ConsumerRecords;
import org.apache.kafka.clients.consumer.KafkaConsumer;
import org.apache.kafka.common.PartitionInfo;
import org.apache.kafka.common.TopicPartition;
import org.apache.kafka.common.serialization.ByteArrayDeserializer;

/**
 * Reads a topic that kafka-producer-perf-test wrote with --record-size, and accounts for every record by its contents.
 *
 * The tool draws each payload from a generator with a fixed seed (ProducerPerformance: SplittableRandom(0), one letter
 * A…Z a byte), so the exact payloads are known and can be drawn again here. 100 letters hold 470 bits: all differ, which
 * is checked. A record read is then known (by 64 bits of hash over its whole value), seen before, or foreign.
 *
 * Prints progress lines and last one JSON object: {"expected", "consumed", "lost", "duplicated", "foreign", "seconds"}.
 * Ends when every partition has been read to the end offset it had at the start, or after --timeout s without a record.
 */
public final class CountRecords {
    private static final class Tally {
        private final long[] expected;
        private final BitSet seen;
        private long consumed;
        private long duplicated;
        private long foreign;

        Tally(long count, int size) {
            expected = new long[Math.toIntExact(count)];
            SplittableRandom random = new SplittableRandom(0);
            byte[] payload = new byte[size];
            for (int i = 0; i < expected.length; i++) {
                for (int j = 0; j < size; j++) {
                    payload[j] = (byte) (random.nextInt(26) + 65);
                }
                expected[i] = hash(payload);
            }
            Arrays.parallelSort(expected);
            for (int i = 1; i < expected.length; i++) {
                if (expected[i] == expected[i - 1]) {
                    throw new IllegalStateException("two payloads share a hash: records of this size cannot be told apart");
                }
            }
            seen = new BitSet(expected.length);
        }

        static long hash(byte[] bytes) {
            long state = bytes.length * 0x9E3779B97F4A7C15L;
            for (byte value : bytes) {
                state = (state ^ (value & 0xff)) * 0xD6E8FEB86659FD93L;
                state ^= state >>> 32;
            }
            return state;
        }

        synchronized void add(ConsumerRecords<byte[], byte[]> records) {
            for (ConsumerRecord<byte[], byte[]> record : records) {
                consumed++;
                int at = record.value() == null ? -1 : Arrays.binarySearch(expected, hash(record.value()));
                if (at < 0) {
                    foreign++;
                } else if (seen.get(at)) {
                    duplicated++;
                } else {
                    seen.set(at);
                }
            }
        }

        synchronized long consumed() {
            return consumed;
        }

        synchronized String json(double seconds) {
            return String.format(java.util.Locale.ROOT,
                "{\"expected\": %d, \"consumed\": %d, \"lost\": %d, \"duplicated\": %d, \"foreign\": %d, \"seconds\": %.3f}",
                expected.length, consumed, expected.length - seen.cardinality(), duplicated, foreign, seconds);
        }
    }

    private final Properties properties = new Properties();
    private final Map<TopicPartition, Long> left = new ConcurrentHashMap<>();
    private final AtomicBoolean stop = new AtomicBoolean();
    private final AtomicReference<Throwable> failure = new AtomicReference<>();
    private final String topic;

    private CountRecords(String topic, String file) throws Exception {
        this.topic = topic;
        try (FileReader reader = new FileReader(file)) {
            properties.load(reader);
        }
        properties.put("key.deserializer", ByteArrayDeserializer.class.getName());
        properties.put("value.deserializer", ByteArrayDeserializer.class.getName());
        properties.put("auto.offset.reset", "earliest");
    }

    /** Notes the end offset of each partition that holds records. */
    private void findEnds() {
        try (KafkaConsumer<byte[], byte[]> consumer = new KafkaConsumer<>(properties)) {
            List<TopicPartition> partitions = new ArrayList<>();
            for (PartitionInfo info : consumer.partitionsFor(topic)) {
                partitions.add(new TopicPartition(topic, info.partition()));
            }
            Map<TopicPartition, Long> begins = consumer.beginningOffsets(partitions);
            consumer.endOffsets(partitions).forEach((partition, end) -> {
                if (end > begins.get(partition)) {
                    left.put(partition, end);
                }
            });
        }
    }

    private void consume(Tally tally) {
        try (KafkaConsumer<byte[], byte[]> consumer = new KafkaConsumer<>(properties)) {
            consumer.subscribe(List.of(topic));
            while (!stop.get()) {
                ConsumerRecords<byte[], byte[]> records = consumer.poll(Duration.ofMillis(200));
                tally.add(records);
                for (TopicPartition partition : records.partitions()) {
                    long next = consumer.position(partition);
                    left.computeIfPresent(partition, (p, end) -> next >= end ? null : end);
                }
            }
        } catch (Throwable error) {
            failure.compareAndSet(null, error);
            stop.set(true);
        }
    }

    private static Map<String, String> options(String[] arguments) {
        Map<String, String> found = new java.util.HashMap<>(Map.of("--consumers", "2", "--timeout", "60"));
        for (int i = 0; i + 1 < arguments.length; i += 2) {
            found.put(arguments[i], arguments[i + 1]);
        }
        return found;
    }

    public static void main(String[] arguments) throws Exception {
        Map<String, String> options = options(arguments);
        long count = Long.parseLong(options.get("--records"));
        Tally tally = new Tally(count, Integer.parseInt(options.get("--record-size")));
        CountRecords self = new CountRecords(options.get("--topic"), options.get("--config"));
        self.findEnds();
        long began = System.nanoTime();
        List<Thread> threads = new ArrayList<>();
        for (int i = 0; i < Integer.parseInt(options.get("--consumers")); i++) {
            Thread thread = new Thread(() -> self.consume(tally));
            thread.start();
            threads.add(thread);
        }
        self.watch(tally, count, Long.parseLong(options.get("--timeout")));
        double seconds = (System.nanoTime() - began) / 1e9;
        self.stop.set(true);
        for (Thread thread : threads) {
            thread.join();
        }
        System.out.println(tally.json(seconds));
        if (self.failure.get() != null) {
            self.failure.get().printStackTrace();
            System.exit(1);
        }
    }

    private void watch(Tally tally, long count, long timeoutS) throws InterruptedException {
        long last = -1;
        long moved = System.nanoTime();
        long told = moved;
        while (!stop.get() && !left.isEmpty()) {
            Thread.sleep(20);
            long now = System.nanoTime();
            long consumed = tally.consumed();
            if (consumed != last) {
                last = consumed;
                moved = now;
            } else if (now - moved > timeoutS * 1_000_000_000L) {
                System.out.println("no record for " + timeoutS + " s; unread partitions: " + left.keySet());
                return;
            }
            if (now - told > 1_000_000_000L) {
                told = now;
                System.out.printf("%d of %d records read%n", consumed, count);
            }
        }
    }
}
