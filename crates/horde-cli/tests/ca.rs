//! `horde ca`: the files it writes, and what others make of them.
#![expect(clippy::unwrap_used, reason = "a test may panic")]

use std::path::{Path, PathBuf};
use std::process::{Command, Output};

/// A directory that is removed when dropped.
struct Directory(PathBuf);

impl Directory {
    fn new(name: &str) -> Self {
        let path = std::env::temp_dir().join(format!("horde-ca-{name}-{}", std::process::id()));
        std::fs::create_dir_all(&path).unwrap();
        Self(path)
    }

    fn horde(&self, args: &[&str]) -> Output {
        Command::new(env!("CARGO_BIN_EXE_horde")).arg("ca").args(args).current_dir(&self.0).output().unwrap()
    }

    fn done(&self, args: &[&str]) -> String {
        let output = self.horde(args);
        assert!(output.status.success(), "{args:?}: {output:?}");
        String::from_utf8(output.stdout).unwrap()
    }

    fn refused(&self, args: &[&str]) -> String {
        let output = self.horde(args);
        assert!(!output.status.success() && output.stdout.is_empty(), "{args:?}: {output:?}");
        String::from_utf8(output.stderr).unwrap()
    }

    fn read(&self, name: &str) -> String {
        std::fs::read_to_string(self.0.join(name)).unwrap()
    }
}

impl Drop for Directory {
    fn drop(&mut self) {
        let _already_gone = std::fs::remove_dir_all(&self.0);
    }
}

#[cfg(unix)]
fn mode(path: &Path) -> u32 {
    use std::os::unix::fs::PermissionsExt as _;
    std::fs::metadata(path).unwrap().permissions().mode() & 0o777
}

#[test]
fn keys_are_for_their_owner_alone_and_nothing_is_overwritten() {
    let directory = Directory::new("files");
    directory.done(&["init", "--out", "pki"]);
    directory.done(&["issue", "till-1", "--out", "pki"]);
    let names = ["pki/ca.pem", "pki/ca.key.pem", "pki/till-1.pem", "pki/till-1.key.pem"];
    #[cfg(unix)]
    for (name, expected) in names.into_iter().zip([0o644, 0o600, 0o644, 0o600]) {
        assert_eq!(mode(&directory.0.join(name)) & !0o022, expected & !0o022, "{name}");
        assert_eq!(mode(&directory.0.join(name)) & 0o077 & !expected, 0, "{name}");
    }
    let before = names.map(|name| directory.read(name));
    for again in [
        &["init", "--out", "pki"][..],
        &["issue", "till-1", "--out", "pki"],
        &["issue", "ca", "--out", "pki"],
    ] {
        let why = directory.refused(again);
        assert!(why.contains("exists already") && why.contains("nothing was written"), "{why}");
    }
    // One of the two is enough, whichever it is.
    std::fs::remove_file(directory.0.join("pki/till-1.pem")).unwrap();
    assert!(directory.refused(&["issue", "till-1", "--out", "pki"]).contains("till-1.key.pem"));
    assert!(!directory.0.join("pki/till-1.pem").exists());
    for (name, text) in names.into_iter().zip(before).filter(|(name, _)| *name != "pki/till-1.pem") {
        assert_eq!(directory.read(name), text, "{name}");
    }
}

#[test]
fn a_certificate_is_shown_with_its_names_and_its_time() {
    let directory = Directory::new("show");
    directory.done(&["init", "--cluster", "shop"]);
    directory.done(&["issue", "till-1", "--days", "30"]);
    directory.done(&["issue", "ann", "--role", "operator"]);
    let ca = directory.done(&["show", "ca.pem"]);
    assert!(ca.starts_with("horde://shop\n"), "{ca}");
    let till = directory.done(&["show", "till-1.pem"]);
    assert!(till.starts_with("horde://shop/node/till-1\n") && till.contains("(29 days left)"), "{till}");
    assert!(directory.done(&["show", "ann.pem"]).contains("horde://shop/operator/ann"));
    let json: serde_json::Value =
        serde_json::from_str(&directory.done(&["show", "till-1.pem", "--json"])).unwrap();
    assert_eq!((&json["names"][0], &json["valid"]), (&"horde://shop/node/till-1".into(), &true.into()));
    assert!(directory.refused(&["show", "till-1.key.pem"]).contains("no certificate"));
    assert!(directory.refused(&["show", "none.pem"]).contains("none.pem"));
}

#[test]
fn what_cannot_be_issued_is_refused_with_a_reason() {
    let directory = Directory::new("refused");
    assert!(directory.refused(&["issue", "till-1"]).contains("ca.pem"));
    directory.done(&["init"]);
    assert!(directory.refused(&["issue", "../till"]).contains("a node name holds"));
    assert!(directory.refused(&["init", "--out", "other", "--cluster", "a b"]).contains("a node name holds"));
    directory.done(&["init", "--out", "other"]);
    std::fs::copy(directory.0.join("other/ca.pem"), directory.0.join("ca.pem")).unwrap();
    assert!(directory.refused(&["issue", "till-1"]).contains("does not belong to its certificate"));
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt as _;
        let key = directory.0.join("other/ca.key.pem");
        std::fs::set_permissions(&key, std::fs::Permissions::from_mode(0o644)).unwrap();
        assert!(directory.refused(&["issue", "till-1", "--out", "other"]).contains("chmod 600"));
    }
}

#[test]
fn openssl_verifies_what_was_issued() {
    let directory = Directory::new("openssl");
    directory.done(&["init", "--cluster", "shop"]);
    directory.done(&["init", "--cluster", "shop", "--out", "other"]);
    for (name, role) in [("till-1", "node"), ("bob", "client"), ("ann", "operator")] {
        directory.done(&["issue", name, "--role", role]);
        for (ca, purpose, good) in [
            ("ca.pem", "sslserver", true),
            ("ca.pem", "sslclient", true),
            ("other/ca.pem", "sslclient", false),
        ] {
            let mut command = Command::new("openssl");
            command.args(["verify", "-x509_strict", "-purpose", purpose, "-CAfile", ca]);
            let Ok(output) = command.arg(format!("{name}.pem")).current_dir(&directory.0).output() else {
                eprintln!("openssl is not installed: what it says of the certificates is not known");
                return;
            };
            assert_eq!(output.status.success(), good, "{name} {ca}: {output:?}");
        }
    }
}
