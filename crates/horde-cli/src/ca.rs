//! `horde ca`: a certificate authority in two files, and the certificates that it issues.

use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use anyhow::{Context as _, bail};
use clap::{Subcommand, ValueEnum};
use horde::{Authority, Certificate, NodeName, Role, read_certificates, read_secret_file, write_new_file};
use serde_json::json;

const DAY: u64 = 24 * 60 * 60;
/// The largest certificate file looked into, in bytes.
const LARGEST: u64 = 1 << 20;

#[derive(Debug, Subcommand)]
pub(crate) enum CaCommand {
    /// Makes a certificate authority: `ca.pem`, which every node needs, and `ca.key.pem`, which is secret: whoever has it
    /// can pose as any node. Overwrites nothing.
    Init {
        /// The directory to write to; made if it is not there.
        #[arg(long, default_value = ".")]
        out: PathBuf,
        /// The cluster's name: nodes of different clusters refuse each other.
        #[arg(long, default_value = "horde")]
        cluster: String,
        /// Prints one JSON object.
        #[arg(long)]
        json: bool,
    },
    /// Issues a certificate with the authority in the same directory: `NAME.pem` and `NAME.key.pem`, which is secret.
    /// Overwrites nothing.
    Issue {
        /// Whose it is: the node's name.
        name: String,
        /// The directory of the authority, and to write to.
        #[arg(long, default_value = ".")]
        out: PathBuf,
        /// What its holder may be.
        #[arg(long, value_enum, default_value_t = CertificateRole::Node)]
        role: CertificateRole,
        /// How long it is valid. Nodes warn in their logs from 30 days before its end.
        #[arg(long, default_value_t = 365, value_parser = clap::value_parser!(u64).range(1..=36_500))]
        days: u64,
        /// Prints one JSON object.
        #[arg(long)]
        json: bool,
    },
    /// Shows whose a certificate is, and until when.
    Show {
        /// The PEM file.
        file: PathBuf,
        /// Prints one JSON object for each certificate.
        #[arg(long)]
        json: bool,
    },
}

/// What the holder of a certificate may be.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum CertificateRole {
    /// A member of the cluster.
    Node,
    /// A command line that looks, and is never a member.
    Client,
    /// One that may also drain, forget and recover.
    Operator,
}

pub(crate) fn run(command: &CaCommand) -> anyhow::Result<bool> {
    match command {
        CaCommand::Init { out, cluster, json } => init(out, cluster, *json)?,
        CaCommand::Issue { name, out, role, days, json } => issue(out, name, *role, *days, *json)?,
        CaCommand::Show { file, json } => show(file, *json)?,
    }
    Ok(true)
}

/// Where a certificate and its key are.
fn files(out: &Path, name: &str) -> (PathBuf, PathBuf) {
    (out.join(format!("{name}.pem")), out.join(format!("{name}.key.pem")))
}

/// Writes both, or neither: what is there stays as it is.
fn write(out: &Path, name: &str, certificate: &str, key: &str) -> anyhow::Result<(PathBuf, PathBuf)> {
    std::fs::create_dir_all(out).with_context(|| format!("{}: nothing was written", out.display()))?;
    let (path, key_path) = files(out, name);
    for path in [&path, &key_path] {
        if path.symlink_metadata().is_ok() {
            bail!(
                "{}: exists already; nothing was written (move it away, or give another --out)",
                path.display()
            );
        }
    }
    write_new_file(&key_path, key, true)?;
    if let Err(error) = write_new_file(&path, certificate, false) {
        let _left_over = std::fs::remove_file(&key_path);
        return Err(error.into());
    }
    Ok((path, key_path))
}

fn init(out: &Path, cluster: &str, json: bool) -> anyhow::Result<()> {
    let cluster = NodeName::new(cluster).context("the cluster's name; nothing was written")?;
    let authority = Authority::generate(&cluster)?;
    let written = write(out, "ca", authority.certificate_pem(), &authority.key_pem())?;
    written_is("the CA of cluster", cluster.as_str(), &written, json);
    Ok(())
}

