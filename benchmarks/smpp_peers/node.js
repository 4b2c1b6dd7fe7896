// node-smpp as a sender:  node node.js PORT WINDOW SECONDS TEXT
// Sends for so long with so many unanswered at most, waits for the last answer, and prints one line of JSON.
'use strict';
const smpp = require('smpp');
const [port, window, seconds] = process.argv.slice(2, 5).map(Number);
const text = process.argv[5];

const session = smpp.connect({ url: `smpp://127.0.0.1:${port}` }, () => {
  session.bind_transceiver({ system_id: 'user', password: 'secret' }, (pdu) => {
    if (pdu.command_status !== 0) throw new Error(`bind: ${pdu.command_status}`);
    run();
  });
});
session.on('error', (error) => { throw error; });

function run() {
  const cpu = process.cpuUsage();
  const begun = process.hrtime.bigint();
  const until = begun + BigInt(Math.round(seconds * 1e9));
  let flying = 0, answered = 0, failed = 0;
  const message = {
    source_addr: 'acme', source_addr_ton: 5, source_addr_npi: 0, dest_addr_ton: 1, dest_addr_npi: 1,
    registered_delivery: 1, data_coding: 0, short_message: text,
  };
  function heard(pdu) {
    flying--;
    answered++;
    if (pdu.command_status !== 0) failed++;
    send();
  }
  function send() {
    while (flying < window && process.hrtime.bigint() < until) {
      flying++;
      session.submit_sm({ ...message, destination_addr: String(34600000000 + answered + flying) }, heard);
    }
    if (flying === 0) {
      const used = process.cpuUsage(cpu);
      const taken = Number(process.hrtime.bigint() - begun) / 1e9;
      const cpuSeconds = (used.user + used.system) / 1e6;
      console.log(JSON.stringify({ messages: answered, failed, seconds: taken, cpu: cpuSeconds }));
      process.exit(0);
    }
  }
  send();
}
