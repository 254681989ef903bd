//! Input schemas that ask for arguments in headers (`x-mcp-header`, MCP 2026-07-28), remembered from the lists that passed.
//!
//! The headers are derived from the judged arguments, so that no router on the way can be told something else.

use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

use http::{HeaderName, HeaderValue};
use pinfold_wire::mcp::mirrored_arguments;
use serde_json::{Map, Value};

/// Schemas remembered, over all servers.
const SCHEMAS_MAX: usize = 256;
/// Bytes of one schema; a tool with a larger one that asks for headers is hidden.
const SCHEMA_BYTES_MAX: usize = 32 * 1024;
/// The schema keyword.
const KEYWORD: &str = "\"x-mcp-header\"";

/// The schemas, by server and tool.
#[derive(Default)]
pub(crate) struct Schemas(Mutex<HashMap<(String, String), Value>>);

impl Schemas {
    fn lock(&self) -> MutexGuard<'_, HashMap<(String, String), Value>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Remembers what a listed tool asks for; whether its calls can be forwarded at all.
    pub(crate) fn learn(&self, server: &str, tool: &str, definition: &Value) -> bool {
        let key = (server.to_owned(), tool.to_owned());
        let mut schemas = self.lock();
        schemas.remove(&key);
        let Some(schema) = definition.get("inputSchema") else { return false };
        let text = schema.to_string();
        if !text.contains(KEYWORD) {
            return true;
        }
        let valid = mirrored_arguments(schema, &Map::new()).is_some();
        if !valid || text.len() > SCHEMA_BYTES_MAX || schemas.len() >= SCHEMAS_MAX {
            return false;
        }
        schemas.insert(key, schema.clone());
        true
    }

    /// The headers of a call.
    pub(crate) fn headers(
        &self,
        server: &str,
        tool: &str,
        arguments: &Map<String, Value>,
    ) -> Vec<(HeaderName, HeaderValue)> {
        let key = (server.to_owned(), tool.to_owned());
        let headers = self.lock().get(&key).map(|schema| mirrored_arguments(schema, arguments));
        headers.flatten().unwrap_or_default()
    }
}
