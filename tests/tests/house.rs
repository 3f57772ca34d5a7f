//! The house of ARCHITECTURE.md, read from `cargo metadata`: a crate depends on
//! lower storeys, and within its own only on the crates to its left.

use std::collections::BTreeSet;

use cargo_metadata::{DependencyKind, Metadata, MetadataCommand};

/// From the ground up, left to right. A new crate gets its place here.
const STOREYS: &[(&str, &[&str])] = &[
    ("ground", &["kernel", "store", "net", "state", "bus"]),
    (
        "services",
        &[
            "security",
            "accounting",
            "runs",
            "orchestrator",
            "adaptor",
            "analytics",
        ],
    ),
    (
        "product",
        &[
            "conversations",
            "plans",
            "knowledge",
            "engine",
            "chat",
            "research",
        ],
    ),
    ("doors", &["api", "cli"]),
];

/// Beside the house: they may use all of it, and nothing in it uses them, except
/// `testkit` as a dev-dependency.
const BESIDE: &[&str] = &["testkit", "tests", "benches"];

fn metadata() -> Metadata {
    let manifest = concat!(env!("CARGO_MANIFEST_DIR"), "/../Cargo.toml");
    let mut command = MetadataCommand::new();
    command
        .manifest_path(manifest)
        .no_deps()
        .other_options(vec!["--offline".to_owned()]);
    command.exec().expect("cargo metadata")
}

/// The place of a crate: its storey, and where it stands there.
fn place(name: &str) -> Option<(usize, usize)> {
    STOREYS
        .iter()
        .enumerate()
        .find_map(|(storey, (_, crates))| {
            let at = crates.iter().position(|one| *one == name)?;
            Some((storey, at))
        })
}

#[test]
fn every_crate_has_its_place() {
    let missing: Vec<String> = metadata()
        .workspace_packages()
        .iter()
        .map(|package| package.name.to_string())
        .filter(|name| place(name).is_none() && !BESIDE.contains(&name.as_str()))
        .collect();
    assert!(
        missing.is_empty(),
        "no place in the house for {missing:?}; add them to the table"
    );
}

#[test]
fn crates_depend_on_lower_storeys_and_to_the_left_only() {
    let metadata = metadata();
    let packages = metadata.workspace_packages();
    let ours: BTreeSet<&str> = packages
        .iter()
        .map(|package| package.name.as_str())
        .collect();
    let mut wrong = Vec::new();
    for package in &packages {
        let name = package.name.as_str();
        for dependency in package
            .dependencies
            .iter()
            .filter(|d| ours.contains(d.name.as_str()))
        {
            let (on, kind) = (dependency.name.as_str(), dependency.kind);
            let allowed = match (place(name), place(on)) {
                // `<` on (storey, position): a lower storey, or to the left in the same one.
                (Some(from), Some(to)) => to < from,
                (Some(_), None) => on == "testkit" && kind == DependencyKind::Development,
                // The tests and benches may use everything; the kit stands on the kernel alone,
                // so that every crate's tests can stand on the kit.
                (None, _) => match name {
                    "testkit" => on == "kernel",
                    _ => on != "tests" && on != "benches",
                },
            };
            if !allowed {
                wrong.push(format!("{name} -> {on} ({kind:?})"));
            }
        }
    }
    assert!(
        wrong.is_empty(),
        "forbidden by the house:\n{}",
        wrong.join("\n")
    );
}

#[test]
fn the_architecture_names_every_crate() {
    let text = concat!(env!("CARGO_MANIFEST_DIR"), "/../ARCHITECTURE.md");
    let text = std::fs::read_to_string(text).expect("ARCHITECTURE.md");
    let metadata = metadata();
    let unnamed: Vec<String> = metadata
        .workspace_packages()
        .iter()
        .map(|package| package.name.to_string())
        .filter(|name| {
            !text.contains(&format!("`{name}`")) && !text.contains(&format!("`{name}/`"))
        })
        .collect();
    assert!(
        unnamed.is_empty(),
        "ARCHITECTURE.md does not name {unnamed:?}"
    );
}

#[test]
fn every_error_code_has_its_page() {
    let pages = concat!(env!("CARGO_MANIFEST_DIR"), "/../docs/errors");
    let missing: Vec<&str> = kernel::codes::ALL
        .iter()
        .map(|code| code.name)
        .filter(|name| {
            !std::path::Path::new(pages)
                .join(format!("{name}.md"))
                .is_file()
        })
        .collect();
    assert!(missing.is_empty(), "no page in docs/errors for {missing:?}");
}

/// A test that looks for the server by itself would pass where there is none, also where it is required.
#[test]
fn tests_ask_the_kit_for_postgres() {
    let crates = concat!(env!("CARGO_MANIFEST_DIR"), "/../crates");
    let mut directories = vec![std::path::PathBuf::from(crates)];
    let mut wrong = Vec::new();
    while let Some(directory) = directories.pop() {
        for entry in std::fs::read_dir(directory).expect("a directory of the sources") {
            let path = entry.expect("an entry").path();
            if path.is_dir() {
                directories.extend((!path.ends_with("testkit")).then_some(path));
            } else if path.extension().is_some_and(|end| end == "rs") {
                let text = std::fs::read_to_string(&path).expect("a source file");
                wrong.extend(text.contains(testkit::POSTGRES_URL).then_some(path));
            }
        }
    }
    assert!(
        wrong.is_empty(),
        "use `testkit::PostgresDatabase::if_here` in {wrong:?}"
    );
}
