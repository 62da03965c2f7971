/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Kafka's own definitions, in their order and spelling, one line a field: all versions of api.def
 * in one table each (field sets only ever grow or shrink with the version; no release changed a
 * version once it was final). Innermost structs first.
 */
#include "protocol/schema_tables.h"

#include "protocol/api.h"

/* clang-format off: the columns are the point */

#define SINCE(a)                                                                                   \
    {                                                                                              \
        (a), INT16_MAX                                                                             \
    }
#define SPAN(a, b)                                                                                 \
    {                                                                                              \
        (a), (b) + 1                                                                               \
    }
#define FIELDS (const struct schema_field[])

#define BOOL SCHEMA_BOOL
#define INT8 SCHEMA_INT8
#define INT16 SCHEMA_INT16
#define INT32 SCHEMA_INT32
#define INT64 SCHEMA_INT64
#define UUID SCHEMA_UUID
#define STRING SCHEMA_STRING
#define RECORDS SCHEMA_RECORDS
#define STRUCT SCHEMA_STRUCT

/* ---- Produce ---- */

static const struct schema produce_request_partition = {
    .fields = FIELDS{{"Index", INT32, .versions = SINCE(0), .role = SCHEMA_PARTITION},
                     {"Records", RECORDS, .versions = SINCE(0), .nullable = SINCE(0),
                      .role = SCHEMA_RECORD_SETS},
                     {0}}};

static const struct schema produce_request_topic = {
    .fields = FIELDS{{"Name", STRING, .versions = SPAN(0, 12), .role = SCHEMA_TOPIC},
                     {"TopicId", UUID, .versions = SINCE(13), .role = SCHEMA_TOPIC_ID},
                     {"PartitionData", STRUCT, .array = true, .versions = SINCE(0),
                      .of = &produce_request_partition},
                     {0}}};

#define PRODUCE_REQUEST                                                                            \
    FIELDS                                                                                         \
    {                                                                                              \
        {"TransactionalId", STRING, .versions = SINCE(3), .nullable = SINCE(3)},                   \
            {"Acks", INT16, .versions = SINCE(0), .role = SCHEMA_ACKS},                            \
            {"TimeoutMs", INT32, .versions = SINCE(0)},                                            \
            {"TopicData", STRUCT, .array = true, .versions = SINCE(0),                             \
             .of = &produce_request_topic},                                                        \
        {                                                                                          \
            0                                                                                      \
        }                                                                                          \
    }

static const struct schema leader_id_and_epoch = {
    .fields = FIELDS{{"LeaderId", INT32, .versions = SINCE(0)},
                     {"LeaderEpoch", INT32, .versions = SINCE(0)},
                     {0}}};

/* Produce v10+, Fetch v16+ and the Share APIs: all the same. */
static const struct schema node_endpoint = {
    .endpoint = true,
    .fields =
        FIELDS{{"NodeId", INT32, .versions = SINCE(0), .role = SCHEMA_NODE_ID},
               {"Host", STRING, .versions = SINCE(0), .role = SCHEMA_HOST},
               {"Port", INT32, .versions = SINCE(0), .role = SCHEMA_PORT},
               {"Rack", STRING, .versions = SINCE(0), .nullable = SINCE(0), .role = SCHEMA_RACK},
               {0}}};

static const struct schema produce_record_error = {
    .fields = FIELDS{{"BatchIndex", INT32, .versions = SINCE(8)},
                     {"BatchIndexErrorMessage", STRING, .versions = SINCE(8), .nullable = SINCE(8)},
                     {0}}};

static const struct schema produce_response_partition = {
    .fields = FIELDS{
        {"Index", INT32, .versions = SINCE(0), .role = SCHEMA_PARTITION},
        {"ErrorCode", INT16, .versions = SINCE(0), .role = SCHEMA_ERROR_CODE},
        {"BaseOffset", INT64, .versions = SINCE(0)},
        {"LogAppendTimeMs", INT64, .versions = SINCE(2)},
        {"LogStartOffset", INT64, .versions = SINCE(5), .role = SCHEMA_LOG_START_OFFSET},
        {"RecordErrors", STRUCT, .array = true, .versions = SINCE(8), .of = &produce_record_error},
        {"ErrorMessage", STRING, .versions = SINCE(8), .nullable = SINCE(8)},
        {"CurrentLeader", STRUCT, .versions = SINCE(10), .tagged = true, .tag = 0,
         .of = &leader_id_and_epoch},
        {0}}};

