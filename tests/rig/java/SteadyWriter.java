/* SPDX-License-Identifier: Apache-2.0 */

import java.io.FileReader;
import java.io.IOException;
import java.io.PrintStream;
import java.nio.charset.StandardCharsets;
import java.util.HashMap;
import java.util.Map;
import java.util.Properties;
import java.util.concurrent.atomic.AtomicBoolean;
import org.apache.kafka.clients.producer.KafkaProducer;
import org.apache.kafka.clients.producer.ProducerRecord;
import org.apache.kafka.common.serialization.StringSerializer;

/**
 * Writes numbered records at a steady pace until its standard input ends or --count is reached, and says what became of
 * each.
 *
 * Record n is `NAME-n` and goes to partition n modulo --partitions, so that order can be checked for each partition.
 * What it was held up for it does not make up for. Prints "acked NUMBER PARTITION OFFSET", "failed NUMBER TEXT", and
 * last "done SENT". The settings, idempotence among them, are those of --config.
 */
public final class SteadyWriter {
    private static final int BURST = 10;

    private final Map<String, String> options = new HashMap<>();
    private final AtomicBoolean stop = new AtomicBoolean();
    private final PrintStream out = new PrintStream(System.out, true, StandardCharsets.UTF_8);

    private SteadyWriter(String[] arguments) {
        for (int i = 0; i + 1 < arguments.length; i += 2) {
            options.put(arguments[i], arguments[i + 1]);
        }
    }

    public static void main(String[] arguments) throws Exception {
        new SteadyWriter(arguments).run();
        System.exit(0);
    }

    private int number(String option) {
        return Integer.parseInt(options.get(option));
    }

    private void stopAtEndOfInput() {
        Thread watcher = new Thread(() -> {
            try {
                while (System.in.read() >= 0) {
                    continue;
                }
            } catch (IOException error) {
                out.println("input " + error);
            }
            stop.set(true);
        });
        watcher.setDaemon(true);
        watcher.start();
    }

    private void run() throws Exception {
        Properties properties = new Properties();
        try (FileReader reader = new FileReader(options.get("--config"))) {
            properties.load(reader);
        }
        stopAtEndOfInput();
        int sent = 0;
        try (KafkaProducer<String, String> producer =
                 new KafkaProducer<>(properties, new StringSerializer(), new StringSerializer())) {
            long next = System.nanoTime();
            while (!stop.get() && sent < number("--count")) {
                for (int i = 0; i < BURST && sent < number("--count"); i++) {
                    send(producer, sent++);
                }
                next += 1_000_000_000L * BURST / number("--rate");
                long left = (next - System.nanoTime()) / 1_000_000L;
                if (left > 0) {
                    Thread.sleep(left);
                } else {
                    next = System.nanoTime();
                }
            }
            producer.flush();
        }
        out.println("done " + sent);
    }

    private void send(KafkaProducer<String, String> producer, int number) {
        int partition = number % number("--partitions");
        String value = options.get("--name") + "-" + number;
        producer.send(new ProducerRecord<>(options.get("--topic"), partition, null, value), (where, error) ->
            out.println(error == null ? "acked " + number + " " + partition + " " + where.offset()
                : "failed " + number + " " + error));
    }
}
