// Reads PDUs from standard input, one a line in hexadecimal; prints what node-smpp makes of each as a line of JSON.
const readline = require('readline');
const smpp = require('smpp');

readline.createInterface({ input: process.stdin }).on('line', (line) => {
  const pdu = smpp.PDU.fromBuffer(Buffer.from(line, 'hex'));
  const read = pdu.message_payload === undefined ? pdu.short_message : pdu.message_payload;
  console.log(JSON.stringify({
    command: pdu.command,
    source: [pdu.source_addr, pdu.source_addr_ton, pdu.source_addr_npi],
    destination: [pdu.destination_addr, pdu.dest_addr_ton, pdu.dest_addr_npi],
    data_coding: pdu.data_coding,
    esm_class: pdu.esm_class,
    registered_delivery: pdu.registered_delivery,
    text: read.message,
    header: (read.udh || []).map((element) => element.toString('hex')),
    sar: [pdu.sar_msg_ref_num, pdu.sar_total_segments, pdu.sar_segment_seqnum],
  }));
});
