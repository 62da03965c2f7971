/* SPDX-License-Identifier: Apache-2.0 */

import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.ObjectMapper;
import com.fasterxml.jackson.databind.node.ArrayNode;
import com.fasterxml.jackson.databind.node.ObjectNode;
import java.io.BufferedReader;
import java.io.InputStreamReader;
import java.io.PrintStream;
import java.nio.charset.StandardCharsets;
import java.util.ArrayList;
import java.util.Base64;
import java.util.Collection;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.Properties;
import java.util.Set;
import java.util.TreeMap;
import java.util.concurrent.CountDownLatch;
import java.util.concurrent.ExecutionException;
import java.util.concurrent.TimeUnit;
import org.apache.kafka.clients.admin.Admin;
import org.apache.kafka.clients.admin.AlterConfigOp;
import org.apache.kafka.clients.admin.ConfigEntry;
import org.apache.kafka.clients.admin.NewPartitionReassignment;
import org.apache.kafka.clients.admin.NewTopic;
import org.apache.kafka.clients.admin.OffsetSpec;
import org.apache.kafka.clients.admin.ScramCredentialInfo;
import org.apache.kafka.clients.admin.ScramMechanism;
import org.apache.kafka.clients.admin.TopicDescription;
import org.apache.kafka.clients.admin.UserScramCredentialAlteration;
import org.apache.kafka.clients.admin.UserScramCredentialDeletion;
import org.apache.kafka.clients.admin.UserScramCredentialUpsertion;
import org.apache.kafka.common.ElectionType;
import org.apache.kafka.common.Node;
import org.apache.kafka.common.TopicPartition;
import org.apache.kafka.common.TopicPartitionInfo;
import org.apache.kafka.common.acl.AccessControlEntry;
import org.apache.kafka.common.acl.AclBinding;
import org.apache.kafka.common.acl.AclOperation;
import org.apache.kafka.common.acl.AclPermissionType;
import org.apache.kafka.common.config.ConfigResource;
import org.apache.kafka.common.errors.ElectionNotNeededException;
import org.apache.kafka.common.resource.PatternType;
import org.apache.kafka.common.resource.ResourcePattern;
import org.apache.kafka.common.resource.ResourceType;
import org.apache.kafka.server.authorizer.AclCreateResult;
import org.apache.zookeeper.CreateMode;
import org.apache.zookeeper.KeeperException;
import org.apache.zookeeper.Watcher.Event.KeeperState;
import org.apache.zookeeper.ZooDefs;
import org.apache.zookeeper.ZooKeeper;

/**
 * The rig's administrator: one JVM for a cluster's whole life, because starting one for each command costs seconds.
 * Reads one JSON object a line ({"do": name, …}), answers each with one line: {"ok": value} or {"error": text}.
 */
public final class RigAdmin {
    private static final ObjectMapper JSON = new ObjectMapper();
    private static final long TIMEOUT_S = 30;

    private Admin admin;

    public static void main(String[] arguments) throws Exception {
        PrintStream answers = new PrintStream(System.out, true, StandardCharsets.UTF_8);
        System.setOut(System.err);
        RigAdmin self = new RigAdmin();
        BufferedReader lines = new BufferedReader(new InputStreamReader(System.in, StandardCharsets.UTF_8));
        for (String line = lines.readLine(); line != null; line = lines.readLine()) {
            ObjectNode answer = JSON.createObjectNode();
            try {
                answer.set("ok", self.run(JSON.readTree(line)));
            } catch (ExecutionException error) {
                answer.put("error", String.valueOf(error.getCause()));
            } catch (Exception error) {
                answer.put("error", String.valueOf(error));
                error.printStackTrace();
            }
            answers.println(JSON.writeValueAsString(answer));
        }
        System.exit(0);
    }

