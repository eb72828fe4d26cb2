//! How long a certificate is believed, and when its end is warned of.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use rustls::crypto::ring::default_provider;
use rustls::pki_types::{CertificateDer, TrustAnchor, UnixTime};

const HOUR: Duration = Duration::from_secs(60 * 60);
const DAY: Duration = Duration::from_secs(24 * 60 * 60);
/// What ends later than this is taken to end never.
const FAR: Duration = Duration::from_secs(100 * 365 * 24 * 60 * 60);
/// The end is warned of when no more than this is left, once for each. After the end it is said each hour.
const WARNINGS: [Duration; 12] = [
    Duration::from_secs(30 * DAY.as_secs()),
    Duration::from_secs(14 * DAY.as_secs()),
    Duration::from_secs(7 * DAY.as_secs()),
    Duration::from_secs(6 * DAY.as_secs()),
    Duration::from_secs(5 * DAY.as_secs()),
    Duration::from_secs(4 * DAY.as_secs()),
    Duration::from_secs(3 * DAY.as_secs()),
    Duration::from_secs(2 * DAY.as_secs()),
    DAY,
    Duration::from_secs(12 * HOUR.as_secs()),
    Duration::from_secs(6 * HOUR.as_secs()),
    HOUR,
];

/// The end of a certificate, and how often it was warned of.
#[derive(Debug, Clone, Default)]
pub(super) struct Expiry {
    /// None for a certificate without an end in sight.
    pub(super) until: Option<SystemTime>,
    warned: u64,
}

/// What there is to say of an end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Warning {
    /// So much is left.
    Soon(Duration),
    /// It is over since.
    Over(Duration),
}

impl std::fmt::Display for Warning {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let long = |time: &Duration| match (time.as_secs() / DAY.as_secs(), time.as_secs() / HOUR.as_secs()) {
            (0, hours) => format!("{hours} hours"),
            (days, _) => format!("{days} days"),
        };
        match self {
            Self::Soon(left) => {
                write!(f, "expires in {} and new connections will be refused then", long(left))
            }
            Self::Over(since) => {
                write!(f, "expired {} ago and new connections are refused", long(since))
            }
        }
    }
}

impl Expiry {
    pub(super) fn new(until: Option<SystemTime>) -> Self {
        Self { until, warned: 0 }
    }

    /// What to warn of now; nothing when it was said before. Ask it each minute or so.
    pub(super) fn warning(&mut self, now: SystemTime) -> Option<Warning> {
        let until = self.until?;
        let (level, warning) = match until.duration_since(now) {
            Ok(left) => {
                let level = WARNINGS.iter().filter(|warning| left <= **warning).count();
                (level as u64, Warning::Soon(left))
            }
            Err(over) => {
                let since = over.duration();
                let level = WARNINGS.len() as u64 + 1 + since.as_secs() / HOUR.as_secs();
                (level, Warning::Over(since))
            }
        };
        let news = level > self.warned;
        self.warned = level;
        news.then_some(warning)
    }
}

/// Until when peers that believe `roots` believe this chain: the earliest end in it; `None` when it has none.
///
/// The last moment at which the chain verifies is found by halving, so that every certificate in it counts.
///
/// # Errors
/// The text says why nobody would believe it `now`.
pub(super) fn believed_until(
    roots: &[TrustAnchor<'_>],
    chain: &[CertificateDer<'_>],
    now: SystemTime,
) -> Result<Option<SystemTime>, String> {
    let Some((leaf, rest)) = chain.split_first() else { return Ok(None) };
    let leaf = webpki::EndEntityCert::try_from(leaf).map_err(|error| error.to_string())?;
    let algorithms = default_provider().signature_verification_algorithms;
    let since_1970 = now.duration_since(UNIX_EPOCH).unwrap_or_default();
    let at = |later: u64| {
        let then = UnixTime::since_unix_epoch(since_1970 + Duration::from_secs(later));
        let usage = webpki::KeyUsage::client_auth();
        leaf.verify_for_usage(algorithms.all, roots, rest, then, usage, None, None).map(drop)
    };
    at(0).map_err(|error| error.to_string())?;
    let (mut believed, mut refused) = (0, FAR.as_secs());
    if at(refused).is_ok() {
        return Ok(None);
    }
    while refused - believed > 1 {
        let middle = believed + (refused - believed) / 2;
        if at(middle).is_ok() { believed = middle } else { refused = middle }
    }
    Ok(Some(now + Duration::from_secs(believed)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Authority, NodeName, Role};

    const MINUTE: Duration = Duration::from_secs(60);

    #[test]
    fn an_end_is_warned_of_at_30_14_and_7_days_then_daily_then_at_12_6_and_1_hours_then_hourly() {
        let start = UNIX_EPOCH + DAY * 20_000;
        let mut expiry = Expiry::new(Some(start + DAY * 40));
        let mut said = Vec::new();
        // A look each minute, until three hours after the end.
        for minute in 0..=(40 * 24 * 60 + 180) {
            if expiry.warning(start + MINUTE * minute).is_some() {
                said.push(minute);
            }
        }
        let before =
            [30 * 24, 14 * 24, 7 * 24, 144, 120, 96, 72, 48, 24, 12, 6, 1].map(|hours| (960 - hours) * 60);
        let after = [57_601, 57_660, 57_720, 57_780];
        assert_eq!(said, [&before[..], &after[..]].concat());
    }

    #[test]
    fn a_node_that_starts_late_is_told_once_how_late_it_is() {
        let end = UNIX_EPOCH + DAY * 20_000;
        let mut expiry = Expiry::new(Some(end));
        assert_eq!(expiry.warning(end - DAY * 3), Some(Warning::Soon(DAY * 3)));
        assert_eq!(expiry.warning(end - DAY * 3 + HOUR), None);
        assert_eq!(Expiry::new(None).warning(end), None);
        assert_eq!(Expiry::new(Some(end)).warning(end - DAY * 31), None);
        assert!(Warning::Soon(DAY * 3).to_string().contains("3 days"));
        assert!(Warning::Soon(HOUR * 5).to_string().contains("5 hours"));
        assert!(Warning::Over(HOUR).to_string().contains("expired 1 hours ago"));
    }

    #[test]
    fn the_end_of_a_chain_is_found_to_the_second() {
        let authority = Authority::generate(&NodeName::new("shop").unwrap()).unwrap();
        let anchor = webpki::anchor_from_trusted_cert(authority.certificate()).unwrap();
        let name = NodeName::new("till").unwrap();
        let now = SystemTime::now();
        let (leaf, _) = authority.leaf(&name, Role::Node, DAY * 9).unwrap();
        let until =
            believed_until(std::slice::from_ref(&anchor), &[leaf.der().clone()], now).unwrap().unwrap();
        let left = until.duration_since(now).unwrap();
        assert!(left <= DAY * 9 + MINUTE && left >= DAY * 9 - MINUTE, "{left:?}");
        let over = now + DAY * 10;
        assert!(believed_until(&[anchor], &[leaf.der().clone()], over).is_err());
    }
}
