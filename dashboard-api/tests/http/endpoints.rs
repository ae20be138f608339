//! What holds for every endpoint of the table, so that a new one cannot be forgotten.

use ecep_dashboard_api::{
    http::endpoints::{Access, ENDPOINTS, Endpoint},
    openapi::{BYTES, OBJECT, TEXT},
};
use ecep_proto::api::roles::Role;
use reqwest::Method;
use serde_json::{Value, json};

use crate::support::{Server, answer, bearer, client};

/// The endpoint's path with something in place of its braces.
fn path_of(endpoint: &Endpoint, tenant: &str) -> String {
    let fill = |segment: &str| match segment {
        "{slug}" => tenant.to_owned(),
        "{id}" | "{tenant}" => "x".to_owned(),
        other => other.to_owned(),
    };
    endpoint.path.split('/').map(fill).collect::<Vec<_>>().join("/")
}

fn method_of(endpoint: &Endpoint) -> Method {
    endpoint.method.as_str().parse().unwrap()
}

/// A change that another site sends by a logged-in browser must be refused, and so must one without our header. (Devices
/// have no cookie.)
#[tokio::test]
async fn every_change_is_guarded_against_other_sites() {
    let server = Server::start().await;
    let maria = server.set_up().await;
    let changes = ENDPOINTS.iter().filter(|one| one.method != "GET" && one.access != Access::Device);
    for endpoint in changes {
        let request = || {
            client()
                .request(method_of(endpoint), format!("{}{}", server.base, path_of(endpoint, "acme")))
                .header("cookie", maria.cookie.as_ref().unwrap())
                .json(&json!({}))
        };
        let name = format!("{} {}", endpoint.method, endpoint.path);
        let foreign = request().header("x-ecep-csrf", "1").header("origin", "https://evil.example");
        assert!(answer(foreign).await.problem(403).contains("another site"), "{name}");
        assert!(answer(request()).await.problem(403).contains("x-ecep-csrf"), "{name}");
    }
    assert_eq!(maria.get("/api/session").await.status, 200);
}

/// Every endpoint must be closed to everybody whom its row does not name: nobody, a stranger, each role, each token.
#[tokio::test]
async fn every_endpoint_is_closed_to_all_others() {
    let server = Server::start().await;
    let maria = server.set_up().await;
    maria.post("/api/tenants", json!({ "slug": "globex", "name": "Globex" })).await;
    let stranger = json!([{ "tenant": "globex", "role": "owner" }]);
    let stranger = server.add_person(&maria, "stranger@example.org", stranger).await;
    let mut members = Vec::new();
    for role in [Role::Operator, Role::Viewer] {
        let membership = json!([{ "tenant": "acme", "role": role }]);
        let person = server.add_person(&maria, &format!("{}@example.org", role.as_str()), membership).await;
        members.push((role, person));
    }
    let mut programs = Vec::new();
    for role in [Role::Operator, Role::Viewer, Role::Telemetry] {
        programs.push((role, maria.api_token("acme", role.as_str()).await.1));
    }
    let foreign = maria.api_token("globex", "operator").await.1;
    for endpoint in ENDPOINTS {
        let (method, path) = (method_of(endpoint), path_of(endpoint, "acme"));
        let body = (method != Method::GET).then(|| json!({}));
        let by_token = async |token: &str| bearer(&server, method.clone(), &path, token).await;
        if matches!(endpoint.access, Access::Anyone | Access::Device) {
            continue;
        }
        server.visitor().send(method.clone(), &path, body.clone()).await.problem(401);
        by_token("nonsense").await.problem(401);
        match endpoint.access {
            Access::Administrator => {
                stranger.send(method.clone(), &path, body.clone()).await.problem(403);
                for (_, token) in &programs {
                    by_token(token).await.problem(403);
                }
            }
            Access::Tenant { members: roles, tokens } => {
                let hidden = stranger.send(method.clone(), &path, body.clone()).await.problem(404);
                let nowhere = path_of(endpoint, "nowhere");
                assert_eq!(hidden, stranger.send(method.clone(), &nowhere, body.clone()).await.problem(404));
                assert_eq!(hidden, by_token(&foreign).await.problem(404), "{path}");
                for (_, person) in members.iter().filter(|(role, _)| !roles.contains(role)) {
                    person.send(method.clone(), &path, body.clone()).await.problem(403);
                }
                for (role, token) in &programs {
                    if tokens.contains(role) {
                        let status = by_token(token).await.status.as_u16();
                        // Let through, and told that this is no tus, or that there is nothing of this id.
                        let is_let_through = (endpoint.is_tus && status == 412)
                            || (endpoint.path.contains("{id}") && status == 404);
                        assert!(is_let_through || status == endpoint.status, "{path}: {status}");
                    } else {
                        by_token(token).await.problem(403);
                    }
                }
            }
            Access::Person => drop(by_token(&programs[0].1).await.problem(403)),
            Access::Anyone | Access::Device => {}
        }
    }
}

