//! TLS on the way to the database: which certificates are accepted, and what is said of those that are not.
//!
//! The modes are libpq's (PostgreSQL manual, 34.19.3 Protection Provided in Different Modes), but for two. `allow`
//! protects nothing. `verify-ca` is left out because both clients would have to leave the name unchecked, and the
//! one that reads the slot cannot; `host` with `hostaddr` in the address does what it is used for.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use pgwire_replication::TlsConfig;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::{CryptoProvider, ring, verify_tls12_signature, verify_tls13_signature};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName, UnixTime};
use rustls::{CertificateError, ClientConfig, DigitallySignedStruct, RootCertStore, SignatureScheme};
use thiserror::Error;
use tokio_postgres_rustls::MakeRustlsConnect;

/// libpq's `sslmode`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum SslMode {
    /// Never TLS.
    Disable,
    /// TLS if the server offers it; whoever it is.
    #[default]
    Prefer,
    /// TLS; whoever the server is.
    Require,
    /// TLS, with a certificate that a known authority issued for the host's name.
    VerifyFull,
}

impl SslMode {
    /// All of them, by the words of an address.
    pub const WORDS: [&'static str; 4] = ["disable", "prefer", "require", "verify-full"];

    /// The mode of a word.
    #[must_use]
    pub fn of_word(word: &str) -> Option<Self> {
        Some(match word {
            "disable" => Self::Disable,
            "prefer" => Self::Prefer,
            "require" => Self::Require,
            "verify-full" => Self::VerifyFull,
            _ => return None,
        })
    }

    /// Its word.
    #[must_use]
    pub const fn word(self) -> &'static str {
        match self {
            Self::Disable => "disable",
            Self::Prefer => "prefer",
            Self::Require => "require",
            Self::VerifyFull => "verify-full",
        }
    }
}

/// How TLS is used, and the files that it takes, all in PEM. They are read at each connection, so that renewed
/// certificates serve the next one.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Tls {
    /// What is demanded.
    pub mode: SslMode,
    /// The authorities that may issue the server's certificate. Without them those that browsers trust: Mozilla's
    /// list, of the time when this program was built.
    pub roots: Option<PathBuf>,
    /// The certificate with which we prove who we are, and its key.
    pub identity: Option<Identity>,
}

/// A client's certificate.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Identity {
    /// The chain, our own certificate first.
    pub certificate: PathBuf,
    /// Its private key: PKCS#8, PKCS#1 or SEC1, without a passphrase.
    pub key: PathBuf,
}

/// Why there is no TLS.
#[derive(Debug, Error)]
pub enum TlsError {
    /// A file cannot be read, or holds something else.
    #[error("{parameter} {}: {reason}", path.display())]
    File {
        /// The parameter that names it.
        parameter: &'static str,
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        reason: String,
    },
    /// The certificate and the key of the client do not fit together.
    #[error("sslcert and sslkey cannot be used: {0}")]
    Identity(rustls::Error),
    /// The server speaks in plain text only.
    #[error(
        "the server does not offer TLS, which sslmode={mode} demands; set ssl = on there, or write sslmode=disable \
         where the network is private"
    )]
    NotOffered {
        /// The mode in force.
        mode: &'static str,
    },
    /// Nobody whom we know vouches for the server.
    #[error(
        "the server's certificate is not trusted: {reason}, and it must come from {roots}; give the file of the \
         authority that issued it as sslrootcert"
    )]
    Untrusted {
        /// What is wrong with it.
        reason: String,
        /// Whom we know.
        roots: String,
    },
    /// The certificate belongs to somebody else.
    #[error(
        "the server's certificate is for {presented}, not for {host:?}; write one of its names as host, and the \
         address as hostaddr where the name leads elsewhere"
    )]
    OtherName {
        /// Whom we asked for.
        host: String,
        /// The names in it.
        presented: String,
    },
    /// The two sides do not agree on anything else.
    #[error("TLS with the server failed: {0}")]
    Handshake(String),
}

impl Tls {
    /// No TLS at all.
    #[must_use]
    pub fn disabled() -> Self {
        Self { mode: SslMode::Disable, ..Self::default() }
    }

    /// What ordinary SQL connections take.
    ///
    /// # Errors
    /// When a file cannot be read or holds something else.
    pub fn connector(&self) -> Result<MakeRustlsConnect, TlsError> {
        let provider = Arc::new(ring::default_provider());
        let builder = ClientConfig::builder_with_provider(Arc::clone(&provider))
            .with_safe_default_protocol_versions()
            .map_err(|error| TlsError::Handshake(error.to_string()))?;
        let builder = if self.mode == SslMode::VerifyFull {
            builder.with_root_certificates(self.roots()?)
        } else {
            builder.dangerous().with_custom_certificate_verifier(Arc::new(Anybody(provider)))
        };
        let config = match self.identity.as_ref().filter(|_| self.mode != SslMode::Disable) {
            Some(identity) => {
                let key = PrivateKeyDer::from_pem_file(&identity.key);
                let key = key.map_err(|error| unread("sslkey", &identity.key, &error))?;
                let chain = certificates("sslcert", &identity.certificate)?;
                builder.with_client_auth_cert(chain, key).map_err(TlsError::Identity)?
            }
            None => builder.with_no_client_auth(),
        };
        Ok(MakeRustlsConnect::new(config))
    }

