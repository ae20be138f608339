//! The pages about the router name tests: each of them is there.

use std::{
    fs,
    path::{Path, PathBuf},
};

/// Where the tests are that the pages name.
const TESTS: [&str; 3] = ["core/tests/realm", "tests/router", "../proto/tests/wire"];

/// A feature whose test has gone or was renamed is no longer known to work.
#[test]
fn tests_exist() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let page = fs::read_to_string(root.join("../docs/router.md")).unwrap();
    let quoted = page.split('`').skip(1).step_by(2);
    let names: Vec<(&str, &str)> = quoted.filter_map(|text| text.split_once("::")).collect();
    assert!(names.len() > 50, "{names:?}");
    let lacking: Vec<String> = names
        .into_iter()
        .filter(|(module, test)| !TESTS.iter().any(|folder| has(&root.join(folder), module, test)))
        .map(|(module, test)| format!("{module}::{test}"))
        .collect();
    assert!(lacking.is_empty(), "docs/router.md names tests that are not there: {lacking:#?}");
}

/// Whether the module, a file in the folder, has the test or lists it as a case.
fn has(folder: &Path, module: &str, test: &str) -> bool {
    let path: PathBuf = folder.join(module).with_extension("rs");
    let text = fs::read_to_string(path).unwrap_or_default();
    text.lines().any(|line| line.contains(&format!("fn {test}(")) || line.trim() == test)
}