/// A row must name types that exist, or the documents made from it would be wrong.
#[test]
fn every_row_names_types_of_the_catalogue() {
    let types = ecep_proto::api::schema::schemas();
    for endpoint in ENDPOINTS {
        for name in [endpoint.request, endpoint.reply].into_iter().flatten() {
            let name = name.trim_end_matches("[]");
            assert!(
                [BYTES, OBJECT, TEXT].contains(&name) || types.contains_key(name),
                "{} {}: {name}",
                endpoint.method,
                endpoint.path
            );
        }
        assert!(endpoint.summary.ends_with('.'), "{}", endpoint.path);
    }
}

/// Whatever is wrong with a request is told as a problem document, at every endpoint: the method, the media type, the length, the
/// form with its place.
#[tokio::test]
async fn every_endpoint_tells_what_is_wrong() {
    let server = Server::start().await;
    let maria = server.set_up().await;
    for endpoint in ENDPOINTS {
        let (method, path) = (method_of(endpoint), path_of(endpoint, "acme"));
        let name = format!("{method} {path}");
        let allowed: Vec<_> = ENDPOINTS
            .iter()
            .filter(|other| other.path == endpoint.path)
            .map(|other| other.method.as_str())
            .collect();
        let wrong = if allowed.contains(&"PUT") { Method::PATCH } else { Method::PUT };
        let wrong = maria.send(wrong, &path, Some(json!({}))).await;
        wrong.problem(405);
        assert_eq!(wrong.header("allow"), allowed.join(", "), "{name}");
        // What is not below /api is the web app's.
        if path.starts_with("/api/") {
            maria.send(method.clone(), &format!("{path}/more/of/it"), None).await.problem(404);
        }
        if endpoint.request.is_none() {
            continue;
        }
        let send = async |kind: &str, body: String| {
            let request = client()
                .request(method.clone(), format!("{}{path}", server.base))
                .header("content-type", kind);
            answer(
                request
                    .header("cookie", maria.cookie.as_ref().unwrap())
                    .header("x-ecep-csrf", "1")
                    .body(body),
            )
            .await
        };
        send("text/plain", "{}".to_owned()).await.problem(415);
        send("application/json", " ".repeat(70_000)).await.problem(413);
        let malformed = send("application/json", "{\n\"a\": [".to_owned()).await.problem(400);
        assert!(malformed.contains("line 2"), "{name}: {malformed}");
        let unknown = send("application/json", "{\"no_such_field\": 1}".to_owned()).await.problem(400);
        assert!(unknown.contains("no_such_field"), "{name}: {unknown}");
    }
}

/// The committed reference must be about this API, not an older one.
#[test]
fn the_reference_is_fresh() {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../docs/api.md");
    let on_disk = std::fs::read_to_string(path).unwrap_or_default();
    assert!(
        on_disk == ecep_dashboard_api::reference::reference(),
        "docs/api.md is old; run `cargo xtask generate`"
    );
}

/// The OpenAPI document names every endpoint, and leads nowhere that is not there.
#[tokio::test]
async fn the_openapi_document_is_whole() {
    let server = Server::start().await;
    let served = server.visitor().get("/api/openapi.json").await.json();
    assert_eq!(
        (served["openapi"].as_str(), &served),
        (Some("3.1.0"), &ecep_dashboard_api::openapi::document())
    );
    let mut ids = std::collections::HashSet::new();
    for endpoint in ENDPOINTS {
        let operation = &served["paths"][endpoint.path][endpoint.method.as_str().to_lowercase()];
        assert!(operation["responses"][endpoint.status.to_string()].is_object(), "{}", endpoint.path);
        assert!(ids.insert(operation["operationId"].as_str().unwrap().to_owned()), "{operation}");
    }
    let mut ways = vec![&served];
    while let Some(value) = ways.pop() {
        if let Some(to) = value.get("$ref").and_then(Value::as_str) {
            assert!(served.pointer(to.trim_start_matches('#')).is_some(), "{to} is not there");
        }
        match value {
            Value::Array(items) => ways.extend(items),
            Value::Object(fields) => ways.extend(fields.values()),
            _ => {}
        }
    }
}

