"""The tool gate between clients and servers that others wrote: the Python client here, the TypeScript ones in mcp_gate.mjs."""

import asyncio
import json
import urllib.error
import urllib.request

from mcp import Client, MCPError

ALLOWED = {"echo", "get-sum", "get-structured-content", "trigger-long-running-operation"}
DENIED = -31403
DENIAL = "pinfold.dev/denial"


def text(result):
    return "".join(block.text for block in result.content if block.type == "text")


def denial(result):
    """The denial in a tool's result, which must say rule, reason and what would be allowed in its text too."""
    assert result.is_error, result
    meta = result.meta[DENIAL]
    for part in ("rule", "reason", "message", "remedy"):
        assert meta[part] and meta[part] in text(result), (part, result)
    return meta


async def refused(call):
    try:
        result = await call
    except MCPError as error:
        return error.error
    raise AssertionError(f"expected a JSON-RPC error, got {result}")


def post(url, message, **headers):
    """One POST without any library; status and body."""
    headers = {"Content-Type": "application/json", "Accept": "application/json, text/event-stream", **headers}
    request = urllib.request.Request(url, json.dumps(message).encode(), headers)
    try:
        with urllib.request.urlopen(request, timeout=30) as reply:
            return reply.status, dict(reply.headers), reply.read().decode()
    except urllib.error.HTTPError as error:
        return error.code, dict(error.headers), error.read().decode()


async def sessions(checks, gateway, everything):
    async with Client(everything, mode="legacy") as direct:
        offered = {tool.name for tool in (await direct.list_tools()).tools}
    with checks("server-everything itself offers more than policy allows"):
        assert ALLOWED < offered and "get-env" in offered, offered
    for mode in ("legacy", "auto"):
        with checks(f"{mode}: connects, and says goodbye"):
            await one_session(checks, f"{gateway}/mcp/everything", mode)


async def one_session(checks, url, mode):
    async with Client(url, mode=mode) as client:
        with checks(f"{mode}: revision and server's name come through"):
            assert client.session.protocol_version == "2025-11-25", client.session.protocol_version
            assert client.server_info.name == "mcp-servers/everything", client.server_info
        with checks(f"{mode}: the list has the allowed tools only, with their schemas"):
            tools = {tool.name: tool for tool in (await client.list_tools()).tools}
            assert tools.keys() == ALLOWED, tools.keys()
            assert tools["get-sum"].input_schema["required"] == ["a", "b"], tools["get-sum"]
        with checks(f"{mode}: allowed calls answer"):
            assert text(await client.call_tool("echo", {"message": "höi \U0001f642"})) == "Echo: höi \U0001f642"
            assert text(await client.call_tool("get-sum", {"a": 2, "b": 40})) == "The sum of 2 and 40 is 42."
        with checks(f"{mode}: structured content comes through"):
            result = await client.call_tool("get-structured-content", {"location": "Chicago"})
            assert result.structured_content["temperature"] == 36, result
        with checks(f"{mode}: progress arrives while the tool works"):
            await progress(client)
        await denials(checks, mode, client)


async def progress(client):
    steps, done = [], asyncio.Event()

    async def report(step, total, _message):
        steps.append((step, total, done.is_set()))

    result = await client.call_tool(
        "trigger-long-running-operation", {"duration": 1, "steps": 4}, progress_callback=report
    )
    done.set()
    assert "completed" in text(result), result
    assert steps == [(step, 4, False) for step in (1, 2, 3, 4)], steps


async def denials(checks, mode, client):
    with checks(f"{mode}: a bad argument is denied with rule, path and fix"):
        meta = denial(result := await client.call_tool("get-sum", {"a": 2, "b": 101}))
        assert meta["reason"] == "argument", meta
        assert meta["rule"].endswith("allow[1].arguments.rules[1]"), meta
        assert "100" in meta["remedy"] and "101" in text(result), (meta, text(result))
    for arguments in ({"a": "2", "b": 1}, {"a": 2.5, "b": 1}, {"a": 1}, {"a": 1, "b": 2, "c": 3}, {"a": 1, "B": 2}):
        with checks(f"{mode}: arguments {arguments} are denied"):
            assert denial(await client.call_tool("get-sum", arguments))["reason"] == "argument"
    with checks(f"{mode}: arguments that differ in case only are refused before any rule"):
        error = await refused(client.call_tool("get-sum", {"a": 1, "b": 2, "B": 3}))
        assert error.data["reason"] == "mcp-member-name" and "`b`" in error.message, error
    with checks(f"{mode}: tools that are denied, not listed, or nowhere answer with a denial"):
        for tool in ("get-env", "gzip-file-as-resource", "no-such-tool"):
            meta = denial(await client.call_tool(tool, {}))
            assert meta["reason"] == "tool", meta
        assert "PATH" not in text(await client.call_tool("get-env", {}))
    with checks(f"{mode}: methods without rules are refused"):
        for call in (
            client.list_resources(),
            client.read_resource("demo://resource/static/document/architecture.md"),
            client.list_prompts(),
            client.get_prompt("simple-prompt"),
        ):
            error = await refused(call)
            assert error.code == DENIED and error.data[DENIAL]["reason"] == "rpc-method", error
    with checks(f"{mode}: the session is still good after all that"):
        assert text(await client.call_tool("echo", {"message": "x"})) == "Echo: x"


