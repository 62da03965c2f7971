// SPDX-License-Identifier: Apache-2.0
// Writes and reads through kafkajs. The job comes as JSON on standard input, the result goes as JSON to standard output.
'use strict'

const fs = require('fs')
const { Kafka, logLevel } = require('kafkajs')

async function main() {
  const job = JSON.parse(fs.readFileSync(0, 'utf8'))
  const kafka = new Kafka({
    clientId: 'rig-kafkajs',
    brokers: job.brokers,
    logLevel: logLevel.ERROR,
    ssl: job.ca ? { ca: [fs.readFileSync(job.ca, 'utf8')] } : false,
    sasl: job.token
      ? { mechanism: 'oauthbearer', oauthBearerProvider: async () => ({ value: job.token }) }
      : job.username
        ? { mechanism: job.mechanism, username: job.username, password: job.password }
        : undefined,
    retry: { retries: 3 }
  })
  const result = {}
  if (job.produce) {
    const producer = kafka.producer()
    await producer.connect()
    const messages = job.produce.map(value => ({ key: value, value }))
    if (job.pace_ms) {
      // one at a time, over a connection that grows old
      result.written = 0
      for (const message of messages) {
        await producer.send({ topic: job.topic, acks: -1, messages: [message] })
        result.written++
        await new Promise(resolve => setTimeout(resolve, job.pace_ms))
      }
    } else {
      result.written = (await producer.send({ topic: job.topic, acks: -1, messages })).length
    }
    await producer.disconnect()
  }
  if (job.consume) {
    const consumer = kafka.consumer({ groupId: job.group })
    await consumer.connect()
    await consumer.subscribe({ topics: [job.topic], fromBeginning: true })
    result.read = []
    await new Promise((resolve, reject) => {
      setTimeout(() => reject(new Error(`only ${result.read.length} records in time`)), 40000).unref()
      // one that restarts itself is what an application would see: a moment without records
      consumer.on(consumer.events.CRASH, event => event.payload.restart || reject(event.payload.error))
      consumer.run({
        eachMessage: async ({ message }) => {
          result.read.push(message.value.toString())
          if (result.read.length >= job.consume) {
            resolve()
          }
        }
      })
    })
    await consumer.disconnect()
  }
  console.log(JSON.stringify(result))
}

main().then(() => process.exit(0), error => {
  console.error(error)
  process.exit(1)
})
