//! Runs the program as a user does, in folders that vanish.
#![allow(dead_code, clippy::expect_used)]

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

/// The folder of the repository.
pub fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// A file of `tests/fixtures`.
pub fn fixture(name: &str) -> PathBuf {
    root().join("tests/fixtures").join(name)
}

/// The program, to be given arguments.
pub fn program() -> Command {
    Command::new(env!("CARGO_BIN_EXE_eagle-lab"))
}

/// The program with arguments, in the repository's folder.
pub fn call(arguments: &[&str]) -> Output {
    program().args(arguments).current_dir(root()).output().expect("the program starts")
}

/// What the program prints, which must succeed.
pub fn succeed(arguments: &[&str]) -> String {
    let output = call(arguments);
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(output.status.success(), "{arguments:?} failed:\n{said}");
    String::from_utf8(output.stdout).expect("it prints UTF-8")
}

/// What the program says when it refuses, with its exit code.
pub fn refuse(arguments: &[&str]) -> (i32, String) {
    let output = call(arguments);
    assert!(!output.status.success(), "{arguments:?} succeeded");
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    (output.status.code().expect("it ends by itself"), said)
}

/// A fresh folder for results, removed with the value.
pub fn folder() -> tempfile::TempDir {
    tempfile::tempdir().expect("a temporary folder")
}

/// Writes a file of a folder.
pub fn write(folder: &Path, name: &str, text: &str) -> PathBuf {
    let path = folder.join(name);
    std::fs::write(&path, text).expect("a file");
    path
}

/// A path as an argument.
pub fn text(path: &Path) -> &str {
    path.to_str().expect("a UTF-8 path")
}

/// Everything of a results folder that must not depend on time, place or the number of threads: the
/// weights, metrics and predictions by their paths, and the frames' digest.
pub fn essence(out: &Path) -> BTreeMap<PathBuf, Vec<u8>> {
    let mut found = BTreeMap::new();
    collect(out, out, &mut found);
    let digest = eagle_results::digest(out).expect("frames");
    found.insert("digest of the frames".into(), digest.into_bytes());
    found
}

fn collect(root: &Path, folder: &Path, found: &mut BTreeMap<PathBuf, Vec<u8>>) {
    for entry in std::fs::read_dir(folder).expect("a folder") {
        let path = entry.expect("an entry").path();
        let name = path.file_name().and_then(|name| name.to_str()).unwrap_or_default().to_owned();
        if path.is_dir() {
            collect(root, &path, found);
        } else if name.ends_with(".jsonl") || name == "weights.safetensors" {
            let bytes = std::fs::read(&path).expect("a file");
            found.insert(path.strip_prefix(root).expect("inside").to_owned(), bytes);
        }
    }
}

/// Asserts that two results folders hold the same, naming what differs.
pub fn assert_same(left: &Path, right: &Path) {
    let (left, right) = (essence(left), essence(right));
    let names = |side: &BTreeMap<PathBuf, Vec<u8>>| side.keys().cloned().collect::<Vec<_>>();
    assert_eq!(names(&left), names(&right), "not the same files");
    assert!(left.len() > 4, "too little to compare: {:?}", names(&left));
    for (name, bytes) in &left {
        assert!(bytes == &right[name], "{} differs", name.display());
    }
}
