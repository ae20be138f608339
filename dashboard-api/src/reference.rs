//! The reference of the API as Markdown: `docs/api.md` is this text (a test checks that it is fresh).
//!
//! Everything in it comes from the catalogue and from the table of endpoints.

use std::collections::BTreeMap;

use ecep_proto::api::{
    Home, PROCEDURES, Server, TOPICS,
    audit::is_audited,
    http::{CSRF_HEADER, IDEMPOTENCY_HEADER},
    roles::Role,
    schema::{REFERENCE, schemas},
};
use serde_json::Value;

use crate::{
    http::endpoints::{Access, ENDPOINTS, Endpoint},
    openapi::{BYTES, OBJECT, TEXT},
};

/// Writes the reference.
pub fn reference() -> String {
    let mut text = format!(
        "# The API\n\n\
         Written by `cargo xtask generate`; the words are the comments in `proto/src/api` and the table in \
         `dashboard-api/src/http/endpoints.rs`. [clients.md](clients.md) says how to begin.\n\n\
         A **call** sends the fields of the request's type as keyword arguments; the result is one positional argument. An \
         **event** carries the fields of its type as keyword arguments. An **HTTP** request and its answer are JSON, and an error is a \
         `Problem` (`application/problem+json`). Changes by a logged-in browser carry the header `{CSRF_HEADER}: 1`. An order that makes something (201) may carry \
         `{IDEMPOTENCY_HEADER}: <your own key>`: sent again within a day by the same actor it is not done again, and gets the same answer, or \
         409 and what was made where the answer held a secret. Another order with the same key is refused with 422. The same \
         endpoints as OpenAPI 3.1: `GET {}`.\n\n\
         Times are in milliseconds since 1970. Ids and slugs have 1 to 63 of `a-z`, `0-9` and `-`. `{{device}}` stands for a device's id.\n",
        crate::http::endpoints::OPENAPI_PATH
    );
    errors(&mut text);
    roles(&mut text);
    procedures(&mut text);
    topics(&mut text);
    endpoints(&mut text);
    types(&mut text, &schemas());
    text
}

fn errors(text: &mut String) {
    text.push_str("\n## Errors\n\nThe URI of a WAMP ERROR, and the `type` of a `Problem`.\n\n| URI | what |\n|---|---|\n");
    let schemas = schemas();
    let docs = schemas.get("ErrorKind").map(values).unwrap_or_default();
    for (uri, about) in docs {
        text.push_str(&format!("| `{uri}` | {about} |\n"));
    }
}

fn roles(text: &mut String) {
    text.push_str("\n## Roles\n\n| role | what |\n|---|---|\n");
    for (role, about) in schemas().get("Role").map(values).unwrap_or_default() {
        text.push_str(&format!("| `{role}` | {about} |\n"));
    }
}

fn procedures(text: &mut String) {
    for (home, title) in [
        (Home::Tenant, "Procedures of a tenant's realm"),
        (Home::Control, "Procedures of the control realm, between devices, control plane and router"),
    ] {
        text.push_str(&format!("\n## {title}\n"));
        for procedure in PROCEDURES.iter().filter(|procedure| procedure.home == home) {
            let by = match procedure.server {
                Server::Device => "the device",
                Server::ControlPlane => "the control plane",
                Server::Router => "the router",
            };
            let audited = if is_audited(procedure) { " Goes into the audit." } else { "" };
            text.push_str(&format!(
                "\n### `{}`\n\n{} Served by {by}, for {}.{audited}\n\nTakes {}, answers {}.\n",
                procedure.uri,
                sentence(procedure.doc),
                names(procedure.callers),
                link(procedure.request),
                link(procedure.reply)
            ));
        }
    }
}

fn topics(text: &mut String) {
    text.push_str("\n## Topics of a tenant's realm\n\nThe topic of all devices: the component of the device's id left empty, subscribed to as a `wildcard`.\n");
    for topic in TOPICS {
        let by = if topic.server == Server::Device { "the device" } else { "the control plane" };
        text.push_str(&format!(
            "\n### `{}`\n\n{} Published by {by}, for {}. Carries {}.\n",
            topic.uri,
            sentence(topic.doc),
            names(topic.subscribers),
            link(topic.event)
        ));
    }
}

fn endpoints(text: &mut String) {
    text.push_str(
        "\n## HTTP endpoints\n\n| endpoint | for | takes | answers | what |\n|---|---|---|---|---|\n",
    );
    for endpoint in ENDPOINTS {
        let takes = match (endpoint.request, endpoint.paged) {
            (Some(request), _) => link(request),
            (None, true) => "`?limit=` (1 to 500), `?after=`".to_owned(),
            (None, false) if endpoint.query.is_empty() => String::new(),
            (None, false) => {
                endpoint.query.iter().map(|name| format!("`?{name}=`")).collect::<Vec<_>>().join(", ")
            }
        };
        text.push_str(&format!(
            "| `{} {}` | {} | {takes} | {} | {} |\n",
            endpoint.method,
            endpoint.path,
            callers(endpoint.access),
            answer(endpoint),
            endpoint.summary
        ));
    }
}

