"""An MCP server of the newest revision, by the Python package `mcp`: the stateless counterpart of server-everything."""

import json
import os
import sys

from mcp.server import MCPServer
from mcp.server.mcpserver import Context

server = MCPServer("notes")


@server.tool()
def read_note(name: str) -> str:
    """Reads a note."""
    return f"text of {name}"


@server.tool()
def delete_note(name: str) -> str:
    """Deletes a note: no policy of this test allows it, so reaching this is a failure."""
    with open(os.path.join(sys.argv[2], "deleted"), "a") as reached:
        reached.write(json.dumps(name) + "\n")
    return "deleted"


@server.tool()
async def count(to: int, context: Context) -> int:
    """Counts, and says so."""
    for number in range(1, to + 1):
        await context.report_progress(number, to)
    return to


@server.resource("note://secret")
def secret() -> str:
    """A resource, for which this test's policy has no rule."""
    return "text of the resource"


if __name__ == "__main__":
    server.run("streamable-http", host="127.0.0.1", port=int(sys.argv[1]))
