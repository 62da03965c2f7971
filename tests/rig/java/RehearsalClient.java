/* SPDX-License-Identifier: Apache-2.0 */

import java.io.BufferedOutputStream;
import java.io.FileOutputStream;
import java.io.FileReader;
import java.io.IOException;
import java.io.OutputStream;
import java.io.PrintStream;
import java.nio.charset.StandardCharsets;
import java.time.Duration;
import java.util.Arrays;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.Properties;
import java.util.concurrent.atomic.AtomicBoolean;
import java.util.regex.Matcher;
import java.util.regex.Pattern;
import java.util.zip.CRC32;
import org.apache.kafka.clients.consumer.ConsumerRecord;
import org.apache.kafka.clients.consumer.ConsumerRecords;
import org.apache.kafka.clients.consumer.KafkaConsumer;
import org.apache.kafka.clients.producer.KafkaProducer;
import org.apache.kafka.clients.producer.ProducerRecord;
import org.apache.kafka.common.KafkaException;
import org.apache.kafka.common.errors.AuthorizationException;
import org.apache.kafka.common.errors.OutOfOrderSequenceException;
import org.apache.kafka.common.errors.ProducerFencedException;
import org.apache.kafka.common.errors.TimeoutException;
import org.apache.kafka.common.errors.UnsupportedVersionException;
import org.apache.kafka.common.serialization.ByteArrayDeserializer;
import org.apache.kafka.common.serialization.ByteArraySerializer;

/**
 * A client of the rehearsal, for any version of the Java client: --role write, transact or read, until its standard input
 * ends (sample: values only). What its records look like and what it says in the file --says stands in census.py.
 */
public final class RehearsalClient {
    private static final int BURST = 10;
    private static final int TRANSACTION = 20;
    private static final int ABORT_EACH = 10;
    private static final long QUIET_NS = 3_000_000_000L;
    private static final Pattern HEAD = Pattern.compile("([a-z0-9-]+ \\d{1,9} \\d{1,9}) ");
    private static final byte[] LETTERS = letters(1024);

    private final Map<String, String> options = new HashMap<>();
    private final Properties properties = new Properties();
    private final AtomicBoolean stop = new AtomicBoolean();
    private final PrintStream out;

    private RehearsalClient(String[] arguments) throws IOException {
        for (int i = 0; i + 1 < arguments.length; i += 2) {
            options.put(arguments[i], arguments[i + 1]);
        }
        if (options.containsKey("--config")) {
            try (FileReader reader = new FileReader(options.get("--config"))) {
                properties.load(reader);
            }
        }
        OutputStream says = options.containsKey("--says") ? new FileOutputStream(options.get("--says")) : System.out;
        out = new PrintStream(new BufferedOutputStream(says, 1 << 16), false, StandardCharsets.UTF_8);
    }

    public static void main(String[] arguments) throws Exception {
        RehearsalClient self = new RehearsalClient(arguments);
        int status = 0;
        self.stopAtEndOfInput();
        try {
            switch (self.options.get("--role")) {
                case "write": self.write(); break;
                case "transact": self.transact(); break;
                case "read": self.read(); break;
                case "sample": self.sample(); break;
                default: throw new IllegalArgumentException(self.options.get("--role"));
            }
        } catch (Exception error) {
            self.say("fatal " + error);
            error.printStackTrace();
            status = 1;
        }
        self.out.close();
        System.exit(status);
    }

    private synchronized void say(String text) {
        out.print(text + "\n");
    }