static const struct schema produce_response_topic = {
    .fields = FIELDS{{"Name", STRING, .versions = SPAN(0, 12), .role = SCHEMA_TOPIC},
                     {"TopicId", UUID, .versions = SINCE(13), .role = SCHEMA_TOPIC_ID},
                     {"PartitionResponses", STRUCT, .array = true, .versions = SINCE(0),
                      .of = &produce_response_partition},
                     {0}}};

#define PRODUCE_RESPONSE                                                                           \
    FIELDS                                                                                         \
    {                                                                                              \
        {"Responses", STRUCT, .array = true, .versions = SINCE(0), .of = &produce_response_topic}, \
            {"ThrottleTimeMs", INT32, .versions = SINCE(1)},                                       \
            {"NodeEndpoints",                                                                      \
             STRUCT,                                                                               \
             .array = true,                                                                        \
             .versions = SINCE(10),                                                                \
             .tagged = true,                                                                       \
             .tag = 0,                                                                             \
             .role = SCHEMA_NODE_ENDPOINTS,                                                        \
             .of = &node_endpoint},                                                                \
        {                                                                                          \
            0                                                                                      \
        }                                                                                          \
    }

/* ---- Fetch ---- */

static const struct schema replica_state = {
    .fields = FIELDS{{"ReplicaId", INT32, .versions = SINCE(15), .role = SCHEMA_REPLICA_ID},
                     {"ReplicaEpoch", INT64, .versions = SINCE(15)},
                     {0}}};

static const struct schema fetch_request_partition = {
    .fields = FIELDS{{"Partition", INT32, .versions = SINCE(0), .role = SCHEMA_PARTITION},
                     {"CurrentLeaderEpoch", INT32, .versions = SINCE(9)},
                     {"FetchOffset", INT64, .versions = SINCE(0)},
                     {"LastFetchedEpoch", INT32, .versions = SINCE(12)},
                     {"LogStartOffset", INT64, .versions = SINCE(5)},
                     {"PartitionMaxBytes", INT32, .versions = SINCE(0)},
                     {"ReplicaDirectoryId", UUID, .versions = SINCE(17), .tagged = true, .tag = 0},
                     {"HighWatermark", INT64, .versions = SINCE(18), .tagged = true, .tag = 1},
                     {0}}};

static const struct schema fetch_request_topic = {
    .fields = FIELDS{
        {"Topic", STRING, .versions = SPAN(0, 12), .role = SCHEMA_TOPIC},
        {"TopicId", UUID, .versions = SINCE(13), .role = SCHEMA_TOPIC_ID},
        {"Partitions", STRUCT, .array = true, .versions = SINCE(0), .of = &fetch_request_partition},
        {0}}};

static const struct schema fetch_forgotten_topic = {
    .fields = FIELDS{{"Topic", STRING, .versions = SPAN(7, 12)},
                     {"TopicId", UUID, .versions = SINCE(13)},
                     {"Partitions", INT32, .array = true, .versions = SINCE(7)},
                     {0}}};

#define FETCH_REQUEST                                                                              \
    FIELDS                                                                                         \
    {                                                                                              \
        {"ClusterId",           STRING,         .versions = SINCE(12),                             \
         .nullable = SINCE(12), .tagged = true, .tag = 0},                                         \
            {"ReplicaId", INT32, .versions = SPAN(0, 14), .role = SCHEMA_REPLICA_ID},              \
            {"ReplicaState", STRUCT,   .versions = SINCE(15),                                      \
             .tagged = true, .tag = 1, .of = &replica_state},                                      \
            {"MaxWaitMs", INT32, .versions = SINCE(0)}, {"MinBytes", INT32, .versions = SINCE(0)}, \
            {"MaxBytes", INT32, .versions = SINCE(3)},                                             \
            {"IsolationLevel", INT8, .versions = SINCE(4)},                                        \
            {"SessionId", INT32, .versions = SINCE(7)},                                            \
            {"SessionEpoch", INT32, .versions = SINCE(7)},                                         \
            {"Topics", STRUCT, .array = true, .versions = SINCE(0), .of = &fetch_request_topic},   \
            {"ForgottenTopicsData", STRUCT, .array = true, .versions = SINCE(7),                   \
             .of = &fetch_forgotten_topic},                                                        \
            {"RackId", STRING, .versions = SINCE(11)},                                             \
        {                                                                                          \
            0                                                                                      \
        }                                                                                          \
    }

