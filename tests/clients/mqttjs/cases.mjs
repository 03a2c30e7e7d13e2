// mqtt.js (Node) against the broker, in versions 3.1, 3.1.1 and 5. Started by ../run.py, which says where the broker is.
//
// Prints `ok TITLE` or `FAIL TITLE :: PROBLEM` for each case, then `end`.

import mqtt from 'mqtt'

const host = process.env.MQTT_HOST ?? '127.0.0.1'
const port = Number(process.env.MQTT_PORT)
const run = process.env.MQTT_RUN ?? 'run'
const only = process.env.MQTT_ONLY ?? ''
const burst = Number(process.env.MQTT_BURST ?? 10000)
const DEADLINE_MS = 20000
const V31 = 3, V311 = 4, V5 = 5
const NAMES = { [V31]: 'v3.1', [V311]: 'v3.1.1', [V5]: 'v5' }
const cases = []

function check (condition, text) {
  if (!condition) throw new Error(text)
}

function same (what, got, expected) {
  const [a, b] = [JSON.stringify(got), JSON.stringify(expected)]
  check(a === b, `${what}: expected ${b?.slice(0, 200)}, got ${a?.slice(0, 200)}`)
}

function within (promise, what) {
  let timer
  const late = new Promise((resolve, reject) => {
    timer = setTimeout(() => reject(new Error(`no ${what} within ${DEADLINE_MS / 1000} s`)), DEADLINE_MS)
  })
  return Promise.race([promise, late]).finally(() => clearTimeout(timer))
}

// Things as they arrive, taken with a deadline.
class Inbox {
  constructor (what) {
    this.what = what
    this.items = []
    this.waiting = []
  }

  put (item) {
    const next = this.waiting.shift()
    if (next) next(item)
    else this.items.push(item)
  }

  take () {
    if (this.items.length) return Promise.resolve(this.items.shift())
    return within(new Promise(resolve => this.waiting.push(resolve)), this.what)
  }
}

class Context {
  constructor (number) {
    this.number = number
    this.clients = []
  }

  topic (name = 't') { return `mqttjs/${run}/${this.number}/${name}` }
  id (name) { return `${run}j${this.number}${name}`.slice(0, 23) }

  async connect (name, version, options = {}) {
    const client = new Client(this, name, version, options)
    this.clients.push(client)
    client.connack = await within(Promise.race([client.connected, client.failed]), 'CONNACK')
    return client
  }
}

class Client {
  constructor (t, name, version, options) {
    this.t = t
    this.messages = new Inbox('message')
    this.disconnects = new Inbox('DISCONNECT')
    const { expiry, ...rest } = options
    if (expiry !== undefined && version === V5) rest.properties = { ...rest.properties, sessionExpiryInterval: expiry }
    this.mqtt = mqtt.connect({
      host, port, protocol: 'mqtt', protocolVersion: version, protocolId: version === V31 ? 'MQIsdp' : 'MQTT', clientId: t.id(name),
      reconnectPeriod: 0, connectTimeout: DEADLINE_MS, ...rest
    })
    this.connected = new Promise(resolve => this.mqtt.once('connect', resolve))
    this.failed = new Promise((resolve, reject) => this.mqtt.once('error', reject))
    this.failed.catch(() => {})
    this.ended = new Promise(resolve => this.mqtt.once('close', resolve))
    this.mqtt.on('error', () => {})
    this.mqtt.on('message', (topic, payload, packet) => this.messages.put({ ...packet, topic }))
    this.mqtt.on('disconnect', packet => this.disconnects.put(packet))
  }

  // Gives the granted codes.
  async subscribe (topic, options = { qos: 1 }) {
    const granted = await within(this.mqtt.subscribeAsync(topic, options), 'SUBACK')
    return granted.map(one => one.qos)
  }

  unsubscribe (topic) { return within(this.mqtt.unsubscribeAsync(topic), 'UNSUBACK') }

  publish (topic, payload, options = { qos: 1 }) {
    return within(this.mqtt.publishAsync(topic, payload, options), 'acknowledgement')
  }

  async message (expected = {}) {
    const packet = await this.messages.take()
    for (const [key, value] of Object.entries(expected)) {
      same(key, key === 'payload' ? packet.payload.toString() : packet[key], value)
    }
    return packet
  }

  // Nothing came before a message that is published now.
  async nothing (publisher = this) {
    const topic = this.t.topic('fence/of/nothing')
    await this.subscribe(topic)
    await publisher.publish(topic, 'fence')
    await this.message({ topic })
  }

  async end () {
    await within(this.mqtt.endAsync(), 'end')
  }

  async drop () {
    this.mqtt.stream.destroy()
    await within(this.ended, 'close')
  }
}

