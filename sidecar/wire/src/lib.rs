//! HTTP head, ClientHello, SSE and MCP bytes to facts. No I/O.
