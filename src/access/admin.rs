//! Who may act as the application's own server: a caller that presents the secret, or, while there is none, one on the
//! same machine with nothing between.
//!
//! A loopback address alone does not tell that: a proxy on the machine passes on what comes from afar, and a browser
//! sends what any page asks for. So without a secret whatever a proxy adds to a request is a reason to refuse it, and
//! only pages of loopback are heard, whatever else may be listed for reading.

use std::net::IpAddr;

use sha2::{Digest, Sha256};
use subtle::ConstantTimeEq;
use thiserror::Error;

use super::OriginRule;

/// The rule for one server.
pub struct AdminRule(Rule);

enum Rule {
    /// The hash of the secret: it has one length, and tells nothing that is worth timing.
    Secret([u8; 32]),
    /// No secret, and only this machine reaches the listener.
    Loopback,
    /// No secret, and others reach it, too.
    Closed,
}

/// What the rule looks at of a request.
#[derive(Clone, Copy, Debug)]
pub struct Caller<'a> {
    /// The value of `Authorization`; none if there is none, or more than one.
    pub authorization: Option<&'a [u8]>,
    /// The other end of its connection.
    pub peer: IpAddr,
    /// A header that only a proxy adds, if there is one; see [`names_proxy`].
    pub proxy: Option<&'a str>,
    /// The host that was addressed.
    pub host: Option<&'a str>,
    /// The page's origin.
    pub origin: Option<&'a str>,
}

/// Why a request was turned away; the text may be shown to whoever sent it.
#[derive(Clone, Debug, Error, PartialEq, Eq)]
pub enum Refusal {
    /// A secret is set, and the request has none.
    #[error("send the secret of the server's setting admin.secret, as `Authorization: Bearer SECRET`")]
    SecretMissing,
    /// The request has another one.
    #[error("this is not the secret of the server's setting admin.secret")]
    SecretWrong,
    /// No secret is set, and who asks is not known to be on this machine.
    #[error(
        "{0}; set admin.secret (WALCAST__ADMIN__SECRET) and send it as `Authorization: Bearer SECRET`, \
         since without it only programs on the server's own machine are heard"
    )]
    NotLocal(String),
}

impl AdminRule {
    /// The rule of a server that listens on `listener`.
    #[must_use]
    pub fn new(secret: Option<&str>, listener: IpAddr) -> Self {
        Self(match secret {
            // A header's value has no space at its ends (RFC 9110, section 5.5).
            Some(secret) => Rule::Secret(Sha256::digest(secret.trim_ascii()).into()),
            None if listener.to_canonical().is_loopback() => Rule::Loopback,
            None => Rule::Closed,
        })
    }

    /// Decides about one request.
    ///
    /// # Errors
    /// The [`Refusal`] to answer with: status 401 if a secret is wanted, else 403.
    pub fn decide(&self, caller: &Caller<'_>) -> Result<(), Refusal> {
        match &self.0 {
            Rule::Secret(expected) => {
                let presented = caller.authorization.and_then(bearer).ok_or(Refusal::SecretMissing)?;
                let presented: [u8; 32] = Sha256::digest(presented).into();
                if bool::from(presented.ct_eq(expected)) { Ok(()) } else { Err(Refusal::SecretWrong) }
            }
            Rule::Loopback => local(caller).map_err(Refusal::NotLocal),
            Rule::Closed => Err(Refusal::NotLocal("other machines reach this server".to_owned())),
        }
    }
}

/// Whether a request with this header went through a proxy: `Forwarded` (RFC 7239), `Via` (RFC 9110, section 7.6.3), and
/// what is customary.
#[must_use]
pub fn names_proxy(header: &str) -> bool {
    let lower = header.to_ascii_lowercase();
    matches!(&*lower, "forwarded" | "via" | "x-real-ip") || lower.starts_with("x-forwarded-")
}

/// The credentials of RFC 6750, section 2.1, of whatever bytes.
fn bearer(authorization: &[u8]) -> Option<&[u8]> {
    let (scheme, token) = authorization.split_at_checked(b"Bearer ".len())?;
    let token = token.trim_ascii();
    (scheme.eq_ignore_ascii_case(b"Bearer ") && !token.is_empty()).then_some(token)
}

fn local(caller: &Caller<'_>) -> Result<(), String> {
    if !caller.peer.to_canonical().is_loopback() {
        return Err("the request comes from another machine".to_owned());
    }
    if let Some(header) = caller.proxy {
        return Err(format!("the request came through a proxy: it has the header {header}"));
    }
    OriginRule::default()
        .decide(caller.host, caller.origin)
        .map_err(|_| "the Host or Origin of the request is not loopback".to_owned())
}