function test (title, body) { cases.push([title, body]) }

function each (title, versions, body) {
  for (const version of versions) test(`${title}, ${NAMES[version]}`, t => body(t, version))
}

each('QoS 0, 1 and 2', [V31, V311, V5], async (t, v) => {
  const [sub, pub] = [await t.connect('sub', v), await t.connect('pub', v)]
  same('granted', await sub.subscribe(t.topic(), { qos: 2 }), [2])
  for (const qos of [0, 1, 2]) {
    await pub.publish(t.topic(), `hello ${qos}`, { qos })
    await sub.message({ topic: t.topic(), payload: `hello ${qos}`, qos, retain: false, dup: false })
  }
})

each('retained: set, replay, replace, delete', [V31, V311, V5], async (t, v) => {
  const pub = await t.connect('pub', v)
  for (const payload of ['first', 'second']) {
    await pub.publish(t.topic('kept'), payload, { qos: 1, retain: true })
    const sub = await t.connect('sub', v)
    await sub.subscribe(t.topic('+'))
    await sub.message({ topic: t.topic('kept'), payload, qos: 1, retain: true })
    await sub.end()
  }
  await pub.publish(t.topic('kept'), '', { qos: 1, retain: true })
  const sub = await t.connect('sub', v)
  await sub.subscribe(t.topic('+'))
  await sub.nothing(pub)
})

each('will: none after DISCONNECT, sent after a drop, retained', [V31, V311, V5], async (t, v) => {
  const watcher = await t.connect('watch', v)
  await watcher.subscribe(t.topic('will'), { qos: 2 })
  for (const qos of [0, 1, 2]) {
    const will = { topic: t.topic('will'), payload: Buffer.from('gone'), qos, retain: qos === 1 }
    await (await t.connect(`clean${qos}`, v, { will })).end()
    await watcher.nothing()
    await (await t.connect(`drop${qos}`, v, { will })).drop()
    await watcher.message({ topic: t.topic('will'), payload: 'gone', qos, retain: false })
  }
  const later = await t.connect('later', v)
  await later.subscribe(t.topic('will'))
  await later.message({ payload: 'gone', qos: 1, retain: true })
  await later.publish(t.topic('will'), '', { qos: 1, retain: true })
})

each('session: resumed, with its messages in order', [V31, V311, V5], async (t, v) => {
  const pub = await t.connect('pub', v)
  const keep = { clean: false, expiry: 60 }
  let sub = await t.connect('sub', v, keep)
  check(!sub.connack.sessionPresent, 'session present at first')
  await sub.subscribe(t.topic(), { qos: 2 })
  await sub.end()
  for (let i = 0; i < 40; i++) await pub.publish(t.topic(), `${i}`, { qos: i < 20 ? 1 : 2 })
  sub = await t.connect('sub', v, keep)
  if (v !== V31) check(sub.connack.sessionPresent, 'no session present')
  for (let i = 0; i < 40; i++) await sub.message({ payload: `${i}`, qos: i < 20 ? 1 : 2 })
  await sub.end()
  sub = await t.connect('sub', v, { clean: true })
  check(!sub.connack.sessionPresent, 'session present after a clean start')
})

each('takeover', [V311, V5], async (t, v) => {
  const first = await t.connect('same', v)
  const second = await t.connect('same', v)
  if (v === V5) same('reason', (await first.disconnects.take()).reasonCode, 0x8e)
  await within(first.ended, 'close')
  await second.subscribe(t.topic())
  await second.publish(t.topic(), 'here')
  await second.message({ payload: 'here' })
})

each('wildcards and unsubscribe', [V311, V5], async (t, v) => {
  const c = await t.connect('c', v)
  await c.subscribe([t.topic('a/+/c'), t.topic('b/#')])
  for (const name of ['a/c', 'a/b/c/d', 'a/b/c', 'b', 'b/x/y']) await c.publish(t.topic(name), name)
  for (const name of ['a/b/c', 'b', 'b/x/y']) await c.message({ topic: t.topic(name), payload: name })
  await c.unsubscribe([t.topic('a/+/c'), t.topic('b/#')])
  for (const name of ['a/b/c', 'b']) await c.publish(t.topic(name), 'gone')
  await c.nothing()
})

each('overlapping subscriptions', [V311, V5], async (t, v) => {
  const c = await t.connect('c', v)
  await c.subscribe(t.topic('#'), { qos: 0 })
  await c.subscribe(t.topic('a'), { qos: 2 })
  await c.publish(t.topic('a'), 'x', { qos: 2 })
  await c.message({ payload: 'x', qos: 2 })
})

