//! Which web pages may talk to a server that asks nobody to sign in.
//!
//! A browser lets any page open a WebSocket to any address, also to `localhost`, and names the page in
//! the `Origin` header (RFC 6455, section 10.2). So that header decides. It is not enough alone: a page
//! of `evil.example` whose name is re-pointed to 127.0.0.1 (DNS rebinding) sends requests of its own
//! origin without any `Origin` header, but it cannot forge `Host`, which still says `evil.example`.

use std::net::Ipv6Addr;

use thiserror::Error;
use url::{Host, Url};

/// The most characters of a refused header that are repeated in a text.
const SHOWN: usize = 100;

/// The rule for one server: loopback always passes, everything else only when it is listed.
#[derive(Clone, Debug, Default)]
pub struct OriginRule {
    every_origin: bool,
    null_origin: bool,
    origins: Vec<WebOrigin>,
    every_host: bool,
    hosts: Vec<Host<String>>,
}

/// Why a request was turned away; the text may be shown to whoever sent it.
#[derive(Clone, Debug, Error, PartialEq, Eq)]
pub enum Refusal {
    /// The request carries no `Host` header (HTTP/1.0), so nothing tells a rebound name from ours.
    #[error("refused: the request has no Host header; HTTP/1.1 with a Host header is needed")]
    HostMissing,
    /// The `Host` header is unreadable, or names neither loopback nor a listed host.
    #[error(
        "refused: the Host {0:?} is neither loopback nor listed; \
         its name (without port) can be listed in auth.hosts (WALCAST__AUTH__HOSTS)"
    )]
    Host(String),
    /// The page's origin is unreadable, or neither loopback nor listed.
    #[error(
        "refused: the Origin {0:?} is neither loopback nor listed; \
         it can be listed in auth.origins (WALCAST__AUTH__ORIGINS)"
    )]
    Origin(String),
}

/// One entry of a list that cannot be understood.
#[derive(Clone, Debug, Error, PartialEq, Eq)]
#[error("the entry {entry:?} {fault}")]
pub struct EntryError {
    /// The list it stands in.
    pub list: List,
    /// The entry as it was written.
    pub entry: String,
    /// What is wrong with it.
    pub fault: Fault,
}

/// The two lists that a rule is built from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum List {
    /// Origins of pages: `*`, `null` or `scheme://host[:port]`.
    Origins,
    /// Names in `Host` headers: `*` or a host without port.
    Hosts,
}

/// What keeps a text from being an origin or a host.
#[derive(Clone, Copy, Debug, Error, PartialEq, Eq)]
pub enum Fault {
    /// An origin without `scheme://`.
    #[error("has no scheme (`https://app.example.com` has one)")]
    NoScheme,
    /// Something other than the characters of a host name, an IP address and a port.
    #[error("has a {0:?} where only a host name or address and a port may stand")]
    Character(char),
    /// A host list's entry with a port; ports do not matter there.
    #[error("has a port; every port of a listed host passes")]
    Port,
    /// Nothing that the URL standard reads as host and port.
    #[error("is not a valid host and port")]
    Invalid,
}

/// An origin as RFC 6454 (section 4) compares it: scheme, host and port.
#[derive(Clone, Debug, PartialEq, Eq)]
struct WebOrigin {
    scheme: String,
    host: Host<String>,
    port: Option<u16>,
}

impl OriginRule {
    /// Builds the rule from `origins` (each `*`, `null` or `scheme://host[:port]`) and extra `hosts`
    /// (each `*` or a name without port). Hosts of listed origins are listed with them, since a page
    /// that walcast itself serves has its own host as its origin.
    ///
    /// # Errors
    /// One [`EntryError`] for each entry that cannot be understood.
    pub fn new<S: AsRef<str>>(origins: &[S], hosts: &[S]) -> Result<Self, Vec<EntryError>> {
        let mut rule = Self::default();
        let mut errors = Vec::new();
        for entry in origins.iter().map(AsRef::as_ref) {
            match (entry, read_origin(entry)) {
                ("*", _) => (rule.every_origin, rule.every_host) = (true, true),
                ("null", _) => rule.null_origin = true,
                (_, Ok(origin)) => {
                    rule.hosts.push(origin.host.clone());
                    rule.origins.push(origin);
                }
                (_, Err(fault)) => {
                    errors.push(EntryError { list: List::Origins, entry: entry.to_owned(), fault });
                }
            }
        }
        for entry in hosts.iter().map(AsRef::as_ref) {
            match (entry, read_host(entry)) {
                ("*", _) => rule.every_host = true,
                (_, Ok((host, None))) => rule.hosts.push(host),
                (_, Ok((_, Some(_)))) => {
                    errors.push(EntryError {
                        list: List::Hosts,
                        entry: entry.to_owned(),
                        fault: Fault::Port,
                    });
                }
                (_, Err(fault)) => {
                    errors.push(EntryError { list: List::Hosts, entry: entry.to_owned(), fault });
                }
            }
        }
        if errors.is_empty() { Ok(rule) } else { Err(errors) }
    }

    /// Decides about one request by its `Host` and `Origin` headers; `None` says that the header is
    /// absent. A header that is there but is not text must be passed as `Some("")`: an absent `Origin`
    /// passes, because only programs that are no browsers leave it out of a WebSocket handshake.
    ///
    /// # Errors
    /// The [`Refusal`] to answer with (status 403).
    pub fn decide(&self, host: Option<&str>, origin: Option<&str>) -> Result<(), Refusal> {
        let host = host.ok_or(Refusal::HostMissing)?;
        if !self.admits_host(host) {
            return Err(Refusal::Host(shown(host)));
        }
        match origin {
            Some(origin) if !self.admits_origin(origin) => Err(Refusal::Origin(shown(origin))),
            _ => Ok(()),
        }
    }