#[cfg(test)]
mod tests {
    use std::net::{Ipv4Addr, Ipv6Addr};

    use super::*;

    const SECRET: &str = "correct horse battery";
    const HERE: IpAddr = IpAddr::V4(Ipv4Addr::LOCALHOST);
    const AFAR: IpAddr = IpAddr::V4(Ipv4Addr::new(192, 0, 2, 1));
    const PLAIN: Caller<'_> =
        Caller { authorization: None, peer: HERE, proxy: None, host: Some("localhost:4000"), origin: None };

    #[test]
    fn with_a_secret_nothing_else_counts() {
        let rule = AdminRule::new(Some(SECRET), HERE);
        let decide = |authorization: Option<&str>| {
            let authorization = authorization.map(str::as_bytes);
            rule.decide(&Caller { authorization, ..PLAIN })
        };
        assert_eq!(decide(None), Err(Refusal::SecretMissing), "being local does not help");
        for right in ["Bearer correct horse battery", "bearer  correct horse battery "] {
            assert_eq!(decide(Some(right)), Ok(()), "{right}");
            let afar = Caller {
                authorization: Some(right.as_bytes()),
                peer: AFAR,
                proxy: Some("forwarded"),
                host: Some("rt.example.com"),
                origin: Some("https://app.example.com"),
            };
            assert_eq!(rule.decide(&afar), Ok(()));
            assert_eq!(AdminRule::new(Some(SECRET), AFAR).decide(&afar), Ok(()));
        }
        for wrong in
            ["Bearer correct horse batter", "Bearer correct horse battery!", "Bearer Correct horse battery"]
        {
            assert_eq!(decide(Some(wrong)), Err(Refusal::SecretWrong), "{wrong}");
        }
        for missing in ["", "Bearer", "Bearer ", "Basic correct horse battery", SECRET] {
            assert_eq!(decide(Some(missing)), Err(Refusal::SecretMissing), "{missing}");
        }
    }

    #[test]
    fn without_a_secret_only_plainly_local_callers_are_heard() {
        let rule = AdminRule::new(None, HERE);
        let mapped = Ipv4Addr::LOCALHOST.to_ipv6_mapped();
        for peer in [HERE, IpAddr::V6(Ipv6Addr::LOCALHOST), IpAddr::V6(mapped)] {
            assert_eq!(rule.decide(&Caller { peer, ..PLAIN }), Ok(()));
        }
        let origin = Some("http://localhost:3000");
        assert_eq!(rule.decide(&Caller { origin, ..PLAIN }), Ok(()));
        for refused in [
            Caller { peer: AFAR, ..PLAIN },
            Caller { proxy: Some("x-forwarded-for"), ..PLAIN },
            Caller { host: None, ..PLAIN },
            Caller { host: Some("rt.example.com"), ..PLAIN },
            Caller { origin: Some("https://app.example.com"), ..PLAIN },
            Caller { origin: Some("null"), ..PLAIN },
        ] {
            let refusal = rule.decide(&refused).unwrap_err();
            assert!(refusal.to_string().contains("WALCAST__ADMIN__SECRET"), "{refusal}");
        }
        let open = AdminRule::new(None, IpAddr::V4(Ipv4Addr::UNSPECIFIED));
        assert!(matches!(open.decide(&PLAIN), Err(Refusal::NotLocal(_))));
    }

    #[test]
    fn a_secret_of_any_characters_can_be_presented() {
        let rule = AdminRule::new(Some(" Größe, nicht Länge\n"), HERE);
        let authorization = Some("Bearer Größe, nicht Länge".as_bytes());
        assert_eq!(rule.decide(&Caller { authorization, ..PLAIN }), Ok(()));
        let nothing = AdminRule::new(Some("                "), HERE);
        let authorization = Some(b"Bearer                 ".as_slice());
        assert_eq!(nothing.decide(&Caller { authorization, ..PLAIN }), Err(Refusal::SecretMissing));
    }

    #[test]
    fn headers_of_proxies_are_known_by_name() {
        for header in
            ["Forwarded", "X-Forwarded-For", "x-forwarded-proto", "X-Forwarded-Anything", "Via", "X-Real-IP"]
        {
            assert!(names_proxy(header), "{header}");
        }
        for header in ["host", "x-forwarded", "content-type", "x-request-id"] {
            assert!(!names_proxy(header), "{header}");
        }
    }
}