for (const [version, qos] of [[V311, 0], [V311, 1], [V5, 1], [V5, 2]]) {
  test(`${burst} messages in order, QoS ${qos}, ${NAMES[version]}`, async t => {
    const [sub, pub] = [await t.connect('sub', version), await t.connect('pub', version)]
    await sub.subscribe(t.topic(), { qos: 2 })
    // The client does not obey the server's Receive Maximum by itself.
    const window = Math.min(pub.connack.properties?.receiveMaximum ?? 65535, 500)
    const publishing = (async () => {
      const open = new Set()
      for (let i = 0; i < burst; i++) {
        const one = pub.publish(t.topic(), `${i}`, { qos }).finally(() => open.delete(one))
        open.add(one)
        if (open.size >= window) await Promise.race(open)
      }
      await Promise.all(open)
    })()
    for (let i = 0; i < burst; i++) await sub.message({ payload: `${i}`, qos })
    await publishing
  })
}

each('payload of 1 MiB and an empty one', [V311, V5], async (t, v) => {
  const c = await t.connect('c', v)
  await c.subscribe(t.topic(), { qos: 2 })
  for (const qos of [0, 1, 2]) {
    for (const payload of [Buffer.alloc(1 << 20, 'abcdefg'), Buffer.alloc(0)]) {
      await c.publish(t.topic(), payload, { qos })
      const packet = await c.message({ qos })
      check(Buffer.compare(packet.payload, payload) === 0, 'the payload came damaged')
    }
  }
})

each('empty client id', [V311, V5], async (t, v) => {
  const [a, b] = [await t.connect('', v, { clientId: '' }), await t.connect('', v, { clientId: '' })]
  for (const c of [a, b]) await c.subscribe(t.topic())
  await a.publish(t.topic(), 'x')
  for (const c of [a, b]) await c.message({ payload: 'x' })
  if (v === V5) check(a.connack.properties.assignedClientIdentifier !== b.connack.properties.assignedClientIdentifier, 'the same identifier')
})

each('$SYS topics', [V311, V5], async (t, v) => {
  const c = await t.connect('c', v)
  await c.subscribe('$SYS/#', { qos: 0 })
  check((await c.message()).topic.startsWith('$SYS/'), 'another topic')
})

test('v5: properties of a message', async t => {
  const c = await t.connect('c', V5)
  await c.subscribe(t.topic(), { qos: 2, properties: { subscriptionIdentifier: 77 } })
  const properties = {
    payloadFormatIndicator: true,
    contentType: 'text/plain',
    responseTopic: 'to/me',
    correlationData: Buffer.from([0, 1]),
    messageExpiryInterval: 300,
    userProperties: { b: ['1', '3'], a: '2' }
  }
  for (const qos of [0, 1, 2]) {
    await c.publish(t.topic(), 'x', { qos, properties })
    const got = (await c.message({ qos })).properties
    check(got.messageExpiryInterval >= 295 && got.messageExpiryInterval <= 300, `expiry ${got.messageExpiryInterval}`)
    same('subscription identifier', got.subscriptionIdentifier, 77)
    for (const key of ['payloadFormatIndicator', 'contentType', 'responseTopic', 'correlationData', 'userProperties']) {
      same(key, got[key], properties[key])
    }
  }
})

test('v5: request and response', async t => {
  const [asker, server] = [await t.connect('asker', V5), await t.connect('server', V5)]
  await server.subscribe(t.topic('do'))
  await asker.subscribe(t.topic('answer'))
  await asker.publish(t.topic('do'), '2+2', { qos: 1, properties: { responseTopic: t.topic('answer'), correlationData: Buffer.from('7') } })
  const { responseTopic, correlationData } = (await server.message({ payload: '2+2' })).properties
  await server.publish(responseTopic, '4', { qos: 1, properties: { correlationData } })
  same('correlation data', (await asker.message({ payload: '4' })).properties.correlationData.toString(), '7')
})

test('v5: topic aliases both ways', async t => {
  const pub = await t.connect('pub', V5, { autoAssignTopicAlias: true })
  const sub = await t.connect('sub', V5, { properties: { topicAliasMaximum: 5 } })
  await sub.subscribe(t.topic('#'))
  for (let round = 0; round < 3; round++) {
    for (let i = 0; i < 8; i++) {
      await pub.publish(t.topic(`${i}`), `${round}`)
      await sub.message({ topic: t.topic(`${i}`), payload: `${round}` })
    }
  }
})

test('v5: receive maximum of the subscriber', async t => {
  const sub = await t.connect('sub', V5, { properties: { receiveMaximum: 2 } })
  const pub = await t.connect('pub', V5)
  await sub.subscribe(t.topic(), { qos: 2 })
  for (let i = 0; i < 100; i++) await pub.publish(t.topic(), `${i}`, { qos: i < 50 ? 1 : 2 })
  for (let i = 0; i < 100; i++) await sub.message({ payload: `${i}` })
})

