// An SMSC made of the npm package `smpp`: takes messages, answers with a hexadecimal id, reports in decimal.
// What it does beyond that, what it prints and what it is told is described in peers.py.
'use strict';

const readline = require('readline');
const smpp = require('smpp');

// After a restart the ids must be new ones.
let next = 0x39f99dd5 + process.pid * 0x1000;
const links = new Set();
const throttled = new Set();
const say = (what) => process.stdout.write(JSON.stringify(what) + '\n');

// The package hands out texts that it has decoded by itself; the octets are kept beside them, those of a
// message_payload instead of those of the short_message, which is read before.
const octets = new WeakMap();
const decode = smpp.filters.message.decode;
smpp.filters.message.decode = function (value, skipHeader) {
  octets.set(this, value);
  return decode.call(this, value, skipHeader);
};

function login(session, pdu) {
  let status = 0;
  if (pdu.system_id !== process.env.PEER_USER) status = smpp.ESME_RINVSYSID;
  else if (pdu.password !== process.env.PEER_PASSWORD) status = smpp.ESME_RINVPASWD;
  say({ event: 'bind', command: pdu.command, user: pdu.system_id, status });
  session.bound = status === 0;
  session.receives = pdu.command !== 'bind_transmitter';
  if (session.bound) links.add(session);
  session.send(pdu.response(status ? { command_status: status } : { system_id: 'node' }));
}

function refusal(session, pdu) {
  if (!session.bound) return smpp.ESME_RINVBNDSTS;
  if (pdu.destination_addr.startsWith('34692')) return smpp.ESME_RINVDSTADR;
  if (pdu.destination_addr.startsWith('34693') && !throttled.has(pdu.destination_addr)) {
    throttled.add(pdu.destination_addr);
    return smpp.ESME_RTHROTTLED;
  }
  return 0;
}

function submit(session, pdu) {
  const status = refusal(session, pdu);
  if (status) {
    say({ event: 'refused', destination: pdu.destination_addr, status });
    session.send(pdu.response({ command_status: status }));
    return;
  }
  const number = next++;
  const id = number.toString(16);
  say({
    event: 'submit_sm', id,
    source_addr: pdu.source_addr, source_ton: pdu.source_addr_ton, source_npi: pdu.source_addr_npi,
    destination: pdu.destination_addr, dest_ton: pdu.dest_addr_ton, dest_npi: pdu.dest_addr_npi,
    data_coding: pdu.data_coding, esm_class: pdu.esm_class, registered_delivery: pdu.registered_delivery,
    short_message: octets.get(pdu).toString('hex'), text: String(pdu.short_message.message),
    sar: [pdu.sar_msg_ref_num, pdu.sar_segment_seqnum, pdu.sar_total_segments].filter((field) => field !== undefined),
  });
  session.send(pdu.response({ message_id: id }));
  if (pdu.registered_delivery & 1) report(receiver(session), pdu, id, number);
}

const receiver = (session) => (session && session.receives ? session : [...links].find((link) => link.receives));

function report(session, pdu, id, number) {
  const date = new Date().toISOString().replace(/\D/g, '').slice(2, 12);
  const [dlvrd, stat, err] =
    pdu.destination_addr.startsWith('34691') ? ['000', 'UNDELIV', '001'] : ['001', 'DELIVRD', '000'];
  session.deliver_sm({
    source_addr: pdu.destination_addr, source_addr_ton: pdu.dest_addr_ton, source_addr_npi: pdu.dest_addr_npi,
    destination_addr: pdu.source_addr, dest_addr_ton: pdu.source_addr_ton, dest_addr_npi: pdu.source_addr_npi,
    esm_class: smpp.ESM_CLASS.MC_DELIVERY_RECEIPT,
    short_message: Buffer.from(
      `id:${number} sub:001 dlvrd:${dlvrd} submit date:${date} done date:${date} stat:${stat} err:${err} text:`),
  }, (answer) => say({ event: 'deliver_sm_resp', id, status: answer.command_status }));
}

// The package itself finds the alphabet of a text.
function deliver(session, { source, destination, text }) {
  const addresses = {
    source_addr: source, source_addr_ton: 1, source_addr_npi: 1,
    destination_addr: destination, dest_addr_ton: 1, dest_addr_npi: 1,
  };
  const body = text.length > 70 ? { short_message: '', message_payload: { message: text } } : { short_message: text };
  session.deliver_sm({ ...addresses, ...body }, (answer) => say({ event: 'taken', status: answer.command_status }));
}

const orders = {
  deliver,
  enquire: (session) => session.enquire_link({}, (answer) =>
    say({ event: 'enquire_link_resp', status: answer.command_status })),
  unbind: (session) => session.unbind({}, (answer) => {
    say({ event: 'unbind_resp', status: answer.command_status });
    session.close();
  }),
};

const server = smpp.createServer((session) => {
  session.on('bind_transceiver', (pdu) => login(session, pdu));
  session.on('bind_transmitter', (pdu) => login(session, pdu));
  session.on('bind_receiver', (pdu) => login(session, pdu));
  session.on('submit_sm', (pdu) => submit(session, pdu));
  session.on('enquire_link', (pdu) => {
    say({ event: 'enquire_link' });
    session.send(pdu.response());
  });
  session.on('unbind', (pdu) => {
    say({ event: 'unbind' });
    session.send(pdu.response());
    session.close();
  });
  session.on('close', () => links.delete(session));
  session.on('error', (error) => say({ event: 'error', error: String(error) }));
});
server.listen(Number(process.env.PEER_PORT), '127.0.0.1', () =>
  process.stdout.write(`PORT ${server.address().port}\n`));

readline.createInterface({ input: process.stdin })
  .on('line', (line) => {
    const order = JSON.parse(line);
    orders[order.do](receiver(), order);
  })
  .on('close', () => process.exit(0));