/// What a value has that its schema does not say, or lacks of it. Knows what the document uses.
fn differs(document: &Value, schema: &Value, value: &Value, place: &str) -> Option<String> {
    if let Some(to) = schema.get("$ref").and_then(Value::as_str) {
        let Some(schema) = document.pointer(to.trim_start_matches('#')) else {
            return Some(format!("{to} is not there"));
        };
        return differs(document, schema, value, place);
    }
    for choice in ["anyOf", "oneOf"] {
        if let Some(all) = schema.get(choice).and_then(Value::as_array) {
            let each: Option<Vec<String>> =
                all.iter().map(|one| differs(document, one, value, place)).collect();
            return each.map(|each| each.join(", or "));
        }
    }
    if let Some(constant) = schema.get("const") {
        return (constant != value).then(|| format!("{place} is {value}, not {constant}"));
    }
    if let Some(values) = schema.get("enum").and_then(Value::as_array) {
        return (!values.contains(value)).then(|| format!("{place} is {value}"));
    }
    let kind = match value {
        Value::Null => "null",
        Value::Bool(_) => "boolean",
        // A whole number is a number, too.
        Value::Number(number) if number.is_f64() || schema["type"] == "number" => "number",
        Value::Number(_) => "integer",
        Value::String(_) => "string",
        Value::Array(_) => "array",
        Value::Object(_) => "object",
    };
    let allowed = &schema["type"];
    if allowed != kind && !allowed.as_array().is_some_and(|kinds| kinds.iter().any(|one| one == kind)) {
        return Some(format!("{place} is {kind}, not {allowed}"));
    }
    match value {
        Value::Array(items) => {
            items.iter().find_map(|item| differs(document, &schema["items"], item, &format!("{place}[]")))
        }
        Value::Object(fields) if schema.get("properties").is_some() => {
            let required = schema["required"].as_array().into_iter().flatten().filter_map(Value::as_str);
            let missing = required.into_iter().find(|name| !fields.contains_key(*name));
            missing.map(|name| format!("{place} lacks {name}")).or_else(|| {
                fields.iter().find_map(|(name, value)| match schema["properties"].get(name) {
                    Some(schema) => differs(document, schema, value, &format!("{place}.{name}")),
                    None => Some(format!("{place}.{name} is not documented")),
                })
            })
        }
        _ => None,
    }
}

/// What the endpoints answer must be what the document says.
#[tokio::test]
async fn what_is_read_is_as_documented() {
    let server = Server::start().await;
    let maria = server.set_up().await;
    maria.join_token(2).await;
    maria.api_token("acme", "viewer").await;
    maria
        .post("/api/tenants/acme/invitations", json!({ "email": "new@example.org", "role": "viewer" }))
        .await;
    let document = ecep_dashboard_api::openapi::document();
    let mut compared = 0;
    for endpoint in ENDPOINTS.iter().filter(|endpoint| endpoint.method == "GET") {
        let read = maria.get(&path_of(endpoint, "acme")).await;
        if read.status == 404 && endpoint.path.contains("{id}") {
            continue;
        }
        assert_eq!(read.status.as_u16(), endpoint.status, "{}: {read:?}", endpoint.path);
        if endpoint.reply == Some(TEXT) {
            continue;
        }
        let kind = if endpoint.is_stream { "application/x-ndjson" } else { "application/json" };
        let answer = &document["paths"][endpoint.path]["get"]["responses"][endpoint.status.to_string()];
        let schema = &answer["content"][kind]["schema"];
        let lines = if endpoint.is_stream { read.text.lines().collect() } else { vec![read.text.as_str()] };
        for line in lines {
            let value: Value = serde_json::from_str(line).unwrap();
            assert_eq!(differs(&document, schema, &value, endpoint.path), None, "{line}");
        }
        compared += 1;
    }
    assert!(compared > 10, "only {compared} were compared");
}
