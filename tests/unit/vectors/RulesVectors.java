/* SPDX-License-Identifier: Apache-2.0 */
/* Prints, for each line "HEX-OF-RULES HEX-OF-DN", what Kafka's SslPrincipalMapper makes of it. */
import java.io.BufferedReader;
import java.io.IOException;
import java.io.InputStreamReader;
import java.nio.charset.StandardCharsets;
import java.util.HexFormat;
import org.apache.kafka.common.security.ssl.SslPrincipalMapper;

public class RulesVectors {
    static String text(String hex) {
        return new String(HexFormat.of().parseHex(hex), StandardCharsets.UTF_8);
    }

    static String answer(String rules, String name) {
        SslPrincipalMapper mapper;
        try {
            mapper = SslPrincipalMapper.fromRules(rules);
        } catch (RuntimeException error) {
            return "BAD_RULES";
        }
        try {
            return "=" + HexFormat.of().formatHex(mapper.getName(name).getBytes(StandardCharsets.UTF_8));
        } catch (IOException error) {
            return "NO_MATCH";
        } catch (RuntimeException error) {
            return "BAD_RULES";
        }
    }

    public static void main(String[] arguments) throws Exception {
        BufferedReader in = new BufferedReader(new InputStreamReader(System.in, StandardCharsets.US_ASCII));
        for (String line = in.readLine(); line != null; line = in.readLine()) {
            String[] words = line.split(" ", -1);
            System.out.println(answer(text(words[0]), text(words[1])));
        }
    }
}
