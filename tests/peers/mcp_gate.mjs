// The TypeScript clients of MCP, through the gate: node mcp_gate.mjs GATEWAY. Prints a line a check.
import assert from "node:assert/strict";
import * as v1 from "@modelcontextprotocol/sdk/client/index.js";
import * as v1http from "@modelcontextprotocol/sdk/client/streamableHttp.js";
import * as v2 from "@modelcontextprotocol/client";

const gateway = process.argv[2];
const me = { name: "peers", version: "1" };
const allowed = ["echo", "get-structured-content", "get-sum", "trigger-long-running-operation"];
let failed = 0;

async function check(what, body) {
  try {
    await body();
    console.log(`ok      ${what}`);
  } catch (error) {
    failed += 1;
    console.log(`FAILED  ${what}\n        ${error.stack.replaceAll("\n", "\n        ")}`);
  }
}

async function listAndCall(client, name) {
  await check(`${name}: the list has the allowed tools only`, async () => {
    const names = (await client.listTools()).tools.map((tool) => tool.name).sort();
    assert.deepEqual(names, allowed);
  });
  await check(`${name}: a call answers`, async () => {
    const result = await client.callTool({ name: "get-sum", arguments: { a: 1, b: 2 } });
    assert.equal(result.content[0].text, "The sum of 1 and 2 is 3.");
  });
  await check(`${name}: a denied argument and a denied tool are results that say so`, async () => {
    for (const call of [{ name: "echo", arguments: { message: "secret" } }, { name: "get-env", arguments: {} }]) {
      const result = await client.callTool(call);
      assert.equal(result.isError, true);
      assert.match(result.content[0].text, /^Denied by policy \(spec\.tools\.servers\[0\]\./);
    }
  });
}

await check("sdk 1: connects", async () => {
  const client = new v1.Client(me);
  await client.connect(new v1http.StreamableHTTPClientTransport(new URL(`${gateway}/mcp/everything`)));
  await listAndCall(client, "sdk 1");
  await client.close();
});

await check("client 2, with sessions: connects", async () => {
  const client = new v2.Client(me, { versionNegotiation: { mode: "auto" } });
  await client.connect(new v2.StreamableHTTPClientTransport(new URL(`${gateway}/mcp/everything`)));
  await listAndCall(client, "client 2, with sessions");
  await client.close();
});

await check("client 2, stateless: lists, calls, is denied", async () => {
  const client = new v2.Client(me, { versionNegotiation: { mode: { pin: "2026-07-28" } } });
  await client.connect(new v2.StreamableHTTPClientTransport(new URL(`${gateway}/mcp/stateless`)));
  const names = (await client.listTools()).tools.map((tool) => tool.name).sort();
  assert.deepEqual(names, ["count", "read_note"]);
  const note = await client.callTool({ name: "read_note", arguments: { name: "notes/a" } });
  assert.equal(note.content[0].text, "text of notes/a");
  const denied = await client.callTool({ name: "read_note", arguments: { name: "/etc/passwd" } });
  assert.equal(denied.isError, true);
  await client.close();
});

process.exit(failed === 0 ? 0 : 1);
