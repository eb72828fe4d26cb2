//! What a certificate file says, for a person to read.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use rustls::crypto::ring::cipher_suite::TLS13_AES_128_GCM_SHA256;
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject;

use super::AuthorityError;

/// A certificate as it is in a file. Nothing of it is checked: whom to believe is not said here.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Certificate {
    /// The URI names in it: `horde://CLUSTER` of a CA, `horde://CLUSTER/ROLE/NAME` of a node.
    pub names: Vec<String>,
    /// From when it is valid.
    pub valid_from: SystemTime,
    /// Until when.
    pub valid_until: SystemTime,
    /// SHA-256 of the certificate, as 64 hexadecimal digits.
    pub fingerprint: String,
}

/// Reads every certificate in a PEM text, in its order; at least one.
///
/// # Errors
/// [`AuthorityError::Bad`] when there is none, or one that does not parse.
pub fn read_certificates(pem: &str) -> Result<Vec<Certificate>, AuthorityError> {
    let bad = |why: &dyn std::fmt::Display| AuthorityError::Bad(why.to_string());
    let mut all = Vec::new();
    for der in CertificateDer::pem_slice_iter(pem.as_bytes()) {
        let der = der.map_err(|error| bad(&error))?;
        let parsed = webpki::EndEntityCert::try_from(&der).map_err(|error| bad(&error))?;
        let names = parsed.valid_uri_names().map(str::to_owned).collect();
        let (from, until) = validity(&der).ok_or_else(|| bad(&"a certificate without a time"))?;
        all.push(Certificate { names, valid_from: from, valid_until: until, fingerprint: fingerprint(&der) });
    }
    if all.is_empty() { Err(bad(&"no certificate in it")) } else { Ok(all) }
}

fn fingerprint(der: &[u8]) -> String {
    let hash = TLS13_AES_128_GCM_SHA256.tls13().map(|suite| suite.common.hash_provider.hash(der));
    hash.iter().flat_map(|hash| hash.as_ref()).map(|byte| format!("{byte:02x}")).collect()
}

const SEQUENCE: u8 = 0x30;
const UTC_TIME: u8 = 0x17;
const GENERALIZED_TIME: u8 = 0x18;
/// The explicit tag of a certificate's version.
const VERSION: u8 = 0xa0;

/// The two times of a certificate (RFC 5280, section 4.1.2.5).
fn validity(der: &[u8]) -> Option<(SystemTime, SystemTime)> {
    let (_, certificate, _) = value(der)?;
    let (_, mut rest, _) = value(certificate)?;
    if *rest.first()? == VERSION {
        rest = value(rest)?.2;
    }
    // Serial number, algorithm, issuer.
    for _ in 0..3 {
        rest = value(rest)?.2;
    }
    let (SEQUENCE, times, _) = value(rest)? else { return None };
    let (kind, from, rest) = value(times)?;
    let (other, until, _) = value(rest)?;
    Some((time(kind, from)?, time(other, until)?))
}

/// The first value of DER bytes: its tag, what it holds, what comes after it.
fn value(der: &[u8]) -> Option<(u8, &[u8], &[u8])> {
    let (&tag, rest) = der.split_first()?;
    let (&first, mut rest) = rest.split_first()?;
    let mut length = usize::from(first);
    if first & 0x80 != 0 {
        let digits = usize::from(first & 0x7f);
        let (bytes, after) = (rest.get(..digits.min(5))?, rest.get(digits..)?);
        if digits > 4 {
            return None;
        }
        length = bytes.iter().fold(0, |length, byte| length << 8 | usize::from(*byte));
        rest = after;
    }
    Some((tag, rest.get(..length)?, rest.get(length..)?))
}

/// `YYMMDDhhmmssZ` or `YYYYMMDDhhmmssZ`.
fn time(kind: u8, text: &[u8]) -> Option<SystemTime> {
    let (century, text) = match kind {
        UTC_TIME => (None, text),
        GENERALIZED_TIME => (Some(number(text.get(..2)?)?), text.get(2..)?),
        _ => return None,
    };
    let text: &[u8; 13] = text.try_into().ok()?;
    let [year, month, day, hour, minute, second] =
        [0, 2, 4, 6, 8, 10].map(|at| text.get(at..at + 2).and_then(number));
    let (year, month, day) = (year?, month?, day?);
    let year = year + century.map_or(if year < 50 { 2000 } else { 1900 }, |century| century * 100);
    if !(1..=12).contains(&month) || !(1..=31).contains(&day) || text[12] != b'Z' {
        return None;
    }
    let seconds = days(year, month, day) * 86_400 + hour? * 3600 + minute? * 60 + second?;
    let distance = Duration::from_secs(seconds.unsigned_abs());
    if seconds < 0 { UNIX_EPOCH.checked_sub(distance) } else { UNIX_EPOCH.checked_add(distance) }
}

fn number(digits: &[u8]) -> Option<i64> {
    let digit = |byte: &u8| byte.is_ascii_digit().then(|| i64::from(byte - b'0'));
    digits.iter().try_fold(0, |all, byte| Some(all * 10 + digit(byte)?))
}

/// Days since 1970 of a date in the Gregorian calendar.
fn days(year: i64, month: i64, day: i64) -> i64 {
    // Years begin in March here, so that the leap day is a year's last.
    let year = if month <= 2 { year - 1 } else { year };
    let of_year = (153 * ((month + 9) % 12) + 2) / 5 + day - 1;
    year * 365 + year.div_euclid(4) - year.div_euclid(100) + year.div_euclid(400) + of_year - 719_468
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Authority, NodeName, Role};

    #[test]
    fn a_certificate_tells_its_names_and_its_time() {
        let authority = Authority::generate(&NodeName::new("shop").unwrap()).unwrap();
        let hour = Duration::from_secs(3600);
        let before = SystemTime::now();
        let leaf = authority.issue(&NodeName::new("till").unwrap(), Role::Node, hour).unwrap();
        let chain = format!("{}{}", leaf.certificate, authority.certificate_pem());
        let [leaf, ca] = <[_; 2]>::try_from(read_certificates(&chain).unwrap()).unwrap();
        assert_eq!(
            (leaf.names, ca.names),
            (vec!["horde://shop/node/till".to_owned()], vec!["horde://shop".to_owned()])
        );
        let until = leaf.valid_until.duration_since(before).unwrap() + Duration::from_secs(1);
        assert!(until >= hour && until < hour * 2, "{until:?}");
        assert!(leaf.valid_from < before && ca.valid_until > before + hour * 24 * 3650);
        assert!(leaf.fingerprint.len() == 64 && leaf.fingerprint != ca.fingerprint);
        assert!(read_certificates(&authority.key_pem()).is_err());
    }

    #[test]
    fn times_are_read_as_rfc_5280_writes_them() {
        let unix = |seconds: u64| Some(UNIX_EPOCH + Duration::from_secs(seconds));
        assert_eq!(time(UTC_TIME, b"700101000000Z"), unix(0));
        assert_eq!(time(UTC_TIME, b"240229123456Z"), unix(1_709_210_096));
        assert_eq!(time(GENERALIZED_TIME, b"20500101000000Z"), unix(2_524_608_000));
        assert_eq!(
            time(GENERALIZED_TIME, b"19691231235959Z"),
            UNIX_EPOCH.checked_sub(Duration::from_secs(1))
        );
        for bad in [&b"700101000000"[..], b"701301000000Z", b"70010100000xZ", b"", b"700100000000Z"] {
            assert_eq!(time(UTC_TIME, bad), None, "{bad:?}");
        }
    }
}
