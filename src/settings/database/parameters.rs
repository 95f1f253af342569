//! The parameters of an address that tokio-postgres does not know: those of TLS, in libpq's words.

use std::path::PathBuf;

use super::DatabaseError;
use crate::postgres::tls::{Identity, SslMode, Tls};

/// What is said about TLS, in an address or by settings.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(in crate::settings) struct TlsParameters {
    /// How much is demanded.
    pub(in crate::settings) sslmode: Option<SslMode>,
    /// A file with authorities, or the word `system`.
    pub(in crate::settings) sslrootcert: Option<String>,
    /// A file with our certificate.
    pub(in crate::settings) sslcert: Option<String>,
    /// A file with its key.
    pub(in crate::settings) sslkey: Option<String>,
}

impl TlsParameters {
    /// Takes the parameters of TLS out of an address; what is left is for tokio-postgres.
    ///
    /// # Errors
    /// When a mode cannot be had, or a parameter has no value.
    pub(super) fn take_from(text: &str) -> Result<(Self, String), DatabaseError> {
        let mut parameters = Self::default();
        let is_url = ["postgres://", "postgresql://"].iter().any(|scheme| text.starts_with(scheme));
        let rest = if is_url { parameters.take_from_url(text)? } else { parameters.take_from_pairs(text)? };
        Ok((parameters, rest))
    }

    /// The same, but for what `settings` say otherwise.
    pub(in crate::settings) fn overruled_by(&self, settings: &Self) -> Self {
        Self {
            sslmode: settings.sslmode.or(self.sslmode),
            sslrootcert: settings.sslrootcert.clone().or_else(|| self.sslrootcert.clone()),
            sslcert: settings.sslcert.clone().or_else(|| self.sslcert.clone()),
            sslkey: settings.sslkey.clone().or_else(|| self.sslkey.clone()),
        }
    }

    /// What they mean together.
    ///
    /// # Errors
    /// When they contradict each other.
    pub(in crate::settings) fn tls(&self) -> Result<Tls, DatabaseError> {
        // libpq's word for the system's authorities, which it allows with this mode alone.
        let system = self.sslrootcert.as_deref() == Some("system");
        let mode = self.sslmode.unwrap_or(if system { SslMode::VerifyFull } else { SslMode::default() });
        if self.sslrootcert.is_some() && mode != SslMode::VerifyFull {
            return Err(DatabaseError::RootUnused(mode.word()));
        }
        let identity = match (&self.sslcert, &self.sslkey) {
            (Some(certificate), Some(key)) => {
                Some(Identity { certificate: certificate.into(), key: key.into() })
            }
            (None, None) => None,
            _ => return Err(DatabaseError::HalfIdentity),
        };
        let roots = self.sslrootcert.as_ref().filter(|_| !system).map(PathBuf::from);
        Ok(Tls { mode, roots, identity })
    }

    fn take_from_url(&mut self, text: &str) -> Result<String, DatabaseError> {
        let login = text.find('@').unwrap_or_default();
        let Some(query) = text.get(login..).and_then(|rest| rest.find('?')).map(|at| login + at) else {
            return Ok(text.to_owned());
        };
        let (address, query) = text.split_at(query);
        let mut left = Vec::new();
        for pair in query.trim_start_matches('?').split('&') {
            let Some((name, value)) = pair.split_once('=') else {
                left.push(pair);
                continue;
            };
            // The crate `url` decodes values; a plus sign stands for itself here.
            let value = value.replace('+', "%2B");
            let decoded = url::form_urlencoded::parse(value.as_bytes()).next();
            let value = decoded.map(|(value, _)| value.into_owned()).unwrap_or_default();
            if !self.set(name, value)? {
                left.push(pair);
            }
        }
        let left = left.join("&");
        Ok(if left.is_empty() { address.to_owned() } else { format!("{address}?{left}") })
    }

    /// `key=value` pairs (PostgreSQL manual, 34.1.1.1). What does not look like one is left as it is, for
    /// tokio-postgres to refuse.
    fn take_from_pairs(&mut self, text: &str) -> Result<String, DatabaseError> {
        let mut left = String::new();
        let mut rest = text;
        while let Some((name, after)) = rest.split_once('=') {
            let value = after.trim_start();
            let Some((value, length)) =
                value_of(value).map(|(text, length)| (text, after.len() - value.len() + length))
            else {
                break;
            };
            let pair = rest.get(..name.len() + 1 + length).unwrap_or(rest);
            if !self.set(name.trim(), value)? {
                left.push_str(pair);
            }
            rest = rest.get(pair.len()..).unwrap_or_default();
        }
        left.push_str(rest);
        Ok(left)
    }