    private JsonNode run(JsonNode command) throws Exception {
        switch (command.get("do").asText()) {
            case "connect": return connect(command);
            case "zookeeper_acls": return zookeeperAcls(command);
            case "zookeeper_users": return zookeeperUsers(command);
            case "forget_controller": return forgetController(command);
            case "acls": return acls(command);
            case "users": return users(command);
            case "forget_user": return forgetUser(command);
            case "create_topics": return createTopics(command);
            case "delete_topics": return deleteTopics(command);
            case "describe_topics": return describeTopics(command);
            case "reassign": return reassign(command);
            case "reassigning": return reassigning();
            case "elect": return elect(command);
            case "ends": return ends(command);
            case "configure": return configure(command);
            case "nodes": return nodes();
            default: throw new IllegalArgumentException("unknown command " + command);
        }
    }

    private JsonNode connect(JsonNode command) {
        if (admin != null) {
            admin.close();
        }
        Properties properties = new Properties();
        command.get("properties").fields().forEachRemaining(e -> properties.put(e.getKey(), e.getValue().asText()));
        admin = Admin.create(properties);
        return null;
    }

    /** Each entry: {"principal", "type", "name", "pattern", "operations": […]}. */
    private static List<AclBinding> bindings(JsonNode command) {
        List<AclBinding> made = new ArrayList<>();
        for (JsonNode row : command.get("acls")) {
            ResourcePattern pattern = new ResourcePattern(
                ResourceType.fromString(row.get("type").asText()), row.get("name").asText(),
                PatternType.fromString(row.get("pattern").asText()));
            for (JsonNode operation : row.get("operations")) {
                made.add(new AclBinding(pattern, new AccessControlEntry(row.get("principal").asText(), "*",
                    AclOperation.fromString(operation.asText()), AclPermissionType.ALLOW)));
            }
        }
        return made;
    }

    /** Writes ACLs straight into ZooKeeper, before any broker runs: brokers may talk to each other only by an ACL. */
    private static JsonNode zookeeperAcls(JsonNode command) throws Exception {
        try (kafka.security.authorizer.AclAuthorizer authorizer = new kafka.security.authorizer.AclAuthorizer()) {
            Map<String, String> settings = new HashMap<>();
            settings.put("zookeeper.connect", command.get("zookeeper").asText());
            authorizer.configure(settings);
            for (var result : authorizer.createAcls(null, bindings(command))) {
                AclCreateResult done = result.toCompletableFuture().get(TIMEOUT_S, TimeUnit.SECONDS);
                if (done.exception().isPresent()) {
                    throw done.exception().get();
                }
            }
        }
        return null;
    }

    private static ZooKeeper zookeeper(JsonNode command) throws Exception {
        CountDownLatch connected = new CountDownLatch(1);
        ZooKeeper made = new ZooKeeper(command.get("zookeeper").asText(), 10000, event -> {
            if (event.getState() == KeeperState.SyncConnected) {
                connected.countDown();
            }
        });
        if (!connected.await(TIMEOUT_S, TimeUnit.SECONDS)) {
            made.close();
            throw new IllegalStateException("ZooKeeper does not answer");
        }
        return made;
    }

    /** The controller loses its office, and all brokers run for it: who has it then, or null after two seconds. */
    private static JsonNode forgetController(JsonNode command) throws Exception {
        try (ZooKeeper zookeeper = zookeeper(command)) {
            try {
                zookeeper.delete("/controller", -1);
            } catch (KeeperException.NoNodeException vacant) {
                // the brokers are running for it already
            }
            for (int i = 0; i < 200; i++) {
                try {
                    return JSON.readTree(zookeeper.getData("/controller", false, null)).get("brokerid");
                } catch (KeeperException.NoNodeException vacant) {
                    Thread.sleep(10);
                }
            }
        }
        return null;
    }

