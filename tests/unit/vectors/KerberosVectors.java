/* SPDX-License-Identifier: Apache-2.0 */
/* Prints, for each line "HEX-OF-REALM HEX-OF-PRINCIPAL HEX-OF-RULE…", what Kafka's KerberosShortNamer makes of it. */
import java.io.BufferedReader;
import java.io.IOException;
import java.io.InputStreamReader;
import java.nio.charset.StandardCharsets;
import java.util.ArrayList;
import java.util.HexFormat;
import java.util.List;
import org.apache.kafka.common.security.kerberos.BadFormatString;
import org.apache.kafka.common.security.kerberos.KerberosName;
import org.apache.kafka.common.security.kerberos.KerberosShortNamer;
import org.apache.kafka.common.security.kerberos.NoMatchingRule;

public class KerberosVectors {
    static String text(String hex) {
        return new String(HexFormat.of().parseHex(hex), StandardCharsets.UTF_8);
    }

    static String answer(String realm, String principal, List<String> rules) {
        KerberosShortNamer namer;
        KerberosName name;
        try {
            namer = KerberosShortNamer.fromUnparsedRules(realm, rules);
        } catch (RuntimeException error) {
            return "BAD_RULES";
        }
        try {
            name = KerberosName.parse(principal);
        } catch (RuntimeException error) {
            return "BAD_NAME";
        }
        try {
            return "=" + HexFormat.of().formatHex(namer.shortName(name).getBytes(StandardCharsets.UTF_8));
        } catch (NoMatchingRule error) {
            return error.getMessage().startsWith("Non-simple") ? "NOT_SIMPLE" : "NO_RULE";
        } catch (BadFormatString error) {
            return "FAILS";
        } catch (IOException error) {
            return "NO_RULE";
        } catch (RuntimeException error) {
            return "FAILS";
        }
    }

    public static void main(String[] arguments) throws Exception {
        BufferedReader in = new BufferedReader(new InputStreamReader(System.in, StandardCharsets.US_ASCII));
        for (String line = in.readLine(); line != null; line = in.readLine()) {
            String[] words = line.split(" ", -1);
            List<String> rules = new ArrayList<>();
            for (int i = 2; i < words.length; i++) {
                rules.add(text(words[i]));
            }
            System.out.println(answer(text(words[0]), text(words[1]), rules));
        }
    }
}