fn callers(access: Access) -> String {
    match access {
        Access::Anyone => "anyone".to_owned(),
        Access::Device => "a device".to_owned(),
        Access::Person => "whoever is logged in".to_owned(),
        Access::Administrator => "an administrator".to_owned(),
        Access::Tenant { members, tokens: [] } => names(members),
        Access::Tenant { members, tokens } => format!("{}; API tokens: {}", names(members), names(tokens)),
    }
}

fn answer(endpoint: &Endpoint) -> String {
    let status = endpoint.status;
    match endpoint.reply.map(|reply| (reply, reply.strip_suffix("[]"))) {
        None => status.to_string(),
        Some((OBJECT, _)) => format!("{status}, a JSON object"),
        Some((TEXT, _)) => format!("{status}, plain text"),
        Some((BYTES, _)) => format!("{status}, bytes"),
        Some((_, Some(one))) => format!("{status}, a list of {}", link(one)),
        Some((reply, None)) if endpoint.is_stream => format!("{status}, lines of {}", link(reply)),
        Some((reply, None)) => format!("{status}, {}", link(reply)),
    }
}

fn names(roles: &[Role]) -> String {
    if roles.is_empty() {
        return "the router itself".to_owned();
    }
    roles.iter().map(|role| format!("`{}`", role.as_str())).collect::<Vec<_>>().join(", ")
}

/// A type's name, as a link to its table.
fn link(path: &str) -> String {
    let name = path.rsplit("::").next().unwrap_or(path).trim();
    if name == "Nothing" { "nothing".to_owned() } else { format!("[{name}](#{})", name.to_lowercase()) }
}

/// A comment as one line.
fn sentence(doc: &str) -> String {
    let words = doc.split_whitespace().collect::<Vec<_>>().join(" ");
    // Links of the code lead nowhere here.
    words.replace("[`", "`").replace("`]", "`").replace('|', "\\|")
}

fn about(schema: &Value) -> String {
    sentence(schema.get("description").and_then(Value::as_str).unwrap_or_default())
}

fn types(text: &mut String, schemas: &BTreeMap<String, Value>) {
    text.push_str("\n## Types\n\nA field marked with * may be left out of a request.\n");
    for (name, schema) in schemas.iter().filter(|(name, _)| *name != "Nothing") {
        text.push_str(&format!("\n### {name}\n\n{}\n", about(schema)));
        let required: Vec<&str> = schema
            .get("required")
            .and_then(Value::as_array)
            .map(|names| names.iter().filter_map(Value::as_str).collect())
            .unwrap_or_default();
        let fields = schema.get("properties").and_then(Value::as_object);
        if let Some(fields) = fields.filter(|fields| !fields.is_empty()) {
            text.push_str("\n| field | type | what |\n|---|---|---|\n");
            for (field, shape) in fields {
                let star = if required.contains(&field.as_str()) { "" } else { " *" };
                text.push_str(&format!("| `{field}`{star} | {} | {} |\n", type_of(shape), about(shape)));
            }
            continue;
        }
        let values = values(schema);
        if values.is_empty() {
            text.push_str(&format!("\n{}\n", type_of(schema)));
            continue;
        }
        text.push_str("\n| value | what |\n|---|---|\n");
        for (value, about) in values {
            text.push_str(&format!("| `{value}` | {about} |\n"));
        }
    }
}

/// The values of an enumeration, with their docs.
fn values(schema: &Value) -> Vec<(String, String)> {
    let mut found = Vec::new();
    let own = std::slice::from_ref(schema);
    for one in schema.get("oneOf").and_then(Value::as_array).map_or(own, Vec::as_slice) {
        let constant = one.get("const").and_then(Value::as_str);
        let plain = one.get("enum").and_then(Value::as_array).into_iter().flatten().filter_map(Value::as_str);
        let docs = if constant.is_some() { about(one) } else { String::new() };
        found.extend(constant.into_iter().chain(plain).map(|value| (value.to_owned(), docs.clone())));
    }
    found
}

/// A schema in a few words.
fn type_of(schema: &Value) -> String {
    if let Some(name) = schema.get("$ref").and_then(Value::as_str) {
        return link(name.strip_prefix(REFERENCE).unwrap_or(name));
    }
    for choice in ["anyOf", "oneOf", "allOf"] {
        if let Some(all) = schema.get(choice).and_then(Value::as_array) {
            return all.iter().map(type_of).collect::<Vec<_>>().join(" or ");
        }
    }
    let names: Vec<&str> = match schema.get("type") {
        Some(Value::String(name)) => vec![name],
        Some(Value::Array(names)) => names.iter().filter_map(Value::as_str).collect(),
        _ => return "anything".to_owned(),
    };
    let named = |name: &&str| match *name {
        "array" => format!("list of {}", schema.get("items").map_or_else(|| "anything".to_owned(), type_of)),
        "object" => match schema.get("additionalProperties") {
            Some(values) if values.is_object() => format!("map to {}", type_of(values)),
            _ => "object".to_owned(),
        },
        "null" => "`null`".to_owned(),
        other => other.to_owned(),
    };
    names.iter().map(named).collect::<Vec<_>>().join(" or ")
}
