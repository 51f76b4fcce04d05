// A client on node-smpp. Its configuration is one line of JSON on standard input: {"port", "system_id", "password"}.
// It binds as transceiver, and prints a line of JSON for each event. A further line {"source", "to", "text"} is sent;
// {"unbind": true} ends it. Each deliver_sm is printed and answered.
const readline = require('readline');
const smpp = require('smpp');

let session;

function say(event) {
  console.log(JSON.stringify(event));
}

function start(settings) {
  session = smpp.connect({ url: `smpp://127.0.0.1:${settings.port}` }, () => {
    session.bind_transceiver({ system_id: settings.system_id, password: settings.password }, (answer) => {
      say({ event: 'bound', status: answer.command_status });
    });
  });
  session.on('deliver_sm', (pdu) => {
    say({
      event: 'delivered',
      source: pdu.source_addr,
      to: pdu.destination_addr,
      esm_class: pdu.esm_class,
      text: pdu.short_message.message,
      receipted_message_id: pdu.receipted_message_id,
      message_state: pdu.message_state,
    });
    session.send(pdu.response());
  });
  session.on('enquire_link', (pdu) => session.send(pdu.response()));
  session.on('close', () => say({ event: 'closed' }));
  session.on('error', (error) => say({ event: 'error', message: error.message }));
}

function send(order) {
  session.submit_sm({
    source_addr: order.source,
    destination_addr: order.to,
    dest_addr_ton: 1,
    dest_addr_npi: 1,
    registered_delivery: 1,
    ...(order.text.length > 254 ? { message_payload: { message: order.text } } : { short_message: order.text }),
    ...(order.data_coding === undefined ? {} : { data_coding: order.data_coding }),
  }, (answer) => say({ event: 'answered', to: order.to, status: answer.command_status, id: answer.message_id }));
}

readline.createInterface({ input: process.stdin })
  .on('line', (line) => {
    const order = JSON.parse(line);
    if (!session) start(order);
    else if (order.unbind) session.unbind(() => session.close());
    else send(order);
  })
  .on('close', () => process.exit(0));
