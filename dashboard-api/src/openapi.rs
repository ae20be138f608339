//! The HTTP API as an OpenAPI 3.1 document, made from the table of endpoints and the payload types.

use ecep_proto::api::{
    http::{CSRF_HEADER, IDEMPOTENCY_HEADER},
    schema::{REFERENCE, schemas},
};
use serde_json::{Map, Value, json};

use crate::http::endpoints::{Access, ENDPOINTS, Endpoint};

/// The document.
pub fn document() -> Value {
    let mut paths: Map<String, Value> = Map::new();
    for endpoint in ENDPOINTS {
        let path = paths.entry(endpoint.path).or_insert_with(|| path_parameters(endpoint.path));
        path[endpoint.method.as_str().to_lowercase()] = operation(endpoint);
    }
    json!({
        "openapi": "3.1.0",
        "info": {
            "title": "ECEP control plane",
            "version": env!("CARGO_PKG_VERSION"),
            "description": "What people and devices do before or beside a WAMP session. Errors are problem documents (RFC 9457).",
        },
        "servers": [{ "url": "/" }],
        "paths": paths,
        "components": {
            "schemas": schemas(),
            "securitySchemes": {
                "login": {
                    "type": "apiKey", "in": "cookie", "name": "__Host-ecep",
                    "description": "The cookie that a login sets; `ecep` where the control plane is reached without TLS.",
                },
                "token": {
                    "type": "http", "scheme": "bearer",
                    "description": "An API token: its id, a dot, and its secret.",
                },
            },
            "responses": {
                "Problem": {
                    "description": "What is wrong, and what to do.",
                    "content": { "application/problem+json": { "schema": reference("Problem") } },
                },
            },
        },
    })
}

fn reference(name: &str) -> Value {
    json!({ "$ref": format!("{REFERENCE}{name}") })
}

fn path_parameters(path: &str) -> Value {
    let names = path.split('/').filter_map(|part| part.strip_prefix('{')?.strip_suffix('}'));
    let parameters: Vec<Value> = names
        .map(|name| json!({ "name": name, "in": "path", "required": true, "schema": { "type": "string" } }))
        .collect();
    if parameters.is_empty() { json!({}) } else { json!({ "parameters": parameters }) }
}

fn operation(endpoint: &Endpoint) -> Value {
    let mut parameters = Vec::new();
    let query = |name: &str, schema: Value| json!({ "name": name, "in": "query", "schema": schema });
    if endpoint.paged {
        parameters
            .push(query("limit", json!({ "type": "integer", "minimum": 1, "maximum": 500, "default": 100 })));
        parameters.push(query("after", json!({ "type": "string" })));
    }
    parameters.extend(endpoint.query.iter().map(|name| query(name, json!({ "type": "string" }))));
    let is_guarded = endpoint.method != "GET" && endpoint.access != Access::Device;
    if is_guarded {
        parameters.push(json!({
            "name": CSRF_HEADER, "in": "header", "schema": { "const": "1" },
            "description": "Needed beside a login's cookie.",
        }));
    }
    if endpoint.takes_key() {
        parameters.push(json!({
            "name": IDEMPOTENCY_HEADER, "in": "header", "schema": { "type": "string", "minLength": 1, "maxLength": 255 },
            "description": "The same order again within a day, with the same value, is not done again and gets the same answer; where that held a secret, 409 and what was made.",
        }));
    }
    let mut operation = json!({
        "operationId": operation_id(endpoint),
        "summary": endpoint.summary,
        "security": security(endpoint.access),
        "parameters": parameters,
        "responses": { endpoint.status.to_string(): answer(endpoint), "default": { "$ref": "#/components/responses/Problem" } },
    });
    if let Some(request) = endpoint.request {
        operation["requestBody"] =
            json!({ "required": true, "content": { "application/json": { "schema": reference(request) } } });
    }
    operation
}

/// The method and the words of the path.
fn operation_id(endpoint: &Endpoint) -> String {
    let words =
        endpoint.path.split(['/', '-', '{', '}', '.']).filter(|word| !word.is_empty() && *word != "api");
    words.fold(endpoint.method.as_str().to_lowercase(), |id, word| format!("{id}_{word}"))
}

fn security(access: Access) -> Value {
    match access {
        Access::Anyone | Access::Device => json!([]),
        Access::Person | Access::Administrator | Access::Tenant { tokens: [], .. } => {
            json!([{ "login": [] }])
        }
        Access::Tenant { .. } => json!([{ "login": [] }, { "token": [] }]),
    }
}

fn answer(endpoint: &Endpoint) -> Value {
    let Some(reply) = endpoint.reply else { return json!({ "description": "Done." }) };
    let schema = match reply.strip_suffix("[]") {
        Some(one) => json!({ "type": "array", "items": reference(one) }),
        None if reply == OBJECT || reply == BYTES => json!({ "type": "object" }),
        None => reference(reply),
    };
    let content = if reply == TEXT {
        json!({ "text/plain": { "schema": { "type": "string" } } })
    } else if reply == BYTES {
        json!({ "application/octet-stream": {} })
    } else if endpoint.is_stream && !endpoint.query.contains(&"format") {
        json!({ "application/x-ndjson": { "schema": schema }, "text/plain": { "schema": { "type": "string" } } })
    } else if endpoint.is_stream {
        json!({ "application/x-ndjson": { "schema": schema }, "text/csv": { "schema": { "type": "string" } } })
    } else {
        json!({ "application/json": { "schema": schema } })
    };
    json!({ "description": "Done.", "content": content })
}

/// Stands in the table for a reply that is some JSON object.
pub const OBJECT: &str = "object";
/// Stands in the table for a reply that is whatever a file holds.
pub const BYTES: &str = "bytes";
/// Stands in the table for a reply that is plain text.
pub const TEXT: &str = "text";