    private synchronized void flush() {
        out.flush();
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
                error.printStackTrace();
            }
            stop.set(true);
        });
        watcher.setDaemon(true);
        watcher.start();
    }

    // --- records ---

    private static byte[] letters(int count) {
        long state = 1;
        byte[] made = new byte[count];
        for (int i = 0; i < count; i++) {
            state = (state * 1103515245L + 12345L) & 0x7fffffffL;
            made[i] = (byte) (97 + (state >> 16) % 26);
        }
        return made;
    }

    private static byte[] bytes(String text) {
        return text.getBytes(StandardCharsets.UTF_8);
    }

    private byte[] value(int number, int transaction) {
        int first = (int) (number * 31L % 512);
        byte[] filler = Arrays.copyOfRange(LETTERS, first, first + 60 + (int) (number * 17L % 300));
        byte[] head = bytes(options.get("--name") + " " + number + " " + transaction + " ");
        CRC32 crc = new CRC32();
        crc.update(head);
        crc.update(filler);
        byte[] sum = bytes(String.format("%08x ", crc.getValue()));
        byte[] all = Arrays.copyOf(head, head.length + sum.length + filler.length);
        System.arraycopy(sum, 0, all, head.length, sum.length);
        System.arraycopy(filler, 0, all, head.length + sum.length, filler.length);
        return all;
    }

    /** Values of the first --count records: that this program and census.py make the same ones is tested. */
    private void sample() {
        for (int number = 0; number < number("--count"); number++) {
            say(new String(value(number, number / 7), StandardCharsets.UTF_8));
        }
    }

    // --- writers ---

    private void send(KafkaProducer<byte[], byte[]> producer, int number, int transaction) {
        int partition = (transaction > 0 ? 2 * transaction + number % 2 : number) % number("--partitions");
        producer.send(new ProducerRecord<>(options.get("--topic"), partition, bytes(String.valueOf(number)),
            value(number, transaction)), (where, error) -> say(error == null
                ? "acked " + number + " " + partition + " " + where.offset() + " " + System.currentTimeMillis()
                : "failed " + number + " " + error));
    }

    private KafkaProducer<byte[], byte[]> producer() {
        return new KafkaProducer<>(properties, new ByteArraySerializer(), new ByteArraySerializer());
    }

    /** Sleeps until `due`; when that has passed, what was missed is not made up for. */
    private long rest(long due) throws InterruptedException {
        flush();
        long left = due - System.nanoTime();
        if (left <= 0) {
            return System.nanoTime();
        }
        Thread.sleep(left / 1_000_000L, (int) (left % 1_000_000L));
        return due;
    }

    private void write() throws Exception {
        int sent = 0;
        try (KafkaProducer<byte[], byte[]> producer = producer()) {
            long due = System.nanoTime();
            while (!stop.get() && sent < number("--count")) {
                for (int i = 0; i < BURST && sent < number("--count"); i++) {
                    send(producer, sent++, 0);
                }
                due = rest(due + 1_000_000_000L * BURST / number("--rate"));
            }
            producer.flush();
        }
        say("done " + sent);
    }

    private void transact() throws Exception {
        int sent = 0;
        try (KafkaProducer<byte[], byte[]> producer = producer()) {
            producer.initTransactions();
            long due = System.nanoTime();
            for (int transaction = 1; !stop.get(); transaction++) {
                int end = sent + TRANSACTION;
                say(one(producer, transaction, sent, end) + " " + transaction + " " + sent + " " + end);
                sent = end;
                due = rest(due + 1_000_000_000L * TRANSACTION / number("--rate"));
            }
        }
        say("done " + sent);
    }

    /** A transaction, and how it ended. */
    private String one(KafkaProducer<byte[], byte[]> producer, int transaction, int first, int end) {
        try {
            producer.beginTransaction();
            for (int number = first; number < end; number++) {
                send(producer, number, transaction);
            }
            if (transaction % ABORT_EACH == 0) {
                producer.flush();
                producer.abortTransaction();
                return "aborted";
            }
            commit(producer);
            return "committed";
        } catch (ProducerFencedException | OutOfOrderSequenceException | AuthorizationException
                 | UnsupportedVersionException error) {
            throw error;
        } catch (KafkaException error) {
            System.err.println("transaction " + transaction + ": " + error);
            producer.abortTransaction();
            return "rolled-back";
        }
    }

    /** After a time-out the same commit is asked for once more, as its manual says. */
    private static void commit(KafkaProducer<byte[], byte[]> producer) {
        try {
            producer.commitTransaction();
        } catch (TimeoutException error) {
            System.err.println("commit once more: " + error);
            producer.commitTransaction();
        }
    }

    // --- reader ---

    private void tell(ConsumerRecord<byte[], byte[]> record) {
        CRC32 crc = new CRC32();
        if (record.key() != null) {
            crc.update(record.key());
        }
        String who = "? -1 -1";
        if (record.value() != null) {
            crc.update(record.value());
            Matcher head = HEAD.matcher(new String(record.value(), StandardCharsets.ISO_8859_1));
            if (head.lookingAt()) {
                who = head.group(1);
            }
        }
        say(record.topic() + " " + record.partition() + " " + record.offset() + " " + crc.getValue() + " " + who);
    }

    private void read() {
        long read = 0;
        long last = System.nanoTime();
        try (KafkaConsumer<byte[], byte[]> consumer =
                 new KafkaConsumer<>(properties, new ByteArrayDeserializer(), new ByteArrayDeserializer())) {
            consumer.subscribe(List.of(options.get("--topics").split(",")));
            while (!stop.get() || System.nanoTime() - last < QUIET_NS) {
                ConsumerRecords<byte[], byte[]> records = consumer.poll(Duration.ofMillis(200));
                for (ConsumerRecord<byte[], byte[]> record : records) {
                    tell(record);
                    read++;
                    last = System.nanoTime();
                }
                flush();
            }
        }
        say("done " + read);
    }
}