static const struct schema fetch_diverging_epoch = {
    .fields = FIELDS{
        {"Epoch", INT32, .versions = SINCE(12)}, {"EndOffset", INT64, .versions = SINCE(12)}, {0}}};

static const struct schema fetch_snapshot_id = {
    .fields = FIELDS{
        {"EndOffset", INT64, .versions = SINCE(0)}, {"Epoch", INT32, .versions = SINCE(0)}, {0}}};

static const struct schema fetch_aborted_transaction = {
    .fields = FIELDS{{"ProducerId", INT64, .versions = SINCE(4)},
                     {"FirstOffset", INT64, .versions = SINCE(4)},
                     {0}}};

static const struct schema fetch_response_partition = {
    .fields =
        FIELDS{{"PartitionIndex", INT32, .versions = SINCE(0), .role = SCHEMA_PARTITION},
               {"ErrorCode", INT16, .versions = SINCE(0), .role = SCHEMA_ERROR_CODE},
               {"HighWatermark", INT64, .versions = SINCE(0), .role = SCHEMA_HIGH_WATERMARK},
               {"LastStableOffset", INT64, .versions = SINCE(4), .role = SCHEMA_LAST_STABLE_OFFSET},
               {"LogStartOffset", INT64, .versions = SINCE(5), .role = SCHEMA_LOG_START_OFFSET},
               {"DivergingEpoch", STRUCT, .versions = SINCE(12), .tagged = true, .tag = 0,
                .of = &fetch_diverging_epoch},
               {"CurrentLeader", STRUCT, .versions = SINCE(12), .tagged = true, .tag = 1,
                .of = &leader_id_and_epoch},
               {"SnapshotId", STRUCT, .versions = SINCE(12), .tagged = true, .tag = 2,
                .of = &fetch_snapshot_id},
               {"AbortedTransactions", STRUCT, .array = true, .versions = SINCE(4),
                .nullable = SINCE(4), .of = &fetch_aborted_transaction},
               {"PreferredReadReplica", INT32, .versions = SINCE(11)},
               {"Records", RECORDS, .versions = SINCE(0), .nullable = SINCE(0),
                .role = SCHEMA_RECORD_SETS},
               {0}}};

static const struct schema fetch_response_topic = {
    .fields = FIELDS{{"Topic", STRING, .versions = SPAN(0, 12), .role = SCHEMA_TOPIC},
                     {"TopicId", UUID, .versions = SINCE(13), .role = SCHEMA_TOPIC_ID},
                     {"Partitions", STRUCT, .array = true, .versions = SINCE(0),
                      .of = &fetch_response_partition},
                     {0}}};

#define FETCH_RESPONSE                                                                             \
    FIELDS                                                                                         \
    {                                                                                              \
        {"ThrottleTimeMs", INT32, .versions = SINCE(1)},                                           \
            {"ErrorCode", INT16, .versions = SINCE(7)},                                            \
            {"SessionId", INT32, .versions = SINCE(7)},                                            \
            {"Responses", STRUCT, .array = true, .versions = SINCE(0),                             \
             .of = &fetch_response_topic},                                                         \
            {"NodeEndpoints",                                                                      \
             STRUCT,                                                                               \
             .array = true,                                                                        \
             .versions = SINCE(16),                                                                \
             .tagged = true,                                                                       \
             .tag = 0,                                                                             \
             .role = SCHEMA_NODE_ENDPOINTS,                                                        \
             .of = &node_endpoint},                                                                \
        {                                                                                          \
            0                                                                                      \
        }                                                                                          \
    }

/* ---- ListOffsets, OffsetForLeaderEpoch: who asks ---- */

static const struct schema list_offsets_partition = {
    .fields = FIELDS{{"PartitionIndex", INT32, .versions = SINCE(0)},
                     {"CurrentLeaderEpoch", INT32, .versions = SINCE(4)},
                     {"Timestamp", INT64, .versions = SINCE(0)},
                     {"MaxNumOffsets", INT32, .versions = SPAN(0, 0)},
                     {0}}};

static const struct schema list_offsets_topic = {
    .fields = FIELDS{
        {"Name", STRING, .versions = SINCE(0)},
        {"Partitions", STRUCT, .array = true, .versions = SINCE(0), .of = &list_offsets_partition},
        {0}}};

