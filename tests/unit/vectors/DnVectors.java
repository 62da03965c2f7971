/* SPDX-License-Identifier: Apache-2.0 */
/* Prints, for each line "cert PATH" or "name HEX", the DER of the name and what a broker makes of it. */
import java.io.BufferedReader;
import java.io.FileInputStream;
import java.io.InputStreamReader;
import java.nio.charset.StandardCharsets;
import java.security.cert.CertificateFactory;
import java.security.cert.X509Certificate;
import java.util.HexFormat;
import javax.security.auth.x500.X500Principal;

public class DnVectors {
    public static void main(String[] arguments) throws Exception {
        BufferedReader in = new BufferedReader(new InputStreamReader(System.in, StandardCharsets.US_ASCII));
        CertificateFactory factory = CertificateFactory.getInstance("X.509");
        for (String line = in.readLine(); line != null; line = in.readLine()) {
            String[] words = line.split(" ", 2);
            X500Principal name;
            if (words[0].equals("cert")) {
                try (FileInputStream file = new FileInputStream(words[1])) {
                    name = ((X509Certificate) factory.generateCertificate(file)).getSubjectX500Principal();
                }
            } else {
                name = new X500Principal(HexFormat.of().parseHex(words[1]));
            }
            System.out.println(HexFormat.of().formatHex(name.getEncoded()) + " "
                + HexFormat.of().formatHex(name.getName().getBytes(StandardCharsets.UTF_8)));
        }
    }
}