test('v5: maximum packet size of the subscriber', async t => {
  const sub = await t.connect('sub', V5, { properties: { maximumPacketSize: 200 } })
  const pub = await t.connect('pub', V5)
  await sub.subscribe(t.topic(), { qos: 2 })
  for (const qos of [0, 1, 2]) {
    await pub.publish(t.topic(), 'x'.repeat(300), { qos })
    await pub.publish(t.topic(), 'small', { qos })
    await sub.message({ payload: 'small', qos })
  }
})

test('v5: shared subscriptions', async t => {
  const pub = await t.connect('pub', V5)
  const all = new Inbox('message')
  for (const name of ['a', 'b', 'c']) {
    const member = await t.connect(name, V5)
    member.messages.put = item => all.put(item)
    await member.subscribe(`$share/g/${t.topic()}`)
  }
  for (let i = 0; i < 60; i++) await pub.publish(t.topic(), `${i}`)
  const got = []
  while (got.length < 60) got.push(Number((await all.take()).payload))
  same('messages', got.sort((a, b) => a - b), [...Array(60).keys()])
})

test('v5: no local, retain as published, retain handling', async t => {
  const [c, other] = [await t.connect('c', V5), await t.connect('other', V5)]
  await other.publish(t.topic(), 'kept', { qos: 1, retain: true })
  await c.subscribe(t.topic(), { qos: 1, nl: true, rap: true, rh: 2 })
  await c.publish(t.topic(), 'own')
  await other.publish(t.topic(), 'new', { qos: 1, retain: true })
  await c.message({ payload: 'new', retain: true })
  await c.nothing(other)
  await other.subscribe(t.topic(), { qos: 1, rh: 1 })
  await other.message({ payload: 'new', retain: true })
  await other.subscribe(t.topic(), { qos: 1, rh: 1 })
  await other.nothing(c)
  await other.publish(t.topic(), '', { qos: 1, retain: true })
})

test('v5: will with delay and properties', async t => {
  const watcher = await t.connect('watch', V5)
  await watcher.subscribe(t.topic('will'))
  const will = payload => ({
    topic: t.topic('will'), payload: Buffer.from(payload), qos: 1, retain: false,
    properties: { willDelayInterval: 1, contentType: 'bye', userProperties: { k: ['1', '2'] } }
  })
  await (await t.connect('late', V5, { expiry: 60, will: will('late') })).drop()
  await (await t.connect('back', V5, { expiry: 60, will: will('never') })).drop()
  await t.connect('back', V5, { clean: false, expiry: 60 })
  const packet = await watcher.message({ payload: 'late' })
  same('content type', packet.properties.contentType, 'bye')
  same('user properties', packet.properties.userProperties, { k: ['1', '2'] })
  await watcher.nothing()
})

test('v5: session expiry at the end of the connection', async t => {
  const c = await t.connect('c', V5, { clean: false, expiry: 60 })
  await within(c.mqtt.endAsync(false, { properties: { sessionExpiryInterval: 0 } }), 'end')
  check(!(await t.connect('c', V5, { clean: false })).connack.sessionPresent, 'the session outlived its expiry')
})

test('v5: reason codes', async t => {
  const c = await t.connect('c', V5)
  const granted = await c.subscribe({ [t.topic('a')]: { qos: 0 }, [t.topic('b')]: { qos: 2 }, [t.topic('c')]: { qos: 1 } })
  same('granted', granted, [0, 2, 1])
  const puback = await c.publish(t.topic('nobody'), 'x')
  check([undefined, 0, 0x10].includes(puback?.reasonCode), `PUBACK ${puback?.reasonCode}`)
  const unsuback = await c.unsubscribe([t.topic('a'), t.topic('x')])
  if (unsuback?.granted) same('UNSUBACK', [...unsuback.granted], [0, 0x11])
})

async function runCase (number, [title, body]) {
  const t = new Context(number)
  try {
    await body(t)
    console.log(`ok ${title}`)
  } catch (error) {
    console.log(`FAIL ${title} :: ${String(error?.message ?? error).replaceAll('\n', ' ')}`)
  } finally {
    for (const client of t.clients) client.mqtt.end(true)
  }
}

const chosen = cases.filter(([title]) => `mqttjs: ${title}`.includes(only))
let next = 0
await Promise.all([...Array(4)].map(async () => {
  while (next < chosen.length) {
    const number = next++
    await runCase(number, chosen[number])
  }
}))
console.log('end')