fn issue(out: &Path, name: &str, role: CertificateRole, days: u64, json: bool) -> anyhow::Result<()> {
    let name = NodeName::new(name).context("the node's name; nothing was written")?;
    let (ca, ca_key) = files(out, "ca");
    let authority = Authority::from_pem(&read(&ca)?, &read_secret_file(&ca_key)?)
        .with_context(|| format!("{} and {}; nothing was written", ca.display(), ca_key.display()))?;
    let role = match role {
        CertificateRole::Node => Role::Node,
        CertificateRole::Client => Role::Client,
        CertificateRole::Operator => Role::Operator,
    };
    let issued = authority.issue(&name, role, Duration::from_secs(days * DAY))?;
    let written = write(out, name.as_str(), &issued.certificate, &issued.key)?;
    written_is("a certificate for", name.as_str(), &written, json);
    Ok(())
}

fn show(file: &Path, json: bool) -> anyhow::Result<()> {
    let all = read_certificates(&read(file)?).with_context(|| file.display().to_string())?;
    for certificate in &all {
        let text = if json { as_json(certificate).to_string() } else { as_text(certificate) };
        say(&text);
    }
    Ok(())
}

/// Reads what everybody may read.
fn read(file: &Path) -> anyhow::Result<String> {
    let meta = std::fs::metadata(file).with_context(|| file.display().to_string())?;
    if meta.len() > LARGEST {
        bail!("{}: larger than {LARGEST} bytes; this is no certificate", file.display());
    }
    std::fs::read_to_string(file).with_context(|| file.display().to_string())
}

fn as_text(certificate: &Certificate) -> String {
    let Certificate { names, valid_from, valid_until, fingerprint } = certificate;
    let names = if names.is_empty() { "no name of a horde cluster".to_owned() } else { names.join(", ") };
    let left = match valid_until.duration_since(SystemTime::now()) {
        Ok(left) => format!("{} days left", left.as_secs() / DAY),
        Err(_over) => "expired".to_owned(),
    };
    let (from, until) = (date(*valid_from), date(*valid_until));
    format!("{names}\n  valid   {from} to {until} ({left})\n  sha256  {fingerprint}")
}

fn as_json(certificate: &Certificate) -> serde_json::Value {
    let Certificate { names, valid_from, valid_until, fingerprint } = certificate;
    json!({
        "names": names, "valid_from": date(*valid_from), "valid_until": date(*valid_until),
        "valid": (valid_from..=valid_until).contains(&&SystemTime::now()), "sha256": fingerprint,
    })
}

/// A time as RFC 3339 writes it, in UTC.
fn date(time: SystemTime) -> String {
    let seconds = match time.duration_since(UNIX_EPOCH) {
        Ok(since) => i64::try_from(since.as_secs()).unwrap_or(i64::MAX),
        Err(before) => -i64::try_from(before.duration().as_secs()).unwrap_or(i64::MAX),
    };
    let (days, of_day) = (seconds.div_euclid(86_400), seconds.rem_euclid(86_400));
    // Days since March of year 0, in eras of 400 years (the calendar repeats).
    let from_march = days + 719_468;
    let (era, day) = (from_march.div_euclid(146_097), from_march.rem_euclid(146_097));
    let year = (day - day / 1460 + day / 36_524 - day / 146_096) / 365;
    let of_year = day - (365 * year + year / 4 - year / 100);
    let month = (5 * of_year + 2) / 153;
    let (day, month) = (of_year - (153 * month + 2) / 5 + 1, if month < 10 { month + 3 } else { month - 9 });
    let year = era * 400 + year + i64::from(month <= 2);
    let (hour, minute, second) = (of_day / 3600, of_day / 60 % 60, of_day % 60);
    format!("{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}Z")
}

fn written_is(what: &str, name: &str, (certificate, key): &(PathBuf, PathBuf), json: bool) {
    let text = if json {
        json!({ "name": name, "certificate": certificate, "key": key }).to_string()
    } else {
        let (certificate, key) = (certificate.display(), key.display());
        format!(
            "{what} {name}\n  certificate  {certificate}\n  key          {key} (keep it secret: readable by you alone)"
        )
    };
    say(&text);
}

#[expect(clippy::print_stdout, reason = "it is what the command is for")]
fn say(text: &str) {
    println!("{text}");
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dates_are_written_as_the_calendar_has_them() {
        let at = |seconds| date(UNIX_EPOCH + Duration::from_secs(seconds));
        assert_eq!(at(0), "1970-01-01T00:00:00Z");
        assert_eq!(at(1_709_210_096), "2024-02-29T12:34:56Z");
        assert_eq!(at(67_090_118_400), "4096-01-01T00:00:00Z");
        assert_eq!(date(UNIX_EPOCH - Duration::from_secs(1)), "1969-12-31T23:59:59Z");
    }
}
