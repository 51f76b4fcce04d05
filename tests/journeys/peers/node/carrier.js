// A carrier on node-smpp. Its configuration is one line of JSON on standard input: {"system_id", "password", "receipts"}.
// It prints {"port"} and then one line of JSON for each event: a bind, a refused bind, a text, the status of a receipt.
// A further line {"from", "to", "text"} is delivered as a reply.
const readline = require('readline');
const smpp = require('smpp');

const receivers = [];
let settings;
let number = 0xa1b2c3;

function say(event) {
  console.log(JSON.stringify(event));
}

function deliver(fields, what) {
  if (receivers.length) {
    receivers[0].deliver_sm(fields, (answer) => say({ event: what, status: answer.command_status }));
  }
}

function bind(session, pdu, receives) {
  if (pdu.system_id !== settings.system_id || pdu.password !== settings.password) {
    session.send(pdu.response({ command_status: smpp.ESME_RINVPASWD }));
    say({ event: 'refused' });
    return;
  }
  session.send(pdu.response({ system_id: 'node' }));
  if (receives) receivers.push(session);
  say({ event: 'bound' });
}

function submit(session, pdu) {
  const id = (number++).toString(16);
  const read = pdu.message_payload === undefined ? pdu.short_message : pdu.message_payload;
  session.send(pdu.response({ message_id: id }));
  say({
    event: 'text',
    id,
    to: pdu.destination_addr,
    source: pdu.source_addr,
    data_coding: pdu.data_coding,
    text: read.message,
    validity: pdu.validity_period,
    header: (read.udh || []).map((element) => element.toString('hex')),
    sar: [pdu.sar_msg_ref_num, pdu.sar_total_segments, pdu.sar_segment_seqnum],
  });
  if (settings.receipts && pdu.registered_delivery) {
    deliver({
      source_addr: pdu.destination_addr,
      destination_addr: pdu.source_addr,
      esm_class: smpp.ESM_CLASS.MC_DELIVERY_RECEIPT,
      short_message: `id:${id} sub:001 dlvrd:001 submit date:2611301200 done date:2611301201 stat:DELIVRD err:000 text:`,
      receipted_message_id: id,
      message_state: smpp.MESSAGE_STATE.DELIVERED,
    }, 'receipt');
  }
}

const server = smpp.createServer((session) => {
  session.on('bind_transceiver', (pdu) => bind(session, pdu, true));
  session.on('bind_receiver', (pdu) => bind(session, pdu, true));
  session.on('bind_transmitter', (pdu) => bind(session, pdu, false));
  session.on('submit_sm', (pdu) => submit(session, pdu));
  session.on('enquire_link', (pdu) => session.send(pdu.response()));
  session.on('unbind', (pdu) => { session.send(pdu.response()); session.close(); });
  session.on('close', () => {
    const at = receivers.indexOf(session);
    if (at >= 0) receivers.splice(at, 1);
  });
  session.on('error', () => {});
});

readline.createInterface({ input: process.stdin })
  .on('line', (line) => {
    const order = JSON.parse(line);
    if (!settings) {
      settings = order;
      server.listen(0, '127.0.0.1', () => say({ port: server.address().port }));
    } else {
      const fields = { source_addr_ton: 1, source_addr_npi: 1, dest_addr_ton: 1, dest_addr_npi: 1 };
      deliver({ ...fields, source_addr: order.from, destination_addr: order.to, short_message: order.text }, 'reply');
    }
  })
  .on('close', () => process.exit(0));