#define LIST_OFFSETS_REQUEST                                                                       \
    FIELDS                                                                                         \
    {                                                                                              \
        {"ReplicaId", INT32, .versions = SINCE(0), .role = SCHEMA_REPLICA_ID},                     \
            {"IsolationLevel", INT8, .versions = SINCE(2)},                                        \
            {"Topics", STRUCT, .array = true, .versions = SINCE(0), .of = &list_offsets_topic},    \
            {"TimeoutMs", INT32, .versions = SINCE(10)},                                           \
        {                                                                                          \
            0                                                                                      \
        }                                                                                          \
    }

static const struct schema leader_epoch_partition = {
    .fields = FIELDS{{"Partition", INT32, .versions = SINCE(0)},
                     {"CurrentLeaderEpoch", INT32, .versions = SINCE(2)},
                     {"LeaderEpoch", INT32, .versions = SINCE(0)},
                     {0}}};

static const struct schema leader_epoch_topic = {
    .fields = FIELDS{
        {"Topic", STRING, .versions = SINCE(0)},
        {"Partitions", STRUCT, .array = true, .versions = SINCE(0), .of = &leader_epoch_partition},
        {0}}};

#define OFFSET_FOR_LEADER_EPOCH_REQUEST                                                            \
    FIELDS                                                                                         \
    {                                                                                              \
        {"ReplicaId", INT32, .versions = SINCE(3), .role = SCHEMA_REPLICA_ID},                     \
            {"Topics", STRUCT, .array = true, .versions = SINCE(0), .of = &leader_epoch_topic},    \
        {                                                                                          \
            0                                                                                      \
        }                                                                                          \
    }

/* ---- Metadata, FindCoordinator, DescribeCluster ---- */

static const struct schema metadata_broker = {
    .endpoint = true,
    .fields =
        FIELDS{{"NodeId", INT32, .versions = SINCE(0), .role = SCHEMA_NODE_ID},
               {"Host", STRING, .versions = SINCE(0), .role = SCHEMA_HOST},
               {"Port", INT32, .versions = SINCE(0), .role = SCHEMA_PORT},
               {"Rack", STRING, .versions = SINCE(1), .nullable = SINCE(1), .role = SCHEMA_RACK},
               {0}}};

static const struct schema metadata_partition = {
    .fields = FIELDS{{"ErrorCode", INT16, .versions = SINCE(0)},
                     {"PartitionIndex", INT32, .versions = SINCE(0)},
                     {"LeaderId", INT32, .versions = SINCE(0)},
                     {"LeaderEpoch", INT32, .versions = SINCE(7)},
                     {"ReplicaNodes", INT32, .array = true, .versions = SINCE(0)},
                     {"IsrNodes", INT32, .array = true, .versions = SINCE(0)},
                     {"OfflineReplicas", INT32, .array = true, .versions = SINCE(5)},
                     {0}}};

static const struct schema metadata_topic = {
    .fields = FIELDS{
        {"ErrorCode", INT16, .versions = SINCE(0)},
        {"Name", STRING, .versions = SINCE(0), .nullable = SINCE(12), .role = SCHEMA_TOPIC},
        {"TopicId", UUID, .versions = SINCE(10), .role = SCHEMA_TOPIC_ID},
        {"IsInternal", BOOL, .versions = SINCE(1)},
        {"Partitions", STRUCT, .array = true, .versions = SINCE(0), .of = &metadata_partition},
        {"TopicAuthorizedOperations", INT32, .versions = SINCE(8)},
        {0}}};

#define METADATA_RESPONSE                                                                          \
    FIELDS                                                                                         \
    {                                                                                              \
        {"ThrottleTimeMs", INT32, .versions = SINCE(3)},                                           \
            {"Brokers", STRUCT, .array = true, .versions = SINCE(0), .of = &metadata_broker},      \
            {"ClusterId", STRING, .versions = SINCE(2), .nullable = SINCE(2)},                     \
            {"ControllerId", INT32, .versions = SINCE(1)},                                         \
            {"Topics", STRUCT, .array = true, .versions = SINCE(0), .of = &metadata_topic},        \
            {"ClusterAuthorizedOperations", INT32, .versions = SPAN(8, 10)},                       \
            {"ErrorCode", INT16, .versions = SINCE(13)},                                           \
        {                                                                                          \
            0                                                                                      \
        }                                                                                          \
    }

static const struct schema coordinator = {
    .endpoint = true,
    .fields = FIELDS{{"Key", STRING, .versions = SINCE(4)},
                     {"NodeId", INT32, .versions = SINCE(4), .role = SCHEMA_NODE_ID},
                     {"Host", STRING, .versions = SINCE(4), .role = SCHEMA_HOST},
                     {"Port", INT32, .versions = SINCE(4), .role = SCHEMA_PORT},
                     {"ErrorCode", INT16, .versions = SINCE(4)},
                     {"ErrorMessage", STRING, .versions = SINCE(4), .nullable = SINCE(4)},
                     {0}}};

