//! Lets the page that is built into the binary follow its own build (`make page`), and packs the viewer of
//! the API's documentation (decision 0007).

use std::{
    env, fs,
    hash::{DefaultHasher, Hash, Hasher},
    io::Write,
    path::Path,
};

use flate2::{Compression, write::GzEncoder};

fn main() -> Result<(), Box<dyn std::error::Error>> {
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
    pack_viewer()
}

/// Puts the viewer's script, packed, where the crate includes it from, with a name for its content.
fn pack_viewer() -> Result<(), Box<dyn std::error::Error>> {
    let script = scalar_api_reference::get_asset("scalar.js").ok_or("the viewer has no script")?;
    let mut packed = GzEncoder::new(Vec::new(), Compression::best());
    packed.write_all(&script)?;
    let packed = packed.finish()?;
    let mut hash = DefaultHasher::new();
    packed.hash(&mut hash);
    println!("cargo::rustc-env=TERTULIA_VIEWER={:016x}", hash.finish());
    let to = env::var_os("OUT_DIR").ok_or("OUT_DIR is not set")?;
    fs::write(Path::new(&to).join("scalar.js.gz"), packed)?;
    Ok(())
}
