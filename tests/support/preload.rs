//! Libraries in C that stand between a process and the system, given to it with `LD_PRELOAD`.

use std::path::{Path, PathBuf};
use std::process::Command;

/// Compiles `tests/support/{name}.c`; the library.
pub fn compile(name: &str) -> PathBuf {
    let source = Path::new(env!("CARGO_MANIFEST_DIR")).join(format!("tests/support/{name}.c"));
    let target = Path::new(env!("CARGO_TARGET_TMPDIR"));
    // Under a name of its own first: another test program may be loading the library.
    let compiled = target.join(format!("{name}-{}.so", std::process::id()));
    let library = target.join(format!("{name}.so"));
    let compiler = std::env::var("CC").unwrap_or_else(|_| "cc".into());
    let output = Command::new(&compiler)
        .args(["-shared", "-fPIC", "-O1", "-Wall", "-Wextra", "-Werror", "-o"])
        .args([&compiled, &source])
        .args(["-ldl", "-lpthread"])
        .output()
        .unwrap_or_else(|error| panic!("{compiler} is needed: {error}"));
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    std::fs::rename(&compiled, &library).expect("renamed");
    library
}