def session_binding(checks, gateway):
    """A session that was opened at one server name must mean nothing at another, though one process serves both."""
    params = {"protocolVersion": "2025-11-25", "capabilities": {}, "clientInfo": {"name": "peers", "version": "1"}}
    initialize = {"jsonrpc": "2.0", "id": 1, "method": "initialize", "params": params}
    call = {"jsonrpc": "2.0", "id": 2, "method": "tools/call", "params": {"name": "echo", "arguments": {"message": "x"}}}
    version, session = {"MCP-Protocol-Version": "2025-11-25"}, ""
    with checks("a session can be opened by hand and used where it was opened"):
        status, headers, body = post(f"{gateway}/mcp/everything", initialize)
        session = {name.lower(): value for name, value in headers.items()}.get("mcp-session-id", "")
        assert status == 200 and session, (status, headers, body)
        post(f"{gateway}/mcp/everything", {"jsonrpc": "2.0", "method": "notifications/initialized"},
             **version, **{"Mcp-Session-Id": session})
        status, _, body = post(f"{gateway}/mcp/everything", call, **version, **{"Mcp-Session-Id": session})
        assert status == 200 and "Echo: x" in body, (status, body)
    with checks("it is refused at another server name of the same process"):
        status, _, body = post(f"{gateway}/mcp/everything-again", call, **version, **{"Mcp-Session-Id": session})
        assert status == 404 and "Echo" not in body, (status, body)
    with checks("a session id that nobody opened is refused"):
        status, _, body = post(f"{gateway}/mcp/everything", call, **version, **{"Mcp-Session-Id": "0" * 36})
        assert status == 404 and "Echo" not in body, (status, body)


async def stateless(checks, gateway, direct, reached):
    async with Client(direct, mode="2026-07-28") as client:
        offered = {tool.name for tool in (await client.list_tools()).tools}
    with checks("the stateless server itself offers more than policy allows"):
        assert offered == {"read_note", "delete_note", "count"}, offered
    for mode in ("2026-07-28", "auto"):
        with checks(f"stateless {mode}: connects"):
            async with Client(f"{gateway}/mcp/stateless", mode=mode) as client:
                await one_stateless(checks, mode, client)
    with checks("no denied call reached the stateless server"):
        assert not reached.exists(), reached.read_text()


async def one_stateless(checks, mode, client):
    with checks(f"stateless {mode}: the revision is the newest, the list has the allowed tools only"):
        assert client.session.protocol_version == "2026-07-28", client.session.protocol_version
        names = {tool.name for tool in (await client.list_tools()).tools}
        assert names == {"read_note", "count"}, names
    with checks(f"stateless {mode}: allowed calls answer, structured too"):
        result = await client.call_tool("read_note", {"name": "notes/a"})
        assert text(result) == "text of notes/a" and result.structured_content == {"result": "text of notes/a"}, result
    with checks(f"stateless {mode}: progress arrives"):
        steps = []

        async def report(step, total, _message):
            steps.append((step, total))

        result = await client.call_tool("count", {"to": 3}, progress_callback=report)
        assert result.structured_content == {"result": 3} and steps == [(1, 3), (2, 3), (3, 3)], (result, steps)
    with checks(f"stateless {mode}: a path that climbs, and a denied tool, are denied"):
        assert denial(await client.call_tool("read_note", {"name": "notes/../etc"}))["reason"] == "argument"
        assert denial(await client.call_tool("delete_note", {"name": "notes/a"}))["reason"] == "tool"
    with checks(f"stateless {mode}: resources are refused"):
        error = await refused(client.read_resource("note://secret"))
        assert error.code == DENIED and error.data[DENIAL]["reason"] == "rpc-method", error


def requests_by_hand(checks, gateway):
    ping = {"jsonrpc": "2.0", "id": 1, "method": "ping"}
    url = f"{gateway}/mcp/everything"
    with checks("a server that policy doesn't name: an error that names those that it does"):
        _, _, body = post(f"{gateway}/mcp/elsewhere", ping)
        meta = json.loads(body)["error"]["data"][DENIAL]
        assert meta["reason"] == "server" and "`everything`" in meta["remedy"], body
    with checks("a browser's Origin and a foreign Host are 403"):
        for headers in ({"Origin": "https://example.com"}, {"Host": "example.com"}):
            status, _, body = post(url, ping, **headers)
            assert status == 403, (headers, status, body)
    with checks("a batch is 400"):
        status, _, body = post(url, [ping, ping])
        assert status == 400, (status, body)
    with checks("a session of revision 2024-11-05 can't be opened"):
        params = {"protocolVersion": "2024-11-05", "capabilities": {}, "clientInfo": {"name": "peers", "version": "1"}}
        _, _, body = post(url, {"jsonrpc": "2.0", "id": 1, "method": "initialize", "params": params})
        assert '"protocolVersion":"2024-11-05"' not in body, body[:300]
    with checks("HTTP+SSE of 2024-11-05 is refused with a message that says what to use"):
        request = urllib.request.Request(url, headers={"Accept": "text/event-stream"})
        try:
            urllib.request.urlopen(request, timeout=30)
            raise AssertionError("the stream was opened")
        except urllib.error.HTTPError as error:
            body = error.read().decode()
            assert "streamable HTTP" in body, (error.code, body)
    with checks("an upstream that isn't there is an error that says so, not a hang"):
        _, _, body = post(f"{gateway}/mcp/closed", ping)
        assert json.loads(body)["error"]["data"][DENIAL]["reason"] == "upstream", body


async def run(checks, gateway, everything, stateless_url, reached):
    await sessions(checks, gateway, everything)
    session_binding(checks, gateway)
    await stateless(checks, gateway, stateless_url, reached)
    requests_by_hand(checks, gateway)
