// The official Node SDK of OpenAI with Chat Completions, over the socket and over TCP.
import { createRequire } from "node:module";

const require = createRequire(`${process.env.MODULES}/package.json`);
const OpenAI = require("openai").default ?? require("openai");
const undici = require("undici");

const [socket, port, token] = process.argv.slice(2);
const messages = [{ role: "user", content: "hi there" }];
let failed = false;

const agent = new undici.Agent({ connect: { socketPath: socket } });
const over = (url, init) => undici.fetch(url, { ...init, dispatcher: agent });
const clients = {
  socket: new OpenAI({ baseURL: "http://x/v1", apiKey: "none", fetch: over }),
  tcp: new OpenAI({ baseURL: `http://127.0.0.1:${port}/v1`, apiKey: token }),
};

async function check(name, run) {
  try {
    await run();
    console.log(`ok   node chat ${name}`);
  } catch (error) {
    failed = true;
    console.log(`FAIL node chat ${name}: ${error}`);
  }
}

function same(got, expected) {
  if (got !== expected) throw new Error(`got ${got}, expected ${expected}`);
}

for (const [way, client] of Object.entries(clients)) {
  await check(`${way} plain`, async () => {
    const answer = await client.chat.completions.create({ model: "default", messages });
    same(answer.choices[0].finish_reason, "stop");
    same(answer.choices[0].message.content, "[gpt] hi there");
  });
  await check(`${way} streamed`, async () => {
    let text = "";
    const stream = await client.chat.completions.create({ model: "claude", messages, stream: true });
    for await (const chunk of stream) text += chunk.choices[0]?.delta?.content ?? "";
    same(text, "[claude] hi there");
  });
  await check(`${way} broken stream, differing backup`, async () => {
    let ended = false;
    try {
      const stream = await client.chat.completions.create({ model: "differs", messages, stream: true });
      for await (const _ of stream);
      ended = true;
    } catch {
      return;
    }
    same(ended, false);
  });
  await check(`${way} models`, async () => {
    const names = [];
    for await (const model of client.models.list()) names.push(model.id);
    same(names.includes("outage"), true);
  });
}
process.exit(failed ? 1 : 0);
