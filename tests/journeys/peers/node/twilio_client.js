// Twilio's SDK, changed by one line: `baseUrl`. Its configuration is one line of JSON on standard input:
// {"base_url", "account_sid", "auth_token"}. Each further line {"id", "call", ...} is one call, and its result one line of JSON
// with the same id: {"id", "result"} or {"id", "error"}.
const readline = require('readline');
const twilio = require('twilio');

let client;

const calls = {
  create: ({ parameters }) => client.messages.create(parameters),
  fetch: ({ sid }) => client.messages(sid).fetch(),
  list: ({ parameters }) => client.messages.list(parameters),
  cancel: ({ sid }) => client.messages(sid).update({ status: 'canceled' }),
  redact: ({ sid }) => client.messages(sid).update({ body: '' }),
  remove: ({ sid }) => client.messages(sid).remove(),
  media: ({ sid }) => client.messages(sid).media.list(),
  validate: ({ token, signature, url, fields }) => twilio.validateRequest(token, signature, url, fields),
};

async function answer(order) {
  try {
    const result = await calls[order.call](order);
    console.log(JSON.stringify({ id: order.id, result: result === undefined ? null : result }));
  } catch (error) {
    const { status, code, message, moreInfo } = error;
    console.log(JSON.stringify({ id: order.id, error: { status, code, message, moreInfo } }));
  }
}

readline.createInterface({ input: process.stdin })
  .on('line', (line) => {
    const order = JSON.parse(line);
    if (order.call) {
      answer(order);
    } else {
      client = twilio(order.account_sid, order.auth_token, { autoRetry: false });
      client.api.baseUrl = order.base_url;
    }
  })
  .on('close', () => process.exit(0));
