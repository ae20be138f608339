//! The catalogue is the only source of URIs and payload types; these tests keep it so.

use std::{fs, path::Path};

fn workspace_root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("proto/ lies in the workspace")
}

/// The web app must be compiled against today's catalogue, not an older one.
#[test]
fn typescript_is_fresh() {
    let path = workspace_root().join("web/src/api/generated.ts");
    let on_disk = fs::read_to_string(&path).unwrap_or_default();
    assert!(
        on_disk == ecep_proto::api::typescript::generate(),
        "web/src/api/generated.ts is not what the catalogue says; run `cargo xtask generate`"
    );
}

/// A URI that is spelled twice drifts apart: outside the catalogue, code names the constant.
#[test]
fn no_uri_literal_outside_the_catalogue() {
    let mut offenders = Vec::new();
    for folder in ["proto", "router", "fleet", "agent", "dashboard-api", "xtask", "web/src"] {
        search(&workspace_root().join(folder), &mut offenders);
    }
    assert!(offenders.is_empty(), "URI literals outside proto/src/api:\n{}", offenders.join("\n"));
}

/// Looks for string literals that begin like a platform URI.
fn search(folder: &Path, offenders: &mut Vec<String>) {
    let Ok(entries) = fs::read_dir(folder) else { return };
    for entry in entries.flatten() {
        let path = entry.path();
        let name = entry.file_name();
        let catalogue = workspace_root().join("proto/src/api");
        if path.is_dir() {
            if name != "node_modules" && name != "target" && name != "dist" && path != catalogue {
                search(&path, offenders);
            }
            continue;
        }
        let code = path.extension().is_some_and(|ext| ext == "rs" || ext == "ts" || ext == "svelte");
        let generated = path.ends_with("web/src/api/generated.ts");
        let catalogue_head = path.ends_with("proto/src/api.rs");
        let this_file = path.ends_with("proto/tests/catalogue.rs");
        if !code || generated || catalogue_head || this_file {
            continue;
        }
        let text = fs::read_to_string(&path).unwrap_or_default();
        for (number, line) in text.lines().enumerate() {
            let comment = line.trim_start().starts_with("//");
            let literal = ["\"ecep.", "'ecep.", "`ecep."].iter().any(|start| line.contains(start));
            if literal && !comment {
                offenders.push(format!("{}:{}: {}", path.display(), number + 1, line.trim()));
            }
        }
    }
}
