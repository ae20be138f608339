//! The web app is embedded from `web/dist`. A tree where it is not built yet must compile all the same.

use std::{env, fs, path::Path};

fn main() {
    let package = env::var("CARGO_MANIFEST_DIR").expect("cargo sets it");
    let folder = Path::new(&package).join("../web/dist");
    if let Err(error) = fs::create_dir_all(&folder) {
        println!("cargo::warning={} cannot be made: {error}", folder.display());
    }
    // A new or changed file there is a new program.
    println!("cargo::rerun-if-changed={}", folder.display());
}
