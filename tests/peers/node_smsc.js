// An SMSC made of the npm package `smpp`: takes messages, answers with a hexadecimal id, reports in decimal.
// Prints "PORT n" and then one line of JSON for whatever happens. PEER_USER and PEER_PASSWORD are the account.
'use strict';

const smpp = require('smpp');

let next = 0x39f99dd5;
const say = (what) => process.stdout.write(JSON.stringify(what) + '\n');

// The package hands out texts that it has decoded by itself; the octets are kept beside them.
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
  session.send(pdu.response(status ? { command_status: status } : { system_id: 'node' }));
}

function submit(session, pdu) {
  if (!session.bound) {
    session.send(pdu.response({ command_status: smpp.ESME_RINVBNDSTS }));
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
  });
  session.send(pdu.response({ message_id: id }));
  if (pdu.registered_delivery & 1) report(session, pdu, id, number);
}

function report(session, pdu, id, number) {
  const date = new Date().toISOString().replace(/\D/g, '').slice(2, 12);
  session.deliver_sm({
    source_addr: pdu.destination_addr, source_addr_ton: pdu.dest_addr_ton, source_addr_npi: pdu.dest_addr_npi,
    destination_addr: pdu.source_addr, dest_addr_ton: pdu.source_addr_ton, dest_addr_npi: pdu.source_addr_npi,
    esm_class: smpp.ESM_CLASS.MC_DELIVERY_RECEIPT,
    short_message: Buffer.from(
      `id:${number} sub:001 dlvrd:001 submit date:${date} done date:${date} stat:DELIVRD err:000 text:`),
  }, (answer) => say({ event: 'deliver_sm_resp', id, status: answer.command_status }));
}

const server = smpp.createServer((session) => {
  session.on('bind_transceiver', (pdu) => login(session, pdu));
  session.on('bind_transmitter', (pdu) => login(session, pdu));
  session.on('bind_receiver', (pdu) => login(session, pdu));
  session.on('submit_sm', (pdu) => submit(session, pdu));
  session.on('enquire_link', (pdu) => session.send(pdu.response()));
  session.on('unbind', (pdu) => {
    say({ event: 'unbind' });
    session.send(pdu.response());
    session.close();
  });
  session.on('error', (error) => say({ event: 'error', error: String(error) }));
});
server.listen(0, '127.0.0.1', () => process.stdout.write(`PORT ${server.address().port}\n`));