    /** Writes SCRAM records straight into ZooKeeper, in Kafka's form: brokers log in to each other by them. */
    private static JsonNode zookeeperUsers(JsonNode command) throws Exception {
        try (ZooKeeper zookeeper = zookeeper(command)) {
            for (String path : List.of("/config", "/config/users")) {
                makeNode(zookeeper, path, new byte[0]);
            }
            for (JsonNode row : command.get("users")) {
                ObjectNode user = JSON.createObjectNode().put("version", 1);
                user.putObject("config").put(row.get("mechanism").asText(), row.get("record").asText());
                makeNode(zookeeper, "/config/users/" + row.get("name").asText(), JSON.writeValueAsBytes(user));
            }
        }
        return null;
    }

    private static void makeNode(ZooKeeper zookeeper, String path, byte[] data) throws Exception {
        if (zookeeper.exists(path, false) == null) {
            zookeeper.create(path, data, ZooDefs.Ids.OPEN_ACL_UNSAFE, CreateMode.PERSISTENT);
        }
    }

    private JsonNode acls(JsonNode command) throws Exception {
        admin.createAcls(bindings(command)).all().get(TIMEOUT_S, TimeUnit.SECONDS);
        return null;
    }

    private JsonNode users(JsonNode command) throws Exception {
        List<UserScramCredentialAlteration> changes = new ArrayList<>();
        for (JsonNode row : command.get("users")) {
            changes.add(new UserScramCredentialUpsertion(row.get("name").asText(),
                new ScramCredentialInfo(ScramMechanism.fromMechanismName(row.get("mechanism").asText()),
                    row.get("iterations").asInt()),
                row.get("password").asText().getBytes(StandardCharsets.UTF_8),
                Base64.getDecoder().decode(row.get("salt").asText())));
        }
        admin.alterUserScramCredentials(changes).all().get(TIMEOUT_S, TimeUnit.SECONDS);
        return null;
    }

    private JsonNode forgetUser(JsonNode command) throws Exception {
        admin.alterUserScramCredentials(List.of(new UserScramCredentialDeletion(command.get("name").asText(),
            ScramMechanism.fromMechanismName(command.get("mechanism").asText())))).all().get(TIMEOUT_S, TimeUnit.SECONDS);
        return null;
    }

    /** Each topic: {"name", "replicas": [[node, …] for each partition], "configuration": {…}}. */
    private JsonNode createTopics(JsonNode command) throws Exception {
        List<NewTopic> topics = new ArrayList<>();
        for (JsonNode row : command.get("topics")) {
            Map<Integer, List<Integer>> assignment = new TreeMap<>();
            for (JsonNode replicas : row.get("replicas")) {
                assignment.put(assignment.size(), integers(replicas));
            }
            Map<String, String> settings = new HashMap<>();
            row.get("configuration").fields().forEachRemaining(e -> settings.put(e.getKey(), e.getValue().asText()));
            topics.add(new NewTopic(row.get("name").asText(), assignment).configs(settings));
        }
        admin.createTopics(topics).all().get(TIMEOUT_S, TimeUnit.SECONDS);
        return null;
    }

    private static List<Integer> integers(JsonNode array) {
        List<Integer> made = new ArrayList<>();
        array.forEach(n -> made.add(n.asInt()));
        return made;
    }

    private static List<String> strings(JsonNode array) {
        List<String> made = new ArrayList<>();
        array.forEach(n -> made.add(n.asText()));
        return made;
    }

    private JsonNode deleteTopics(JsonNode command) throws Exception {
        admin.deleteTopics(strings(command.get("topics"))).all().get(TIMEOUT_S, TimeUnit.SECONDS);
        return null;
    }

    /** {topic: [{"partition", "leader", "replicas", "isr"}, …]}. */
    private JsonNode describeTopics(JsonNode command) throws Exception {
        Map<String, TopicDescription> found =
            admin.describeTopics(strings(command.get("topics"))).allTopicNames().get(TIMEOUT_S, TimeUnit.SECONDS);
        ObjectNode all = JSON.createObjectNode();
        found.forEach((name, topic) -> {
            ArrayNode rows = all.putArray(name);
            for (TopicPartitionInfo partition : topic.partitions()) {
                ObjectNode row = rows.addObject();
                row.put("partition", partition.partition());
                row.put("leader", partition.leader() == null ? -1 : partition.leader().id());
                partition.replicas().forEach(n -> row.withArray("replicas").add(n.id()));
                partition.isr().forEach(n -> row.withArray("isr").add(n.id()));
            }
        });
        return all;
    }