    /// The value for `Access-Control-Allow-Origin`: the request's own origin if it may read the answer,
    /// so that the answer must also say `Vary: Origin`. `None` means to send no such header.
    #[must_use]
    pub fn cors_allow_origin<'a>(&self, origin: Option<&'a str>) -> Option<&'a str> {
        origin.filter(|origin| self.admits_origin(origin))
    }

    fn admits_host(&self, text: &str) -> bool {
        if self.every_host {
            return true;
        }
        if let Some(host) = evident_host(text) {
            return is_loopback(&host) || self.hosts.iter().any(|listed| *listed == host);
        }
        read_host(text).is_ok_and(|(host, _)| is_loopback(&host) || self.hosts.contains(&host))
    }

    fn admits_origin(&self, text: &str) -> bool {
        if self.every_origin {
            return true;
        }
        if text == "null" {
            return self.null_origin;
        }
        // Only web pages come from a loopback *server*; other schemes (an app's web view) are listed.
        let on_loopback = |o: &WebOrigin| matches!(&*o.scheme, "http" | "https") && is_loopback(&o.host);
        read_origin(text).is_ok_and(|origin| on_loopback(&origin) || self.origins.contains(&origin))
    }
}

/// Names that never leave the machine (RFC 6761, section 6.3) and its own addresses. 0.0.0.0 and
/// IPv4 addresses mapped into IPv6 are left out: browsers have let strange pages reach them.
fn is_loopback<S: AsRef<str>>(host: &Host<S>) -> bool {
    match host {
        Host::Domain(name) => name.as_ref() == "localhost" || name.as_ref().ends_with(".localhost"),
        Host::Ipv4(address) => address.is_loopback(),
        Host::Ipv6(address) => *address == Ipv6Addr::LOCALHOST,
    }
}

fn read_origin(text: &str) -> Result<WebOrigin, Fault> {
    let (scheme, authority) = text.split_once("://").ok_or(Fault::NoScheme)?;
    if scheme.is_empty() || !scheme.bytes().all(|b| b.is_ascii_alphanumeric() || b"+-.".contains(&b)) {
        return Err(Fault::NoScheme);
    }
    let url = read_url(text, authority)?;
    let host = plain_host(&url)?;
    Ok(WebOrigin { scheme: url.scheme().to_owned(), host, port: url.port_or_known_default() })
}

/// The host of a `Host` header in which nothing is left to interpret, as in nearly all of them: an IPv4 address or a
/// lower-case name, and perhaps a port. [`read_host`] reads it no other way, and needs a hundred times as long.
fn evident_host(text: &str) -> Option<Host<&str>> {
    let name = match text.rsplit_once(':') {
        Some((name, port)) if !port.is_empty() && port.bytes().all(|b| b.is_ascii_digit()) => {
            port.parse::<u16>().ok()?;
            name
        }
        Some(_) => return None,
        None => text,
    };
    if let Ok(address) = name.parse() {
        return Some(Host::Ipv4(address));
    }
    // A last label that begins with a digit is a number to the URL standard ("ends in a number checker"), and `xn--`
    // begins what has to be decoded.
    let letters = |label: &str| label.bytes().all(|b| matches!(b, b'a'..=b'z' | b'0'..=b'9' | b'-'));
    let evident = |label: &str| !label.is_empty() && !label.starts_with("xn--") && letters(label);
    let last = name.rsplit('.').next()?;
    let named = last.starts_with(|first: char| first.is_ascii_lowercase());
    (named && name.split('.').all(evident)).then_some(Host::Domain(name))
}

/// A `Host` header: a host and perhaps a port (RFC 9110, section 7.2).
fn read_host(text: &str) -> Result<(Host<String>, Option<u16>), Fault> {
    let url = read_url(&format!("http://{text}"), text)?;
    let has_port = !text.ends_with(']') && text.contains(':');
    Ok((plain_host(&url)?, url.port_or_known_default().filter(|_| has_port)))
}

/// The URL standard repairs a lot (tabs vanish, `\` is `/`, `%6c` is `l`, full-width letters fold), so
/// the characters are checked before it may: what is repaired is not what a browser sent.
fn read_url(url: &str, authority: &str) -> Result<Url, Fault> {
    let odd = |c: &char| !(c.is_ascii_alphanumeric() || matches!(c, '-' | '.' | '_' | ':' | '[' | ']'));
    if let Some(character) = authority.chars().find(odd) {
        return Err(Fault::Character(character));
    }
    Url::parse(url).map_err(|_| Fault::Invalid)
}

/// The host in one spelling: lower case, without the dot that ends an absolute name.
fn plain_host(url: &Url) -> Result<Host<String>, Fault> {
    match url.host().ok_or(Fault::Invalid)? {
        Host::Domain(name) => {
            let name = name.strip_suffix('.').unwrap_or(name).to_ascii_lowercase();
            if name.split('.').any(str::is_empty) { Err(Fault::Invalid) } else { Ok(Host::Domain(name)) }
        }
        Host::Ipv4(address) => Ok(Host::Ipv4(address)),
        Host::Ipv6(address) => Ok(Host::Ipv6(address)),
    }
}

fn shown(text: &str) -> String {
    text.chars().take(SHOWN).collect()
}

#[cfg(test)]
mod tests;
