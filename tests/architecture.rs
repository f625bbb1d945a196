//! ARCHITECTURE.md names only paths that exist.

use std::path::Path;

#[test]
fn every_path_that_the_architecture_names_exists() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let text = std::fs::read_to_string(root.join("ARCHITECTURE.md")).unwrap();
    let roots = [
        "src/",
        "operators/",
        "kernels/",
        "mixtures/",
        "tests/",
        "benches/",
        "examples/",
        "scripts/",
    ];
    let named = text.split('`').skip(1).step_by(2);
    let paths: Vec<&str> = named
        .filter(|it| roots.iter().any(|r| it.starts_with(r)))
        .collect();
    assert!(
        paths.len() > 20,
        "the code map has shrunk to {}",
        paths.len()
    );
    for path in paths {
        assert!(
            root.join(path).exists(),
            "ARCHITECTURE.md names {path}, which is not there"
        );
    }
}
