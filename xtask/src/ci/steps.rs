//! The steps of the gate, each with the commands it stands for.
//!
//! Features and profiles are kept few, so that dependencies are built once: clippy and docs share what `cargo check`
//! leaves behind, and only the tests and the simulator generate code.

use crate::{deny, layering, msrv, shell, sim, tidy};
use anyhow::{Context, Result};
use cargo_metadata::{CargoOpt, Metadata, MetadataCommand};
use std::path::Path;
use std::time::{SystemTime, UNIX_EPOCH};

/// How many fixed seeds every run simulates, and how many that depend on the clock.
const SEEDS: u64 = 100;
const FRESH_SEEDS: u64 = 500;

/// Crates that need no operating system.
const NO_STD: &[&str] = &["delta-crdt", "horde-ring"];

/// Targets without one, used if the toolchain has them.
const BARE_TARGETS: &[&str] = &["thumbv7m-none-eabi", "wasm32-unknown-unknown"];

/// Packages that stand outside the workspace.
const OUTSIDE: &[&str] = &["bench/Cargo.toml", "fuzz/Cargo.toml"];

/// A step's name and what it does.
pub(super) type Step = (&'static str, fn() -> Result<()>);

/// Every step, in order.
pub(super) const STEPS: &[Step] = &[
    ("lock", lock),
    ("fmt", fmt),
    ("tidy", tidy::run),
    ("licences", licences),
    ("msrv", minimum_version),
    ("layering", layering::check),
    ("clippy", clippy),
    ("clippy-all-features", clippy_all_features),
    ("clippy-no-features", clippy_no_features),
    ("no-std", no_std),
    ("docs", docs),
    ("sim", simulate),
    ("engine", engine),
    ("test", test),
];

fn cargo(line: &str) -> Result<()> {
    shell::run(&mut shell::cargo(line.split(' ')))
}

/// `Cargo.lock` is committed and fits the manifests.
fn lock() -> Result<()> {
    metadata().map(drop)
}

fn fmt() -> Result<()> {
    cargo("fmt --all --check")?;
    for manifest in OUTSIDE.iter().filter(|manifest| shell::root().join(manifest).exists()) {
        cargo(&format!("fmt --check --manifest-path {manifest}"))?;
    }
    Ok(())
}

fn licences() -> Result<()> {
    deny::check(&metadata()?, &deny::Rules::parse(&read("deny.toml")?)?)
}

fn minimum_version() -> Result<()> {
    let declared = msrv::declared(&read("Cargo.toml")?)?;
    msrv::check(&metadata()?, &declared)?;
    println!("Rust {declared} is declared by every package, and enough for every dependency");
    Ok(())
}

/// The fuzz targets too, without their engine, which is C++: nobody shall find out first when fuzzing that one does not compile.
fn clippy() -> Result<()> {
    cargo("clippy --locked --workspace --all-targets -- -D warnings")?;
    cargo(
        "clippy --locked --manifest-path fuzz/Cargo.toml --no-default-features --all-targets -- -D warnings",
    )
}

fn clippy_all_features() -> Result<()> {
    cargo("clippy --locked --workspace --all-targets --all-features -- -D warnings")
}

/// Each library alone, so that a feature which another one asks for hides nothing.
fn clippy_no_features() -> Result<()> {
    for layer in layering::MACHINE_LAYERS {
        cargo(&format!("clippy --locked -p {layer} --lib --no-default-features -- -D warnings"))?;
    }
    Ok(())
}

/// For want of such a target, the builds without features and tidy, which holds that they say `no_std`, stand alone.
fn no_std() -> Result<()> {
    for target in BARE_TARGETS {
        let mut rustc = shell::command(std::env::var_os("RUSTC").unwrap_or_else(|| "rustc".into()));
        let folder = shell::output(rustc.args(["--print", "target-libdir", "--target", target]))?;
        if !Path::new(folder.trim()).exists() {
            println!("not built for {target}: rustup target add {target}");
            continue;
        }
        for name in NO_STD {
            cargo(&format!("check --locked -p {name} --lib --no-default-features --target {target}"))?;
        }
    }
    Ok(())
}

/// Broken links and missing examples are errors. The command is left out: it and the facade have one name.
fn docs() -> Result<()> {
    let line = "doc --locked --workspace --exclude horde-cli --no-deps --all-features";
    shell::run(shell::cargo(line.split(' ')).env("RUSTDOCFLAGS", "-D warnings"))
}

/// The fixed seeds, then seeds that no run has seen, some of them twice: a failure prints how to run its seed again. Then
/// the deliberate faults, each of which must be noticed. The remembered seeds are among the tests.
fn simulate() -> Result<()> {
    sim::run(&sim::Args { seeds: Some(SEEDS), first: Some(1), ..sim::Args::default() })?;
    let fresh =
        SystemTime::now().duration_since(UNIX_EPOCH).context("the clock stands before 1970")?.as_secs();
    sim::run(&sim::Args {
        seeds: Some(FRESH_SEEDS),
        first: Some(fresh),
        doublecheck_every: Some(10),
        ..sim::Args::default()
    })?;
    sim::run(&sim::Args { broken: true, ..sim::Args::default() })
}

/// The replicated map optimised, for time, and with its embedded store, which no other test here turns on: 100,000 random
/// histories, a million writes in five long ones, all of the smallest case, each rule switched off, and a crash at every write of a database.
fn engine() -> Result<()> {
    cargo("test --locked --profile proof -p delta-crdt --all-features --lib --tests")
}

/// The README's command, word by word; real processes and doc tests are in it. Result lines are said again at the
/// end, where a reader of the log looks.
fn test() -> Result<()> {
    let mut results = Vec::new();
    let outcome = shell::run_lines(&mut shell::cargo(["test", "--workspace"]), |line| {
        println!("{line}");
        if line.starts_with("test result: ") && !line.contains(" 0 passed; 0 failed") {
            results.push(line.to_owned());
        }
    });
    println!("\ncargo test --workspace, every result with at least one test:");
    for result in results {
        println!("{result}");
    }
    outcome
}

fn read(path: &str) -> Result<String> {
    std::fs::read_to_string(shell::root().join(path)).with_context(|| format!("reading {path}"))
}

/// Every package that any feature and any target can bring in, as the lock file has them.
fn metadata() -> Result<Metadata> {
    let mut command = MetadataCommand::new();
    command.current_dir(shell::root()).features(CargoOpt::AllFeatures);
    command.other_options(["--locked".to_owned()]).exec().context("cargo metadata --locked")
}