#define FIND_COORDINATOR_RESPONSE                                                                  \
    FIELDS                                                                                         \
    {                                                                                              \
        {"ThrottleTimeMs", INT32, .versions = SINCE(1)},                                           \
            {"ErrorCode", INT16, .versions = SPAN(0, 3)},                                          \
            {"ErrorMessage", STRING, .versions = SPAN(1, 3), .nullable = SPAN(1, 3)},              \
            {"NodeId", INT32, .versions = SPAN(0, 3), .role = SCHEMA_NODE_ID},                     \
            {"Host", STRING, .versions = SPAN(0, 3), .role = SCHEMA_HOST},                         \
            {"Port", INT32, .versions = SPAN(0, 3), .role = SCHEMA_PORT},                          \
            {"Coordinators", STRUCT, .array = true, .versions = SINCE(4), .of = &coordinator},     \
        {                                                                                          \
            0                                                                                      \
        }                                                                                          \
    }

static const struct schema describe_cluster_broker = {
    .endpoint = true,
    .fields =
        FIELDS{{"BrokerId", INT32, .versions = SINCE(0), .role = SCHEMA_NODE_ID},
               {"Host", STRING, .versions = SINCE(0), .role = SCHEMA_HOST},
               {"Port", INT32, .versions = SINCE(0), .role = SCHEMA_PORT},
               {"Rack", STRING, .versions = SINCE(0), .nullable = SINCE(0), .role = SCHEMA_RACK},
               {"IsFenced", BOOL, .versions = SINCE(2)},
               {0}}};

#define DESCRIBE_CLUSTER_RESPONSE                                                                  \
    FIELDS                                                                                         \
    {                                                                                              \
        {"ThrottleTimeMs", INT32, .versions = SINCE(0)},                                           \
            {"ErrorCode", INT16, .versions = SINCE(0)},                                            \
            {"ErrorMessage", STRING, .versions = SINCE(0), .nullable = SINCE(0)},                  \
            {"EndpointType", INT8, .versions = SINCE(1), .role = SCHEMA_ENDPOINT_TYPE},            \
            {"ClusterId", STRING, .versions = SINCE(0)},                                           \
            {"ControllerId", INT32, .versions = SINCE(0)},                                         \
            {"Brokers", STRUCT, .array = true, .versions = SINCE(0),                               \
             .of = &describe_cluster_broker},                                                      \
            {"ClusterAuthorizedOperations", INT32, .versions = SINCE(0)},                          \
        {                                                                                          \
            0                                                                                      \
        }                                                                                          \
    }

/* ---- ShareFetch, ShareAcknowledge ---- */

static const struct schema share_acquired_records = {
    .fields = FIELDS{{"FirstOffset", INT64, .versions = SINCE(0)},
                     {"LastOffset", INT64, .versions = SINCE(0)},
                     {"DeliveryCount", INT16, .versions = SINCE(0)},
                     {0}}};

static const struct schema share_fetch_partition = {
    .fields =
        FIELDS{{"PartitionIndex", INT32, .versions = SINCE(0)},
               {"ErrorCode", INT16, .versions = SINCE(0)},
               {"ErrorMessage", STRING, .versions = SINCE(0), .nullable = SINCE(0)},
               {"AcknowledgeErrorCode", INT16, .versions = SINCE(0)},
               {"AcknowledgeErrorMessage", STRING, .versions = SINCE(0), .nullable = SINCE(0)},
               {"CurrentLeader", STRUCT, .versions = SINCE(0), .of = &leader_id_and_epoch},
               {"Records", RECORDS, .versions = SINCE(0), .nullable = SPAN(0, 0)},
               {"AcquiredRecords", STRUCT, .array = true, .versions = SINCE(0),
                .of = &share_acquired_records},
               {0}}};

static const struct schema share_fetch_topic = {
    .fields = FIELDS{
        {"TopicId", UUID, .versions = SINCE(0)},
        {"Partitions", STRUCT, .array = true, .versions = SINCE(0), .of = &share_fetch_partition},
        {0}}};

