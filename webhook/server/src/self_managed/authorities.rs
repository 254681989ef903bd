//! The CAs of the Secret: one signs, one may be next, all that still count are published together.
//!
//! A new CA is published for [`OVERLAP`] before it signs, so that no client meets a certificate whose CA it doesn't have yet.

use std::collections::BTreeMap;
use std::time::{Duration, SystemTime};

use k8s_openapi::ByteString;
use pinfold_certs::{Authority, AuthorityError, PrivateKey, Validity};

/// Life of a CA; the next one is made when a third of it is left.
const LIFE: Duration = Duration::from_secs(3 * 365 * 24 * 3600);
/// What is left of a CA's life when the next one is made: a third.
const RENEW_LEFT: Duration = Duration::from_secs(365 * 24 * 3600);
/// How long a new CA is published before it signs.
const OVERLAP: Duration = Duration::from_secs(3600);

const NAME: &str = "pinfold-webhook-ca";
const CERTIFICATE: &str = "ca.crt";
const KEY: &str = "ca.key";
const NEXT_CERTIFICATE: &str = "next.crt";
const NEXT_KEY: &str = "next.key";
const OLD_CERTIFICATE: &str = "old.crt";

/// What the Secret holds.
#[derive(Debug)]
pub(super) struct Authorities {
    signing: Authority,
    next: Option<Authority>,
    /// The CA that signed before, while certificates of it may be in use.
    old: Option<String>,
}

/// Makes a CA.
pub(super) fn create(now: SystemTime) -> Result<Authority, AuthorityError> {
    Authority::create(NAME, Validity::starting(now, LIFE)?)
}

/// Whether more than a third of a CA's life is left.
pub(super) fn is_young(authority: &Authority, now: SystemTime) -> bool {
    let left = authority.validity().not_after().duration_since(now).unwrap_or_default();
    left > RENEW_LEFT
}

impl Authorities {
    pub(super) fn create(now: SystemTime) -> Result<Self, AuthorityError> {
        Ok(Self { signing: create(now)?, next: None, old: None })
    }

    pub(super) fn signing(&self) -> &Authority {
        &self.signing
    }

    /// Every CA that clients must trust, PEM.
    pub(super) fn bundle(&self) -> String {
        let next = self.next.as_ref().map(Authority::certificate);
        let all = [Some(self.signing.certificate()), next, self.old.as_deref()];
        all.into_iter().flatten().collect()
    }

    /// Reads a Secret's data.
    ///
    /// # Errors
    /// What is wrong with it, never its content.
    pub(super) fn from_data(data: Option<&BTreeMap<String, ByteString>>) -> Result<Self, String> {
        let text = |name: &str| {
            let bytes = data.and_then(|data| data.get(name))?;
            String::from_utf8(bytes.0.clone()).ok()
        };
        let pair = |certificate: &str, key: &str| -> Result<Option<Authority>, String> {
            let (Some(certificate), Some(key)) = (text(certificate), text(key)) else {
                return Ok(None);
            };
            let read = Authority::from_pem(&certificate, &PrivateKey::from_pem(key));
            read.map(Some).map_err(|error| error.to_string())
        };
        let signing = pair(CERTIFICATE, KEY)?
            .ok_or_else(|| format!("expected `{CERTIFICATE}` and `{KEY}`, found neither"))?;
        let next = pair(NEXT_CERTIFICATE, NEXT_KEY)?;
        Ok(Self { signing, next, old: text(OLD_CERTIFICATE) })
    }

    pub(super) fn to_data(&self) -> BTreeMap<String, ByteString> {
        let bytes = |text: &str| ByteString(text.as_bytes().to_vec());
        let mut data = BTreeMap::from([
            (CERTIFICATE.to_owned(), bytes(self.signing.certificate())),
            (KEY.to_owned(), bytes(self.signing.key().expose())),
        ]);
        if let Some(next) = &self.next {
            data.insert(NEXT_CERTIFICATE.to_owned(), bytes(next.certificate()));
            data.insert(NEXT_KEY.to_owned(), bytes(next.key().expose()));
        }
        if let Some(old) = &self.old {
            data.insert(OLD_CERTIFICATE.to_owned(), bytes(old));
        }
        data
    }

    /// The next state, if its time has come: a next CA is made, or begins to sign.
    ///
    /// # Errors
    /// If a CA can't be made.
    pub(super) fn moved_on(&self, now: SystemTime) -> Result<Option<Self>, AuthorityError> {
        let again =
            |authority: &Authority| Authority::from_pem(authority.certificate(), authority.key());
        let Some(next) = &self.next else {
            if is_young(&self.signing, now) {
                return Ok(None);
            }
            let (signing, next) = (again(&self.signing)?, Some(create(now)?));
            return Ok(Some(Self { signing, next, old: None }));
        };
        let published = now.duration_since(next.validity().not_before()).unwrap_or_default();
        let expired = self.signing.validity().not_after() <= now;
        if published < OVERLAP.saturating_add(pinfold_certs::authority::CLOCK_SKEW) && !expired {
            return Ok(None);
        }
        let old = (!expired).then(|| self.signing.certificate().to_owned());
        Ok(Some(Self { signing: again(next)?, next: None, old }))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn days(count: u32) -> Duration {
        Duration::from_secs(24 * 3600).saturating_mul(count)
    }

    fn reread(authorities: &Authorities) -> Authorities {
        Authorities::from_data(Some(&authorities.to_data())).unwrap()
    }

    #[test]
    fn a_ca_is_published_before_it_signs_and_after_it_signed() {
        let begin = SystemTime::now();
        let first = reread(&Authorities::create(begin).unwrap());
        assert!(first.moved_on(begin + days(365)).unwrap().is_none());
        let late = begin + days(2 * 365 + 1);
        let second = reread(&first.moved_on(late).unwrap().unwrap());
        assert_eq!(second.signing().certificate(), first.signing().certificate());
        let next = second.next.as_ref().unwrap().certificate().to_owned();
        assert!(second.bundle().contains(&next));
        assert!(second.bundle().contains(first.signing().certificate()));
        assert!(second.moved_on(late + OVERLAP / 2).unwrap().is_none(), "not signing yet");
        let third = reread(&second.moved_on(late + OVERLAP * 2).unwrap().unwrap());
        assert_eq!(third.signing().certificate(), next);
        assert!(third.bundle().contains(first.signing().certificate()), "still trusted");
        assert!(third.moved_on(late + OVERLAP * 3).unwrap().is_none());
    }

    #[test]
    fn an_expired_ca_is_replaced_at_once() {
        let begin = SystemTime::now();
        let first = Authorities::create(begin).unwrap();
        let after = begin + days(4 * 365);
        let second = first.moved_on(after).unwrap().unwrap();
        let third = second.moved_on(after).unwrap().unwrap();
        assert_ne!(third.signing().certificate(), first.signing().certificate());
        assert!(!third.bundle().contains(first.signing().certificate()));
    }

    #[test]
    fn a_damaged_secret_is_named_without_its_content() {
        let authorities = Authorities::create(SystemTime::now()).unwrap();
        assert!(Authorities::from_data(None).is_err());
        let mut data = authorities.to_data();
        let canary = "-----BEGIN PRIVATE KEY-----\nY2FuYXJ5\n-----END PRIVATE KEY-----\n";
        data.insert(KEY.to_owned(), ByteString(canary.as_bytes().to_vec()));
        let error = Authorities::from_data(Some(&data)).unwrap_err();
        assert!(!error.contains("Y2FuYXJ5") && !error.contains("canary"), "{error}");
    }
}