    private static TopicPartition partition(JsonNode row) {
        return new TopicPartition(row.get("topic").asText(), row.get("partition").asInt());
    }

    private JsonNode reassign(JsonNode command) throws Exception {
        Map<TopicPartition, Optional<NewPartitionReassignment>> moves = new HashMap<>();
        for (JsonNode row : command.get("moves")) {
            moves.put(partition(row), Optional.of(new NewPartitionReassignment(integers(row.get("replicas")))));
        }
        admin.alterPartitionReassignments(moves).all().get(TIMEOUT_S, TimeUnit.SECONDS);
        return null;
    }

    private JsonNode reassigning() throws Exception {
        return JSON.getNodeFactory().numberNode(
            admin.listPartitionReassignments().reassignments().get(TIMEOUT_S, TimeUnit.SECONDS).size());
    }

    private JsonNode elect(JsonNode command) throws Exception {
        Set<TopicPartition> partitions = new java.util.HashSet<>();
        command.get("partitions").forEach(row -> partitions.add(partition(row)));
        var results = admin.electLeaders(ElectionType.PREFERRED, partitions).partitions().get(TIMEOUT_S, TimeUnit.SECONDS);
        for (Optional<Throwable> error : results.values()) {
            if (error.isPresent() && !(error.get() instanceof ElectionNotNeededException)) {
                throw new ExecutionException(error.get());
            }
        }
        return null;
    }

    /** [end offset of each partition]. */
    private JsonNode ends(JsonNode command) throws Exception {
        String topic = command.get("topic").asText();
        int count = admin.describeTopics(List.of(topic)).allTopicNames().get(TIMEOUT_S, TimeUnit.SECONDS)
            .get(topic).partitions().size();
        Map<TopicPartition, OffsetSpec> wanted = new HashMap<>();
        for (int i = 0; i < count; i++) {
            wanted.put(new TopicPartition(topic, i), OffsetSpec.latest());
        }
        var found = admin.listOffsets(wanted).all().get(TIMEOUT_S, TimeUnit.SECONDS);
        ArrayNode all = JSON.createArrayNode();
        for (int i = 0; i < count; i++) {
            all.add(found.get(new TopicPartition(topic, i)).offset());
        }
        return all;
    }

    /** {"type": "TOPIC" | "BROKER" | "BROKER_LOGGER", "name", "set": {key: value}}. */
    private JsonNode configure(JsonNode command) throws Exception {
        ConfigResource resource = new ConfigResource(
            ConfigResource.Type.valueOf(command.get("type").asText()), command.get("name").asText());
        Collection<AlterConfigOp> changes = new ArrayList<>();
        command.get("set").fields().forEachRemaining(e -> changes.add(
            new AlterConfigOp(new ConfigEntry(e.getKey(), e.getValue().asText()), AlterConfigOp.OpType.SET)));
        admin.incrementalAlterConfigs(Map.of(resource, changes)).all().get(TIMEOUT_S, TimeUnit.SECONDS);
        return null;
    }

    /** {"controller": id, "nodes": [id, …]}. */
    private JsonNode nodes() throws Exception {
        var described = admin.describeCluster();
        ObjectNode answer = JSON.createObjectNode();
        answer.put("controller", described.controller().get(TIMEOUT_S, TimeUnit.SECONDS).id());
        for (Node node : described.nodes().get(TIMEOUT_S, TimeUnit.SECONDS)) {
            answer.withArray("nodes").add(node.id());
        }
        return answer;
    }
}
