//! Schemas of tools, remembered from the lists that passed: input schemas that ask for arguments in headers (`x-mcp-header`, MCP 2026-07-28),
//! and output schemas, which a redacted result must still satisfy.
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

/// By server and tool.
type Remembered = HashMap<(String, String), Value>;

/// The schemas.
#[derive(Default)]
pub(crate) struct Schemas {
    inputs: Mutex<Remembered>,
    outputs: Mutex<Remembered>,
}

impl Schemas {
    fn lock(&self) -> MutexGuard<'_, Remembered> {
        self.inputs.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// What is known of a tool's structured results; `None` if it lists no output schema, `false` if the schema is too large to tell.
    pub(crate) fn output(&self, server: &str, tool: &str) -> Option<Value> {
        let outputs = self.outputs.lock().unwrap_or_else(PoisonError::into_inner);
        let found = outputs.get(&(server.to_owned(), tool.to_owned())).cloned();
        found.or_else(|| (outputs.len() >= SCHEMAS_MAX).then_some(Value::Bool(false)))
    }

    fn learn_output(&self, key: &(String, String), schema: Option<&Value>) {
        let mut outputs = self.outputs.lock().unwrap_or_else(PoisonError::into_inner);
        outputs.remove(key);
        let Some(schema) = schema.filter(|_| outputs.len() < SCHEMAS_MAX) else { return };
        let small = schema.to_string().len() <= SCHEMA_BYTES_MAX;
        outputs.insert(key.clone(), if small { schema.clone() } else { Value::Bool(false) });
    }

    /// Remembers what a listed tool asks for; whether its calls can be forwarded at all.
    pub(crate) fn learn(&self, server: &str, tool: &str, definition: &Value) -> bool {
        let key = (server.to_owned(), tool.to_owned());
        self.learn_output(&key, definition.get("outputSchema"));
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