    /// Keeps a parameter that is about TLS; `false` when it is none.
    fn set(&mut self, name: &str, value: String) -> Result<bool, DatabaseError> {
        let (kept, known) = match name {
            "sslmode" => {
                self.sslmode = Some(match value.as_str() {
                    "allow" => return Err(DatabaseError::Tls("sslmode=allow")),
                    "verify-ca" => return Err(DatabaseError::Tls("sslmode=verify-ca")),
                    word => SslMode::of_word(word).ok_or(DatabaseError::Parameter("sslmode"))?,
                });
                return Ok(true);
            }
            "sslrootcert" => (&mut self.sslrootcert, "sslrootcert"),
            "sslcert" => (&mut self.sslcert, "sslcert"),
            "sslkey" => (&mut self.sslkey, "sslkey"),
            _ => return Ok(false),
        };
        if value.is_empty() {
            return Err(DatabaseError::Parameter(known));
        }
        *kept = Some(value);
        Ok(true)
    }
}

/// A value, in quotes or up to a blank, with what a backslash protects; and how many bytes it takes.
fn value_of(text: &str) -> Option<(String, usize)> {
    let quoted = text.starts_with('\'');
    let mut value = String::new();
    let mut letters = text.char_indices().skip(usize::from(quoted));
    while let Some((at, letter)) = letters.next() {
        match letter {
            '\\' => value.push(letters.next()?.1),
            '\'' if quoted => return Some((value, at + 1)),
            letter if !quoted && letter.is_whitespace() => return Some((value, at)),
            letter => value.push(letter),
        }
    }
    (!quoted).then_some((value, text.len()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn taken(text: &str) -> (TlsParameters, String) {
        TlsParameters::take_from(text).unwrap()
    }

    #[test]
    fn the_parameters_of_tls_are_taken_out_of_both_forms() {
        let url = taken(
            "postgres://u:p@h/d?sslmode=verify-full&connect_timeout=3&sslrootcert=%2Fca%20s%2Bt+1.pem&sslcert=c&sslkey=k",
        );
        let pairs = taken(
            "host=h sslmode=verify-full sslrootcert = '/ca s+t+1.pem' user=u sslcert=c password='it\\'s a=b' sslkey=k",
        );
        for (parameters, _) in [&url, &pairs] {
            assert_eq!(parameters.sslmode, Some(SslMode::VerifyFull));
            assert_eq!(parameters.sslrootcert.as_deref(), Some("/ca s+t+1.pem"));
            assert_eq!((parameters.sslcert.as_deref(), parameters.sslkey.as_deref()), (Some("c"), Some("k")));
        }
        assert_eq!(url.1, "postgres://u:p@h/d?connect_timeout=3");
        assert_eq!(pairs.1, "host=h user=u password='it\\'s a=b'");
    }

    #[test]
    fn what_holds_no_such_parameter_is_left_as_it_is() {
        for text in [
            "postgres://u:p?sslmode=require@h/d",
            "postgres://u@h/d?x=y&z",
            "postgres://u@h/sslmode=require",
            "host=h password='sslmode=require",
            "host=h password='sslmode=require' user=u",
            "host=h =",
            "nothing",
            "",
        ] {
            assert_eq!(taken(text), (TlsParameters::default(), text.to_owned()), "{text}");
        }
    }

    #[test]
    fn parameters_that_contradict_each_other_are_refused() {
        let tls = |text: &str| TlsParameters::take_from(text).and_then(|(parameters, _)| parameters.tls());
        assert_eq!(tls("sslmode=require sslrootcert=x"), Err(DatabaseError::RootUnused("require")));
        assert_eq!(tls("sslrootcert=x"), Err(DatabaseError::RootUnused("prefer")));
        assert_eq!(tls("sslmode=require sslcert=x"), Err(DatabaseError::HalfIdentity));
        assert_eq!(tls("sslmode=verify-ca"), Err(DatabaseError::Tls("sslmode=verify-ca")));
        assert_eq!(tls("sslrootcert="), Err(DatabaseError::Parameter("sslrootcert")));
        let system = tls("sslrootcert=system").unwrap();
        assert_eq!((system.mode, system.roots), (SslMode::VerifyFull, None));
    }
}