#define SHARE_FETCH_RESPONSE                                                                       \
    FIELDS                                                                                         \
    {                                                                                              \
        {"ThrottleTimeMs", INT32, .versions = SINCE(0)},                                           \
            {"ErrorCode", INT16, .versions = SINCE(0)},                                            \
            {"ErrorMessage", STRING, .versions = SINCE(0), .nullable = SINCE(0)},                  \
            {"AcquisitionLockTimeoutMs", INT32, .versions = SINCE(1)},                             \
            {"Responses", STRUCT, .array = true, .versions = SINCE(0), .of = &share_fetch_topic},  \
            {"NodeEndpoints", STRUCT, .array = true, .versions = SINCE(0), .of = &node_endpoint},  \
        {                                                                                          \
            0                                                                                      \
        }                                                                                          \
    }

static const struct schema share_acknowledge_partition = {
    .fields = FIELDS{{"PartitionIndex", INT32, .versions = SINCE(0)},
                     {"ErrorCode", INT16, .versions = SINCE(0)},
                     {"ErrorMessage", STRING, .versions = SINCE(0), .nullable = SINCE(0)},
                     {"CurrentLeader", STRUCT, .versions = SINCE(0), .of = &leader_id_and_epoch},
                     {0}}};

static const struct schema share_acknowledge_topic = {
    .fields = FIELDS{{"TopicId", UUID, .versions = SINCE(0)},
                     {"Partitions", STRUCT, .array = true, .versions = SINCE(0),
                      .of = &share_acknowledge_partition},
                     {0}}};

#define SHARE_ACKNOWLEDGE_RESPONSE                                                                 \
    FIELDS                                                                                         \
    {                                                                                              \
        {"ThrottleTimeMs", INT32, .versions = SINCE(0)},                                           \
            {"ErrorCode", INT16, .versions = SINCE(0)},                                            \
            {"ErrorMessage", STRING, .versions = SINCE(0), .nullable = SINCE(0)},                  \
            {"AcquisitionLockTimeoutMs", INT32, .versions = SINCE(2)},                             \
            {"Responses", STRUCT, .array = true, .versions = SINCE(0),                             \
             .of = &share_acknowledge_topic},                                                      \
            {"NodeEndpoints", STRUCT, .array = true, .versions = SINCE(0), .of = &node_endpoint},  \
        {                                                                                          \
            0                                                                                      \
        }                                                                                          \
    }

/* ---- all of them ---- */

static const struct schema_message messages[] = {
    {API_PRODUCE, true, "ProduceRequest", SPAN(0, 13), {PRODUCE_REQUEST, false}},
    {API_PRODUCE, false, "ProduceResponse", SPAN(0, 13), {PRODUCE_RESPONSE, false}},
    {API_FETCH, true, "FetchRequest", SPAN(0, 18), {FETCH_REQUEST, false}},
    {API_FETCH, false, "FetchResponse", SPAN(0, 18), {FETCH_RESPONSE, false}},
    {API_LIST_OFFSETS, true, "ListOffsetsRequest", SPAN(0, 11), {LIST_OFFSETS_REQUEST, false}},
    {API_METADATA, false, "MetadataResponse", SPAN(0, 13), {METADATA_RESPONSE, false}},
    {API_FIND_COORDINATOR,
     false,
     "FindCoordinatorResponse",
     SPAN(0, 6),
     {FIND_COORDINATOR_RESPONSE, true}},
    {API_OFFSET_FOR_LEADER_EPOCH,
     true,
     "OffsetForLeaderEpochRequest",
     SPAN(0, 4),
     {OFFSET_FOR_LEADER_EPOCH_REQUEST, false}},
    {API_DESCRIBE_CLUSTER,
     false,
     "DescribeClusterResponse",
     SPAN(0, 2),
     {DESCRIBE_CLUSTER_RESPONSE, false}},
    {API_SHARE_FETCH, false, "ShareFetchResponse", SPAN(1, 2), {SHARE_FETCH_RESPONSE, false}},
    {API_SHARE_ACKNOWLEDGE,
     false,
     "ShareAcknowledgeResponse",
     SPAN(1, 2),
     {SHARE_ACKNOWLEDGE_RESPONSE, false}},
};

/* clang-format on */

size_t schema_count(void)
{
    return sizeof messages / sizeof messages[0];
}

const struct schema_message *schema_at(size_t i)
{
    return &messages[i];
}

const struct schema_message *schema_find(int16_t key, bool request)
{
    for (size_t i = 0; i < schema_count(); i++) {
        if (messages[i].key == key && messages[i].request == request) {
            return &messages[i];
        }
    }
    return NULL;
}
