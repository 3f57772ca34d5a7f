//! Lets the page that is built into the binary follow its own build (`make page`).

use std::{env, fs, path::Path};

fn main() {
    let here = env::var_os("CARGO_MANIFEST_DIR").unwrap_or_default();
    let page = Path::new(&here).join("../../web/dist");
    // Empty until the page is built; where it lies is looked up while this crate is compiled. A
    // source tree that cannot be written to has its page already, or does without.
    let _ = fs::create_dir_all(&page);
    println!("cargo::rerun-if-changed=build.rs");
    // Debug builds read the page from there as they run.
    if env::var_os("PROFILE").is_some_and(|profile| profile == "release") {
        println!("cargo::rerun-if-changed={}", page.display());
    }
}