    /// What the replication session takes, whose server is called `host`.
    #[must_use]
    pub fn replication(&self, host: &str) -> TlsConfig {
        let mut tls = match self.mode {
            SslMode::Disable => return TlsConfig::disabled(),
            SslMode::Prefer => {
                TlsConfig { mode: pgwire_replication::SslMode::Prefer, ..TlsConfig::default() }
            }
            SslMode::Require => TlsConfig::require(),
            SslMode::VerifyFull => TlsConfig::verify_full(self.roots.clone()),
        };
        if let Some(identity) = &self.identity {
            tls = tls.with_client_cert(&identity.certificate, &identity.key);
        }
        // Said also where it is the host connected to: only so are addresses compared with a certificate's.
        tls.with_sni_hostname(host)
    }

    /// What stopped a connection to `host`, if it was TLS. A connection that breaks during the handshake is no fault
    /// of either side's certificates.
    #[must_use]
    pub fn fault(&self, error: &tokio_postgres::Error, host: &str) -> Option<TlsError> {
        // tokio-postgres tells this kind of error by its words alone.
        if !error.to_string().starts_with("error performing TLS handshake") {
            return None;
        }
        let source = std::error::Error::source(error)?;
        let Some(io) = source.downcast_ref::<io::Error>() else {
            return Some(match source.to_string() {
                text if text.contains("does not support TLS") => {
                    TlsError::NotOffered { mode: self.mode.word() }
                }
                text => TlsError::Handshake(text),
            });
        };
        let rustls = io.get_ref()?.downcast_ref::<rustls::Error>()?;
        Some(match rustls {
            rustls::Error::InvalidCertificate(CertificateError::NotValidForNameContext {
                presented, ..
            }) => TlsError::OtherName { host: host.to_owned(), presented: names(presented) },
            rustls::Error::InvalidCertificate(reason) => TlsError::Untrusted {
                reason: match reason {
                    CertificateError::UnknownIssuer => "its issuer is unknown".to_owned(),
                    reason => reason.to_string(),
                },
                roots: match &self.roots {
                    Some(path) => format!("the authorities in {}", path.display()),
                    None => "an authority that browsers trust".to_owned(),
                },
            },
            rustls => TlsError::Handshake(rustls.to_string()),
        })
    }

    fn roots(&self) -> Result<RootCertStore, TlsError> {
        let Some(path) = &self.roots else {
            return Ok(RootCertStore { roots: webpki_roots::TLS_SERVER_ROOTS.to_vec() });
        };
        let mut roots = RootCertStore::empty();
        let (added, _) = roots.add_parsable_certificates(certificates("sslrootcert", path)?);
        if added == 0 {
            return Err(TlsError::File {
                parameter: "sslrootcert",
                path: path.clone(),
                reason: "holds no certificate of an authority".to_owned(),
            });
        }
        Ok(roots)
    }
}

fn certificates(parameter: &'static str, path: &Path) -> Result<Vec<CertificateDer<'static>>, TlsError> {
    let read = CertificateDer::pem_file_iter(path).and_then(Iterator::collect::<Result<Vec<_>, _>>);
    let read = read.map_err(|error| unread(parameter, path, &error))?;
    if read.is_empty() {
        let reason = "holds no certificate in PEM".to_owned();
        return Err(TlsError::File { parameter, path: path.to_owned(), reason });
    }
    Ok(read)
}

fn unread(parameter: &'static str, path: &Path, error: &rustls::pki_types::pem::Error) -> TlsError {
    TlsError::File { parameter, path: path.to_owned(), reason: format!("cannot be read: {error}") }
}

/// The names of a certificate as rustls shows them: `DnsName("a.example")` and `IpAddress(..)`.
fn names(presented: &[String]) -> String {
    let plain = |name: &String| match name.split_once("DnsName(\"").and_then(|(_, rest)| rest.split_once('"'))
    {
        Some((name, _)) => name.to_owned(),
        None => name.clone(),
    };
    if presented.is_empty() {
        "nobody by name".to_owned()
    } else {
        presented.iter().map(plain).collect::<Vec<_>>().join(", ")
    }
}

/// Takes every certificate, as `prefer` and `require` do. The server must still own the one that it shows, which
/// SCRAM's channel binding relies on.
#[derive(Debug)]
struct Anybody(Arc<CryptoProvider>);

impl ServerCertVerifier for Anybody {
    fn verify_server_cert(
        &self,
        _: &CertificateDer<'_>,
        _: &[CertificateDer<'_>],
        _: &ServerName<'_>,
        _: &[u8],
        _: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        verify_tls12_signature(message, certificate, signature, &self.0.signature_verification_algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        verify_tls13_signature(message, certificate, signature, &self.0.signature_verification_algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.0.signature_verification_algorithms.supported_schemes()
    }
}
