// SPDX-License-Identifier: Apache-2.0
// Tour.java once more, through kafkajs. The job comes as JSON on standard input, what came of it goes as JSON to
// standard output.
'use strict'

const fs = require('fs')
const { Kafka, logLevel, ConfigResourceTypes } = require('kafkajs')

const RECORDS = 30
const TIMEOUT_MS = 40000

// A broker may take a moment to hear of a new topic.
async function describe(admin, topic) {
  const deadline = Date.now() + TIMEOUT_MS
  for (;;) {
    try {
      return await admin.describeConfigs({ resources: [{ type: ConfigResourceTypes.TOPIC, name: topic }] })
    } catch (error) {
      if (error.type !== 'UNKNOWN_TOPIC_OR_PARTITION' || Date.now() > deadline) {
        throw error
      }
      await new Promise(resolve => setTimeout(resolve, 50))
    }
  }
}

async function administer(kafka, topic) {
  const admin = kafka.admin()
  await admin.connect()
  const cluster = await admin.describeCluster()
  const replicas = [[1, 2, 3], [2, 3, 1], [3, 1, 2]].map((nodes, partition) => ({ partition, replicas: nodes }))
  await admin.createTopics({ topics: [{ topic, replicaAssignment: replicas }], waitForLeaders: true })
  const described = await describe(admin, topic)
  const entry = described.resources[0].configEntries.find(one => one.configName === 'min.insync.replicas')
  await admin.disconnect()
  const brokers = Object.fromEntries(cluster.brokers.map(one => [String(one.nodeId), `${one.host}:${one.port}`]))
  return { brokers, controller: cluster.controller, 'min.insync.replicas': entry.configValue }
}

// Reads so many records in a group, commits, and gives the values.
async function take(kafka, topic, groupId, count) {
  const consumer = kafka.consumer({ groupId })
  const values = []
  await consumer.connect()
  await consumer.subscribe({ topics: [topic], fromBeginning: true })
  await new Promise((resolve, reject) => {
    setTimeout(() => reject(new Error(`only ${values.length} records in time`)), TIMEOUT_MS).unref()
    consumer.on(consumer.events.CRASH, event => reject(event.payload.error))
    consumer.run({
      autoCommitThreshold: 1,
      eachMessage: async ({ message }) => {
        values.push(message.value.toString())
        if (values.length === count) {
          setTimeout(resolve, 500)
        }
      }
    })
  })
  await consumer.disconnect()
  return values
}

async function transact(kafka, topic, groupId, positions) {
  const producer = kafka.producer({ transactionalId: topic, maxInFlightRequests: 1, idempotent: true })
  await producer.connect()
  const records = name => [0, 1, 2].map(partition => ({ partition, value: `${name}-${partition}` }))
  const committed = await producer.transaction()
  await committed.send({ topic, messages: records('committed') })
  await committed.sendOffsets({ consumerGroupId: groupId, topics: [{ topic, partitions: positions }] })
  await committed.commit()
  const aborted = await producer.transaction()
  await aborted.send({ topic, messages: records('aborted') })
  await aborted.abort()
  await producer.disconnect()
}

async function main() {
  const job = JSON.parse(fs.readFileSync(0, 'utf8'))
  const topic = job.topic
  const kafka = new Kafka({
    clientId: 'tour-kafkajs',
    brokers: job.brokers,
    logLevel: logLevel.ERROR,
    sasl: { mechanism: job.mechanism, username: job.username, password: job.password }
  })
  const told = await administer(kafka, topic)
  const producer = kafka.producer({ idempotent: true })
  await producer.connect()
  const messages = Array.from({ length: RECORDS }, (_, i) => ({ partition: i % 3, value: `record-${i}` }))
  await producer.send({ topic, acks: -1, messages })
  await producer.disconnect()
  told.written = RECORDS
  told.read = (await take(kafka, topic, topic, RECORDS)).length
  const positions = [0, 1, 2].map(partition => ({ partition, offset: String(RECORDS / 3 + 1) }))
  await transact(kafka, topic, topic, positions)
  const admin = kafka.admin()
  await admin.connect()
  const offsets = await admin.fetchOffsets({ groupId: topic, topics: [topic] })
  await admin.disconnect()
  told.committed = offsets[0].partitions.reduce((sum, one) => sum + Number(one.offset), 0)
  const values = await take(kafka, topic, `${topic}-again`, RECORDS + 3)
  told.read_again = values.length
  told.aborted_read = values.filter(value => value.startsWith('aborted')).length
  console.log(JSON.stringify(told))
}

main().then(() => process.exit(0), error => {
  console.error(error)
  process.exit(1)
})
