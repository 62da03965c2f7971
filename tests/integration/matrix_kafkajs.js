// SPDX-License-Identifier: Apache-2.0
// Many logins through kafkajs. The job comes as JSON on standard input, the result goes as JSON to standard output; both as
// in matrix_librdkafka.py, with "brokers", "ssl" and "sasl" in the place of "settings".
'use strict'

const fs = require('fs')
const { Kafka, logLevel } = require('kafkajs')

const DEADLINE_MS = 40000

function client(cell) {
  const text = path => fs.readFileSync(path, 'utf8')
  return new Kafka({
    clientId: cell.name,
    brokers: cell.brokers,
    logLevel: logLevel.NOTHING,
    ssl: cell.ssl ? { ca: [text(cell.ssl.ca)], cert: text(cell.ssl.chain), key: text(cell.ssl.key) } : false,
    sasl: cell.token
      ? { mechanism: 'oauthbearer', oauthBearerProvider: async () => ({ value: cell.token }) }
      : cell.sasl,
    retry: { retries: 3 }
  })
}

async function write(kafka, cell) {
  const producer = kafka.producer()
  await producer.connect()
  const messages = [...Array(cell.partitions).keys()].map(partition => ({ partition, value: `${cell.name}-${partition}` }))
  const told = await producer.send({ topic: cell.name, acks: -1, messages })
  await producer.disconnect()
  return told.length
}

async function read(kafka, cell) {
  const consumer = kafka.consumer({ groupId: cell.name })
  await consumer.connect()
  await consumer.subscribe({ topics: [cell.name], fromBeginning: true })
  const found = []
  await new Promise((resolve, reject) => {
    setTimeout(() => reject(new Error(`only ${found.length} records in time`)), DEADLINE_MS).unref()
    consumer.on(consumer.events.CRASH, event => event.payload.restart || reject(event.payload.error))
    consumer.run({
      eachMessage: async ({ message }) => {
        found.push(message.value.toString())
        if (found.length >= cell.partitions) {
          resolve()
        }
      }
    })
  })
  await consumer.disconnect()
  return found
}

async function run(cell) {
  try {
    const kafka = client(cell)
    return { written: await write(kafka, cell), read: await read(kafka, cell) }
  } catch (error) {
    return { error: String(error) }
  }
}

async function main() {
  const job = JSON.parse(fs.readFileSync(0, 'utf8'))
  const done = await Promise.all(job.cells.map(async cell => [cell.name, await run(cell)]))
  const { version } = require('kafkajs/package.json')
  console.log(JSON.stringify({ version, cells: Object.fromEntries(done) }))
}

main().then(() => process.exit(0), error => {
  console.error(error)
  process.exit(1)
})
