/* SPDX-License-Identifier: Apache-2.0 */

import java.io.BufferedReader;
import java.io.IOException;
import java.io.InputStreamReader;
import java.nio.charset.StandardCharsets;
import java.util.Arrays;
import org.apache.kafka.common.utils.Exit;
import org.apache.kafka.tools.ConsumerPerformance;
import org.apache.kafka.tools.ProducerPerformance;

/**
 * Runs kafka-producer-perf-test and kafka-consumer-perf-test as often as it is told to, in one JVM, so that their code
 * is compiled once and a short run measures no compiler.
 *
 * Reads lines of words between tabs: "produce" or "consume", then the tool's own arguments. After what the tool prints
 * comes "== done" or "== failed TEXT".
 */
public final class PerfTools {
    private PerfTools() {
    }

    public static void main(String[] arguments) throws IOException {
        Exit.setExitProcedure((status, message) -> {
            throw new IllegalStateException("exit status " + status + (message == null ? "" : ", " + message));
        });
        BufferedReader in = new BufferedReader(new InputStreamReader(System.in, StandardCharsets.UTF_8));
        for (String line = in.readLine(); line != null; line = in.readLine()) {
            System.out.println("== " + outcome(line.split("\t")));
            System.out.flush();
        }
    }

    private static String outcome(String[] words) {
        String[] rest = Arrays.copyOfRange(words, 1, words.length);
        try {
            if (words[0].equals("produce")) {
                ProducerPerformance.main(rest);
            } else {
                ConsumerPerformance.main(rest);
            }
            System.gc(); // what is left of this run must not be collected in the next
            return "done";
        } catch (Exception failure) {
            return "failed " + failure;
        }
    }
}
